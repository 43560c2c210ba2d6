"""The plan of a piece whose plan nobody knows: chords estimated from its notes, sections from what comes again."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from amt.midi.chord_estimate import estimate_chords
from amt.midi.data import MidiData
from amt.midi.metres import bar_length
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION, Plan, number_of_chord
from amt.midi.vocabulary import SECTIONS

PHRASES = (16, 8, 4)  # the bars of a section, longest first
ALIKE = 0.6  # the share of their notes that two stretches have in common, from which on they are the same section
NEARLY_AS_MUCH = 0.9  # a longer phrase counts if it finds so much of what the best one does
LEAST_REPEATED = 0.3  # the share of the bars that come again, below which a piece has no sections
STEPS_PER_BEAT = 12
_LETTERS = tuple(SECTIONS.index(letter) for letter in "ABCD")
_OTHER = SECTIONS.index("other")


def only_metre(data: MidiData) -> tuple[int, int] | None:
    """The metre of a piece; None if it changes or begins after the piece does."""
    metres = {(each.numerator, each.denominator) for each in data.time_signatures} or {(4, 4)}
    begins = not data.time_signatures or data.time_signatures[0].tick == 0 or metres == {(4, 4)}
    return metres.pop() if len(metres) == 1 and begins else None


def estimate_plan(data: MidiData) -> Plan | None:
    """The plan of a piece; None without a pitched note, where the metre changes, or if it has more than 512 bars.

    The chord of a half bar is that of `estimate_chords`, reduced to what a plan knows. Sections: see
    `estimate_sections`.

    Example:
        >>> notes = [Note(960 * i, 960 * i + 960, pitch, 80) for i, pitch in enumerate((57, 60, 64, 65, 69, 60))]
        >>> str(estimate_plan(MidiData(notes)))
        'other: Am Am F'
    """
    metre = only_metre(data)
    if metre is None:
        return None
    half = bar_length(metre) * data.ticks_per_beat / 2
    windows = estimate_chords(data)
    end_ticks = int(data.notes[~data.notes.is_drum].end_ticks.max(initial=0))
    num_bars = -(-end_ticks // (2 * half))
    if not windows or 2 * num_bars > MAX_PLAN_HALF_BARS:
        return None
    starts = np.array([tick for tick, _ in windows])
    middles = [float(half * (2 * index + 1) / 2) for index in range(2 * int(num_bars))]
    places = np.searchsorted(starts, middles, "right") - 1
    chords = [number_of_chord(windows[max(place, 0)][1]) for place in places.tolist()]
    sections = [SAME_SECTION] * len(chords)
    for bar, section in estimate_sections(data):
        if 2 * bar < len(sections):
            sections[2 * bar] = section
    return Plan.from_half_bars(sections, chords)


def estimate_sections(data: MidiData) -> list[tuple[int, int]]:
    """The bars at which sections begin, and the index of each: A, B, C and D, or "other". The metre must not change.

    The piece is cut into phrases of 16, 8 or 4 bars, from its first bar or one of the next. Two phrases are the same
    section if, bar by bar, 60 % of their notes (of pitch and place in the bar) are the same. The cut by which most
    bars come again, and most exactly, is taken; of those that find nearly as many, the one with the longest phrases.
    A section that comes again has a letter, and phrases between that do not are together one section with a letter.
    What is left over at the beginning and the end, and a fifth letter, is "other". Where less than 30 % of the bars
    come again, the whole piece is "other".
    """
    alike = _likeness(data)
    num_bars = len(alike)
    best: dict[int, tuple[int, float, int]] = {}  # of a phrase: bars that come again, how exactly, less where it begins
    for phrase in PHRASES:
        sums = _sums_along(alike, phrase) / phrase
        for offset in range(min(phrase, max(0, num_bars - 2 * phrase + 1))):
            likest = sums[offset::phrase, offset::phrase].copy()
            np.fill_diagonal(likest, 0)
            likest = likest.max(1)
            repeated = likest[likest >= ALIKE]
            found = (phrase * len(repeated), round(float(repeated.sum()), 3), -offset)
            best[phrase] = max(best.get(phrase, found), found)
    most = max((repeated for repeated, *_ in best.values()), default=0)
    if most < LEAST_REPEATED * num_bars or most == 0:
        return [(0, _OTHER)]
    phrase = next(phrase for phrase in PHRASES if best.get(phrase, (0, 0.0, 0))[0] >= NEARLY_AS_MUCH * most)
    offset = -best[phrase][2]
    same = _sums_along(alike, phrase)[offset::phrase, offset::phrase] / phrase >= ALIKE
    return _lettered(same, phrase, offset, num_bars)


def _lettered(same: np.ndarray, phrase: int, offset: int, num_bars: int) -> list[tuple[int, int]]:
    np.fill_diagonal(same, False)
    first_like = [int(np.flatnonzero(row[:place])[0]) if row[:place].any() else place for place, row in enumerate(same)]
    begins: list[tuple[int, int]] = [(0, _OTHER)] if offset else []
    letter_of: dict[int, int] = {}
    num_letters, was_single = 0, False
    for place, first in enumerate(first_like):
        while first_like[first] != first:  # like one that is like another
            first = first_like[first]
        is_single = not same[place].any()
        if not (is_single and was_single):
            if first not in letter_of:
                letter_of[first] = _LETTERS[num_letters] if num_letters < len(_LETTERS) else _OTHER
                num_letters += 1
            begins.append((offset + place * phrase, letter_of[first]))
        was_single = is_single
    end = offset + len(same) * phrase
    if end < num_bars and not was_single:
        begins.append((end, _OTHER))
    return begins


def _likeness(data: MidiData) -> np.ndarray:
    """Of each two bars the share of their notes that they have in common, (num_bars, num_bars)."""
    metre = only_metre(data)
    assert metre is not None, "the metre changes"
    notes = data.notes[~data.notes.is_drum]
    if not len(notes):
        return np.zeros((0, 0))
    step = Fraction(data.ticks_per_beat, STEPS_PER_BEAT)
    starts = notes.start_ticks.astype(np.int64)
    steps = (2 * starts * step.denominator + step.numerator) // (2 * step.numerator)
    bar_steps = max(1, int(bar_length(metre) * STEPS_PER_BEAT))
    bars, places = steps // bar_steps, steps % bar_steps
    num_bars = int(bars.max()) + 1
    if num_bars > MAX_PLAN_HALF_BARS // 2:
        return np.zeros((0, 0))
    _, columns = np.unique(places * 128 + notes.pitch, return_inverse=True)
    table = np.zeros((num_bars, int(columns.max()) + 1), np.float32)
    table[bars, columns] = 1
    counts = table.sum(1)
    return 2 * (table @ table.T) / np.maximum(counts[:, None] + counts, 1)  # type: ignore[no-any-return]


def _sums_along(alike: np.ndarray, length: int) -> np.ndarray:
    """The sums of so many numbers along the diagonals; a power of two."""
    sums, so_far = alike, 1
    while so_far < length:
        sums = sums[:-so_far, :-so_far] + sums[so_far:, so_far:]
        so_far *= 2
    return sums
