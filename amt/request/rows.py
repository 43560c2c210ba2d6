"""A row of a report, and the words of its columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.programs import DRUMS, program_name


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """One thing that was asked for, and what came.

    Attributes:
        name: of the limit; of what the text asks for "key", "mode", "tempo", "time_signature", "instruments",
            "without", "duration", "bars" or "feel".
        asked, got: in words.
        is_met: whether the notes keep it; a piece without notes keeps nothing.
        is_hard: whether it was an option, or a limit that the text gave; otherwise the text asked for it.
    """

    name: str
    asked: str
    got: str
    is_met: bool
    is_hard: bool

    def __str__(self) -> str:
        verdict = "kept" if self.is_met else "not kept"
        return f"{self.name.replace('_', ' ')}: asked for {self.asked}, got {self.got}: {verdict}"


def programs_in(music: MidiData) -> list[int]:
    """Those that play, ascending; 128 = drums."""
    programs: list[int] = np.unique(np.where(music.notes.is_drum, DRUMS, music.notes.program)).tolist()
    return programs


def listing(programs: Sequence[int]) -> str:
    """Programs by name."""
    return ", ".join(map(program_name, programs)) or "none"


def signature_words(signature: TimeSignature) -> str:
    """Like "3/4"."""
    return f"{signature.numerator}/{signature.denominator}"


def bpm_words(bpm: float) -> str:
    """Quarter notes a minute, in words."""
    return f"{round(bpm, 1):g} quarter notes a minute"
