"""Attributes: known facts of a piece as numbers that a model reads beside its text. One table; docs/attributes.md.

A model names the kinds that it reads, in the order of the table. Number 0 says nothing; the values of the kinds follow
one another. A fact of any other form than expected says nothing, too: the rows of corpora are what they are.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from amt.midi.programs import program_number
from amt.midi.theory import Key, parse_key
from amt.midi.vocabulary import DRUMS, NUM_PROGRAMS, time_signature_index
from amt.request.casting import cast
from amt.request.limits import Limits
from amt.request.reading import Reading, read

MODES = ("major", "minor", "dorian", "mixolydian")
_METRE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")

Facts = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Attribute:
    """A kind of facts: how many values it has, and which of them are true of a piece."""

    size: int
    values: Callable[[Facts], Iterable[int]]


def _number(facts: Facts, *names: str) -> float | None:
    """The first of these facts that is a positive number."""
    for name in names:
        value = facts.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
    return None


def _bin(value: float | None, lowest: float, bins_per_doubling: int, size: int) -> Iterable[int]:
    """The bin of a number on a logarithmic scale, the first around `lowest`; numbers beyond the ends go to them."""
    if value is None:
        return ()
    return (min(max(math.floor(math.log2(value / lowest) * bins_per_doubling + 0.5), 0), size - 1),)


def _programs(facts: Facts) -> list[int]:
    programs = facts.get("programs")
    if not isinstance(programs, (list, tuple)):
        return []
    return sorted({p for p in programs if isinstance(p, int) and not isinstance(p, bool) and 0 <= p < NUM_PROGRAMS})


def _key(facts: Facts) -> Iterable[int]:
    key = parse_key(str(facts.get("key", "")))
    if key is None:
        return ()
    mode = key.mode if key.mode in MODES else "minor" if key.is_minor else "major"
    return (key.tonic * len(MODES) + MODES.index(mode),)


def _metre(facts: Facts) -> Iterable[int]:
    found = _METRE.fullmatch(str(facts.get("meter", "")))
    index = time_signature_index(int(found[1]), int(found[2])) if found else None
    return () if index is None else (index,)


def _words(kind: str, size: int, *names: str) -> Callable[[Facts], Iterable[int]]:
    """The words of these columns by the remainder of their checksum: any word has a number, and two may share one.

    They are those of a reading (`kind` of it), so that rows and requests call the same thing by the same name.
    """

    def values(facts: Facts) -> Iterable[int]:
        said = [facts.get(name) for name in names]
        words = [word for each in said for word in (each if isinstance(each, (list, tuple)) else [each])]
        known = {name for word in words if isinstance(word, str) for name in _as_read(kind, word[:200])}
        return sorted({zlib.crc32(name.encode()) % size for name in known})

    return values


@functools.lru_cache(maxsize=4096)
def _as_read(kind: str, words: str) -> tuple[str, ...]:
    """What a reading finds in words; the words where it finds nothing."""
    words = words.strip().lower()
    return tuple(said.value for said in getattr(read(words), kind)) or ((words,) if words else ())


def _density(facts: Facts) -> float | None:
    notes, seconds = _number(facts, "n_notes"), _number(facts, "duration_s")
    return notes / seconds if notes and seconds else _number(facts, "notes_per_s")


ATTRIBUTES: dict[str, Attribute] = {
    "instruments": Attribute(NUM_PROGRAMS, _programs),
    "drums": Attribute(2, lambda facts: (int(facts["drums"]),) if isinstance(facts.get("drums"), bool) else ()),
    "key": Attribute(12 * len(MODES), _key),
    "metre": Attribute(80, _metre),
    "tempo": Attribute(25, lambda facts: _bin(_number(facts, "quarter_bpm", "tempo_bpm"), 30.0, 6, 25)),
    "style": Attribute(256, _words("styles", 256, "style", "form")),
    "mood": Attribute(128, _words("moods", 128, "mood")),
    "form": Attribute(256, _words("forms", 256, "form")),
    "density": Attribute(16, lambda facts: _bin(_density(facts), 0.5, 2, 16)),
    "register": Attribute(16, lambda facts: [min(int(p) // 8, 15) for p in [_number(facts, "pitch_mean")] if p]),
    "bars": Attribute(24, lambda facts: _bin(_number(facts, "n_bars"), 1.0, 2, 24)),
    "ensemble": Attribute(8, lambda facts: [min(len(_programs(facts)), 8) - 1] if _programs(facts) else ()),
}
# What `attributes_of` reads of a row.
FACTS = (
    "programs", "drums", "key", "meter", "quarter_bpm", "tempo_bpm", "style", "mood", "form", "n_notes", "notes_per_s",
    "duration_s", "pitch_mean", "n_bars",
)  # fmt: skip


def varied_facts(facts: Facts, semitones: int, tempo_factor: float) -> Facts:
    """The facts of a piece that was moved by so many semitones and taken at so many times its tempo."""
    varied = dict(facts)
    key = parse_key(str(facts.get("key", "")))
    if key is not None:
        varied["key"] = Key((key.tonic + semitones) % 12, key.mode).name
    if isinstance(facts.get("pitch_mean"), (int, float)):
        varied["pitch_mean"] = facts["pitch_mean"] + semitones
    for name, factor in (("quarter_bpm", tempo_factor), ("tempo_bpm", tempo_factor), ("notes_per_s", tempo_factor),
                         ("duration_s", 1 / tempo_factor)):  # fmt: skip
        number = _number(facts, name)
        if number is not None:
            varied[name] = number * factor
    return varied


def facts_of_request(reading: Reading, limits: Limits) -> Facts:
    """What the words of a request and its limits say of the piece; a limit counts before a word."""
    facts: dict[str, Any] = {
        "n_bars": limits.bars,
        "style": [said.value for said in reading.styles],
        "mood": [said.value for said in reading.moods],
        "form": [said.value for said in reading.forms],
        "key": limits.key or ("" if reading.key is None else reading.key.value.name),
    }
    tempo, metre = reading.implied_tempo, reading.implied_metre
    facts["quarter_bpm"] = None if tempo is None else (tempo.low + tempo.high) / 2
    if limits.tempo is not None:
        facts["quarter_bpm"] = sum(limits.tempo) / 2 if isinstance(limits.tempo, (tuple, list)) else limits.tempo
    facts["meter"] = limits.time_signature or ("" if metre is None else "{}/{}".format(*metre))
    players = limits.instruments if limits.instruments is not None else limits.required_instruments
    if players is not None:
        facts["programs"] = [program_number(each) for each in players]
    else:
        facts["programs"] = [role.program for role in cast(reading)]
    if facts.get("programs"):
        facts["drums"] = DRUMS in facts["programs"]
    return facts


def check_attributes(kinds: Sequence[str]) -> None:
    """Raise ValueError unless these are kinds of the table, each once and in its order."""
    unknown = [kind for kind in kinds if kind not in ATTRIBUTES]
    if unknown:
        raise ValueError(f"there is no attribute {unknown[0]!r}; there are {', '.join(ATTRIBUTES)}")
    ordered = tuple(kind for kind in ATTRIBUTES if kind in kinds)
    if tuple(kinds) != ordered:
        raise ValueError(f"attributes must stand once each and in their order: {', '.join(ordered)}")


def num_attribute_ids(kinds: Sequence[str]) -> int:
    """How many numbers there are, with 0, which says nothing."""
    return 1 + sum(ATTRIBUTES[kind].size for kind in kinds)


def attributes_of(facts: Facts, kinds: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the facts of a piece by their kind; kinds of which nothing is known are left out.

    Args:
        facts: a row of a corpus: see FACTS.
        kinds: those that the model reads.

    Example:
        >>> attributes_of({"programs": [0, 40], "drums": False}, ("instruments", "drums"))
        {'instruments': [1, 41], 'drums': [130]}
    """
    found: dict[str, list[int]] = {}
    first = 1
    for kind in kinds:
        numbers = [first + value for value in ATTRIBUTES[kind].values(facts)]
        if numbers:
            found[kind] = numbers
        first += ATTRIBUTES[kind].size
    return found
