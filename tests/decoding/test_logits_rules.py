import pytest
import torch
from transformers import (
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from transformers.modeling_outputs import CausalLMOutput

from amt.decoding.plain.logits_rules import (
    ban_repeated_ngrams,
    ban_token,
    guide,
    penalize_repetition,
    restrict,
    token_log_probs,
)
from amt.errors import DecodingError

INF = torch.inf


def random_rows(seed, vocab_size=7, length=11):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, vocab_size, generator=generator)
    scores[1, 2] = -INF
    return scores, torch.randint(vocab_size, (3, length), generator=generator)


@pytest.mark.parametrize("scale", [0.0, 2.5])
def test_guidance_equals_transformers(scale):
    """A model that says the same whatever it is asked stands for the one after the negative text."""
    logits, token_ids = random_rows(3)
    negative = random_rows(4)[0]
    logits[1, 2] = negative[1, 2] = 0.5

    def model(input_ids, **options):
        return CausalLMOutput(logits=negative[:, None])

    expected = UnbatchedClassifierFreeGuidanceLogitsProcessor(scale, model, use_cache=False)(token_ids, logits)
    assert torch.equal(guide(logits.log_softmax(-1), negative.log_softmax(-1), scale), expected)


def test_guidance_keeps_what_is_forbidden():
    own, negative = torch.tensor([[-1.0, -INF, -2.0, -INF]]), torch.tensor([[-2.0, -1.0, -INF, -INF]])
    assert guide(own, negative, 3.0).tolist() == [[1.0, -INF, -2.0, -INF]]


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("length", [1, 11])
def test_repetition_penalty_equals_transformers(penalty, length):
    scores, token_ids = random_rows(3, length=length)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(token_ids, scores)
    assert torch.equal(penalize_repetition(scores, token_ids, penalty), expected)


@pytest.mark.parametrize("ngram_size", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 11, 40])
def test_ngrams_equal_transformers(ngram_size, length):
    for seed in range(5):
        scores, token_ids = random_rows(seed, vocab_size=3, length=length)
        expected = NoRepeatNGramLogitsProcessor(ngram_size)(token_ids, scores)
        assert torch.equal(ban_repeated_ngrams(scores, token_ids, ngram_size), expected)


def test_ban_token_leaves_its_input():
    scores, _ = random_rows(0)
    banned = ban_token(scores, 4)
    assert (banned[:, 4] == -INF).all() and (scores[:, 4] > -INF).all()


def test_restrict_takes_the_first_fallback_with_a_token():
    scores = torch.tensor([[1.0, 2.0, -INF], [-INF, -INF, 5.0], [-INF, -INF, 5.0]])
    strict, loose = torch.tensor([[7.0] * 3, [-INF, 3.0, 5.0], [-INF, -INF, 5.0]]), torch.full((3, 3), 9.0)
    allowed = torch.tensor([[True, False, False], [True, True, False], [True, True, False]])
    expected = torch.tensor([[1.0, -INF, -INF], [-INF, 3.0, -INF], [9.0, 9.0, -INF]])
    assert torch.equal(restrict(scores, allowed, (strict, loose)), expected)
    assert (restrict(scores, allowed)[1:] == -INF).all()


def test_token_log_probs():
    logits = torch.tensor([[0.0, 0.0, -INF], [-INF, -INF, -INF]])
    half = float(torch.tensor([0.0, 0.0]).log_softmax(0)[0])
    assert token_log_probs(logits, 0).tolist() == [[half, half, -INF], [-INF] * 3]
    assert token_log_probs(logits.bfloat16(), 0).dtype == torch.float32


@pytest.mark.parametrize("bad", [torch.nan, INF])
def test_bad_logits_name_the_step(bad):
    with pytest.raises(DecodingError, match="at step 6"):
        token_log_probs(torch.tensor([[0.0, bad]]), 6)
