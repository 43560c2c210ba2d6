"""What is decided of a piece before its first note: metre, tempo, key, form, chords, players."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from amt.arranger.casting import cast, cast_for
from amt.arranger.chords import Chord
from amt.arranger.form import MAX_BARS, Section, fitted, in_a_row
from amt.arranger.harmony import plan_harmony
from amt.arranger.metre import Metre, metre
from amt.arranger.stage import Player
from amt.arranger.style import Style
from amt.midi.theory import Key


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the caller of `compose` has fixed; None leaves it to the style.

    Args:
        key: in a mode of the style.
        tempo_bpm: of the beat that the metre counts.
        bars: in all, the last chord's bar included.
        seconds: length, about.
        chords: of bars, again and again.
        programs: General MIDI programs, 128 for drums; no others play.
        form: names of sections and their bars, without that of the last chord; they go before `bars` and `seconds`.
    """

    key: Key | None = None
    tempo_bpm: float | None = None
    metre: str | None = None
    bars: int | None = None
    seconds: float | None = None
    chords: tuple[tuple[Chord, ...], ...] | None = None
    programs: tuple[int, ...] | None = None
    form: tuple[tuple[str, int], ...] | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is decided before the first note."""

    style: Style
    seed: int
    metre: Metre
    key: Key
    tempo_bpm: float
    sections: tuple[Section, ...]
    progression: tuple[tuple[tuple[Chord, ...], ...], ...]
    final: Chord
    players: tuple[Player, ...]
    has_drums: bool

    @property
    def bars(self) -> int:
        """All bars, that of the last chord included."""
        return self.sections[-1].end + 1

    @property
    def quarter_bpm(self) -> float:
        """Quarter notes a minute."""
        return self.tempo_bpm * self.metre.beat_quarters

    @property
    def section_column(self) -> list[list[Any]]:
        """The sections as a table says them: [name, first bar from 1, bars]."""
        return [[section.name, section.start + 1, section.bars] for section in self.sections]

    @property
    def chord_column(self) -> list[str]:
        """The chords of each bar in words, the last one's included."""
        bars = (bar for row in self.progression for bar in row)
        names = [" ".join(chord.symbol.name_in(self.key) for chord in bar) for bar in bars]
        return [*names, self.final.symbol.name_in(self.key)]


def draw(weights: dict[str, float], rng: random.Random) -> str:
    """One of the names, by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def _tempo(style: Style, rng: random.Random) -> int:
    low, high = round(style.tempo[0]), round(style.tempo[1])
    round_ones = [bpm for bpm in range(low, high + 1) if bpm % 5 == 0 or bpm % 4 == 0]
    return rng.choice(round_ones) if round_ones and rng.random() < 0.7 else rng.randint(low, high)


# How long pieces are: (share, shortest, longest) in seconds; the rest takes its form whole.
_LENGTHS = ((0.3, 12.0, 40.0), (0.4, 40.0, 100.0))
MIN_SECONDS, MAX_SECONDS = 12.0, 300.0
MIN_BARS = 12  # or the whole form


def plan(style: Style, seed: int, wanted: Wanted) -> Plan:
    """Decide on everything but the notes."""
    rng = random.Random(f"{style.name}/{style.substyle}/{seed}")
    if style.substyles:
        options = [style, *style.substyles]
        style = rng.choices(options, [option.weight for option in options])[0]
    beat = metre(wanted.metre or draw(style.metres, rng))
    tempo_bpm: float = _tempo(style, rng)
    if wanted.tempo_bpm is not None:
        tempo_bpm = wanted.tempo_bpm
    tonic, mode = rng.choice(style.tonics), draw(style.modes, rng)
    key = wanted.key or Key(tonic, mode)
    form = rng.choice(style.forms)
    bar_seconds = beat.bar / 24 * 60 / (tempo_bpm * beat.beat_quarters)
    bars = wanted.bars
    if bars is None and wanted.seconds is not None:
        bars = max(2, round(wanted.seconds / bar_seconds))
    if bars is None:
        bars = _usual_bars(form, bar_seconds, rng)
    if wanted.form is not None:
        sections = in_a_row(wanted.form)
    elif wanted.bars is not None or wanted.seconds is not None:
        sections = fitted(form, bars - 1, is_exact=True)
    else:
        sections = fitted(form, bars, is_exact=False)
        if sections[-1].end * bar_seconds < MIN_SECONDS:
            sections = fitted(form, bars, is_exact=True)
        last = sections[-1]
        sections = (*sections[:-1], dataclasses.replace(last, bars=max(1, last.bars - 1)))  # the last chord has a bar
    spec = style.harmony.get(key.mode) or next(iter(style.harmony.values()))  # with given chords any mode will do
    rows, final = plan_harmony(spec, sections, key.tonic, style.turnaround, rng, wanted.chords)
    players, has_drums = cast(style, rng) if wanted.programs is None else cast_for(style, wanted.programs)
    return Plan(
        style=style,
        seed=seed,
        metre=beat,
        key=key,
        tempo_bpm=tempo_bpm,
        sections=sections,
        progression=tuple(tuple(row) for row in rows),
        final=final,
        players=tuple(players),
        has_drums=has_drums,
    )


def _usual_bars(form: Sequence[Section], bar_seconds: float, rng: random.Random) -> int:
    """How many bars a piece has: some are short, some as long as their form, none longer than five minutes."""
    whole = form[-1].end
    most = max(4, int(MAX_SECONDS / bar_seconds))
    share = rng.random()
    for chance, low, high in _LENGTHS:
        if share < chance:
            bars = rng.uniform(low, high) / bar_seconds
            step = 4 if bars > 8 else 2
            bars = max(step, round(bars / step) * step)
            while bars < MIN_BARS or bars * bar_seconds < MIN_SECONDS:
                bars += 2
            return min(bars, whole, most)
        share -= chance
    return min(whole, most, MAX_BARS)
