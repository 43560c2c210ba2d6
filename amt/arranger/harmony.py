"""The chords of a piece, section by section, from the phrases of its style or from the user."""

from __future__ import annotations

import random
from collections.abc import Sequence

from amt.arranger.chords import Chord, numeral_chord
from amt.arranger.form import HARMONY_FALLBACKS, Section
from amt.arranger.metre import Metre
from amt.arranger.style import HarmonySpec

CELL = 12  # chords begin at multiples of so many steps


class Harmony:
    """The chords of one section.

    Attributes:
        bars: the chords of each bar.
        changes: (start, end, chord) in steps of the section; the last one is the chord that follows the section.
        next: the chord that follows.
    """

    def __init__(self, bars: Sequence[tuple[Chord, ...]], metre: Metre, following: Chord):
        self.bars = tuple(bars)
        self.next = following
        self.steps = len(bars) * metre.bar
        rows: list[tuple[int, Chord]] = []
        for number, chords in enumerate(bars):
            for place, chord in zip(metre.chord_places(len(chords)), chords, strict=True):
                if not rows or rows[-1][1] is not chord or place == 0:
                    rows.append((number * metre.bar + place, chord))
        rows.append((self.steps, following))
        ends = [start for start, _ in rows[1:]] + [self.steps + metre.bar]
        self.changes = [(start, end, chord) for (start, chord), end in zip(rows, ends, strict=True)]
        self._index: list[int] = []
        for number, (start, end, _) in enumerate(self.changes):
            self._index += [number] * ((end - start) // CELL)

    def index(self, step: int) -> int:
        """Which of `changes` is in force at a step."""
        return self._index[min(max(step, 0) // CELL, len(self._index) - 1)]

    def at(self, step: int) -> Chord:
        """The chord in force at a step."""
        return self.changes[self.index(step)][2]


Bars = list[tuple[Chord, ...]]


def plan_harmony(
    spec: HarmonySpec,
    sections: Sequence[Section],
    tonic: int,
    turnaround: float,
    rng: random.Random,
    given: Sequence[tuple[Chord, ...]] | None = None,
) -> tuple[list[Bars], Chord]:
    """The chords of each bar of each section, and the final chord.

    Sections of one name have one progression; what has none of its own borrows that of a kindred section.

    Args:
        turnaround: how often the last bar of a section leads on with a dominant.
        given: chords of bars that the user wants, one after the other, again and again.
    """
    final = numeral_chord(rng.choice(spec.end), tonic)
    if given:
        place = 0
        rows: list[Bars] = []
        for section in sections:
            rows.append([given[(place + bar) % len(given)] for bar in range(section.bars)])
            place += section.bars
        return rows, given[0][:1][0]
    present = {section.name for section in sections}
    banks: dict[tuple[str, int], Bars] = {}
    planned: list[Bars] = []
    for number, section in enumerate(sections):
        source = _source(section.name, spec, present)
        length = max(each.bars for each in sections if _source(each.name, spec, present) == source)
        if (source, length) not in banks:
            banks[source, length] = phrase(spec, source, length, tonic, rng)
        bank = banks[source, length]
        chosen = [bank[bar % len(bank)] for bar in range(section.bars)]
        following = sections[number + 1].name if number + 1 < len(sections) else "end"
        if section.bars >= 4 and following != section.name and "D" in spec.symbols and rng.random() < turnaround:
            dominant = numeral_chord(rng.choice(spec.symbols["D"]), tonic)
            last = chosen[-1]
            chosen[-1] = (dominant,) if len(last) == 1 else (*last[:-1], dominant)
        planned.append(chosen)
    return planned, final


def _source(name: str, spec: HarmonySpec, present: set[str]) -> str:
    """The section whose chords a section has: itself, if the style has phrases for it or nothing akin is played."""
    if name in spec.phrases:
        return name
    source = name
    while source in HARMONY_FALLBACKS:
        source = HARMONY_FALLBACKS[source]
        if source in present:
            return source
    return name


def phrase(spec: HarmonySpec, section: str, bars: int, tonic: int, rng: random.Random) -> Bars:
    """A progression of so many bars: a phrase of the style, again with another ending until it is long enough."""
    pool = spec.phrases.get(section) or spec.phrases["main"]
    fitting = [text for text in pool if len(text.split()) == bars] or pool
    text = rng.choice(fitting if rng.random() < 0.6 else pool).split()
    if len(text) > bars:
        text = [*text[: bars - 1], text[-1]]
    first = [_expanded(token, spec, rng) for token in text]
    made: list[list[str]] = []
    while len(made) < bars:
        again = list(first)
        if made and len(text) <= 4 and rng.random() < 0.45 and "D" in spec.symbols:
            again[-1] = [rng.choice(spec.symbols["D"])]
            if "S" in spec.symbols and len(again) > 2 and rng.random() < 0.4:
                again[-2] = [rng.choice(spec.symbols["S"])]
        made += again
    return [tuple(numeral_chord(word, tonic) for word in words) for words in made[:bars]]


def _expanded(token: str, spec: HarmonySpec, rng: random.Random) -> list[str]:
    return [rng.choice(spec.symbols[word]) if word in spec.symbols else word for word in token.split("/")]
