"""Pitches by number or name, for all instruments or for some."""

from __future__ import annotations

import re
from collections.abc import Mapping

from amt.midi.programs import DRUMS, program_number

PITCH_CLASSES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_NAME = re.compile(r"\s*([a-g])\s*(#|♯|b|♭)?\s*(-?[0-9]{1,2})\s*", re.IGNORECASE)


def pitch_number(pitch: object, name: str) -> int:
    """The number 0..127 of a pitch: itself, or a name like "C4" (60), "F#3" or "Bb2"; `name` is for the error.

    Raises:
        ValueError: neither, or beyond MIDI.
    """
    number = None
    if isinstance(pitch, int) and not isinstance(pitch, bool):
        number = pitch
    elif isinstance(pitch, str) and (match := _NAME.fullmatch(pitch)):
        letter, accidental, octave = match.groups()
        shift = {"#": 1, "♯": 1, "b": -1, "♭": -1}.get((accidental or "").lower(), 0)
        number = PITCH_CLASSES[letter.lower()] + shift + 12 * (int(octave) + 1)
    if number is None or not 0 <= number <= 127:
        raise ValueError(f'{name} must be a pitch 0 to 127 or a name like "C4" (60); got {pitch!r}')
    return number


def pitch_of_programs(given: object, name: str, free: int) -> tuple[int, ...]:
    """A pitch for each of the 129 programs: one for all but drums, or those of a mapping; else `free`."""
    if not isinstance(given, Mapping):
        return (*[pitch_number(given, name)] * DRUMS, free)
    if not given:
        raise ValueError(f"{name} names no instrument; leave it out to leave all pitches free")
    pitches = [free] * (DRUMS + 1)
    for instrument, pitch in given.items():
        pitches[program_number(instrument)] = pitch_number(pitch, name)
    return tuple(pitches)
