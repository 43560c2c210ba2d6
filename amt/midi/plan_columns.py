"""A plan as the columns of a table say it: sections by name and first bar, and the chords of each bar in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amt.midi.chords import Chord, parse_chord
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION, Plan, number_of_chord
from amt.midi.vocabulary import SECTIONS

# Other names of sections.
_NAMES = {"pre": "pre-chorus", "head": "A", "trio": "C", "climax": "chorus", "end": "outro"}


def plan_of_columns(sections: Any, bars: Any) -> Plan | None:
    """The plan that two columns say; None if they do not, or not in this form.

    Args:
        sections: a list of [name, first bar from 1, bars] that follow each other.
        bars: a text for each bar with one chord or several, or none at all; bars behind the last section belong to it.
    """
    if not isinstance(sections, list) or not isinstance(bars, list) or not sections:
        return None
    begins: list[int] = []
    for section in sections:
        if not isinstance(section, list) or len(section) != 3:
            return None
        name, first, length = section
        if not isinstance(name, str) or first != len(begins) // 2 + 1 or not isinstance(length, int) or length < 1:
            return None
        if len(begins) + 2 * length > MAX_PLAN_HALF_BARS:
            return None
        name = _NAMES.get(name, name)
        begins += [SECTIONS.index(name if name in SECTIONS else "other"), *[SAME_SECTION] * (2 * length - 1)]
    chords = _half_bars(bars)
    if chords is None:
        return None
    chords = chords or [0] * len(begins)
    if not len(begins) <= len(chords) <= MAX_PLAN_HALF_BARS:
        return None
    return Plan.from_half_bars(begins + [SAME_SECTION] * (len(chords) - len(begins)), chords)


def _half_bars(bars: Sequence[Any]) -> list[int] | None:
    """The number of the chord of each half bar; None if a word is no chord."""
    chords: list[int] = []
    for bar in bars:
        parsed = [parse_chord(word) for word in bar.split()] if isinstance(bar, str) else []
        known: list[Chord] = [chord for chord in parsed if chord is not None]
        if not known or len(known) < len(parsed):
            return None
        middle = (len(known) + 1) // 2 if len(known) > 1 else 0  # the one that has begun when half of the bar is over
        chords += [number_of_chord(known[0]), number_of_chord(known[middle])]
    return chords
