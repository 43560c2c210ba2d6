"""What the arranger knows of each instrument: its comfortable range, its breath, its names in five languages."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from amt.arranger.toml import read_toml

LANGUAGES = ("en", "de", "fr", "es", "it")
WORDS = Path(__file__).parent / "words"


@dataclasses.dataclass(frozen=True)
class Instrument:
    """One General MIDI program (128: the drum kit).

    Attributes:
        low, high: the comfortable range, as MIDI pitches.
        has_breath: whether it is blown or sung.
        names: by language, the most usual first.
    """

    program: int
    low: int
    high: int
    has_breath: bool
    names: dict[str, tuple[str, ...]]


@functools.lru_cache(maxsize=1)
def instruments() -> dict[int, Instrument]:
    """All of them, by program."""
    made = {}
    for number, row in read_toml(WORDS / "instruments.toml").items():
        low, high = row["range"]
        names = {language: tuple(row[language].split("|")) for language in LANGUAGES if language in row}
        made[int(number)] = Instrument(int(number), low, high, row.get("breath", False), names)
    return made
