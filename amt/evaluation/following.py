"""How far a piece does what its caption asks for, from its notes, tempos and metres alone."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from amt.midi.facts import Facts, Key
from amt.midi.programs import DRUMS
from amt.midi.theory import parse_key

# Edges in beats a minute; each bin reaches to the next edge.
TEMPO_BINS = (40, 60, 70, 90, 110, 140, 160, 210)
METRICS = (
    "tempo_bin", "tempo_bin_tolerant", "tempo_within_10_percent", "key", "key_or_relative", "key_krumhansl",
    "time_signature", "instrument_precision", "instrument_recall", "instrument_f1",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a caption asks for; None where it says nothing of it."""

    tempo_bpm: float | None = None  # quarter notes a minute
    key: Key | None = None
    time_signature: str | None = None
    programs: frozenset[int] | None = None  # 128 = drums


def asked_of(row: dict[str, Any], caption: str) -> Asked:
    """What a row of a corpus says, as far as the caption says it, too.

    The row's columns, of the AMT corpus or of MidiCaps: `quarter_bpm` or `tempo`, `key`, `meter` or `time_signature`,
    `programs` (with `drums`) or `instrument_numbers_sorted`. Instruments count whatever the words of the caption are.
    """
    bpm = row.get("quarter_bpm", row.get("tempo"))
    metre = row.get("meter", row.get("time_signature"))
    programs = row.get("programs", row.get("instrument_numbers_sorted"))
    key = key_of(row["key"]) if isinstance(row.get("key"), str) else None
    played: set[int] = set()
    if isinstance(programs, list) and all(isinstance(program, int) for program in programs):
        played = set(programs) | ({DRUMS} if row.get("drums") is True else set())
    names_bpm = re.search(r"\bBPM\b", caption, re.I) is not None
    names_metre = isinstance(metre, str) and re.search(rf"(?<!\d){re.escape(metre)}(?!\d)", caption) is not None
    return Asked(
        tempo_bpm=float(bpm) if isinstance(bpm, (int, float)) and names_bpm else None,
        key=key if key is not None and key in keys_in(caption) else None,
        time_signature=metre if names_metre else None,
        programs=frozenset(played) or None,
    )


def keys_in(caption: str) -> list[Key]:
    """The keys that a caption names, like "A-flat major" or "F# minor"."""
    words = re.findall(r"\b[A-G](?:[ -](?:flat|sharp)|[#b♯♭])? (?:major|minor)\b", caption)
    return [key for word in words if (key := key_of(word)) is not None]


def key_of(name: str) -> Key | None:
    """The tonic and whether it is minor; None for what is neither major nor minor."""
    key = parse_key(name)
    return None if key is None or key.mode not in ("major", "minor") else (key.tonic, key.is_minor)


def agreement(asked: Asked, facts: Facts) -> dict[str, float]:
    """For each metric that the caption asks for 1 or 0; of instruments precision, recall and F1 of the two sets."""
    result: dict[str, float] = {}
    if asked.tempo_bpm is not None:
        way = abs(_tempo_bin(asked.tempo_bpm) - _tempo_bin(facts.tempo_bpm))
        result["tempo_bin"] = float(way == 0)
        result["tempo_bin_tolerant"] = float(way <= 1)
        result["tempo_within_10_percent"] = float(abs(facts.tempo_bpm / asked.tempo_bpm - 1) <= 0.1)
    if asked.key is not None:
        result["key"] = float(facts.key == asked.key)
        result["key_or_relative"] = float(facts.key in (asked.key, relative_key(asked.key)))
    if asked.time_signature is not None:
        result["time_signature"] = float("{}/{}".format(*facts.time_signature) == asked.time_signature)
    if asked.programs is not None:
        common, played = len(asked.programs & set(facts.programs)), len(facts.programs)
        result["instrument_precision"] = common / played if played else 0.0
        result["instrument_recall"] = common / len(asked.programs)
        result["instrument_f1"] = 2 * common / (played + len(asked.programs))
    return result


def relative_key(key: Key) -> Key:
    """The key of the other mode with the same signature: A minor for C major."""
    tonic, is_minor = key
    return (tonic + 3) % 12 if is_minor else (tonic + 9) % 12, not is_minor


def _tempo_bin(bpm: float) -> int:
    # 90 BPM are 666,667 us a beat in a file, which are 89.99996 BPM.
    return sum(round(bpm, 2) >= edge for edge in TEMPO_BINS)
