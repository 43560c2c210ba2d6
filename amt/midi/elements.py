"""What a piece is made of: notes, pedals, tempos, metres, keys."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Note:
    """One note. For drums (`is_drum`) `program` is the kit."""

    start_ticks: int
    end_ticks: int
    pitch: int
    velocity: int
    program: int = 0
    is_drum: bool = False


@dataclasses.dataclass(frozen=True)
class PedalSpan:
    """From where the sustain pedal is down to where it is released."""

    start_ticks: int
    end_ticks: int
    program: int = 0
    is_drum: bool = False


@dataclasses.dataclass(frozen=True)
class Tempo:
    """A tempo from `tick` on, in microseconds a quarter note."""

    tick: int
    us_per_beat: int

    @property
    def bpm(self) -> float:
        """Quarter notes a minute."""
        return 60e6 / self.us_per_beat


@dataclasses.dataclass(frozen=True)
class TimeSignature:
    """A metre from `tick` on, such as 3/4."""

    tick: int
    numerator: int
    denominator: int


@dataclasses.dataclass(frozen=True)
class KeySignature:
    """A key from `tick` on: how many sharps (negative: flats), and whether it is minor."""

    tick: int
    sharps: int
    is_minor: bool


@dataclasses.dataclass(frozen=True)
class Repair:
    """Something that the reader put right: where in the file (-1: no single place) and what it was."""

    byte_offset: int
    reason: str
