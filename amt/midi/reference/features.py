"""State features in plain Python: what is true of the music after each token. docs/features.md is the definition."""

from __future__ import annotations

import copy
import math
from typing import Literal, NamedTuple

from amt.midi.config import TokenizerConfig
from amt.midi.plan import MAX_PLAN_HALF_BARS
from amt.midi.reference.holes import HoleTrack
from amt.midi.vocabulary import (
    DRUMS,
    NUM_CHORDS,
    NUM_PITCHES,
    NUM_PROGRAMS,
    PAD_ID,
    SECTIONS,
    time_signature,
    vocabulary_of,
)

NUM_METRES = 80
NUM_BEATS, NUM_BARS, NUM_COUNTS = 32, 64, 33  # the last column of each stands for itself and all above it
NUM_BARS_LEFT = 25
LARGEST_NUMBER = 32767
NO_SECTION = len(SECTIONS)

Entry = tuple[int, int]  # column, number


class FeatureLayout:
    """Which columns each feature has, and what a model reads in them.

    Args:
        config: of the tokenizer; its preset must be "score".
        features: the names of those that there are, in the order of `FeatureLayout.NAMES`.

    Attributes:
        first: of each feature its first column; those that are left out are not in it.
        num_columns: how many columns there are.

    Raises:
        ValueError: a name is unknown, twice, or out of order; or the vocabulary has no programs and bars.
    """

    NAMES = (
        "step_in_beat", "beat_in_bar", "metre", "bar", "bars_left", "program", "velocity", "num_sounding",
        "program_notes", "program_ages", "programs_heard", "own_pitches", "own_ages", "pitches",
        "section", "chord", "next_chord", "section_left",
    )  # fmt: skip
    AGES = ("program_ages", "own_ages")
    RECENCIES = ("programs_heard",)

    def __init__(self, config: TokenizerConfig, features: tuple[str, ...] = NAMES):
        if config.preset != "score":
            raise ValueError(f'state features need the preset "score", got "{config.preset}"')
        unknown = [name for name in features if name not in self.NAMES]
        if unknown:
            raise ValueError(f"there is no state feature {unknown[0]!r}; there are {', '.join(self.NAMES)}")
        ordered = tuple(name for name in self.NAMES if name in features)
        if features != ordered:
            raise ValueError(f"state features must stand once each and in their order: {', '.join(ordered)}")
        self.config, self.features = config, features
        sizes = {
            "step_in_beat": config.steps_per_beat,
            "beat_in_bar": NUM_BEATS,
            "metre": NUM_METRES + 1,
            "bar": NUM_BARS,
            "bars_left": NUM_BARS_LEFT,
            "program": NUM_PROGRAMS + 1,
            "velocity": config.num_velocities + 1,
            "num_sounding": NUM_COUNTS,
            "program_notes": NUM_PROGRAMS,
            "program_ages": NUM_PROGRAMS,
            "programs_heard": NUM_PROGRAMS,
            "own_pitches": NUM_PITCHES,
            "own_ages": NUM_PITCHES,
            "pitches": NUM_PITCHES,
            "section": len(SECTIONS) + 1,
            "chord": NUM_CHORDS + 1,
            "next_chord": NUM_CHORDS + 1,
            "section_left": NUM_BARS_LEFT,
        }
        self.first: dict[str, int] = {}
        self.num_columns = 0
        for name in features:
            self.first[name] = self.num_columns
            self.num_columns += sizes[name]

    def feature(self, column: int) -> str:
        """The feature that a column belongs to."""
        return max((first, name) for name, first in self.first.items() if first <= column)[1]

    def value(self, column: int, number: int) -> float:
        """What a model reads for an entry; in single precision."""
        name = self.feature(column)
        if name not in self.AGES + self.RECENCIES:
            return float(number)
        age = math.log2(1 + 2 * number / self.config.steps_per_beat) / 2
        return age if name in self.AGES else 1 / (1 + age)


class ContextEvent(NamedTuple):
    """What a fill hears of its context: a note_on, a note_off or a time_signature, and its step."""

    step: int
    kind: str
    value: int
    program: int


class FeatureState:
    """What has been said so far, as far as the features tell of it. Takes any tokens of the vocabulary.

    Args:
        layout: which features there are.
        num_bars: how many bars the piece is to have; 0: unknown.
    """

    def __init__(self, layout: FeatureLayout, num_bars: int = 0):
        self.layout, self.num_bars = layout, num_bars
        self.events = vocabulary_of(layout.config).events
        self.now = 0
        self.bar = self.step_in_bar = 0
        self.bar_steps = 4 * layout.config.steps_per_beat
        self.metre = NUM_METRES  # none yet
        self.program = NUM_PROGRAMS  # none yet
        self.velocity = layout.config.num_velocities  # none yet
        self.sounding: dict[tuple[int, int], int] = {}  # (program, pitch): the step where it began; drums never sound
        self.heard: dict[int, int] = {}  # program: the step of its last note_on
        self.edit: Literal["context", "fill"] | None = None  # which part of an edit this is, if it is one
        self.holes = HoleTrack()
        self.context: list[ContextEvent] = []  # its notes, and all time signatures
        self.num_heard = 0  # events of the context up to now, in a fill
        self.context_sounding: set[tuple[int, int]] = set()  # (program, pitch) of the context, in a fill
        self.fill_end = 0  # of the part that is being filled
        self.has_begun = False  # the music: no plan may come any more
        # Of each chord: the half bar of its end, the section, whether it begins that, its number.
        self.plan: tuple[tuple[int, int, bool, int], ...] = ()
        self.section, self.begins_section = NO_SECTION, False  # the last one that was said
        self.half_bars = 0  # that the next chord of the plan lasts
        self.plan_bar_steps = self.bar_steps  # of the bars that the plan counts in
        self.place = 0  # in `plan`, of the chord in force

    def copy(self) -> FeatureState:
        """A state that goes its own way."""
        other = copy.copy(self)
        other.sounding, other.heard = dict(self.sounding), dict(self.heard)
        other.holes, other.context = self.holes.copy(), list(self.context)
        other.context_sounding = set(self.context_sounding)
        return other

    @property
    def num_bars_begun(self) -> int:
        """How many bars have begun, but one that has lasted for no time yet."""
        return self.bar + (self.step_in_bar > 0)

    @property
    def own_program(self) -> int:
        """The program in force, 0 before the first."""
        return 0 if self.program == NUM_PROGRAMS else self.program

    def advance(self, token_id: int) -> None:
        """Take the next token."""
        kind, value = self.events[token_id]
        if kind in ("section", "bars", "chord"):
            self._take_plan(kind, value)
            return
        self.has_begun |= kind not in ("pad", "bos", "eos", "time_signature", "tempo")
        note = self.own_program, value
        if kind == "note_on":
            self.heard[self.own_program] = self.now
            if self.own_program != DRUMS:
                self.sounding[note] = self.now
        elif kind == "note_off":
            self.sounding.pop(note, None)
        elif kind == "time_shift":
            self._shift(min(value, self.fill_end - self.now) if self.edit == "fill" else value)
        elif kind == "velocity":
            self.velocity = value
        elif kind == "program":
            self.program = value
        elif kind == "time_signature" and self.edit != "fill":
            self._begin_metre(value)
        elif kind == "edit":
            self.edit = self.edit or "context"
        elif kind == "hole" and self.edit == "context":
            self.holes.take(self.now, value, self.own_program)
        elif kind == "fill" and self.edit is not None:
            self._begin_part()
        is_heard = self.edit == "context" and kind in ("note_on", "note_off")
        if is_heard or (kind == "time_signature" and self.edit != "fill"):
            self.context.append(ContextEvent(self.now, kind, value, self.own_program))

    def _shift(self, steps: int) -> None:
        """Let time pass; in a fill, the context goes by."""
        end = self.now + steps
        while self.edit == "fill" and self.num_heard < len(self.context) and self.context[self.num_heard].step <= end:
            step, kind, value, program = self.context[self.num_heard]
            self._move(step - self.now)
            self.num_heard += 1
            if kind == "time_signature":
                self._begin_metre(value)
                continue
            if kind == "note_on":
                self.heard[program] = step
            if program != DRUMS:
                (self.context_sounding.add if kind == "note_on" else self.context_sounding.discard)((program, value))
        self._move(end - self.now)

    def _move(self, steps: int) -> None:
        self.now += steps
        bars, self.step_in_bar = divmod(self.step_in_bar + steps, self.bar_steps)
        self.bar += bars
        while self.place < len(self.plan) and self.plan[self.place][0] <= self._half_bar():
            self.place += 1

    def _begin_metre(self, index: int) -> None:
        """A metre begins a bar, even inside of one."""
        self.bar, self.step_in_bar = self.num_bars_begun, 0
        self.metre = index
        numerator, denominator = time_signature(index)
        self.bar_steps = max(1, 4 * self.layout.config.steps_per_beat * numerator // denominator)

    def _begin_part(self) -> None:
        """Go to where the next part of a fill begins, and take up the context there."""
        if self.edit == "context":
            self.holes.close(self.now)
        interval = self.holes.next_interval(self.fill_end)
        if interval is None:
            return
        start, self.fill_end = interval
        if self.edit == "context":
            self.edit = "fill"
            self.now = self.bar = self.step_in_bar = self.place = 0
            self.bar_steps = 4 * self.layout.config.steps_per_beat
            self.metre = NUM_METRES
            self.heard = {}
        # How many bars the music has up to the part's end: the same way as the part itself goes.
        self._shift(start - self.now)
        there = self.copy()
        there._shift(self.fill_end - there.now)
        self.num_bars = there.num_bars_begun
        self.program, self.velocity = NUM_PROGRAMS, self.layout.config.num_velocities
        self.sounding = {}

    def _take_plan(self, kind: str, value: int) -> None:
        if self.has_begun:
            return
        planned = self.planned_half_bars
        if kind == "bars":
            self.half_bars = value
        elif kind == "section":
            self.section, self.begins_section = value, True
        elif self.section != NO_SECTION and 0 < self.half_bars <= MAX_PLAN_HALF_BARS - planned:
            if not self.plan:
                self.plan_bar_steps = self.bar_steps
            self.plan += ((planned + self.half_bars, self.section, self.begins_section, value),)
            self.begins_section = False

    @property
    def planned_half_bars(self) -> int:
        """How long the plan is."""
        return self.plan[-1][0] if self.plan else 0

    def _half_bar(self) -> int:
        return 2 * self.now // self.plan_bar_steps

    def _planned(self) -> tuple[int, int, int, int]:
        """The columns of section, chord, next chord and the bars that are left in the section."""
        if not self.has_begun:
            return self.section, self.plan[-1][3] if self.plan else NUM_CHORDS, NUM_CHORDS, 0
        if self.place == len(self.plan):
            return NO_SECTION, NUM_CHORDS, NUM_CHORDS, 0
        end, section, _, chord = self.plan[self.place]
        rest = self.plan[self.place + 1 :]
        for other_end, _, begins_section, _ in rest:
            if begins_section:
                break
            end = other_end
        return section, chord, rest[0][3] if rest else NUM_CHORDS, _left_column((end - self._half_bar() + 1) // 2)

    def entries(self) -> list[Entry]:
        """The features of the last token: (column, number), by ascending column."""
        section, chord, next_chord, section_left = self._planned()
        found: dict[str, dict[int, int]] = {
            "step_in_beat": {self.step_in_bar % self.layout.config.steps_per_beat: 1},
            "beat_in_bar": {min(self.step_in_bar // self.layout.config.steps_per_beat, NUM_BEATS - 1): 1},
            "metre": {self.metre: 1},
            "bar": {min(self._bar(), NUM_BARS - 1): 1},
            "bars_left": {self._bars_left(): 1},
            "program": {self.program: 1},
            "velocity": {self.velocity: 1},
            "num_sounding": {min(len(self.sounding), NUM_COUNTS - 1): 1},
            "program_notes": {},
            "program_ages": {},
            "programs_heard": {program: self._age(step) for program, step in self.heard.items()},
            "own_pitches": {},
            "own_ages": {},
            "pitches": {},
            "section": {section: 1},
            "chord": {chord: 1},
            "next_chord": {next_chord: 1},
            "section_left": {section_left: 1},
        }
        for (program, pitch), start in self.sounding.items():
            found["program_notes"][program] = found["program_notes"].get(program, 0) + 1
            found["program_ages"][program] = max(found["program_ages"].get(program, 0), self._age(start))
            found["pitches"][pitch] = found["pitches"].get(pitch, 0) + 1
            if program == self.own_program:
                found["own_pitches"][pitch] = 1
                found["own_ages"][pitch] = self._age(start)
        for _, pitch in self.context_sounding:
            found["pitches"][pitch] = found["pitches"].get(pitch, 0) + 1
        return [
            (first + column, number)
            for name, first in self.layout.first.items()
            for column, number in sorted(found[name].items())
        ]

    def _age(self, start: int) -> int:
        return min(self.now - start, LARGEST_NUMBER)

    def _bar(self) -> int:
        """The bar; while the plan is written, that which it has come to."""
        return self.bar if self.has_begun else self.planned_half_bars // 2

    def _bars_left(self) -> int:
        return 0 if self.num_bars <= 0 else _left_column(self.num_bars - self._bar())


def _left_column(bars: int) -> int:
    """The column for so many bars that are left."""
    if bars <= 16:
        return max(bars, 0) + 1
    limits = (24, 32, 48, 64, 96, 128)
    return 18 + sum(bars > limit for limit in limits)


def feature_rows(
    layout: FeatureLayout, rows: list[list[int]], num_bars: list[int]
) -> list[tuple[list[list[Entry]], list[int]]]:
    """Of each row the entries of every token, and the step after it. A pad has no entries."""
    found = []
    for row, bars in zip(rows, num_bars, strict=True):
        state = FeatureState(layout, bars)
        entries, times = [], []
        for token_id in row:
            state.advance(token_id)
            entries.append([] if token_id == PAD_ID else state.entries())
            times.append(state.now)
        found.append((entries, times))
    return found
