"""What decoding returns."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

FinishReason = Literal["eos", "stopped", "length"]


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """One decoded sequence.

    Attributes:
        token_ids: the whole sequence: bos, the prefix, the new tokens, eos if it was reached.
        score: beam search: sum of scores after the rules / new tokens ** length_penalty, the number that beams are
            ranked by. Otherwise the sum of `token_log_probs`.
        token_log_probs: for each new token the model's own log-probability, before rules, temperature and filters.
        finish_reason: "eos", "stopped" by a stopping criterion, "length": no more tokens were allowed, or "stopped"
            because `max_time` was over. The first that holds.
        seed: what sampling was seeded with; None where nothing was drawn.
    """

    token_ids: tuple[int, ...]
    score: float
    token_log_probs: tuple[float, ...]
    finish_reason: FinishReason
    seed: int | None = None

    @property
    def num_new_tokens(self) -> int:
        """How many tokens follow the prefix."""
        return len(self.token_log_probs)


class NewToken(NamedTuple):
    """A token that has just been chosen, and the model's own log-probability of it."""

    token_id: int
    log_prob: float
