"""Chords: their tones, names, and how they are read, from "Am7" to "ii-V-I in F"."""

from __future__ import annotations

import dataclasses
import functools
import re

from amt.midi.theory import PITCH_CLASS_NAMES, SCALES, Key, parse_key, parse_pitch_class

# Semitones above the root, the suffix of the name, and the plan quality that a quality is reduced to.
_QUALITIES: dict[str, tuple[tuple[int, ...], str, str]] = {
    "none": ((), "N.C.", "none"),
    "maj": ((0, 4, 7), "", "maj"),
    "min": ((0, 3, 7), "m", "min"),
    "dim": ((0, 3, 6), "dim", "dim"),
    "aug": ((0, 4, 8), "aug", "aug"),
    "dom7": ((0, 4, 7, 10), "7", "dom7"),
    "maj7": ((0, 4, 7, 11), "maj7", "maj7"),
    "min7": ((0, 3, 7, 10), "m7", "min7"),
    "sus4": ((0, 5, 7), "sus4", "sus"),
    "sus2": ((0, 2, 7), "sus2", "sus"),
    "7sus4": ((0, 5, 7, 10), "7sus4", "sus"),
    "9sus4": ((0, 5, 7, 10, 2), "9sus4", "sus"),
    "5": ((0, 7), "5", "maj"),
    "6": ((0, 4, 7, 9), "6", "maj"),
    "69": ((0, 4, 7, 9, 2), "6/9", "maj"),
    "add9": ((0, 4, 7, 2), "add9", "maj"),
    "m6": ((0, 3, 7, 9), "m6", "min"),
    "m69": ((0, 3, 7, 9, 2), "m6/9", "min"),
    "madd9": ((0, 3, 7, 2), "madd9", "min"),
    "minmaj7": ((0, 3, 7, 11), "mMaj7", "min"),
    "m7b5": ((0, 3, 6, 10), "m7b5", "dim"),
    "dim7": ((0, 3, 6, 9), "dim7", "dim"),
    "aug7": ((0, 4, 8, 10), "aug7", "dom7"),
    "augmaj7": ((0, 4, 8, 11), "maj7#5", "aug"),
    "maj9": ((0, 4, 7, 11, 2), "maj9", "maj7"),
    "maj13": ((0, 4, 7, 11, 2, 9), "maj13", "maj7"),
    "maj7#11": ((0, 4, 7, 11, 6), "maj7#11", "maj7"),
    "m9": ((0, 3, 7, 10, 2), "m9", "min7"),
    "m11": ((0, 3, 7, 10, 2, 5), "m11", "min7"),
    "m13": ((0, 3, 7, 10, 2, 9), "m13", "min7"),
    "9": ((0, 4, 7, 10, 2), "9", "dom7"),
    "11": ((0, 7, 10, 2, 5), "11", "dom7"),
    "13": ((0, 4, 7, 10, 2, 9), "13", "dom7"),
    "7b5": ((0, 4, 6, 10), "7b5", "dom7"),
    "7b9": ((0, 4, 7, 10, 1), "7b9", "dom7"),
    "7#9": ((0, 4, 7, 10, 3), "7#9", "dom7"),
    "7#11": ((0, 4, 7, 10, 6), "7#11", "dom7"),
    "7b13": ((0, 4, 7, 10, 8), "7b13", "dom7"),
}
QUALITIES: dict[str, tuple[int, ...]] = {quality: row[0] for quality, row in _QUALITIES.items()}
# What a plan of a piece knows; a richer chord is reduced to the nearest.
PLAN_QUALITIES = ("maj", "min", "dim", "aug", "dom7", "maj7", "min7", "sus", "none")

# Other spellings of a suffix. Capital M is major, small m minor.
_SUFFIXES = {
    "": "maj", "maj": "maj", "major": "maj", "M": "maj", "min": "min", "minor": "min", "mi": "min", "-": "min",
    "o": "dim", "°": "dim", "diminished": "dim", "+": "aug", "#5": "aug", "augmented": "aug", "dom7": "dom7",
    "M7": "maj7", "Maj7": "maj7", "ma7": "maj7", "major7": "maj7", "Δ": "maj7", "Δ7": "maj7", "j7": "maj7",
    "min7": "min7", "mi7": "min7", "-7": "min7", "minor7": "min7", "sus": "sus4", "2": "sus2", "7sus": "7sus4",
    "9sus": "9sus4", "(add9)": "add9", "add2": "add9", "m(add9)": "madd9", "madd2": "madd9", "min6": "m6", "-6": "m6",
    "m69": "m69", "mM7": "minmaj7", "mmaj7": "minmaj7", "m(maj7)": "minmaj7", "minmaj7": "minmaj7", "-Δ7": "minmaj7",
    "ø": "m7b5", "ø7": "m7b5", "min7b5": "m7b5", "-7b5": "m7b5", "m7(b5)": "m7b5", "m7-5": "m7b5",
    "o7": "dim7", "°7": "dim7", "+7": "aug7", "7#5": "aug7", "7+": "aug7", "+M7": "augmaj7", "augmaj7": "augmaj7",
    "M9": "maj9", "Maj9": "maj9", "Δ9": "maj9", "M13": "maj13", "min9": "m9", "-9": "m9", "min11": "m11", "-11": "m11",
    "7(b9)": "7b9", "7(#9)": "7#9", "7alt": "7b13", "alt": "7b13", "h7": "m7b5",
}  # fmt: skip
_SUFFIXES |= {suffix: quality for quality, (_, suffix, _) in _QUALITIES.items() if quality != "none"}

_CHORD = re.compile(r"([A-G](?:#|♯|b|♭)?)([^/\s]*(?:6/9)?)(?:/([A-G](?:#|♯|b|♭)?))?")
_NO_CHORD = re.compile(r"N\.?C\.?|no chord")
_NUMERAL = re.compile(r"([#♯b♭]?)(VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)([^/\s]*)(?:/([#♯b♭]?[IViv]+))?")
_DEGREES = ("i", "ii", "iii", "iv", "v", "vi", "vii")
_SEPARATORS = re.compile(r"\s*(?:->|→|=>|>|–|—|,|;)\s*|\s+(?:-\s+)?(?:(?:to|then|and)\s+)?")


@dataclasses.dataclass(frozen=True)
class Chord:
    """A root 0..11, a quality of `QUALITIES`, and a bass 0..11 where it is not the root.

    Example:
        >>> Chord(9, "min7").name
        'Am7'
    """

    root: int
    quality: str
    bass: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.root <= 11 or self.quality not in QUALITIES or self.bass not in (None, *range(12)):
            raise ValueError(f"a chord is a root 0..11 and a quality of {', '.join(QUALITIES)}; got {self!r}")

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Its tones from the root up, and the bass if it is none of them."""
        tones = tuple((self.root + step) % 12 for step in QUALITIES[self.quality])
        return tones if self.bass is None or self.bass in tones else (*tones, self.bass)

    @property
    def plan_quality(self) -> str:
        """The one of `PLAN_QUALITIES` that it is reduced to."""
        return _QUALITIES[self.quality][2]

    @property
    def name(self) -> str:
        """Like "F#m7" or "Bb/D"; "N.C." for no chord."""
        return self.name_in(None)

    def name_in(self, key: Key | None) -> str:
        """Its name, spelled as a key does."""
        if self.quality == "none":
            return "N.C."
        spell = PITCH_CLASS_NAMES.__getitem__ if key is None else key.spell
        bass = "" if self.bass is None or self.bass == self.root else f"/{spell(self.bass)}"
        return f"{spell(self.root)}{_QUALITIES[self.quality][1]}{bass}"

    def transposed(self, semitones: int) -> Chord:
        """The same chord, so many semitones higher."""
        if self.quality == "none":
            return self
        bass = None if self.bass is None else (self.bass + semitones) % 12
        return Chord((self.root + semitones) % 12, self.quality, bass)


NO_CHORD = Chord(0, "none")
Bars = tuple[tuple[Chord, ...], ...]


def parse_chord(text: str) -> Chord | None:
    """The chord of a symbol like "Am7", "F#dim", "Bb/D" or "N.C."; None if it is none."""
    if _NO_CHORD.fullmatch(text):
        return NO_CHORD
    match = _CHORD.fullmatch(text)
    quality = match and _quality(match[2])
    root = match and parse_pitch_class(match[1])
    if not match or quality is None or root is None:
        return None
    return Chord(root, quality, None if match[3] is None else parse_pitch_class(match[3]))


def parse_roman(text: str, key: Key) -> Chord | None:
    """The chord of a numeral like "ii7", "bVII" or "V7/V" in a key; None if it is none.

    Capitals are major, small letters minor. Degrees are those of the key's scale: VI in A minor is F. A flat lowers the
    degree of the major scale, so bVI in A minor is F, too; a sharp raises the key's own. The diminished chord on the
    seventh degree of minor stands on the leading note.
    """
    match = _NUMERAL.fullmatch(text)
    if match is None:
        return None
    sign, numeral, suffix, of = match.groups()
    if of is not None:
        target = parse_roman(of, key)
        return target and parse_roman(text[: match.start(4) - 1], Key(target.root, "major"))
    degree = _DEGREES.index(numeral.lower())
    quality = _quality(suffix)
    if numeral.islower():
        quality = _quality("m" + suffix) or quality
    if quality is None:
        return None
    scale = SCALES["natural minor" if key.mode == "minor" else key.mode]
    steps = SCALES["natural minor" if key.is_minor else "major"] if len(scale) != 7 else scale
    step = steps[degree]
    if sign in ("b", "♭"):
        step = SCALES["major"][degree] - 1
    elif sign:
        step += 1
    elif degree == 6 and QUALITIES[quality][2:3] == (6,):
        step = 11
    return Chord((key.tonic + step) % 12, quality)


def parse_progression(text: str, key: Key | None = None) -> Bars | None:
    """The bars of a progression, each with its chords; None if any part of it is no chord.

    Chords are apart by spaces, hyphens, commas or arrows, one a bar; where there are bar lines ("Am7 | D7 G7 | C"), the
    chords between two of them share a bar. "%" repeats the bar before. Numerals ("ii-V-I in F") are in the key that
    the text ends with, in `key`, or in C major.
    """
    named = re.fullmatch(r"(.*\S)\s+in\s+(?:the key of\s+)?(\S.*)", text, re.DOTALL)
    if named:
        key = parse_key(named[2])
        if key is None:
            return None
        text = named[1]
    text = text.strip().strip("[]()").strip()
    has_bars = "|" in text
    bars: list[tuple[Chord, ...]] = []
    for part in text.strip("|").split("|") if has_bars else [text]:
        chords: list[Chord] = []
        for word in filter(None, _SEPARATORS.split(part.strip())):
            if word == "%" and bars:
                chords.extend(bars[-1])
                continue
            found = _chords_of_word(word, key or Key(0, "major"))
            if found is None:
                return None
            chords.extend(found)
        if not chords:
            return None
        bars.extend([tuple(chords)] if has_bars else [(chord,) for chord in chords])
    return tuple(bars)


def _chords_of_word(word: str, key: Key) -> list[Chord] | None:
    """The chord of a word, or those that hyphens join in it: "C-Am-F-G", but C-7 is one chord."""
    for pieces in ([word], word.split("-")):
        chords = [parse_chord(piece) or parse_roman(piece, key) for piece in pieces]
        if all(chord is not None for chord in chords):
            return [chord for chord in chords if chord is not None]
    return None


@functools.lru_cache(maxsize=256)
def _quality(suffix: str) -> str | None:
    suffix = suffix.replace("♭", "b").replace("♯", "#")
    return _SUFFIXES.get(suffix) or _SUFFIXES.get(suffix.replace("(", "").replace(")", ""))
