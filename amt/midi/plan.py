"""The plan of a piece: its sections and their chords, decided before the notes. docs/tokens.md, "Plans".

Lengths are in half bars of the metre that the piece begins with. Its twin is csrc/midi/plan.cpp.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from amt.midi.chords import PLAN_QUALITIES, Chord
from amt.midi.theory import PITCH_CLASS_NAMES
from amt.midi.vocabulary import MAX_HALF_BARS, SECTIONS

MAX_PLAN_HALF_BARS = 1024
NUM_QUALITIES = 8  # but for "none"
SAME_SECTION = -1  # in rows: the chord belongs to the section before
_SUFFIXES = ("", "m", "dim", "aug", "7", "maj7", "m7", "sus4")  # of the qualities, in their order
_MARKER = re.compile(r"(?:([\w-]+): )?(\S+) \(([1-9]\d?) half bars\)", re.ASCII)

Row = tuple[int, int, int]  # index of a section or SAME_SECTION, number of a chord, half bars


@dataclasses.dataclass(frozen=True)
class PlanChord:
    """A chord of a plan and how many half bars it lasts, 1..32.

    `quality` is one of `amt.midi.chords.PLAN_QUALITIES`; `root` is 0..11, and 0 for the quality "none".
    """

    root: int
    quality: str
    half_bars: int

    def __post_init__(self) -> None:
        if self.quality not in PLAN_QUALITIES or not 0 <= self.root <= 11:
            raise ValueError(f"a chord of a plan is a root 0..11 and one of {', '.join(PLAN_QUALITIES)}; got {self!r}")
        if not 1 <= self.half_bars <= MAX_HALF_BARS:
            raise ValueError(f"a chord of a plan lasts 1 to {MAX_HALF_BARS} half bars, got {self.half_bars}")
        if self.quality == "none":
            object.__setattr__(self, "root", 0)

    @classmethod
    def of_number(cls, number: int, half_bars: int) -> PlanChord:
        """The chord of a token's value."""
        if number == 0:
            return cls(0, "none", half_bars)
        root, quality = divmod(number - 1, NUM_QUALITIES)
        return cls(root, PLAN_QUALITIES[quality], half_bars)

    @property
    def number(self) -> int:
        """The value of its token."""
        return chord_number(self.root, self.quality)

    @property
    def name(self) -> str:
        """Like "Am7"; "N.C." for no chord."""
        return CHORD_NAMES[self.number]


def chord_number(root: int, quality: str) -> int:
    """The value of a chord's token: 0 for none, else 1 + 8 * root + quality."""
    return 0 if quality == "none" else 1 + NUM_QUALITIES * root + PLAN_QUALITIES.index(quality)


def number_of_chord(chord: Chord | None) -> int:
    """The number of any chord, reduced to what a plan knows."""
    return 0 if chord is None else chord_number(chord.root, chord.plan_quality)


def transposed_chord(number: Any, semitones: int) -> Any:
    """The number of a chord, or an array of them, so many semitones higher."""
    return (number > 0) * (1 + (number - 1 + NUM_QUALITIES * semitones) % (12 * NUM_QUALITIES))


CHORD_NAMES = ("N.C.", *(root + suffix for root in PITCH_CLASS_NAMES for suffix in _SUFFIXES))


@dataclasses.dataclass(frozen=True)
class PlanSection:
    """A section of a plan and its chords, one after the other. Equal neighbours become one, up to 32 half bars.

    `name` is one of `amt.midi.vocabulary.SECTIONS`.
    """

    name: str
    chords: tuple[PlanChord, ...]

    def __post_init__(self) -> None:
        if self.name not in SECTIONS:
            raise ValueError(f"a section is one of {', '.join(SECTIONS)}; got {self.name!r}")
        if not self.chords:
            raise ValueError(f"the section {self.name!r} has no chord; say {PlanChord(0, 'none', 1)!r} for none")
        object.__setattr__(self, "chords", tuple(_merged(self.chords)))

    @property
    def half_bars(self) -> int:
        """How long it is."""
        return sum(chord.half_bars for chord in self.chords)

    @property
    def bar_names(self) -> list[str]:
        """The chord of each of its bars, or both, like "F|G"; half a bar at its end is "F|"."""
        halves = [chord.name for chord in self.chords for _ in range(chord.half_bars)]
        bars = (halves[index : index + 2] for index in range(0, len(halves), 2))
        return [bar[0] if bar == [bar[0]] * 2 else "|".join((*bar, "")[:2]) for bar in bars]


@dataclasses.dataclass(frozen=True)
class Plan:
    """The sections of a piece, from its beginning; at most 1,024 half bars.

    Example:
        >>> plan = Plan((PlanSection("verse", (PlanChord(9, "min7", 4), PlanChord(5, "maj", 4))),))
        >>> str(plan)
        'verse: Am7 Am7 F F'
    """

    sections: tuple[PlanSection, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "sections", tuple(self.sections))
        if not self.sections:
            raise ValueError("a plan has at least one section; leave it out to have none")
        if self.half_bars > MAX_PLAN_HALF_BARS:
            raise ValueError(f"a plan has at most {MAX_PLAN_HALF_BARS} half bars, got {self.half_bars}")

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Plan | None:
        """The plan of rows (section or SAME_SECTION, chord, half bars); None if there is none.

        Chords before the first section belong to "other".
        """
        found: list[tuple[str, list[PlanChord]]] = []
        for section, chord, half_bars in rows:
            if section != SAME_SECTION or not found:
                found.append(("other" if section == SAME_SECTION else SECTIONS[section], []))
            found[-1][1].append(PlanChord.of_number(chord, half_bars))
        return cls(tuple(PlanSection(name, tuple(chords)) for name, chords in found)) if found else None

    @classmethod
    def from_half_bars(cls, sections: Iterable[int], chords: Iterable[int]) -> Plan | None:
        """The plan of the section that begins at each half bar (or SAME_SECTION) and the number of its chord."""
        return cls.from_rows((section, chord, 1) for section, chord in zip(sections, chords, strict=True))

    @property
    def rows(self) -> list[Row]:
        """Of each chord the index of the section that begins with it, or SAME_SECTION; its number; its half bars."""
        return [
            (SAME_SECTION if place else SECTIONS.index(section.name), chord.number, chord.half_bars)
            for section in self.sections
            for place, chord in enumerate(section.chords)
        ]

    @property
    def half_bars(self) -> int:
        """How long it is."""
        return sum(section.half_bars for section in self.sections)

    @property
    def starts(self) -> tuple[int, ...]:
        """The half bar at which each section begins."""
        return tuple(itertools.accumulate((section.half_bars for section in self.sections[:-1]), initial=0))

    @property
    def chords(self) -> tuple[PlanChord, ...]:
        """The chords of all sections."""
        return tuple(chord for section in self.sections for chord in section.chords)

    def transposed(self, semitones: int) -> Plan:
        """The same with all chords so many semitones higher."""
        rows = [(section, transposed_chord(chord, semitones), length) for section, chord, length in self.rows]
        moved = Plan.from_rows(rows)
        assert moved is not None
        return moved

    def part(self, start: int, end: int) -> Plan | None:
        """What stands from half bar `start` to `end`, both cut; None if nothing does."""
        rows: list[Row] = []
        at, current = 0, SAME_SECTION
        for section, chord, half_bars in self.rows:
            current = section if section != SAME_SECTION else current
            first, last = max(at, start), min(at + half_bars, end)
            if last > first:
                begins = not rows or (section != SAME_SECTION and first == at)
                rows.append((current if begins else SAME_SECTION, chord, last - first))
            at += half_bars
        return Plan.from_rows(rows)

    def __str__(self) -> str:
        """Bar by bar: "verse: Am7 F|G C C; chorus: F"."""
        return "; ".join(f"{section.name}: {' '.join(section.bar_names)}" for section in self.sections)


def _merged(chords: Iterable[PlanChord]) -> Iterator[PlanChord]:
    for number, run in itertools.groupby(chords, key=lambda chord: chord.number):
        left = sum(chord.half_bars for chord in run)
        while left:
            yield PlanChord.of_number(number, min(left, MAX_HALF_BARS))
            left -= min(left, MAX_HALF_BARS)


# In files.


def half_bar_tick(half_bar: int, numerator: int, denominator: int, ticks_per_beat: int) -> int:
    """The tick at which a half bar of a metre begins, rounded down."""
    return half_bar * 2 * ticks_per_beat * numerator // denominator


def half_bar_ticks(numerator: int, denominator: int, ticks_per_beat: int) -> Fraction:
    """How many ticks a half bar lasts."""
    return Fraction(2 * ticks_per_beat * numerator, denominator)


def markers(plan: Plan) -> Iterator[tuple[int, str]]:
    """The markers that say a plan: of each chord the half bar at which it begins, and a text.

    "verse: Am7 (4 half bars)" begins a section, "F (2 half bars)" goes on with it.
    """
    at = 0
    for section, chord, half_bars in plan.rows:
        name = "" if section == SAME_SECTION else f"{SECTIONS[section]}: "
        yield at, f"{name}{CHORD_NAMES[chord]} ({half_bars} half bars)"
        at += half_bars


def row_of_marker(text: str) -> Row | None:
    """What a marker says; None if it is none of a plan's."""
    match = _MARKER.fullmatch(text)
    if match is None or match[2] not in CHORD_NAMES or match[1] not in (None, *SECTIONS):
        return None
    if int(match[3]) > MAX_HALF_BARS:
        return None
    section = SAME_SECTION if match[1] is None else SECTIONS.index(match[1])
    return section, CHORD_NAMES.index(match[2]), int(match[3])


def plan_of_markers(
    rows: Iterable[tuple[int, Row]], metre: tuple[int, int], ticks_per_beat: int, end_ticks: int
) -> Plan | None:
    """The plan of (tick, row) of all markers in order; None if one of them is not where the plan has it.

    Args:
        metre: the numerator and denominator at tick 0.
    """
    at = 0
    found: list[Row] = []
    for tick, row in rows:
        if tick != min(half_bar_tick(at, *metre, ticks_per_beat), end_ticks) or (not found and row[0] == SAME_SECTION):
            return None
        found.append(row)
        at += row[2]
        if at > MAX_PLAN_HALF_BARS:
            return None
    return Plan.from_rows(found)
