"""What a text asks for in plain words: key, tempo, time signature, instruments, duration.

Fixed rules, no model. What a text does not state is not guessed: a waltz asks for no time signature, "slow" for no
tempo. Of several keys, tempos, time signatures or durations the first counts. Titles in quotation marks ask nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction

from amt.midi.programs import DRUMS, PROGRAMS, SHORT_NAMES
from amt.request.pitches import PITCH_CLASSES

_TITLE = re.compile(r'"[^"]*"|“[^”]*”')

_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_TONIC = r"(?<![\w#♯♭'’/-])([A-Ga-g])(?:[ -]?((?i:flat|sharp))|([b#♯♭]))?"
_KEY = re.compile(rf"{_TONIC}(?:[ -]*(?i:(maj|min)(?:or)?)\b)")
_SHORT_KEY = re.compile(rf"(?i:\bin|\bkey(?: of|:))\s+{_TONIC}(m)(?!\w)")  # "in Am"
_BARE_KEY = re.compile(rf"(?i:\bkey of|\bkey:)\s+{_TONIC}()(?![\w#♯♭])")  # "in the key of G"

_BPM = re.compile(
    r"(?<![\w./])([0-9]{1,3}(?:\.[0-9]{1,3})?)\s?(?:bpm\b|beats (?:per|a) minute\b)"
    r"(?:\s?\(\s?(dotted[ -])?(whole|half|quarter|eighth)\b)?",
    re.IGNORECASE,
)
_TEMPO_UNITS = {"whole": Fraction(4), "half": Fraction(2), "quarter": Fraction(1), "eighth": Fraction(1, 2)}

_TIME_SIGNATURE = re.compile(r"(?<![\w./-])([1-9][0-9]?)/(16|1|2|4|8)(?![\w/]|[.-][0-9])(?!\s+of\b)")
_NAMED_TIME = re.compile(r"\b(common|cut) time\b|\balla breve\b", re.IGNORECASE)

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = {name: number for number, name in enumerate(_NUMBERS, start=1)}
_AMOUNT = rf"([0-9]{{1,4}}(?:\.[0-9]{{1,3}})?|\b(?:{'|'.join(_COUNTS)}))"
_DURATION = re.compile(
    rf"(?<![\w.,:/])(?<!last )(?<!first )(?<!every )(?<!after )(?<!next )"
    rf"(?:{_AMOUNT}[ -]?(?:minutes?|mins?)\b(?!\.?,? (?:per|a) )(?:(?:,| and)? {_AMOUNT}[ -]?(?:seconds?|secs?|s)\b)?"
    rf"|{_AMOUNT}(?:[ -]?(?:seconds?|secs?)| s)\b)",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class AskedInstrument:
    """An instrument of a text, and the programs 0..128 (128 = drums) that a listener takes for it."""

    name: str
    programs: frozenset[int]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a text asks for; None where it says nothing.

    Attributes:
        key: tonic as a pitch class 0..11, and whether it is minor.
        tempo_bpm: quarter notes a minute.
        time_signature: numerator and denominator.
        instruments: those that are named, in the order of the text; a string quartet is three of them.
        duration_s: seconds.
        has_ensemble: whether it names players without saying which ("orchestra"), so that others may play, too.
    """

    key: tuple[int, bool] | None = None
    tempo_bpm: float | None = None
    time_signature: tuple[int, int] | None = None
    instruments: tuple[AskedInstrument, ...] | None = None
    duration_s: float | None = None
    has_ensemble: bool = False


def check_text(text: object) -> None:
    """Raise ValueError unless this is a text that can be read."""
    if not isinstance(text, str):
        raise ValueError(f"a text must be a str, got {type(text).__name__}")
    if not text.strip():
        raise ValueError('the text is empty; describe the music, like "a slow sad waltz for piano"')
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is damaged: it is not UTF-8; type it again")


def read_text(text: str) -> Asked:
    """What a text asks for.

    A number of BPM counts the notes that the text names behind it, as in "52 BPM (dotted-quarter beat)". Without these
    it counts the beats of the time signature, if the text has one: dotted quarters in 3/8, 6/8, 9/8 and 12/8, halves
    in 2/2. Else it counts quarters.

    Example:
        >>> read_text("a waltz in A-flat major, 3/4, 150 BPM").key
        (8, False)
    """
    untitled = _TITLE.sub(" ", text)
    text = untitled if untitled.strip(" .,") else text
    time_signature = _time_signature(text)
    instruments = tuple(_instruments(text))
    return Asked(
        key=_key(text),
        tempo_bpm=_tempo_bpm(text, time_signature),
        time_signature=time_signature,
        instruments=instruments or None,
        duration_s=_duration_s(text),
        has_ensemble=_ENSEMBLE.search(text) is not None,
    )


def _key(text: str) -> tuple[int, bool] | None:
    found = [match for rule in (_KEY, _SHORT_KEY, _BARE_KEY) for match in rule.finditer(text)]
    for match in sorted(found, key=lambda match: match.start()):
        letter, word, sign, mode = match.groups()
        if letter in "Aa" and not (word or sign) and not _is_tonic_a(text, match):
            continue
        tonic = PITCH_CLASSES[letter.lower()] + _ACCIDENTALS[(word or sign or "").lower()]
        return tonic % 12, mode.lower() in ("min", "m")
    return None


def _is_tonic_a(text: str, match: re.Match[str]) -> bool:
    """Whether "a minor" is a key, not an article: "A minor key change", "in a major city"."""
    before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip(" ")
    if match[1] == "A":
        return not ((not before or before[-1] in ".!?:") and after.lower().startswith("key"))
    is_introduced = not before or before[-1] in ",(" or re.search(r"\b(?:in|of)$", before, re.IGNORECASE) is not None
    return is_introduced and (not after or after[0] in ".,;:!?)/\n")


def _time_signature(text: str) -> tuple[int, int] | None:
    for match in _TIME_SIGNATURE.finditer(text):
        if match[1] != "1":  # "1/4 notes", "1/2 minute"
            return int(match[1]), int(match[2])
    named = _NAMED_TIME.search(text)
    if named is None:
        return None
    return (4, 4) if (named[1] or "").lower() == "common" else (2, 2)


def _tempo_bpm(text: str, time_signature: tuple[int, int] | None) -> float | None:
    match = _BPM.search(text)
    if match is None or float(match[1]) == 0:
        return None
    if match[3]:
        unit = _TEMPO_UNITS[match[3].lower()] * (Fraction(3, 2) if match[2] else 1)
    else:
        unit = Fraction(1) if time_signature is None else beat(*time_signature)
    return float(Fraction(match[1]) * unit)


def beat(numerator: int, denominator: int) -> Fraction:
    """What is counted in a time signature, in quarter notes."""
    if denominator == 8 and numerator in (3, 6, 9, 12):
        return Fraction(3, 2)
    return max(Fraction(4, denominator), Fraction(1, 2))


def _duration_s(text: str) -> float | None:
    match = _DURATION.search(text)
    if match is None:
        return None
    minutes, more, seconds = (0.0 if part is None else _amount(part) for part in match.groups())
    return 60 * minutes + more + seconds or None


def _amount(words: str) -> float:
    return float(_COUNTS.get(words.lower(), 0)) or float(words)


# Instruments

_ENSEMBLE = re.compile(
    r"\b(?:(?<!string )(?:orchestras?|ensembles?)|(?:brass|big|rock|jazz|marching|full|military) band"
    r"|(?:and|other|several) (?:\w+ )?instruments)\b(?! hit)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+(?:[^\W_]|['’](?=\w))*|[0-9]+|[^\s\w]")
_NEGATIONS = ("no", "without", "not")
_NEGATIONS_GO_ON = ("or", "nor", "any", "a", "an", "the")  # "without drums or bass" refuses both

_STRINGS = (*range(40, 46), *range(48, 52))
_VOICES = (52, 53, 54, 91)
_SYNTHS = (38, 39, 50, 51, 54, 62, 63, *range(80, 104))
# Names that stand for more programs than the one which General MIDI calls so.
_FAMILIES: dict[str, tuple[int, ...]] = {
    "piano": (0, 1, 2, 3), "grand piano": (0, 1), "acoustic piano": (0, 1, 3), "electric piano": (2, 4, 5),
    "accordion": (21, 23), "organ": (16, 17, 18, 19, 20), "hammond organ": (16, 17, 18), "harmonium": (20,),
    "guitar": tuple(range(24, 32)), "acoustic guitar": (24, 25), "steel string guitar": (25,),
    "electric guitar": tuple(range(26, 32)), "jazz guitar": (26,), "distorted guitar": (29, 30),
    "bass": (*range(32, 40), 43), "bass guitar": tuple(range(33, 38)), "electric bass": tuple(range(33, 38)),
    "acoustic bass": (32, 43), "double bass": (32, 43), "upright bass": (32, 43), "string bass": (32, 43),
    "contrabass": (32, 43), "slap bass": (36, 37), "synth bass": (38, 39), "fiddle": (40, 110), "violin": (40,),
    "violoncello": (42,), "strings": _STRINGS, "string section": _STRINGS, "string ensemble": _STRINGS,
    "string orchestra": _STRINGS, "synth strings": (50, 51), "choir": _VOICES, "voice": _VOICES,
    "vocal": _VOICES, "singer": _VOICES, "trumpet": (56, 59), "brass": tuple(range(56, 64)),
    "brass section": tuple(range(56, 64)), "horn section": tuple(range(56, 68)), "synth brass": (62, 63),
    "sax": (64, 65, 66, 67), "saxophone": (64, 65, 66, 67), "bass clarinet": (71,), "woodwind": tuple(range(64, 80)),
    "tin whistle": (78,), "penny whistle": (78,), "synth": _SYNTHS, "synthesizer": _SYNTHS, "synthesiser": _SYNTHS,
    "synth lead": tuple(range(80, 88)), "square lead": (80,), "sawtooth lead": (81,), "synth pad": tuple(range(88, 96)),
    "bell": (9, 14, 112), "celeste": (8,), "kettledrum": (47,), "steel drum": (114,), "taiko": (116,),
    "bass drum": (DRUMS,), "snare": (DRUMS,), "snare drum": (DRUMS,), "drum kit": (DRUMS,), "drum set": (DRUMS,),
    "percussion": (47, *range(112, 120), DRUMS),
}  # fmt: skip
_ENSEMBLES = {
    "string quartet": ("violin", "viola", "cello"), "string trio": ("violin", "viola", "cello"),
    "string quintet": ("violin", "viola", "cello"), "piano trio": ("piano", "violin", "cello"),
    "piano quartet": ("piano", "violin", "viola", "cello"), "piano quintet": ("piano", "violin", "viola", "cello"),
    "wind quintet": ("flute", "oboe", "clarinet", "french horn", "bassoon"),
    "brass quintet": ("trumpet", "french horn", "trombone", "tuba"),
}  # fmt: skip
# Words that are no instrument although they hold its name.
_OTHER_PHRASES = ("voice leading", "singer songwriter", "piano roll")


@functools.cache
def _phrases() -> Mapping[tuple[str, ...], tuple[AskedInstrument, ...]]:
    """Words, singular, and the instruments they stand for."""
    programs: dict[str, tuple[int, ...]] = {
        name.split(" (")[0].lower().replace("-", " "): (program,) for program, name in enumerate(PROGRAMS)
    }
    programs |= {name: (program,) for name, program in SHORT_NAMES.items()}
    programs |= _FAMILIES
    named = {name: AskedInstrument(name, frozenset(numbers)) for name, numbers in programs.items()}
    phrases: dict[tuple[str, ...], tuple[AskedInstrument, ...]]
    phrases = {_singular(name.split()): (instrument,) for name, instrument in named.items()}
    phrases |= {_singular(name.split()): tuple(named[part] for part in parts) for name, parts in _ENSEMBLES.items()}
    return phrases | {_singular(name.split()): () for name in _OTHER_PHRASES}


def _singular(words: list[str]) -> tuple[str, ...]:
    """Plurals are as good as singulars; but a "string" is no instrument, and "strings" are."""

    def singular(word: str) -> str:
        if word == "strings" or len(word) < 4 or word.endswith("ss"):
            return word
        return word.removesuffix("es") if word.endswith("sses") else word.removesuffix("s")

    return tuple(map(singular, words))


def _instruments(text: str) -> Iterator[AskedInstrument]:
    """The instruments that are named, each once; the longest phrase counts."""
    words = _singular(_WORD.findall(re.sub(r"(?i)\b\w+-voice\b", " ", text.lower()).replace("-", " ")))
    phrases = _phrases()
    longest = max(map(len, phrases))
    seen: set[frozenset[int]] = set()
    place, is_refused = 0, False
    while place < len(words):
        for length in range(longest, 0, -1):
            found = phrases.get(words[place : place + length])
            if found is not None:
                break
        else:
            is_refused = words[place] in _NEGATIONS or (is_refused and words[place] in _NEGATIONS_GO_ON)
            place += 1
            continue
        for instrument in found:
            if not is_refused and instrument.programs not in seen:
                seen.add(instrument.programs)
                yield instrument
        place += length
