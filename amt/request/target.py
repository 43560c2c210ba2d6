"""How long a piece shall be: what a limit or the text says, or a length that such pieces have."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

from amt.request.limits import DURATION_AROUND, Limits, around
from amt.request.reading import Reading
from amt.request.usual_length import SHORTEST_S, usual_seconds, within

# A length that nobody asked for: the piece may end by itself so much before it, and ends so much behind it.
USUAL_AROUND = Fraction(25, 100)
# More tokens than any music has, so that they never decide how long a piece is.
TOKENS_PER_SECOND, TOKENS_PER_BAR, TOKENS_TO_SPARE, MOST_TOKENS = 1000, 4000, 1024, 1 << 20


@dataclasses.dataclass(frozen=True)
class Target:
    """How long a piece shall be.

    Attributes:
        bars: in which bar it ends; None: not counted in bars.
        seconds: when it ends, about; None: not counted in seconds.
        window: the constraints that say so, by name, where the limits do not say it already.
    """

    bars: int | None = None
    seconds: float | None = None
    window: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def most_tokens(self) -> int | None:
        """A number of tokens that no such piece has; None: the length is free."""
        if self.bars is None and self.seconds is None:
            return None
        by_bars = MOST_TOKENS if self.bars is None else TOKENS_PER_BAR * self.bars
        by_seconds = MOST_TOKENS if self.seconds is None else round(TOKENS_PER_SECOND * self.seconds)
        return min(min(by_bars, by_seconds) + TOKENS_TO_SPARE, MOST_TOKENS)


def target_of(
    limits: Limits,
    reading: Reading,
    part: float,
    *,
    is_score: bool = True,
    before_s: float = 0,
    planned_bars: int | None = None,
) -> Target:
    """The length of a piece: of the limits, else of the plan, else of the text, else one that such pieces have.

    Args:
        part: 0..1, drawn: which of the lengths that the text allows, or that such pieces have.
        is_score: whether the music has bars.
        planned_bars: of a plan that is given.
        before_s: seconds of music that is continued; a length that nobody asked for is that of what follows.
    """
    if limits.bars is not None or limits.duration is not None:
        return Target(limits.bars, limits.duration)
    if limits.max_beats is not None:
        return Target()
    if planned_bars is not None or (reading.bars is not None and is_score):
        bars = planned_bars or max(1, round(within(reading.bars.value, part)))  # type: ignore[union-attr]
        return Target(bars, None, {"min_bars": bars, "max_bars": bars})
    whole_bars = True if is_score else None
    if reading.seconds is not None:
        seconds = within(reading.seconds.value, part)
        min_us, max_us = around(seconds, DURATION_AROUND)
        return Target(None, seconds, {"min_us": min_us, "max_us": max_us, "whole_bars": whole_bars})
    seconds = usual_seconds(reading, part)
    min_us, max_us = around(seconds, USUAL_AROUND)
    before_us = round(1e6 * before_s)
    window = {
        "min_us": before_us + max(min_us, round(1e6 * SHORTEST_S)),
        "max_us": before_us + max_us,
        "whole_bars": whole_bars,
    }
    return Target(None, before_s + seconds, window)
