"""The key of a piece that a model of the canonical key writes: chosen before it, reached by moving what was written.

Such a model writes on the white keys (`amt.midi.canonical`). A result is moved to the key that was asked for, back to
that of the music to continue, or to a key drawn as music has them.
"""

from __future__ import annotations

import dataclasses
import random
import zlib
from collections.abc import Mapping
from typing import Any

from amt.midi.canonical import TRANSPOSITIONS, home_of, semitones_to
from amt.midi.limits import Constraints
from amt.midi.plan import transposed_chord
from amt.midi.theory import Key, parse_key
from amt.midi.vocabulary import DRUMS, NUM_PITCHES
from amt.request.limits import Limits
from amt.request.reading import Reading


def asked_key(reading: Reading, limits: Limits) -> Key | None:
    """The key that a limit or else a text asks for."""
    if limits.key is not None:
        return parse_key(limits.key)
    return None if reading.key is None else reading.key.value


def semitones_above_home(key: Key | None, text: str, seed: int | None) -> int:
    """By how much what is written is moved: to the key, or to one that is drawn with the seed, else by the text."""
    if key is not None:
        return semitones_to(key.tonic, home_of(key).tonic)
    rng = random.Random(f"key of {zlib.crc32(text.encode()) if seed is None else seed}")
    return rng.choices(list(TRANSPOSITIONS), list(TRANSPOSITIONS.values()))[0]


def moved(constraints: Constraints, semitones: int) -> Constraints:
    """The constraints for music that is so many semitones higher; `semitones` and then `-semitones` change nothing."""
    if not semitones:
        return constraints
    changed: dict[str, Any] = {}
    if constraints.pitch_classes is not None:
        changed["pitch_classes"] = tuple(sorted((each + semitones) % 12 for each in constraints.pitch_classes))
    for name, free in (("min_pitch", 0), ("max_pitch", NUM_PITCHES - 1)):
        pitches = getattr(constraints, name)
        if pitches is not None:
            changed[name] = tuple(
                pitch if pitch == free or program == DRUMS else min(max(pitch + semitones, 0), NUM_PITCHES - 1)
                for program, pitch in enumerate(pitches)
            )
    if constraints.plan_chords is not None:
        changed["plan_chords"] = tuple(transposed_chord(chord, semitones) for chord in constraints.plan_chords)
    return dataclasses.replace(constraints, **changed)


def facts_at_home(facts: Mapping[str, Any], reading: Reading) -> Mapping[str, Any]:
    """What is asked for, as it is where the model writes; of a mode without a key the key that it has there."""
    key = parse_key(str(facts.get("key", "")))
    mode = reading.implied_mode if reading.mode is None else reading.mode.value
    if key is None and mode is not None:
        key = Key(0, mode)
    return facts if key is None else {**facts, "key": home_of(key).name}
