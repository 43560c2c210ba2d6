"""Random searches through the C++ search and through `amt.decoding.generate`: the same logits, the same answer.

`python random_searches.py 5000` runs so many and counts what they covered.
"""

import collections
import dataclasses
import functools
import operator
import random
import sys
import types

import numpy as np
import search_library as native
import torch

from amt.decoding import generate
from amt.errors import DecodingError
from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.request.options import GenerationConfig

EOS = 2
MAX_LEN = 48
TOKENIZERS = (
    TokenizerConfig(preset="performance", max_time_shift=5, num_velocities=2),
    TokenizerConfig(max_time_shift=7, num_velocities=4, tempos_bpm=(60, 120)),
    TokenizerConfig(),
)


class HistoryModel:
    """Logits as a function of the whole history, for `amt.decoding` and for the C++ search.

    Args:
        is_coarse: quantised, so that many scores tie.
        eos_bias: added to the logit of eos.
        forbidden: the share of logits that are -inf.
        damage: what becomes of one logit from some step on: None, NaN or inf.
    """

    NUM_HASHES, NUM_LASTS = 31, 29

    def __init__(self, vocab_size, seed, *, sharpness, is_coarse, eos_bias, forbidden, damage=None):
        rng = np.random.default_rng(seed)
        self.by_history = rng.standard_normal((self.NUM_HASHES, vocab_size)).astype(np.float32) * sharpness
        self.by_last = rng.standard_normal((self.NUM_LASTS, vocab_size)).astype(np.float32) * sharpness
        self.by_history[:, EOS] += eos_bias
        if is_coarse:
            self.by_history, self.by_last = np.round(self.by_history), np.round(self.by_last)
        self.is_forbidden = rng.random((self.NUM_HASHES, vocab_size)) < forbidden
        self.damage, self.damaged_from = damage, int(rng.integers(2, 12))
        self.config = types.SimpleNamespace(vocab_size=vocab_size, max_sequence_length=MAX_LEN)

    def logits_of(self, ids):
        history = 0
        for token in ids:
            history = (history * 7 + token + 1) % 1_000_003
        place = history % self.NUM_HASHES
        logits = self.by_history[place] + self.by_last[ids[-1] % self.NUM_LASTS]
        logits[self.is_forbidden[place]] = -np.inf
        if self.damage is not None and len(ids) >= self.damaged_from and place < 3:
            logits[3] = self.damage
        return logits

    def encode(self, text_embeddings, text_mask):
        return text_embeddings

    def start_cache(self, memory, memory_mask):
        return HistoryCache([[]])

    def decode_step(self, token_ids, cache):
        for ids, new in zip(cache.histories, token_ids.tolist(), strict=True):
            ids += new
        return torch.from_numpy(np.stack([self.logits_of(ids) for ids in cache.histories]))[:, None]


class HistoryCache:
    def __init__(self, histories):
        self.histories = histories

    def select(self, index):
        return HistoryCache([list(self.histories[i]) for i in index])


@dataclasses.dataclass
class Case:
    config: GenerationConfig
    model: HistoryModel
    prefix: list[int]
    tokenizer: TokenizerConfig | None = None
    constraints: Constraints | None = None

    @property
    def limit(self):
        return min(self.config.max_new_tokens, MAX_LEN - len(self.prefix))


def random_options(rng, mode, vocab_size):
    def some():
        return tuple(rng.randrange(vocab_size) for _ in range(rng.choice((0, 0, 0, 1, 3))))

    suppressed = some()
    free = [None, None, *(set(range(vocab_size)) - set(suppressed))]
    max_new_tokens = rng.choice((1, 2, 3, 5, 8, 13, 21))
    rules = {
        "max_new_tokens": max_new_tokens,
        "min_new_tokens": rng.choice((0, 0, rng.randint(0, max_new_tokens))),
        "repetition_penalty": rng.choice((1.0, 1.0, 0.7, 1.3, 3.0)),
        "no_repeat_ngram_size": rng.choice((0, 0, 1, 2, 3, 4)),
        "suppress_tokens": suppressed,
        "begin_suppress_tokens": some(),
        "forced_bos_token_id": rng.choice((None, rng.choice(free))),
        "forced_eos_token_id": rng.choice((None, rng.choice((2, *free)))) if 2 not in suppressed else None,
    }
    if mode == "greedy":
        return GenerationConfig(do_sample=False, **rules)
    if mode == "sample":
        return GenerationConfig(
            temperature=rng.choice((1.0, 1.0, 0.3, 0.9, 1.7)),
            top_k=rng.choice((0, 0, 1, 2, 5, 40)),
            top_p=rng.choice((1.0, 1.0, 0.1, 0.5, 0.9, 0.98)),
            min_p=rng.choice((0.0, 0.0, 0.02, 0.1, 0.5)),
            typical_p=rng.choice((1.0, 1.0, 0.95, 0.5, 0.1)),
            num_return_sequences=rng.choice((1, 1, 2, 3, 5)),
            seed=rng.choice((0, 7, rng.randrange(1 << 64))),
            **rules,
        )
    num_beams = rng.choice((2, 2, 3, 4, 5, 6, 7, 8, 16))
    return GenerationConfig(
        do_sample=False,
        num_beams=num_beams,
        length_penalty=rng.choice((-1.5, -0.5, 0.0, 0.6, 1.0, 1.0, 2.0)),
        early_stopping=rng.choice((True, False, "never")),
        num_return_sequences=rng.randint(1, num_beams),
        **rules,
    )


def random_constraints(rng, tokenizer):
    is_score = tokenizer.preset == "score"
    return Constraints(
        max_polyphony=rng.choice((None, 1, 3)),
        max_steps=rng.choice((None, None, 4, 20)),
        programs=rng.choice((None, (0,), (0, 40, 128), (128,))) if is_score else None,
        pitch_classes=rng.choice((None, (0, 4, 7))),
        tempo_index=rng.choice((None, 1)) if is_score else None,
        time_signature_index=rng.choice((None, 17)) if is_score else None,
    )


def random_case(seed, *, is_coarse=None):
    """The case of a seed. Quantised logits, and so ties, if `is_coarse`; if None, sometimes."""
    rng = random.Random(seed)
    mode = rng.choice(("greedy", "sample", "beams", "beams"))
    tokenizer = rng.choice((None, None, *TOKENIZERS))
    vocab_size = rng.choice((4, 5, 7, 11, 23, 60))
    prefix = [1, *(rng.randrange(3, vocab_size) for _ in range(rng.choice((0, 0, 1, 3))))]
    constraints = None
    if tokenizer:
        constraints = random_constraints(rng, tokenizer)
        vocab_size, prefix, state = tokenizer_size(tokenizer), [1], Grammar(tokenizer, constraints).start()
        state.advance(1)
        for _ in range(rng.choice((0, 2, 5, 20))):
            legal = [int(token) for token in state.allowed().nonzero()[0] if token != EOS]
            if not legal:
                break
            prefix.append(rng.choice(legal))
            state.advance(prefix[-1])
    model = HistoryModel(
        vocab_size,
        seed,
        sharpness=rng.choice((0.3, 1.0, 2.0)),
        is_coarse=rng.random() < 0.4 if is_coarse is None else is_coarse,
        eos_bias=rng.choice((-2.0, 0.0, 1.0, 3.0)),
        forbidden=rng.choice((0.0, 0.0, 0.1, 0.6)),
        # A grammar's placeholders are read by the reference, not by the C++ search: NaN may be in them.
        damage=None if mode == "beams" and tokenizer else rng.choice((None, None, None, None, None, np.nan, np.inf)),
    )
    return Case(random_options(rng, mode, vocab_size), model, prefix, tokenizer, constraints)


@functools.cache
def tokenizer_size(tokenizer):
    return Grammar(tokenizer).vocab_size


def run_reference(case):
    """What `amt.decoding.generate` gives, in the form of `Search.results`."""
    hypotheses = generate(
        case.model,
        torch.zeros(1, 1, 1),
        None,
        case.config,
        prefixes=[case.prefix],
        seeds=None if case.config.seed is None else [case.config.seed],
        grammar=Grammar(case.tokenizer, case.constraints) if case.tokenizer else None,
    )[0]
    scores = [h.score for h in hypotheses]
    if case.config.num_beams == 1:  # `sum` depends on the version of Python
        scores = [functools.reduce(operator.add, h.token_log_probs) for h in hypotheses]
    rows = zip(hypotheses, scores, strict=True)
    return [(h.token_ids, score, h.token_log_probs, h.finish_reason) for h, score in rows]


def torch_log_sum_exp(values, count):
    """log-sum-exp of values with maximum 0, bit for bit as `torch.log_softmax` has it."""
    return float(-torch.tensor(values[:count]).log_softmax(-1).max())


def start_native(library, case, log_sum_exp=torch_log_sum_exp):
    grammar = native.Grammar(library, case.tokenizer, case.constraints) if case.tokenizer else None
    options = native.options_from(case.config, case.model.config.vocab_size, EOS)
    search = native.Search(library, options, MAX_LEN, grammar, log_sum_exp)
    search.begin(case.prefix, case.limit, case.config.seed or 0)
    return search


def run_native(library, case, log_sum_exp=torch_log_sum_exp, *, on_step=lambda search: None):
    """The results of the C++ search; rows that it says are idle get NaN."""
    search = start_native(library, case, log_sum_exp)
    num_rows = case.config.num_return_sequences if case.config.do_sample else case.config.num_beams
    histories = {0: case.prefix}
    while not search.is_done:
        logits = np.full((num_rows, case.model.config.vocab_size), np.nan, np.float32)
        for row, ids in histories.items():
            assert len(ids) == search.length
            logits[row] = case.model.logits_of(ids)
        search.step(logits)
        on_step(search)
        active = [row for row in range(num_rows) if search.is_active(row)]
        histories = {row: [*histories[search.parent(row)], search.last_token(row)] for row in active}
    results = search.results(len(case.prefix))
    return results[: case.config.num_return_sequences]


def outcome(run, *arguments):
    """The results, or the text of the DecodingError."""
    try:
        return run(*arguments)
    except DecodingError as error:
        return str(error)


def check_case(library, seed, **kinds):
    """Raise AssertionError unless both give the same, bit for bit; returns what the case was."""
    case = random_case(seed, **kinds)
    expected, got = outcome(run_reference, case), outcome(run_native, library, case)
    # The reference decodes one sequence after another, so another of its sequences may be the first to fail.
    is_text_free = isinstance(expected, str) and case.config.do_sample and case.config.num_return_sequences > 1
    assert isinstance(got, str) if is_text_free else got == expected, f"case {seed}: {got} instead of {expected}"
    mode = "sample" if case.config.do_sample else "beams" if case.config.num_beams > 1 else "greedy"
    return mode, "grammar" if case.tokenizer else "free", "error" if isinstance(expected, str) else "results"


if __name__ == "__main__":
    torch.set_num_threads(1)
    library = native.load()
    counts, mismatches = collections.Counter(), 0
    for number in range(int(sys.argv[1])):
        try:
            counts[check_case(library, number + 1_000_000)] += 1
        except AssertionError as error:
            mismatches += 1
            print(error)
    print(f"{mismatches} mismatches in {sys.argv[1]} cases; the others: {dict(sorted(counts.items()))}")
