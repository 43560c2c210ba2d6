"""Tokens that a search chose, scored again by plain PyTorch in any precision: what its numbers are held to.

Truth is float64. How far plain PyTorch in float32 is from it, over all tokens of all steps, says how far another
computation in float32 may be.
"""

from __future__ import annotations

import copy
import dataclasses

import torch

from amt.decoding.plain.logits_rules import guide
from amt.decoding.plain.rules import Rules
from amt.midi.features import FeatureState
from amt.models.feature_inputs import advance
from amt.testing import error_bound


@dataclasses.dataclass(frozen=True)
class Replay:
    """The steps of one hypothesis, (num_new_tokens, vocab_size) each.

    Attributes:
        log_probs: the model's own.
        scores: what beams sum: after guidance and the rules, -inf for tokens that may not come.
        tokens: (num_new_tokens,), those that were chosen.
    """

    log_probs: torch.Tensor
    scores: torch.Tensor
    tokens: torch.Tensor

    def of_tokens(self, values: torch.Tensor) -> torch.Tensor:
        """The values of the tokens that were chosen."""
        return values.gather(1, self.tokens[:, None])[:, 0]


@torch.no_grad()
def replay(
    model,
    text,
    hypotheses,
    prefix_len,
    config,
    *,
    negative=None,
    make_grammar=None,
    num_bars=0,
    before=None,
    eos_token_id=2,
):
    """One `Replay` for each hypothesis of a prompt, in the model's precision.

    Args:
        text, negative: (embeddings, mask) of one text each.
        num_bars: what a model with state features was told; 0: nothing.
        before: of a window; see `amt.request.request.Before`.
    """
    dtype = next(model.parameters()).dtype
    longest = max(len(hypothesis.token_ids) for hypothesis in hypotheses)
    token_ids = torch.tensor([[*h.token_ids, *[0] * (longest - len(h.token_ids))] for h in hypotheses])

    def log_probs_after(embeddings, mask):
        num_rows = len(hypotheses)
        memory = model.encode(embeddings.to(dtype), mask).expand(num_rows, -1, -1)
        mask = None if mask is None else mask.expand(num_rows, -1)
        ids, features = token_ids[:, :-1], None
        if model.feature_layout is not None:
            features = advance([FeatureState(model.feature_layout, num_bars) for _ in range(num_rows)], ids)
        logits = model.decode(ids, memory, memory_mask=mask, features=features)
        return logits[:, prefix_len - 1 :].log_softmax(-1)

    log_probs = log_probs_after(*text)
    guided = log_probs
    if config.guidance_scale != 1.0:
        guided = guide(log_probs, log_probs_after(*negative), config.guidance_scale)
    room = min(config.max_new_tokens, model.config.max_sequence_length - prefix_len)
    replays = []
    for row, hypothesis in enumerate(hypotheses):
        windows = {} if before is None else {"num_before": before.num_tokens, "tokens_left": before.tokens_left}
        rules, ids = Rules(config, prefix_len, room, eos_token_id, **windows), token_ids[row : row + 1]
        grammar, scores = make_grammar() if make_grammar else None, []
        history = hypothesis.token_ids[:prefix_len] if before is None else before.history
        for token in history if grammar else ():
            grammar.advance(token)
        for step in range(hypothesis.num_new_tokens):
            end = prefix_len + step
            scores.append(rules(ids[:, :end], guided[row, step : step + 1], [grammar] if grammar else None)[0])
            if grammar:
                grammar.advance(hypothesis.token_ids[end])
        tokens = ids[0, prefix_len : prefix_len + len(scores)]
        replays.append(Replay(log_probs[row, : len(scores)], torch.stack(scores), tokens))
    return replays


class Noisy:
    """A model whose logits are up to `size` away from those of `model`, another way for each seed."""

    def __init__(self, model, size, seed):
        self.model, self.config, self.size = model, model.config, size
        self.encode, self.start_cache = model.encode, model.start_cache
        self.generator = torch.Generator().manual_seed(seed)

    def decode_step(self, token_ids, cache):
        logits = self.model.decode_step(token_ids, cache)
        return logits + self.size * (2 * torch.rand(logits.shape, generator=self.generator, dtype=logits.dtype) - 1)


def tokens_of(results):
    """The tokens alone of all hypotheses of all prompts."""
    return [[hypothesis.token_ids for hypothesis in hypotheses] for hypotheses in results]


def is_within_rounding(tokens, run, exact, replays):
    """Whether a search could choose these tokens, because rounding decides between choices that are nearly equal.

    It could if it does in float64, with noise on the logits that is no larger than the error which logits in float32
    may have.

    Args:
        run: runs the search with the model that it is given.
        exact: the model in float64.
        replays: pairs of `Replay`, in float64 and in float32.
    """
    size = max(bound(truth.log_probs, reference.log_probs) for truth, reference in replays)
    return any(tokens_of(run(Noisy(exact, size, seed))) == tokens for seed in range(200))


def in_float64(model):
    """A copy of a model with the same weights, which computes in float64."""
    return copy.deepcopy(model).double()


def bound(truth, reference):
    """The error that a number among these may have; tokens that may not come (-inf) have none."""
    is_finite = truth > -torch.inf
    return error_bound(truth[is_finite], reference[is_finite])


def wrong_number(hypothesis, truth, reference, config):
    """What of a hypothesis' numbers is further from the truth than it may be; empty if nothing.

    Args:
        truth, reference: its `Replay` in float64 and in float32.
    """
    own = torch.tensor(hypothesis.token_log_probs, dtype=torch.float64)
    error, allowed = (own - truth.of_tokens(truth.log_probs)).abs().max(), bound(truth.log_probs, reference.log_probs)
    if not error <= allowed:
        return f"log-probabilities: error {error:.3g}, bound {allowed:.3g}"
    num_tokens, weight, steps = hypothesis.num_new_tokens, 1.0, (truth.log_probs, reference.log_probs)
    if config.num_beams > 1:
        weight, steps = num_tokens**config.length_penalty, (truth.scores, reference.scores)
    error = abs(hypothesis.score * weight - float(truth.of_tokens(steps[0]).sum()))
    allowed = num_tokens * bound(*steps)  # a sum of so many numbers
    return "" if error <= allowed else f"score: error {error:.3g}, bound {allowed:.3g}"
