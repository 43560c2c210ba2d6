"""The form and the chords that are usual in the style a text names, as a plan for the model to follow.

The rules of `amt.arranger` decide key, tempo, metre, sections and chords, as they do for music by rule; the model
writes the notes. docs/generation.md, "Form and chords".
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re

from amt.arranger.library import styles
from amt.arranger.plan import Plan as Planned
from amt.arranger.plan import Wanted, plan
from amt.arranger.style import Style
from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.plan import SAME_SECTION, Plan
from amt.midi.plan_columns import plan_of_columns
from amt.midi.reference.encode import plan_ids
from amt.midi.theory import Key, parse_key
from amt.midi.vocabulary import vocabulary_of
from amt.request.limits import Limits
from amt.request.plans import form_lengths
from amt.request.reading import Reading, read
from amt.request.target import Target

NUM_TRIES = 16  # for a mode that the text implies
SHARE = 1 / 4  # of what a model reads that a plan may be: the rest is for the notes
FEWEST_BARS = 4  # that have a form
STYLE_OF_FORMS = "pop"  # whose chords a form gets that no style is named for
_NAMES_OF_STYLES = {"pre-chorus": "pre", "other": "verse"}  # of sections
TEMPO_AROUND = (0.94, 1.03)  # of the usual tempo: what a piece may slow down to, and its bins


@dataclasses.dataclass(frozen=True)
class UsualPlan:
    """What is decided before the notes.

    Attributes:
        plan: sections and chords, in the key of the piece.
        key: of the piece.
        tempo: quarter notes a minute.
        time_signature: like "3/4".
    """

    plan: Plan
    key: Key
    tempo: float
    time_signature: str

    def limited(self, limits: Limits) -> Limits:
        """The limits with what is decided; a length in seconds stays one."""
        tempo: float | tuple[float, float] = self.tempo
        bars = limits.bars
        if limits.duration is None:
            bars = (self.plan.half_bars + 1) // 2
            if not isinstance(limits.tempo, (int, float)):
                tempo = (TEMPO_AROUND[0] * self.tempo, TEMPO_AROUND[1] * self.tempo)
        return dataclasses.replace(limits, tempo=tempo, time_signature=self.time_signature, bars=bars)

    def planned(self, constraints: Constraints) -> Constraints:
        """The constraints with the plan, which then is given."""
        sections, chords = [], []
        for section, chord, half_bars in self.plan.rows:
            sections += [section, *[SAME_SECTION] * (half_bars - 1)]
            chords += [chord] * half_bars
        return dataclasses.replace(constraints, plan_sections=tuple(sections), plan_chords=tuple(chords))


@functools.lru_cache(maxsize=1)
def _styles_as_read() -> dict[str, list[tuple[str, Style]]]:
    """By what a reading calls them the names of the styles that there are rules for, each with its style."""
    found: dict[str, list[tuple[str, Style]]] = {}
    for style in styles().values():
        for name in (style.name, *style.names) if style.parts else ():
            for said in read(name).styles[:1]:
                found.setdefault(said.value, []).append((name.lower(), style))
    return found


def style_of(reading: Reading, seed: int) -> Style | None:
    """The style that a text names, if there are rules for it: the one of the longest name in it, else a drawn one."""
    for said in reading.styles:
        named = _styles_as_read().get(said.value)
        if named is None:
            continue
        text = reading.english.lower()
        there = [(name, style) for name, style in named if re.search(rf"\b{re.escape(name)}\b", text)]
        if there:
            return max(there, key=lambda each: len(each[0]))[1]
        return named[seed % len(named)][1]
    return None


def _for_form(reading: Reading) -> Style:
    """Where a form is asked for and no style: one whose name is in the text, such as an ensemble's, or else pop."""
    named = [name for name in styles() if re.search(rf"\b{re.escape(name)}\b", reading.english)]
    return styles()[max(named, key=len, default=STYLE_OF_FORMS)]


def usual_plan(
    reading: Reading, limits: Limits, target: Target, seed: int, config: TokenizerConfig, room: int
) -> UsualPlan | None:
    """The plan for a piece; None where the text names no style that there are rules for, or they do not fit it.

    Args:
        limits: of the call and of the words.
        target: how long the piece shall be.
        seed: decides among what is usual.
        config: of the model's tokens.
        room: for so many tokens.
    """
    style = style_of(reading, seed)
    if style is None and limits.form is not None:
        style = _for_form(reading)
    if style is None or (target.bars is not None and target.bars < FEWEST_BARS):
        return None
    key = parse_key(limits.key) if limits.key is not None else None if reading.key is None else reading.key.value
    if limits.time_signature not in (None, *style.metres) or (key is not None and key.mode not in style.harmony):
        return None
    wanted = Wanted(key=key, bars=target.bars, seconds=target.seconds, metre=limits.time_signature)
    for attempt in range(NUM_TRIES):
        planned = _in_tempo(style, seed + attempt, wanted, limits, config)
        if limits.form is not None:
            planned = _in_form(planned, limits, config)
        if key is None and reading.implied_mode not in (None, "minor" if planned.key.is_minor else "major"):
            continue
        decided = plan_of_columns(planned.section_column, planned.chord_column)
        if decided is None or len(plan_ids(decided, vocabulary_of(config))) > SHARE * room:
            return None
        return UsualPlan(decided, planned.key, planned.quarter_bpm, planned.metre.name)
    return None


def _in_form(planned: Planned, limits: Limits, config: TokenizerConfig) -> Planned:
    """What the style decides for the form that is asked for, in as many bars."""
    lengths = form_lengths(limits.form or "", planned.bars, is_exact=limits.bars is not None)
    *before, (name, bars) = ((_NAMES_OF_STYLES.get(name, name), bars) for name, bars in lengths)
    form = (*before, (name, max(1, bars - 1)))  # the last bar is that of the last chord
    tempo_bpm = planned.quarter_bpm / planned.metre.beat_quarters
    wanted = Wanted(key=planned.key, metre=planned.metre.name, tempo_bpm=tempo_bpm, form=form)
    return plan(planned.style, planned.seed, wanted)


def _in_tempo(style: Style, seed: int, wanted: Wanted, limits: Limits, config: TokenizerConfig) -> Planned:
    """What the style decides, with a tempo that is asked for in quarter notes a minute.

    Where a length in seconds is asked for, too, and no exact tempo, the tempo is one that tokens have.
    """
    planned = plan(style, seed, wanted)
    asked = limits.tempo
    low, high = (0.0, math.inf) if asked is None else asked if isinstance(asked, (tuple, list)) else (asked, asked)
    bpm = min(max(planned.quarter_bpm, low), high)
    if limits.duration is not None and low < high:
        marks = [mark for mark in config.tempos_bpm if low <= mark <= high] or config.tempos_bpm
        bpm = min(marks, key=lambda mark: abs(mark - bpm))
    if asked is None and bpm == planned.quarter_bpm:
        return planned
    tempo_bpm = bpm / planned.metre.beat_quarters
    return plan(style, seed, dataclasses.replace(wanted, metre=planned.metre.name, tempo_bpm=tempo_bpm))
