"""What a text says, each thing with the words that say it."""

from __future__ import annotations

import dataclasses
from typing import Generic, NamedTuple, TypeVar

from amt.midi.chords import Bars

Value = TypeVar("Value")
Other = TypeVar("Other")


@dataclasses.dataclass(frozen=True)
class Said(Generic[Value]):
    """A value and where the text says it: `text[start:end]`."""

    value: Value
    start: int
    end: int

    def of(self, value: Other) -> Said[Other]:
        """Another value that the same words say."""
        return Said(value, self.start, self.end)


class Range(NamedTuple):
    """From `low` to `high`; equal if exact, and without `high` open above."""

    low: float
    high: float | None

    def __str__(self) -> str:
        if self.high == self.low:
            return f"{self.low:g}"
        return f"{self.low:g}-{'' if self.high is None else f'{self.high:g}'}"


@dataclasses.dataclass(frozen=True)
class Part:
    """Somebody who plays.

    Attributes:
        name: of the lexicon, such as "double bass".
        programs: General MIDI programs 0..128 (128 = drums) that a listener takes for it, the best first.
        count: how many play it; 0 where the text does not say.
    """

    name: str
    programs: tuple[int, ...]
    count: int = 0


@dataclasses.dataclass(frozen=True)
class Tempo:
    """Quarter notes a minute, from `low` to `high`; `word` is the word that says so, or "" for a number."""

    low: float
    high: float
    word: str = ""

    def __str__(self) -> str:
        return self.word or str(Range(self.low, self.high))


@dataclasses.dataclass(frozen=True)
class Progression:
    """Chords, bar by bar. Numerals without a key stand in C, and may be moved to any other."""

    bars: Bars
    is_movable: bool = False

    def __str__(self) -> str:
        return " ".join(",".join(chord.name for chord in bar) for bar in self.bars)
