"""Patterns of a style file: one bar between "|", its characters share the bar equally.

"." is a rest and "-" holds what came before; every other character is an event, and what it means depends on the part:
drums `x o g` (accent, plain, ghost), chords `x o ^ 1 R`, bass `R F O A`. A "?" is an event that may come or not; it is
decided once, before the pattern is used. Blanks are for the eye. A pattern may begin with its metre: "3/4: x.x.x.".
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from typing import NamedTuple

from amt.arranger.metre import Metre


class Cell(NamedTuple):
    """One event of a pattern: its step in the bar, its length in steps, how many steps a cell has, its character."""

    start: int
    length: int
    width: int
    symbol: str


Bar = tuple[Cell, ...]

_METRE = re.compile(r"(\d+/\d+):\s*")


def split_metre(text: str) -> tuple[str | None, str]:
    """The metre that a pattern begins with (None: it has none), and the rest."""
    match = _METRE.match(text)
    return (match[1], text[match.end() :]) if match else (None, text)


def clean(text: str) -> str:
    """A pattern without blanks and without its metre."""
    return split_metre(text)[1].replace(" ", "")


@functools.lru_cache(maxsize=65536)
def bars(pattern: str, bar_steps: int, holds_on: bool = False) -> tuple[Bar, ...]:
    """The events of each bar of a pattern; a hold at the start of a bar goes on from the bar before it.

    Args:
        holds_on: whether an event rings on through rests until the next one.

    Raises:
        ValueError: the cells of a bar do not share it equally.
    """
    texts = pattern.split("|")
    starts: list[list[list[int | str]]] = []
    last: list[int | str] | None = None
    for text in texts:
        if not text or bar_steps % len(text):
            raise ValueError(f"{text!r} has {len(text)} cells, which do not share a bar of {bar_steps} steps equally")
        width = bar_steps // len(text)
        row: list[list[int | str]] = []
        for index, symbol in enumerate(text):
            if symbol == "-" or (holds_on and symbol == "."):
                if last is not None:
                    last[1] = int(last[1]) + width
            elif symbol == ".":
                last = None
            else:
                last = [index * width, width, width, symbol]
                row.append(last)
        starts.append(row)
    return tuple(tuple(Cell(int(a), int(b), int(w), str(s)) for a, b, w, s in row) for row in starts)


def decided(pattern: str, rng: random.Random, event: str = "o") -> str:
    """A pattern with each "?" made an event or a rest."""
    if "?" not in pattern:
        return pattern
    return "".join((event if rng.random() < 0.5 else ".") if symbol == "?" else symbol for symbol in pattern)


def reordered(pattern: str, rng: random.Random) -> str:
    """A plucked pattern with its voices 1, 2, 3, ... in another order."""
    voices = sorted(set(re.findall(r"\d", pattern)))
    if len(voices) < 3 or rng.random() < 0.15:
        return pattern
    others = list(voices)
    rng.shuffle(others)
    return pattern.translate(str.maketrans("".join(voices), "".join(others)))


def altered(pattern: str, rng: random.Random) -> str:
    """A riff with one or two of its roots left out or made a note of the riff."""
    symbols = list(pattern)
    roots = [place for place, symbol in enumerate(symbols) if symbol == "R" and place]
    for place in rng.sample(roots, min(len(roots), rng.choice((0, 1, 1, 2)))):
        symbols[place] = rng.choice("m.m")
    return "".join(symbols)


def for_metre(pool: Sequence[str], metre: Metre, is_first: bool) -> list[str]:
    """The patterns of a pool that are meant for a metre.

    Args:
        is_first: whether it is the style's first metre, for which patterns without a metre are.
    """
    fitting = []
    for pattern in pool:
        name, _ = split_metre(pattern)
        if name == metre.name or (name is None and is_first):
            fitting.append(clean(pattern))
    return fitting
