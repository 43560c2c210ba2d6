"""Where the beats of a bar are, in steps of 1/24 quarter note."""

from __future__ import annotations

import dataclasses
import functools
import re

STEPS = 24  # a quarter note

# How the beats of uneven metres group, in units of the denominator.
_GROUPS = {(5, 4): (3, 2), (7, 4): (4, 3), (5, 8): (3, 2), (7, 8): (2, 2, 3), (11, 8): (3, 3, 3, 2)}


@dataclasses.dataclass(frozen=True)
class Metre:
    """A time signature such as 6/8.

    Attributes:
        bar: steps in a bar.
        beats: the step of each beat; in 6/8, 9/8 and 12/8 a beat is a dotted quarter, in 7/8 beats differ.
        halves: where the bar divides: the places of its second (third, ...) chord.
    """

    numerator: int
    denominator: int
    bar: int
    beats: tuple[int, ...]
    halves: tuple[int, ...]

    @property
    def name(self) -> str:
        """Like "3/4"."""
        return f"{self.numerator}/{self.denominator}"

    @property
    def is_compound(self) -> bool:
        """Whether a beat is a dotted quarter."""
        return self.denominator == 8 and self.numerator % 3 == 0 and self.numerator > 3

    @property
    def beat_quarters(self) -> float:
        """How many quarter notes the beat has that the tempo counts."""
        return 1.5 if self.is_compound else 1.0

    def strength(self, step: int) -> int:
        """How strong a step of the bar is: 3 its first, 2 where it divides, 1 other beats, 0 between."""
        step %= self.bar
        if step == 0:
            return 3
        if step in self.halves:
            return 2
        return 1 if step in self.beats else 0

    def chord_places(self, num_chords: int) -> tuple[int, ...]:
        """The steps of a bar at which its chords begin.

        Raises:
            ValueError: the bar cannot be divided so.
        """
        if num_chords == 1:
            return (0,)
        if num_chords == 2:
            middle = self.halves[len(self.halves) // 2] if self.halves else self.beats[-1]
            return (0, middle)
        if num_chords <= len(self.beats):
            return tuple(self.beats[i * len(self.beats) // num_chords] for i in range(num_chords))
        raise ValueError(f"a bar of {self.name} has room for {len(self.beats)} chords, got {num_chords}")


@functools.lru_cache(maxsize=64)
def metre(text: str) -> Metre:
    """The metre of a text like "3/4".

    Raises:
        ValueError: no such metre.
    """
    match = re.fullmatch(r"\s*(\d{1,2})/(2|4|8)\s*", text)
    if match is None or not 2 <= int(match[1]) <= 16:
        raise ValueError(f'a time signature is like "3/4" or "6/8", from 2 to 16 beats, got {text!r}')
    numerator, denominator = int(match[1]), int(match[2])
    unit = 4 * STEPS // denominator
    if denominator == 8 and numerator % 3 == 0 and numerator > 3:
        beats = tuple(range(0, numerator * unit, 3 * unit))
        halves = (beats[len(beats) // 2],) if len(beats) % 2 == 0 else beats[1:]
    elif (numerator, denominator) in _GROUPS:
        groups = _GROUPS[numerator, denominator]
        starts = [sum(groups[:i]) * unit for i in range(len(groups))]
        beats = tuple(starts) if denominator == 8 else tuple(range(0, numerator * unit, unit))
        halves = tuple(starts[1:]) if denominator == 4 else (starts[-1],)
    else:
        beats = tuple(range(0, numerator * unit, unit))
        halves = (beats[numerator // 2],) if numerator % 2 == 0 and numerator > 2 else ()
    return Metre(numerator, denominator, numerator * unit, beats, halves)
