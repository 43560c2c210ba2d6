"""What the music may not do beyond being canonical, in the terms of tokens.

Its twin is `Constraints` in csrc/midi/grammar.h.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

from amt.config import check_range
from amt.midi.config import TokenizerConfig
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION
from amt.midi.vocabulary import DENOMINATORS, DRUMS, MAX_NUMERATOR, NUM_CHORDS, NUM_PITCHES, SECTIONS
from amt.named_values import named_values

MANY = (1 << 40) - 1
# With a longest note, so many notes sound at once at most.
MAX_TIMED_NOTES = 256
SCORE_ONLY = (
    "programs",
    "required_programs",
    "entry_by_step",
    "max_programs",
    "min_bars",
    "max_bars",
    "whole_bars",
    "tempo_index",
    "tempo_min_index",
    "tempo_max_index",
    "time_signature_index",
)
PLANS_ONLY = ("plan_sections", "plan_chords")  # need a vocabulary with plans


@dataclass(frozen=True)
class Constraints:
    """What the music may not do, and what it must do, beyond being canonical; None leaves it free.

    Args:
        max_polyphony: non-drum notes that may sound at once.
        max_voices: non-drum notes of one program that may sound at once, for each of the 129.
        max_top_run: how often in a row the highest non-drum note that begins at a step may have the same pitch; where a
            program has but one pitch, that is not limited.
        max_note_steps: the longest non-drum note, of all programs or for each of the 129; at most 256 notes then sound
            at once.
        min_steps, max_steps: the step at which everything has ended is not before and not after these.
        min_us, max_us: the same in microseconds of the tempos that the music has.
        min_bars, max_bars: how many bars have begun when everything has ended, of the time signatures that it has.
        whole_bars: what has not ended by itself ends at a bar line: the last one within all these, if there is one.
        max_rest_steps: steps that may pass without a sounding note or a new one.
        max_filler_tokens: tokens that may come without a `note_on`; `note_off` is not counted.
        programs: those that may play; 128 = drums.
        required_programs: those that have a note before the end.
        entry_by_step: the step by which these have begun.
        max_programs: how many programs play.
        pitch_classes: 0..11, of non-drum notes.
        min_pitch, max_pitch: for each of the 129 programs its lowest and highest pitch.
        tempo_index: of the header; no later change.
        tempo_min_index, tempo_max_index: what every tempo lies between, both ends included.
        time_signature_index: of the header; no later change.
        max_plan_half_bars: how long the plan is; 0: there is none.
        plan_sections: for each half bar of the plan the section that begins there, or -1 for none.
        plan_chords: for each half bar of the plan the number of its chord. With one of these two there is a plan, of
            just so many half bars; the other is free.
    """

    max_polyphony: int | None = None
    max_voices: tuple[int, ...] | None = None
    max_top_run: int | None = None
    max_note_steps: int | tuple[int, ...] | None = None
    min_steps: int | None = None
    max_steps: int | None = None
    min_us: int | None = None
    max_us: int | None = None
    min_bars: int | None = None
    max_bars: int | None = None
    whole_bars: bool | None = None
    max_rest_steps: int | None = None
    max_filler_tokens: int | None = None
    programs: tuple[int, ...] | None = None
    required_programs: tuple[int, ...] | None = None
    entry_by_step: int | None = None
    max_programs: int | None = None
    pitch_classes: tuple[int, ...] | None = None
    min_pitch: tuple[int, ...] | None = None
    max_pitch: tuple[int, ...] | None = None
    tempo_index: int | None = None
    tempo_min_index: int | None = None
    tempo_max_index: int | None = None
    time_signature_index: int | None = None
    max_plan_half_bars: int | None = None
    plan_sections: tuple[int, ...] | None = None
    plan_chords: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_polyphony", 1, MANY),
            ("max_voices", 1, MANY),
            ("max_top_run", 1, MANY),
            ("max_note_steps", 1, MANY),
            ("min_steps", 0, MANY),
            ("max_steps", 1, MANY),
            ("min_us", 0, MANY),
            ("max_us", 1, MANY),
            ("min_bars", 0, MANY),
            ("max_bars", 1, MANY),
            ("max_rest_steps", 1, MANY),
            ("max_filler_tokens", 1, MANY),
            ("programs", 0, DRUMS),
            ("required_programs", 0, DRUMS),
            ("entry_by_step", 0, MANY),
            ("max_programs", 1, DRUMS + 1),
            ("pitch_classes", 0, 11),
            ("min_pitch", 0, NUM_PITCHES),
            ("max_pitch", -1, NUM_PITCHES - 1),
            ("tempo_index", 0, 511),
            ("tempo_min_index", 0, 511),
            ("tempo_max_index", 0, 511),
            ("time_signature_index", 0, MAX_NUMERATOR * len(DENOMINATORS) - 1),
            ("max_plan_half_bars", 0, MAX_PLAN_HALF_BARS),
            ("plan_sections", SAME_SECTION, len(SECTIONS) - 1),
            ("plan_chords", 0, NUM_CHORDS - 1),
        ):
            value = getattr(self, name)
            for member in value if isinstance(value, tuple) else () if value is None else (value,):
                check_range(name, member, low, high)
        for name in ("programs", "pitch_classes"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} must name at least one; leave it out to allow all")
        numbers_of_programs = {"min_pitch": "a pitch", "max_pitch": "a pitch"}
        numbers_of_programs |= {"max_note_steps": "a number", "max_voices": "a number"}
        for name, of in numbers_of_programs.items():
            numbers = getattr(self, name)
            if isinstance(numbers, tuple) and len(numbers) != DRUMS + 1:
                raise ValueError(f"{name} must have {of} for each of {DRUMS + 1} programs, got {len(numbers)}")
        for low_name, high_name in (
            ("min_steps", "max_steps"),
            ("min_us", "max_us"),
            ("min_bars", "max_bars"),
            ("tempo_min_index", "tempo_max_index"),
        ):
            low, high = getattr(self, low_name), getattr(self, high_name)
            if low is not None and high is not None and low > high:
                raise ValueError(f"{low_name} is {low}, above {high_name}, which is {high}")
        self._check_plan()
        self._check_programs()

    def _check_plan(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in PLANS_ONLY if getattr(self, name) is not None}
        longest = MAX_PLAN_HALF_BARS if self.max_plan_half_bars is None else self.max_plan_half_bars
        for name, length in lengths.items():
            if not 1 <= length <= longest:
                raise ValueError(f"{name} must have 1 to {longest} half bars, got {length}")
        if len(set(lengths.values())) > 1:
            raise ValueError("plan_sections and plan_chords must have the same number of half bars")
        if self.plan_sections is not None and self.plan_sections[0] == SAME_SECTION:
            raise ValueError("plan_sections must begin with a section")

    def _check_programs(self) -> None:
        programs = tuple(program for program in range(DRUMS + 1) if self.playable(program))
        if not programs:
            raise ValueError("programs, min_pitch, max_pitch and pitch_classes leave no pitch to play")
        for program in self.required_programs or ():
            if program not in programs:
                raise ValueError(
                    f"program {program} of required_programs has nothing to play: programs, min_pitch, max_pitch and"
                    " pitch_classes leave it no pitch"
                )
        if self.max_programs is not None and len(set(self.required_programs or ())) > self.max_programs:
            raise ValueError(f"required_programs are more than max_programs, which is {self.max_programs}")

    def playable(self, program: int) -> frozenset[int]:
        """The pitches that a program may play at all."""
        if self.programs is not None and program not in self.programs:
            return frozenset()
        low = 0 if self.min_pitch is None else self.min_pitch[program]
        high = NUM_PITCHES - 1 if self.max_pitch is None else self.max_pitch[program]
        return _pitches(low, high, None if program == DRUMS else self.pitch_classes)

    def longest_note(self, program: int) -> int | None:
        """How many steps a note of a program may last, if that is limited."""
        return self.max_note_steps[program] if isinstance(self.max_note_steps, tuple) else self.max_note_steps

    @property
    def plan_half_bars(self) -> int | None:
        """How long the plan is, if any of it is given."""
        given = self.plan_sections if self.plan_sections is not None else self.plan_chords
        return None if given is None else len(given)

    @property
    def demands(self) -> bool:
        """Whether something has to come: a note, a program, an end that is late enough."""
        return bool(self.limits_rests or self.required_programs or self.min_steps or self.min_us or self.min_bars)

    @property
    def limits_rests(self) -> bool:
        return self.max_rest_steps is not None or self.max_filler_tokens is not None

    def check_for(self, config: TokenizerConfig) -> None:
        """Raise ValueError for a constraint that the preset cannot keep."""
        if config.preset == "performance":
            for name in SCORE_ONLY:
                if getattr(self, name) is not None:
                    raise ValueError(f"the preset 'performance' has no {name} to constrain; use the preset 'score'")
            if not self.playable(0):
                raise ValueError("min_pitch, max_pitch and pitch_classes leave no pitch to play")
        for name in PLANS_ONLY:
            if getattr(self, name) is not None and not config.has_plans_and_edits:
                raise ValueError(f"{name} needs a tokenizer with plans, which is version 2 of the preset score")
        for name in ("tempo_index", "tempo_min_index"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 0, len(config.tempos_bpm) - 1)

    def to_text(self) -> str:
        """What `Constraints` of csrc/midi/grammar.h reads; see `amt.named_values`."""
        return named_values({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})


@functools.lru_cache(maxsize=1024)
def _pitches(low: int, high: int, classes: tuple[int, ...] | None) -> frozenset[int]:
    """The pitches from `low` to `high` of these classes; None: of all."""
    return frozenset(pitch for pitch in range(low, high + 1) if classes is None or pitch % 12 in classes)
