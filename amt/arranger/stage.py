"""What a part sees while it is composed: the piece's plan and its own register."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from amt.arranger.chords import Chord, chord_scale, ladder, line_scale
from amt.arranger.metre import Metre
from amt.arranger.style import PartSpec, Style
from amt.midi.theory import SCALES, Key

# One note of a part: start and length in steps of its section, pitch (of drums: the hit), velocity before the section's
# level, and whether it is a passing note, outside scale and chord.
PartNote = tuple[int, int, int, int, bool]
# How loud a note is by its place: 0 between beats, 1 a beat, 2 where the bar divides, 3 its beginning.
ACCENTS = (0.9, 0.95, 0.97, 1.0)


@dataclasses.dataclass
class Player:
    """A part with its instrument.

    Attributes:
        low, high: its register, within what the instrument can play.
        memo: whatever the part wants to remember between sections.
    """

    spec: PartSpec
    program: int
    low: int
    high: int
    has_breath: bool
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict)

    @property
    def volume(self) -> float:
        """Velocity of a plain note."""
        return self.spec.volume


@dataclasses.dataclass
class Stage:
    """The piece while it is composed.

    Attributes:
        lines: what the parts of the present section play, by part; those that follow others look here.
    """

    style: Style
    rng: random.Random
    metre: Metre
    is_first_metre: bool
    key: Key
    quarter_bpm: float
    has_bass: bool
    lines: dict[str, list[PartNote]] = dataclasses.field(default_factory=dict)
    memo: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def scale(self, chord: Chord, kind: str = "key") -> tuple[int, ...]:
        """Pitch classes for lines over a chord: of the key, pentatonic, blues, or the chord alone."""
        if kind == "chord":
            return chord.tones
        base = line_scale(self.key)
        if kind == "pentatonic":
            mode = "minor pentatonic" if self.key.is_minor else "major pentatonic"
            base = tuple((self.key.tonic + step) % 12 for step in SCALES[mode])
        elif kind == "blues":
            base = tuple((self.key.tonic + step) % 12 for step in SCALES["blues"])
        return chord_scale(chord, base)

    def ladder(self, chord: Chord, low: int, high: int, kind: str = "key") -> tuple[int, ...]:
        """The pitches of `scale` from low to high."""
        return ladder(self.scale(chord, kind), low, high)

    def accent(self, step: int) -> float:
        """How loud a note at a step is beside the beginning of a bar."""
        return ACCENTS[self.metre.strength(step)]
