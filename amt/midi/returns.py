"""Sections of a plan that come again: which bars are those of an earlier section.

A chorus is the chorus again because its notes return. So a section of the name and the chords of an earlier one gets
its notes, but for its last bars, in which it goes on to something else or ends.
"""

from __future__ import annotations

import dataclasses

from amt.midi.plan import Plan

NAMES = ("verse", "pre-chorus", "chorus", "bridge", "drop", "A", "B", "C", "D")
FEWEST_HALF_BARS = 4  # that are worth it
LONG_HALF_BARS = 16  # sections from here on have two bars of their own at the end, shorter ones one


@dataclasses.dataclass(frozen=True)
class Return:
    """Half bars that come again: `length` of them, from `start` on those from `source` on."""

    start: int
    source: int
    length: int


def returns_of(plan: Plan) -> tuple[Return, ...]:
    """What comes again in a plan, from its beginning on."""
    found = []
    firsts: dict[str, tuple[int, list[int]]] = {}  # by name where it begins, and the chord of each half bar
    for section, start in zip(plan.sections, plan.starts, strict=True):
        chords = [chord.number for chord in section.chords for _ in range(chord.half_bars)]
        if section.name not in NAMES:
            continue
        source, before = firsts.setdefault(section.name, (start, chords))
        if source == start:
            continue
        own = 4 if len(chords) >= LONG_HALF_BARS else 2
        same = next((n for n, (a, b) in enumerate(zip(chords, before, strict=False)) if a != b), None)
        length = min(len(chords) - own, len(before) if same is None else same)
        length -= length % 2  # whole bars
        if length >= FEWEST_HALF_BARS:
            found.append(Return(start, source, length))
    return tuple(found)
