"""Chords as parts need them: which pitch class is the third, which the bass; scales over them; pitches of a class."""

from __future__ import annotations

import dataclasses
import functools
import re

from amt.midi.chords import QUALITIES, parse_roman
from amt.midi.chords import Chord as Symbol
from amt.midi.theory import SCALES, Key

# The modes that styles may be in.
MODES = ("major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "harmonic minor", "phrygian dominant")
_BASS = re.compile(r"([^@]+)@([#b]?[IViv]+|[357])")


@dataclasses.dataclass(frozen=True, eq=False)
class Chord:
    """A chord: pitch classes by their roles.

    Attributes:
        symbol: the chord by its name.
        tones: all pitch classes, from the root up.
        bass: the lowest one.
    """

    symbol: Symbol
    root: int
    tones: tuple[int, ...]
    third: int
    fifth: int
    seventh: int | None
    bass: int


@functools.lru_cache(maxsize=8192)
def chord_of(symbol: Symbol) -> Chord:
    """The roles of a chord's tones. Equal chords are one object.

    Raises:
        ValueError: it is no chord ("N.C.").
    """
    steps = QUALITIES[symbol.quality]
    if not steps:
        raise ValueError("N.C. has no tones; name a chord for every bar")

    def role(*wanted: int) -> int | None:
        return next(((symbol.root + step) % 12 for step in steps if step in wanted), None)

    fifth = role(6, 7, 8)
    third = role(3, 4)
    if third is None:
        third = role(2, 5)
    return Chord(
        symbol=symbol,
        root=symbol.root,
        tones=tuple(dict.fromkeys((symbol.root + step) % 12 for step in steps)),
        third=symbol.root if third is None else third,
        fifth=(symbol.root + 7) % 12 if fifth is None else fifth,
        seventh=role(10, 11) if role(9) is None or len(steps) > 4 else role(9),
        bass=symbol.root if symbol.bass is None else symbol.bass,
    )


@functools.lru_cache(maxsize=8192)
def numeral_chord(text: str, tonic: int) -> Chord:
    """The chord of a Roman numeral, counted from the major scale of the tonic in every mode: "ii7", "bVImaj7".

    Lower case is minor; behind "@" stands the bass: a numeral, or 3, 5, 7 of the chord itself: "V7@3", "IV@I".

    Raises:
        ValueError: it is none.
    """
    match = _BASS.fullmatch(text)
    numeral = match[1] if match else text
    key = Key(tonic, "major")
    symbol = parse_roman(numeral.removesuffix("69"), key)
    if symbol is None:
        raise ValueError(f'a chord is a Roman numeral like "ii7", "bVImaj7" or "V@3", got {text!r}')
    if numeral.endswith("69"):
        symbol = dataclasses.replace(symbol, quality="m69" if symbol.quality == "min" else "69")
    if match is None:
        return chord_of(symbol)
    plain = chord_of(symbol)
    if match[2].isdigit():
        bass = {"3": plain.third, "5": plain.fifth, "7": plain.seventh}[match[2]]
    else:
        other = parse_roman(match[2], key)
        bass = None if other is None else other.root
    if bass is None:
        raise ValueError(f"{text!r} has no such tone to put into the bass")
    return chord_of(dataclasses.replace(symbol, bass=bass))


@functools.lru_cache(maxsize=256)
def line_scale(key: Key) -> tuple[int, ...]:
    """The seven pitch classes that lines are made of: in minor those of the key signature."""
    mode = "natural minor" if key.mode == "minor" else key.mode
    return tuple(sorted((key.tonic + step) % 12 for step in SCALES[mode]))


# What a tone of a chord stands for, in semitones above its root, where the scale does not have it: G# of E7 for the G
# of A minor, C# of A7 for the C of C major.
_STANDS_FOR = {0: 1, 1: 2, 2: 1, 3: 4, 4: 3, 5: 4, 6: 7, 7: 6, 8: 7, 9: 8, 10: 11, 11: 10}
_STANDS_FOR_IN_DIM7 = {**_STANDS_FOR, 0: 11, 9: 10}


@functools.lru_cache(maxsize=16384)
def chord_scale(made: Chord, scale: tuple[int, ...]) -> tuple[int, ...]:
    """The scale that fits a chord: the key's, with the chord's own tones in place of those they stand for."""
    stands_for = _STANDS_FOR_IN_DIM7 if made.symbol.quality == "dim7" else _STANDS_FOR
    own = set(made.tones)
    pitches = set(scale)
    for tone in own - pitches:
        pitches -= {(made.root + stands_for[(tone - made.root) % 12]) % 12} - own
        pitches.add(tone)
    return tuple(sorted(pitches))


@functools.lru_cache(maxsize=65536)
def ladder(pitch_classes: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """The pitches of these classes from low to high."""
    return tuple(pitch for pitch in range(low, high + 1) if pitch % 12 in pitch_classes)


def nearest(pitch_class: int, to: int, low: int, high: int) -> int:
    """The pitch of a class nearest to another one, within low..high (an octave at least)."""
    pitch = to + (pitch_class - to + 6) % 12 - 6
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch
