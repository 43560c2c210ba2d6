"""The canonical key: music moved to the white keys, so that a model learns each figure once. docs/training.md.

Major pieces go to C, minor ones to A, and pieces in another mode to the tonic that this mode has on the white keys: D
dorian, G mixolydian. They move the nearer way, at most 6 semitones. Drums do not move.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import KeySignature
from amt.midi.facts import estimate_keys
from amt.midi.theory import Key

# The tonic of each mode on the white keys; of the others A if their third is minor, else C.
_HOMES = {"dorian": 2, "phrygian": 4, "phrygian dominant": 4, "lydian": 5, "mixolydian": 7, "locrian": 11}
# An estimate counts if its correlation leads the best one of another key signature by so much: of 797 pieces of the AMT
# corpus whose key is known 82 % do, and 94 % of these are put where their key would put them (without it 88 %).
SURE_LEAD = 0.1
# Semitones above the white keys = how often: of pieces of the AMT corpus and of the arranger, in hundredths.
TRANSPOSITIONS = {0: 16, 1: 3, 2: 12, 3: 9, 4: 3, 5: 15, 6: 2, -5: 15, -4: 6, -3: 5, -2: 11, -1: 3}


class Canonical(NamedTuple):
    """Music in its canonical key.

    Attributes:
        midi: the music, moved.
        semitones: by how much, -5..6; to move it by -semitones gives the original.
        key: where it stands now; None if its key is not known: then it did not move.
    """

    midi: MidiData
    semitones: int
    key: Key | None


def home_of(key: Key) -> Key:
    """The key of the same mode on the white keys."""
    return Key(_HOMES.get(key.mode, 9 if key.is_minor else 0), key.mode)


def semitones_to(target: int, tonic: int) -> int:
    """The nearer way from a tonic to another, -5..6."""
    return (target - tonic + 5) % 12 - 5


def to_canonical(midi: MidiData, key: Key | None = None) -> Canonical:
    """A piece in its canonical key.

    Args:
        key: that of the piece; None: it is estimated, and a piece whose estimate is unsure stays.
    """
    key = key or sure_key(midi.notes)
    if key is None:
        return Canonical(midi, 0, None)
    home = home_of(key)
    semitones = semitones_to(home.tonic, key.tonic)
    pitches = midi.notes.pitch[~midi.notes.is_drum].astype(np.int64) + semitones
    if len(pitches) and (pitches.min() < 0 or pitches.max() > 127):  # it must find its way back
        semitones += 12 if semitones < 0 else -12
        pitches = midi.notes.pitch[~midi.notes.is_drum].astype(np.int64) + semitones
        if pitches.min() < 0 or pitches.max() > 127:
            return Canonical(midi, 0, None)
    return Canonical(transposed(midi, semitones), semitones, home)


def sure_key(notes: NoteTable) -> Key | None:
    """The estimated key, if it leads the best one with another key signature by `SURE_LEAD`.

    A relative key is no doubt: both go to the same place.
    """
    keys = [(Key(tonic, "minor" if is_minor else "major"), fit) for (tonic, is_minor), fit in estimate_keys(notes)]
    if not keys:
        return None
    best, fit = keys[0]
    other = next(fit for key, fit in keys if key.signature % 12 != best.signature % 12)
    return best if fit - other >= SURE_LEAD else None


def transposed(midi: MidiData, semitones: int) -> MidiData:
    """The same music so many semitones higher, drums apart; key signatures and the plan follow.

    A pitch that would leave 0..127 goes to the nearest octave inside.
    """
    if not semitones:
        return midi
    notes = midi.notes
    pitch = notes.pitch.astype(np.int64) + np.where(notes.is_drum, 0, semitones)
    pitch = in_range(pitch)
    moved = NoteTable(notes.start_ticks, notes.end_ticks, pitch, notes.velocity, notes.program, notes.is_drum)
    plan = None if midi.plan is None else midi.plan.transposed(semitones)
    return midi.replace(
        notes=moved, key_signatures=[_moved(each, semitones) for each in midi.key_signatures], plan=plan
    )


def in_range(pitch: Any) -> Any:
    """Pitches, each in the nearest octave that lies in 0..127."""
    return pitch + (pitch < 0) * (-pitch + 11) // 12 * 12 - (pitch > 127) * (pitch - 127 + 11) // 12 * 12


def _moved(signature: KeySignature, semitones: int) -> KeySignature:
    sharps = (signature.sharps + 7 * semitones + 5) % 12 - 5
    return dataclasses.replace(signature, sharps=sharps)
