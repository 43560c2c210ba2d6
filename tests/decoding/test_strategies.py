import random

import pytest
import torch

from amt.decoding import generate
from amt.errors import DecodingError
from amt.request.options import GenerationConfig

PLACEHOLDER = -1e6  # transformers' placeholders score below this, real hypotheses above


class FewLegal:
    """A processor that forbids most tokens, by the last token and the length; sometimes all of them."""

    def __init__(self, vocab_size, num_legal, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.rand(7, vocab_size, vocab_size, generator=generator).argsort(-1)
        self.legal = order < torch.randint(*num_legal, (7, vocab_size, 1), generator=generator)

    def __call__(self, input_ids, scores):
        return scores.masked_fill(~self.legal[input_ids.shape[1] % 7, input_ids[:, -1] % scores.shape[1]], -torch.inf)


class StopAfter:
    """A criterion: stop behind a token once there are three new ones."""

    def __init__(self, token, prefix_len):
        self.token, self.least = token, prefix_len + 3

    def __call__(self, input_ids, scores):
        return (input_ids[:, -1] == self.token) & (input_ids.shape[1] >= self.least)


def random_case(tables, seed, *, has_ties=False, legal="any"):
    """(our call, transformers' call, num_beams) for one random case.

    Args:
        has_ties: whether many scores are equal.
        legal: which tokens are: "enough" to need no placeholders, "few", fewer than beams, or "any" number.
    """
    rng = random.Random(seed)
    vocab_size = 23 if legal == "enough" else rng.choice((4, 5, 7, 11, 23))
    model = tables.Model(vocab_size, seed, sharpness=rng.choice((0.3, 1.0, 2.0)), is_coarse=has_ties)
    num_beams = rng.choice((1, 2, 2, 3, 4, 5, 7))
    max_new_tokens = rng.choice((1, 2, 3, 5, 8, 13))
    config = GenerationConfig(
        do_sample=False,
        num_beams=num_beams,
        max_new_tokens=max_new_tokens,
        min_new_tokens=rng.choice((0, 0, rng.randint(0, max_new_tokens))),
        length_penalty=rng.choice((-1.5, -0.5, 0.0, 0.6, 1.0, 1.0, 2.0)),
        early_stopping=rng.choice((True, False, "never")),
        num_return_sequences=rng.randint(1, num_beams),
        repetition_penalty=rng.choice((1.0, 1.0, 0.7, 1.3, 3.0)),
        no_repeat_ngram_size=rng.choice((0, 0, 2, 3) if legal == "enough" else (0, 0, 1, 2, 3)),
        suppress_tokens=rng.choice(((), (), (3,))),
        begin_suppress_tokens=rng.choice(((), (), (0,)) if legal == "enough" else ((), (), (2,), (0, 2))),
        forced_bos_token_id=rng.choice((None, None, 1, 2)),
        forced_eos_token_id=rng.choice((None, None, 2, 1)),
    )
    batch_size = rng.choice((1, 1, 2, 3))
    prefix_len = rng.choice((1, 1, 2, 4))
    prefixes = [[1, *(rng.randrange(3, vocab_size) for _ in range(prefix_len - 1))] for _ in range(batch_size)]
    processors, criteria = [], []
    is_forced = config.forced_bos_token_id is not None or config.forced_eos_token_id is not None
    if legal == "few" or (rng.random() < 0.3 and not (is_forced and legal == "enough")):
        num_legal = {"enough": (19, 24), "few": (rng.choice((0, 1, 1)), 4), "any": (2, vocab_size + 1)}[legal]
        processors.append(FewLegal(vocab_size, num_legal, seed))
    if rng.random() < 0.3:
        criteria.append(StopAfter(rng.randrange(3, vocab_size), prefix_len))

    def ours():
        return generate(
            model,
            model.prompts(batch_size),
            None,
            config,
            prefixes=prefixes,
            logits_processor=processors,
            stopping_criteria=criteria,
        )

    def theirs():
        def next_logits(input_ids, prompt):
            rows = zip(prompt.tolist(), input_ids.tolist(), strict=True)
            return torch.stack([model.logits_of(key, ids) for key, ids in rows])

        return tables.run_transformers(
            next_logits,
            vocab_size,
            torch.arange(batch_size),
            prefixes,
            config,
            logits_processor=processors,
            stopping_criteria=criteria,
        )

    return ours, theirs, num_beams


def assert_equals_transformers(ours, theirs, num_beams):
    """Same hypotheses in the same order with the same scores, bit for bit; returns how many were compared."""
    expected = theirs()
    if num_beams > 1:
        expected = [[pair for pair in pairs if pair[1] > PLACEHOLDER] for pairs in expected]
    if not all(expected):
        with pytest.raises(DecodingError, match="no beam has a legal token"):
            ours()
        return 0
    try:
        result = ours()
    except DecodingError as error:  # transformers takes token 0 where greedy search has no legal token
        assert num_beams == 1 and "no token is legal" in str(error)
        return 0
    assert [[h.token_ids for h in hs] for hs in result] == [[ids for ids, _ in pairs] for pairs in expected]
    for hypotheses, pairs in zip(result, expected, strict=True):
        for hypothesis, (_, score) in zip(hypotheses, pairs, strict=True):
            assert score is None or hypothesis.score == score
    return sum(map(len, result))


@pytest.mark.parametrize("first_seed", range(0, 80, 40))
def test_search_equals_transformers(tables, first_seed):
    for seed in range(first_seed, first_seed + 40):
        assert assert_equals_transformers(*random_case(tables, seed, legal="enough")) > 0


@pytest.mark.parametrize("first_seed", range(0, 120, 40))
@pytest.mark.parametrize("legal", ["any", "few"])
@pytest.mark.parametrize("has_ties", [False, True], ids=["", "ties"])
@pytest.mark.usefixtures("ordered_topk")
def test_search_with_placeholders_equals_transformers(tables, first_seed, legal, has_ties):
    counts = []
    for seed in range(first_seed, first_seed + 40):
        counts.append(assert_equals_transformers(*random_case(tables, seed, has_ties=has_ties, legal=legal)))
    assert any(counts)
    assert legal == "any" or 0 in counts  # searches that die ran too
