"""Whether pieces have what arguments ask for: chords bar by bar, a length with an ending, a form that returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.evaluation.prompts import chords_fit
from amt.evaluation.rows import Row, row
from amt.midi.data import MidiData
from amt.midi.facts import measure
from amt.midi.metres import bar_length
from amt.midi.plan import Plan
from amt.midi.plan_columns import plan_of_columns
from amt.midi.sanity import bar_contents, final_bass
from amt.midi.theory import parse_key

if TYPE_CHECKING:
    from amt.generation.piece import Piece
    from amt.models.opened import OpenedModel

TEXTS = (
    "pop song with piano, bass and drums", "rock song with guitar, bass and drums", "a calm piano piece",
    "jazz trio with piano, double bass and drums", "folk song for guitar and flute", "string quartet",
    "synthwave with pads, synth bass and drums", "bossa nova with nylon guitar and bass",
)  # fmt: skip
# Of triads, one a bar, as songs have them; some stand in other keys than C major and A minor.
PROGRESSIONS = (
    "C Am F G", "C G Am F", "Am F C G", "F G C Am", "C F G C", "Dm G C F", "Em C G D", "G D Em C", "D A Bm G",
    "A E D A", "Am G F E", "Dm Bb C Dm", "Em D C D", "Cm Ab Eb Bb", "Gm Eb Bb F", "Bb F Gm Eb", "E B A B", "F Dm Bb C",
    "Eb Bb Cm Ab", "G C G D",
)  # fmt: skip
KEYS = ("C major", "A minor", "G major", "E minor", "F major", "D minor", "D major", "C minor")
SECONDS = (10, 15, 20, 30, 45, 60, 75, 90, 105, 120, 135, 150, 165, 180, 210, 240)
FORMS = ("verse chorus verse chorus", "AABA", "intro verse chorus verse chorus outro", "ABAB")
FORM_SECONDS = (120, 140, 160, 180)

LENGTH_TOLERANCE = 0.1
LIKE = 0.4  # share of the top line that two bars have in common
RETURNING = 0.5  # share of the bars of a section that come again


def evaluate_asked(
    opened: OpenedModel,
    model: str,
    seed: int = 0,
    progress: Callable[[str, int], object] | None = None,
    **options: Any,
) -> list[Row]:
    """Write pieces for tables of chords, lengths and forms, and measure what came of it; docs/evaluation.md.

    Args:
        seed: of the first piece; each has the next one.
        options: of `amt.generate`.
    """
    from amt.api import generate

    seeds = iter(range(seed, seed + 1_000_000))

    def write(text: str, **asked: Any) -> Piece:
        piece: Piece = generate(text, model=opened, seed=next(seeds), **asked, **options)
        if progress is not None:
            progress("pieces", 1)
        return piece

    by_chords = [
        write(TEXTS[number % len(TEXTS)], chords=chords, bars=16, time_signature="4/4")
        for number, chords in enumerate(PROGRESSIONS)
    ]
    fits = [
        chords_fit(chords.split(), piece.music, measure(piece.music), lengths=(1.0,))
        for chords, piece in zip(PROGRESSIONS, by_chords, strict=True)
    ]
    by_length = [
        write(f"{TEXTS[number % len(TEXTS)]} in {KEYS[number % len(KEYS)]}", duration=seconds)
        for number, seconds in enumerate(SECONDS)
    ]
    kept = [length_is_kept(piece.music, seconds) for seconds, piece in zip(SECONDS, by_length, strict=True)]
    ends = [
        ends_on_tonic(piece.music, KEYS[number % len(KEYS)])
        for number, piece in enumerate(by_length)
        if not piece.notes.is_drum.all()
    ]
    by_form = [
        write(TEXTS[number % len(TEXTS)], form=form, duration=FORM_SECONDS[number % len(FORM_SECONDS)])
        for number, form in enumerate(FORMS * 4)
    ]
    returns = [returning_share(piece.music) >= RETURNING for piece in by_form if piece.plan is not None]
    rows = [
        row("asked_chords_fit", fits, "asked", model),
        row("asked_length_kept", kept, "asked", model),
        row("asked_ends_on_tonic", ends, "asked", model),
        row("asked_form_returns", returns, "asked", model),
    ]
    return [found for found in rows if found is not None]


def evaluate_arranged(seed: int = 0, num: int = 2, progress: Callable[[str, int], object] | None = None) -> list[Row]:
    """The same of music by rule, whose key and form are known: what these figures can come to.

    Args:
        seed: of the first piece of each style.
        num: pieces of each style.
    """
    from amt.arranger.compose import compose
    from amt.arranger.library import styles

    ends, returns = [], []
    for style in styles().values():
        for number in range(num):
            piece = compose(style, seed + number)
            plan = plan_of_columns(piece.facts["sections"], piece.facts["chords"])
            if piece.facts["key"] is not None:
                ends.append(ends_on_tonic(piece.music, piece.facts["key"]))
            if plan is not None and len({section.name for section in plan.sections}) < len(plan.sections):
                returns.append(returning_share(piece.music.replace(plan=plan)) >= RETURNING)
            if progress is not None:
                progress("pieces", 1)
    rows = [
        row("asked_ends_on_tonic", ends, "asked", "arranged"),
        row("asked_form_returns", returns, "asked", "arranged"),
    ]
    return [found for found in rows if found is not None]


def length_is_kept(music: MidiData, seconds: float) -> bool:
    """Whether music lasts so long, within 10 % or one bar."""
    facts = measure(music)
    bar = float(bar_length(facts.time_signature)) * 60 / facts.tempo_bpm
    return bool(len(music.notes)) and abs(facts.duration_s - seconds) <= max(LENGTH_TOLERANCE * seconds, bar)


def ends_on_tonic(music: MidiData, key: str) -> bool:
    """Whether the lowest note that sounds at the end is the tonic of a key like "D minor"."""
    asked = parse_key(key)
    return asked is not None and final_bass(music) == asked.tonic


def returning_share(music: MidiData) -> float:
    """The largest share of the bars of a section of the plan that come again where its name does; 0 if none does.

    A bar comes again if the chords of the plan are the same, and the top lines have 0.4 of their notes in common.
    """
    if music.plan is None:
        return 0.0
    lines = [top_line(bar) for bar in bar_contents(music)]
    chords = [bar for section in music.plan.sections for bar in section.bar_names]
    shares = [0.0]
    for first, second in _returns(music.plan):
        pairs = [(a, b) for a, b in zip(first, second, strict=False) if max(a, b) < min(len(lines), len(chords))]
        alike = [chords[a] == chords[b] and _likeness(lines[a], lines[b]) >= LIKE for a, b in pairs]
        if len(alike) > 1:
            shares.append(float(np.mean(alike)))
    return max(shares)


def top_line(bar: frozenset[tuple[int, int, int]]) -> frozenset[tuple[int, int]]:
    """The highest pitch at each place of a bar."""
    highest: dict[int, int] = {}
    for place, pitch, program in bar:
        if program < 128:
            highest[place] = max(pitch, highest.get(place, -1))
    return frozenset(highest.items())


def _likeness(first: frozenset[tuple[int, int]], second: frozenset[tuple[int, int]]) -> float:
    together = first | second
    return len(first & second) / len(together) if together else 0.0


def _returns(plan: Plan) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """The bars of two sections of one name."""
    bars = []
    for section, start in zip(plan.sections, plan.starts, strict=True):
        bars.append((section.name, range(math.ceil(start / 2), (start + section.half_bars) // 2)))
    for number, (name, first) in enumerate(bars):
        for other, second in bars[number + 1 :]:
            if other == name:
                yield first, second
