"""Pitch classes, scales and keys: their names, how they are spelled, and how they are read.

A pitch class is 0..11 (0 = C). Chords stand in `amt.midi.chords`, metres in `amt.midi.metres`, tempo words in
`amt.midi.tempo_words`.
"""

from __future__ import annotations

import dataclasses
import functools
import re

# Every pitch class as it is mostly written where no key says how.
PITCH_CLASS_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

_LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_SYLLABLES = {"do": 0, "dó": 0, "re": 2, "ré": 2, "mi": 4, "fa": 5, "fá": 5, "sol": 7, "la": 9, "lá": 9, "si": 11}
_SHARPS = ("#", "♯", "sharp", "sostenido", "sustenido", "dièse", "diese", "diesis")
_FLATS = ("b", "♭", "flat", "bemol", "bémol", "bemolle")
_GERMAN_B = {"b": 10, "h": 11}
_GERMAN_FLATS = {"ces": 11, "des": 1, "es": 3, "fes": 4, "ges": 6, "as": 8}
_GERMAN_SHARPS = {"cis": 1, "dis": 3, "eis": 5, "fis": 6, "gis": 8, "ais": 10, "his": 0}

# Semitones above the tonic. "minor" has both its sixths and both its sevenths, for harmonic and melodic minor are
# minor, too; it is what a limit "in D minor" allows.
SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11),
    "natural minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "hungarian minor": (0, 2, 3, 6, 7, 8, 11),
    "double harmonic": (0, 1, 4, 5, 7, 8, 11),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "octatonic": (0, 2, 3, 5, 6, 8, 9, 11),
    "chromatic": tuple(range(12)),
}

# Other names of scales. "m" is not among them: only its case tells Dm from DM.
MODE_NAMES: dict[str, str] = {
    "maj": "major", "dur": "major", "majeur": "major", "mayor": "major", "maggiore": "major", "maior": "major",
    "ionian": "major", "min": "minor", "moll": "minor", "mineur": "minor", "menor": "minor", "minore": "minor",
    "aeolian": "natural minor", "pentatonic": "major pentatonic", "pentatonic major": "major pentatonic",
    "pentatonic minor": "minor pentatonic", "blues scale": "blues", "spanish": "phrygian dominant",
    "freygish": "phrygian dominant", "hijaz": "phrygian dominant", "gypsy minor": "hungarian minor",
    "byzantine": "double harmonic", "diminished": "octatonic", "dorisch": "dorian", "phrygisch": "phrygian",
    "lydisch": "lydian", "mixolydisch": "mixolydian", "lokrisch": "locrian",
} | {name: name for name in SCALES}  # fmt: skip
_GERMAN_MODES = ("dur", "moll", "dorisch", "phrygisch", "lydisch", "mixolydisch", "lokrisch")

# How many fifths the key signature lies above that of the major key of the same tonic.
_SIGNATURE_SHIFTS = {
    "minor": -3, "natural minor": -3, "harmonic minor": -3, "melodic minor": -3, "dorian": -2, "phrygian": -4,
    "lydian": 1, "mixolydian": -1, "locrian": -5, "minor pentatonic": -3, "blues": -3, "phrygian dominant": -4,
    "hungarian minor": -3, "octatonic": -3,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Key:
    """A tonic 0..11 and the name of its scale in `SCALES`.

    Example:
        >>> Key(10, "major").name
        'Bb major'
    """

    tonic: int
    mode: str

    def __post_init__(self) -> None:
        if not 0 <= self.tonic <= 11 or self.mode not in SCALES:
            raise ValueError(f"a key is a tonic 0..11 and one of {', '.join(SCALES)}; got {self.tonic}, {self.mode!r}")

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """Those of its scale, ascending from C."""
        return tuple(sorted((self.tonic + step) % 12 for step in SCALES[self.mode]))

    @property
    def is_minor(self) -> bool:
        """Whether its third is minor alone."""
        return 3 in SCALES[self.mode] and 4 not in SCALES[self.mode]

    @property
    def signature(self) -> int:
        """Sharps of its key signature; flats are negative. Of two spellings that with fewer signs."""
        shift = _SIGNATURE_SHIFTS.get(self.mode, 0)
        sharps = (7 * self.tonic + shift + 5) % 12 - 5  # -5..6
        return -6 if sharps == 6 and self.is_minor else sharps  # E flat minor, but F sharp major

    @property
    def name(self) -> str:
        """Like "D minor" or "Bb major"."""
        return f"{self.spell(self.tonic)} {self.mode}"

    def spell(self, pitch_class: int) -> str:
        """The name of a pitch class in this key: C# in D minor, Db in A flat major."""
        tonic = self.signature - _SIGNATURE_SHIFTS.get(self.mode, 0)
        first = tonic - 5  # from the lowered second to the raised fourth
        name = name_in_fifths(first + (7 * pitch_class - first) % 12)
        if len(name) > 2 or (name in ("Fb", "Cb", "E#", "B#") and pitch_class not in self.pitch_classes):
            return PITCH_CLASS_NAMES[pitch_class]  # nobody writes B double flat in A flat major
        return name


def name_in_fifths(fifths: int) -> str:
    """The note so many fifths above C, the tonic of the major key with so many sharps: "G" for 1, "Bb" for -2."""
    accidentals, letter = divmod(fifths + 1, 7)
    return "FCGDAEB"[letter] + ("#" * accidentals if accidentals > 0 else "b" * -accidentals)


def parse_pitch_class(name: str, *, german: bool = False) -> int | None:
    """The pitch class of a name like "B-flat", "F#", "es" or "sol"; None if it is none.

    Args:
        german: whether B is B flat and H is B.
    """
    squeezed = _squeeze(name)
    if german and squeezed in _GERMAN_B:
        return _GERMAN_B[squeezed]
    return _tonics().get(squeezed)


def parse_mode(name: str) -> str | None:
    """The scale in `SCALES` of a name like "dorian", "min", "Moll" or "spanish"; None if it is none."""
    return _modes().get(_squeeze(name))


def parse_key(text: str) -> Key | None:
    """The key of a name like "D minor", "F#m", "Bb", "C dorian", "d-Moll" or "la menor"; None if it is none.

    A tonic alone is major. "Dm" is D minor and "DM" D major; else case, spaces and hyphens do not matter. In German
    ("B-Dur", "h-Moll") B is B flat and H is B.
    """
    if not isinstance(text, str) or len(text) > 64:
        return None
    squeezed = _squeeze(text)
    for length in range(min(len(squeezed), 12), 0, -1):
        tonic, mode = squeezed[:length], squeezed[length:]
        is_german = mode in _GERMAN_MODES
        pitch_class = parse_pitch_class(tonic, german=is_german)
        if pitch_class is None:
            continue
        if mode in ("", "m"):
            return Key(pitch_class, "minor" if text.rstrip().endswith("m") and mode else "major")
        if mode in _modes():
            return Key(pitch_class, _modes()[mode])
    return None


def _squeeze(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text.lower())


@functools.cache
def _modes() -> dict[str, str]:
    return {_squeeze(name): mode for name, mode in MODE_NAMES.items()}


@functools.cache
def _tonics() -> dict[str, int]:
    """Every name of a pitch class, squeezed, but the German B and H."""
    steps = dict.fromkeys(_SHARPS, 1) | dict.fromkeys(_FLATS, -1) | {"": 0}
    plain = _LETTERS | _SYLLABLES
    names = {name + sign: (number + step) % 12 for name, number in plain.items() for sign, step in steps.items()}
    return names | _GERMAN_FLATS | _GERMAN_SHARPS
