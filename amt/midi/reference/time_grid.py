"""Ticks to steps, and what is said in steps, in plain Python. docs/tokens.md, "Time".

Its twin is csrc/midi/time_grid.h.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from amt.midi.config import TokenizerConfig
from amt.midi.elements import Tempo

T = TypeVar("T")

DEFAULT_US_PER_BEAT = 500_000
COMMON_TIME_INDEX = 17  # of 4/4


@dataclass(frozen=True)
class StepNote:
    """A note in steps; drum notes have program 128, and no tokens say their end."""

    program: int
    pitch: int
    start: int
    end: int
    velocity: int


class StepPedal(NamedTuple):
    """A pedal span in steps."""

    program: int
    start: int
    end: int


class TimeGrid:
    """Ticks to steps, in integers, rounding half up."""

    def __init__(self, tempos: Iterable[Tempo], ticks_per_beat: int, config: TokenizerConfig):
        self.is_score = config.preset == "score"
        self.ticks_per_beat = ticks_per_beat
        self.steps_per_beat = config.steps_per_beat
        self.step_length = config.step_ms * 1000 * ticks_per_beat  # in microseconds * ticks_per_beat, as `time`
        us_per_beat_at = {0: DEFAULT_US_PER_BEAT}
        for tempo in sorted(tempos, key=lambda tempo: tempo.tick):
            us_per_beat_at[tempo.tick] = tempo.us_per_beat
        self.segment_ticks = list(us_per_beat_at)
        self.segment_us_per_beat = list(us_per_beat_at.values())
        self.segment_times = [0]
        for tick in self.segment_ticks[1:]:
            self.segment_times.append(self.time(tick))

    def segment(self, tick: int) -> int:
        """The index of the tempo in force at a tick, among those whose time is known."""
        return bisect_right(self.segment_ticks, tick, hi=len(self.segment_times)) - 1

    def us_per_beat(self, tick: int) -> int:
        """The tempo in force at a tick."""
        return self.segment_us_per_beat[self.segment(tick)]

    def time(self, tick: int) -> int:
        """The time from the start to a tick, in microseconds * ticks_per_beat."""
        index = self.segment(tick)
        return self.segment_times[index] + (tick - self.segment_ticks[index]) * self.segment_us_per_beat[index]

    def step(self, tick: int) -> int:
        """The step nearest to a tick."""
        if self.is_score:
            return (2 * tick * self.steps_per_beat + self.ticks_per_beat) // (2 * self.ticks_per_beat)
        return (2 * self.time(tick) + self.step_length) // (2 * self.step_length)

    def moved_us(self, tick: int) -> int:
        """The distance between a tick and its step, in microseconds rounded down."""
        if self.is_score:
            halves = abs(2 * tick * self.steps_per_beat - 2 * self.step(tick) * self.ticks_per_beat)
            return halves * self.us_per_beat(tick) // (2 * self.steps_per_beat * self.ticks_per_beat)
        return abs(self.time(tick) - self.step(tick) * self.step_length) // self.ticks_per_beat


def changes(value_at_step: dict[int, T]) -> list[tuple[int, T]]:
    """(step, value) in order of steps, without those that change nothing; the first is step 0's."""
    result: list[tuple[int, T]] = []
    for step, value in sorted(value_at_step.items(), key=lambda item: item[0]):
        if not result or value != result[-1][1]:
            result.append((step, value))
    return result
