"""Beam search over one prompt, as `transformers` 5 does it (`GenerationMixin._beam_search`), from scores alone.

A step looks at the `2 * num_beams` best of the `num_beams * vocab_size` continuations. A continuation is *ended* if its
token is eos, if it has reached the longest length, or if a stopping criterion says so. Ended ones among the first
`num_beams` compete for the `num_beams` places of finished hypotheses with

    sum of scores / new tokens ** length_penalty,

and the best `num_beams` that have not ended run on. The search is over when

- the best running score cannot beat the worst finished one: divided by `length ** length_penalty` with the present
  length, or with the longest one if early_stopping is "never" and length_penalty > 0; or
- early_stopping is True and every place holds a finished hypothesis; or
- every continuation has ended, or none is legal.

Equal scores go to the lower flat index `beam * vocab_size + token`, then to the earlier finished hypothesis.

Placeholders: at the start all beams are the same, so all but the first begin with -1e9 in place of 0, and a beam that
has ended but must fill a running place gets -1e9 added. Such rows, and rows with a forbidden token (-inf), keep the
shapes fixed until legal continuations replace them. As in `transformers`, a placeholder that ends takes up a place of
the finished hypotheses, which matters to early_stopping.

Where this differs from `transformers`, on purpose:
- Placeholders are never returned (there they come back as duplicates of other hypotheses, as sequences that go on
  behind eos, or as rows of padding, with scores near -1e9). So there may be fewer hypotheses than asked for.
- Placeholders rank below everything real by a flag; there by -1e9 alone, which a large length_penalty divides away.
- The search ends when only placeholders are left; there they run on to the longest length.
- Equal scores have an order; there it is whatever `torch.topk` does.

Its twin is csrc/engine/beam_search.h.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

PLACEHOLDER_SCORE = -1.0e9


@dataclasses.dataclass(frozen=True)
class BeamSearchConfig:
    """What a search needs to know beside the scores."""

    num_beams: int
    length_penalty: float
    early_stopping: bool | str
    max_new_tokens: int
    eos_token_id: int


@dataclasses.dataclass(frozen=True)
class BeamHypothesis:
    """A finished hypothesis: `score` has the length penalty in it, `log_probs` are those of the new tokens."""

    token_ids: tuple[int, ...]
    score: float
    log_probs: tuple[float, ...]
    is_stopped: bool


@dataclasses.dataclass(frozen=True)
class _Place:
    score: float
    is_finished: bool
    hypothesis: BeamHypothesis | None  # None: a placeholder


def best_first(scores: torch.Tensor, is_real: torch.Tensor, count: int) -> torch.Tensor:
    """The indices of the `count` best: real before placeholders, then by falling score, then by index."""
    order = scores.sort(descending=True, stable=True).indices
    return order[is_real[order].int().sort(descending=True, stable=True).indices][:count]


class BeamSearch:
    """The state of one search; `step` advances it by one token.

    Attributes:
        token_ids: (num_beams, length), the running hypotheses, the best first.
        beam_scores: (num_beams,), float32, sums of scores.
        beam_indices: (num_beams,), int64, the row of the step before that each running hypothesis continues.
        is_real: (num_beams,), bool, False for placeholders.
        is_done: whether the search is over.
    """

    def __init__(self, prefix: list[int], config: BeamSearchConfig):
        num_beams = config.num_beams
        self.config = config
        self.token_ids = torch.tensor([prefix] * num_beams, device="cpu")
        self.log_probs = torch.zeros(num_beams, 0, dtype=torch.float32, device="cpu")
        self.beam_indices = torch.arange(num_beams, device="cpu")
        self.is_real = torch.arange(num_beams, device="cpu") == 0
        self.beam_scores = torch.zeros(num_beams, dtype=torch.float32, device="cpu").masked_fill(
            ~self.is_real, PLACEHOLDER_SCORE
        )
        self.is_done = False
        self._places = [_Place(PLACEHOLDER_SCORE, False, None)] * num_beams

    @property
    def hypotheses(self) -> list[BeamHypothesis]:
        """The finished hypotheses, the best first; at most num_beams."""
        return [place.hypothesis for place in self._places if place.hypothesis is not None]

    def step(
        self,
        scores: torch.Tensor,
        log_probs: torch.Tensor,
        is_stopped: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        """Advance by one token.

        Args:
            scores: (num_beams, vocab_size), float32, what is summed and compared: log-probabilities after the rules;
                -inf forbids a token.
            log_probs: (num_beams, vocab_size), float32, what is recorded.
            is_stopped: maps token ids (2 * num_beams, length + 1) to bool (2 * num_beams,): user-given criteria.
        """
        num_beams, vocab_size = scores.shape
        totals = (scores + self.beam_scores[:, None]).flatten()
        is_real = (self.is_real[:, None] & (scores > -torch.inf)).flatten()
        chosen = best_first(totals, is_real, 2 * num_beams)
        beams, next_tokens = chosen // vocab_size, chosen % vocab_size
        totals, is_real = totals[chosen], is_real[chosen]
        token_ids = torch.cat([self.token_ids[beams], next_tokens[:, None]], 1)
        log_probs = torch.cat([self.log_probs[beams], log_probs[beams, next_tokens, None]], 1)

        num_new_tokens = log_probs.shape[1]
        stopped = is_stopped(token_ids) if is_stopped else torch.zeros(2 * num_beams, dtype=torch.bool, device="cpu")
        has_ended = stopped | (next_tokens == self.config.eos_token_id)
        has_ended |= num_new_tokens >= self.config.max_new_tokens

        finished_scores = totals / num_new_tokens**self.config.length_penalty
        self._finish(finished_scores, has_ended, is_real, stopped, token_ids, log_probs)

        totals = totals + has_ended * PLACEHOLDER_SCORE
        is_real = is_real & ~has_ended
        running = best_first(totals, is_real, num_beams)
        self.token_ids, self.log_probs = token_ids[running], log_probs[running]
        self.beam_scores, self.is_real, self.beam_indices = totals[running], is_real[running], beams[running]
        self.is_done = self._is_over(num_new_tokens) or bool(has_ended.all())

    def _finish(
        self,
        scores: torch.Tensor,
        has_ended: torch.Tensor,
        is_real: torch.Tensor,
        stopped: torch.Tensor,
        token_ids: torch.Tensor,
        log_probs: torch.Tensor,
    ) -> None:
        """Let the ended ones among the first num_beams continuations compete for the places."""
        places = list(self._places)
        for rank in range(self.config.num_beams):
            if not has_ended[rank]:
                continue
            score = float(scores[rank])
            hypothesis = None
            if is_real[rank]:
                ids, own_log_probs = tuple(token_ids[rank].tolist()), tuple(log_probs[rank].tolist())
                hypothesis = BeamHypothesis(ids, score, own_log_probs, bool(stopped[rank]))
            places.append(_Place(score, True, hypothesis))
        order = best_first(
            torch.tensor([place.score for place in places], dtype=torch.float32, device="cpu"),
            torch.tensor([place.hypothesis is not None for place in places], device="cpu"),
            self.config.num_beams,
        )
        self._places = [places[index] for index in order.tolist()]

    def _is_over(self, num_new_tokens: int) -> bool:
        if not self.is_real.any():
            return True
        is_full = all(place.is_finished for place in self._places)
        if is_full and self.config.early_stopping is True:
            return True
        is_patient = self.config.early_stopping == "never" and self.config.length_penalty > 0
        length = self.config.max_new_tokens if is_patient else num_new_tokens
        best_running = float(self.beam_scores[0] / length**self.config.length_penalty)
        worst_finished = min(place.score for place in self._places)
        return not any(best_running > (worst_finished if p.is_finished else PLACEHOLDER_SCORE) for p in self._places)
