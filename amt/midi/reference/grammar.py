"""Which token may come next, in plain Python: exactly the beginnings of canonical sequences. docs/tokens.md, "Grammar".

The events of a step have keys, (program, rank, pitch), and must ascend by them. The position is the key of the step's
last event; what ends a note or pedal whose key is not above the position has to wait for a later step.

Its twin is csrc/midi/grammar.cpp.
"""

from __future__ import annotations

import copy
from typing import Literal

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.limits import MANY, MAX_TIMED_NOTES, Constraints
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION
from amt.midi.reference.holes import HoleTrack, is_missing
from amt.midi.vocabulary import DRUMS, MAX_HALF_BARS, NUM_PITCHES, Event, time_signature, vocabulary_of

Key = tuple[int, int, int]

STEP_BEGINS: Key = (-3, 0, 0)
TIME_SIGNATURE_KEY: Key = (-2, 0, 0)
TEMPO_KEY: Key = (-1, 0, 0)
ALL_HOLE_KEY: Key = (-1, 1, 0)  # of a hole of all programs
BEGIN, NOTE_OFF, PEDAL_OFF, PEDAL_ON, NOTE_ON = range(-1, 4)  # ranks inside a program's group

LAST_STEP = "at the last step everything ends in order"
NOTE_IS_DUE = "a note must end at this step before it"
NOT_THIS_PROGRAM = "program {} is not among those that may play"
NOTHING_DUE: Key = (DRUMS + 1, 0, 0)

# No token brings the end further away than by this many tokens, and the number of programs that are open.
MAX_RISE = 16
# The tokens at most that a program which has not played yet needs until its note is over, and some to spare.
TOKENS_TO_ENTER, TOKENS_TO_SPARE = 7, 16
HELD = 8  # what may not come yet ranks behind all the rest

PLAN_KINDS = ("section", "chord", "bars")

NO_GOAL, ANY_NOTE, WAIT = "no goal", "any note", "wait"  # or a program


class GrammarState:
    """What has been said so far, as far as it decides what may follow.

    Args:
        config: the vocabulary's preset and numbers.
        constraints: what the music may not do.
    """

    def __init__(self, config: TokenizerConfig, constraints: Constraints | None = None):
        self.given = constraints = constraints or Constraints()
        constraints.check_for(config)
        self.config = config
        self.vocabulary = vocabulary_of(config)
        self.is_score = config.preset == "score"
        self.header = ["bos", "time_signature", "tempo"] if self.is_score else ["bos"]  # what is missing of it
        self.is_finished = False
        self.now = 0
        self.position = TEMPO_KEY  # the header's values are those of step 0
        self.steps_since_event = 0
        self.last = Event("bos", 0)
        self.program = None if self.is_score else 0
        self.velocities: dict[int, int] = {}  # in force; see TokenizerConfig.velocity_holder
        self.tempo: int | None = None
        self.time_signature: int | None = None
        self.metre_start, self.bar_steps = 0, 4 * config.steps_per_beat  # of the time signature in force
        self.bars_before = 0  # that had begun when it came
        self.last_step = MANY  # at which everything ends
        self.sounding: dict[tuple[int, int], int] = {}  # (program, pitch): the step of its start; drums never sound
        self.pedals: set[int] = set()  # programs whose pedal is on
        self.has_played: set[int] = set()  # programs that had a note
        self.has_begun: set[int] = set()  # programs that had a note or a pedal
        self.elapsed_us = 0  # in units of 1 / us_scale, so that every step is a whole number of them
        self.us_scale = config.steps_per_beat if self.is_score else 1
        self.step_us = 0 if self.is_score else 1000 * config.step_ms
        self.tops = _Tops()
        self.last_sound = 0  # the last step at which a note sounded or began
        self.num_fillers = 0  # tokens since the last note_on, but for note_off
        self.edit: Literal["context", "fill"] | None = None  # which part of an edit this is, if it is one
        self.holes = HoleTrack()
        self.fill_start = self.fill_end = 0  # of the part that is being filled
        self.num_parts_left = 0  # that are to be filled after it
        self.plan = _PlanState(constraints) if config.has_plans_and_edits else None
        self.in_plan = False  # the header is there, and no music yet
        self._constrain(constraints)

    def _constrain(self, constraints: Constraints) -> None:
        """What holds from here on; an edit's context is given, and nothing constrains it."""
        self.constraints = constraints
        self.max_polyphony = MANY if constraints.max_polyphony is None else constraints.max_polyphony
        if constraints.max_note_steps is not None:
            self.max_polyphony = min(self.max_polyphony, MAX_TIMED_NOTES)
        self.playable = [constraints.playable(program) for program in range(DRUMS + 1)]
        self.required = set(constraints.required_programs or ())

    def copy(self) -> GrammarState:
        """A state that goes its own way."""
        other = copy.copy(self)
        other.header = list(self.header)
        other.velocities = dict(self.velocities)
        other.sounding = dict(self.sounding)
        other.pedals = set(self.pedals)
        other.has_played = set(self.has_played)
        other.has_begun = set(self.has_begun)
        other.tops = copy.copy(self.tops)
        other.holes = self.holes.copy()
        other.plan = copy.copy(self.plan)
        return other

    # What may follow.

    def allowed(self, remaining: int | None = None) -> np.ndarray:
        """The tokens that may follow.

        Args:
            remaining: how many tokens there is room for, `eos` included; the sequence can then be ended within it,
                unless it was too small from the start: then it is ignored.

        Returns:
            (vocab_size,), bool. Of the tokens that may follow in time, those that meet the demands best. An edit is
            asked for, never offered, and its context is given: there is no budget for it.
        """
        mask = np.array([event.kind != "edit" and self.refusal(event) is None for event in self.vocabulary.events])
        if remaining is not None and self.edit != "context":
            mask = self._in_time(mask, remaining)
        if not self.constraints.demands or self.header or self.is_finished:
            return mask
        goal = self._goal(remaining)
        is_tight = remaining is not None and remaining < self._room()
        ranks = {int(i): self._rank(self.vocabulary.events[i], goal, is_tight) for i in np.flatnonzero(mask)}
        best = np.zeros_like(mask)
        best[[token_id for token_id, rank in ranks.items() if rank == min(ranks.values())]] = True
        return best

    def _in_time(self, mask: np.ndarray, remaining: int) -> np.ndarray:
        if remaining > self.tokens_to_close + MAX_RISE + len({program for program, _, _ in self._ends()}):
            return mask
        in_time = np.zeros_like(mask)
        for token_id in np.flatnonzero(mask):
            after = self.copy()
            after._apply(self.vocabulary.events[token_id])
            in_time[token_id] = after.tokens_to_close <= remaining - 1
        return in_time if in_time.any() else mask

    def refusal(self, event: Event) -> str | None:
        """Why an event may not follow, or None if it may."""
        kind, value = event
        if self.is_finished:
            return "nothing follows eos"
        if self.header:
            return self._refusal_of_header(event)
        if kind in ("pad", "bos"):
            return f"{kind} stands nowhere inside a sequence"
        if kind in PLAN_KINDS:
            return self.plan.refusal(kind, value) if self.plan and self.in_plan else "the music has begun"
        if self.plan and self.in_plan and not self.plan.may_end():
            return "the plan is not complete"
        if kind == "edit":
            return None if self.in_plan else "edit stands right behind the header"
        if self.last.kind == "velocity" and kind != "note_on":
            return "after velocity only note_on may follow"
        is_of_no_program = kind in ("program", "time_shift", "time_signature", "tempo", "fill", "eos")
        if self.last.kind == "program" and (is_of_no_program or (kind == "hole" and value >= 2)):
            return "after program an event of that program must follow"
        if kind == "eos":
            return self._refusal_of_eos()
        if kind == "fill":
            return self._refusal_of_fill()
        if kind == "hole" and value >= 2:
            return self._refusal_of_hole(ALL_HOLE_KEY, value)
        if kind == "time_shift":
            return self._refusal_of_time_shift(value)
        if kind == "program":
            return self._refusal_of_program(value)
        if kind == "time_signature":
            return self._refusal_of_change(
                TIME_SIGNATURE_KEY, value, self.time_signature, self.constraints.time_signature_index
            )
        if kind == "tempo":
            return self._refusal_of_tempo(value) or self._refusal_of_change(TEMPO_KEY, value, self.tempo, None)
        if self.program is None:
            return f"{kind} needs a program before it"
        if kind == "velocity":
            return self._refusal_of_velocity(value)
        if kind == "hole":
            return self._refusal_of_hole((self.program, BEGIN, 1), value)
        if kind == "note_on":
            if self._velocity() is None:
                return "note_on needs a velocity before it"
            return self._refusal_of_note_on(self.program, value)
        if kind == "pedal_on":
            return self._refusal_of_pedal_on(self.program)
        if kind == "note_off":
            if (self.program, value) not in self.sounding:
                return f"pitch {value} does not sound in program {self.program}"
            return self._refusal_of_end((self.program, NOTE_OFF, value))
        if self.program not in self.pedals:
            return f"the pedal of program {self.program} is not on"
        return self._refusal_of_end((self.program, PEDAL_OFF, 0))

    def _refusal_of_header(self, event: Event) -> str | None:
        if event.kind != self.header[0]:
            return f"{self.header[0]} must come first"
        if event.kind == "tempo":
            return self._refusal_of_tempo(event.value)
        index = self.constraints.time_signature_index
        if event.kind == "time_signature" and index is not None and event.value != index:
            return f"time_signature must be {index}"
        return None

    def _refusal_of_tempo(self, index: int) -> str | None:
        given = self.constraints
        low, high = given.tempo_min_index or 0, MANY if given.tempo_max_index is None else given.tempo_max_index
        if given.tempo_index is not None:
            low = high = given.tempo_index
        return None if low <= index <= high else f"tempo must be between {low} and {high}"

    def _refusal_of_eos(self) -> str | None:
        if self._ends():
            return "notes or pedals are still on"
        if self.last.kind == "time_shift":
            return "after time_shift an event must follow"
        if self.edit == "context" or self.num_parts_left:
            return "there is a hole to be filled"
        return None

    def _refusal_of_hole(self, key: Key, place: int) -> str | None:
        if self.edit != "context":
            return "hole stands in the context of an edit"
        if key <= self.position:
            return "it comes too late in its step"
        return self.holes.refusal(place, key[0])

    def _refusal_of_fill(self) -> str | None:
        if self.edit is None:
            return "fill stands in an edit"
        if self._ends():
            return "notes or pedals are still on"
        if self.last.kind == "time_shift":
            return "after time_shift an event must follow"
        if self.edit == "context" and (self.holes.missing or not self.holes.changes):
            return "a hole has no end" if self.holes.missing else "there is no hole"
        if self.edit == "fill" and not self.num_parts_left:
            return "no hole is left"
        return None

    def _refusal_of_time_shift(self, steps: int) -> str | None:
        if self.last.kind == "time_shift" and self.last.value != self.config.max_time_shift:
            return "a time_shift may only follow the largest one"
        if self.edit is None and self.steps_since_event + steps > self.config.max_gap_steps:
            return f"more than {self.config.max_gap_steps} steps without an event"
        if not self._has_room(steps):
            return "the music must have ended by then"
        if not self._has_room(steps + 1) and not self._ends():
            return "nothing is left to end at the last step"
        if self.edit == "fill" and not self._ends() and not self._may_any_play(self.now + steps):
            return "nothing may play there"
        if steps > self._steps_to_deadline():
            return "a note must have ended by then"
        return None

    def _refusal_of_change(self, key: Key, value: int, in_force: int | None, fixed: int | None) -> str | None:
        if self.edit == "fill":
            return "tempos and time signatures stand in the context"
        if key <= self.position:
            return "it comes too late in its step"
        if value == in_force:
            return "it is in force already"
        if fixed is not None:
            return "it is constrained to its first value"
        if key == TIME_SIGNATURE_KEY and self.constraints.max_bars is not None:
            bars_left = self.constraints.max_bars - self._bars_begun(self.now)
            if bars_left * self._steps_in_bar(value) < max(1, self._steps_to_enter()):
                return "too few bars are left for it"
        return self._refusal_of_start()

    def _refusal_of_program(self, program: int) -> str | None:
        if program == self.program:
            return f"program {program} is in force already"
        if (program, BEGIN, 0) <= self.position:
            return "programs must ascend within a step"
        if (program, BEGIN, 0) > self._first_due():
            return NOTE_IS_DUE
        if self._is_last_step():
            return None if self._ends_of(program) and program == self._ends()[0][0] else LAST_STEP
        if self._ends_of(program) or self._refusal_of_pedal_on(program) is None or self._may_any_note_start(program):
            return None
        if any(self._refusal_of_hole((program, BEGIN, 1), place) is None for place in (0, 1)):
            return None
        return f"nothing may follow in program {program}"

    def _refusal_of_velocity(self, velocity_bin: int) -> str | None:
        assert self.program is not None
        if velocity_bin == self._velocity():
            return "it is in force already"
        if not self._may_any_note_start(self.program):
            return "no note_on may follow"
        return None

    def _refusal_of_note_on(self, program: int, pitch: int) -> str | None:
        if (program, NOTE_ON, pitch) <= self.position:
            return "it comes too late in its step"
        if (program, NOTE_ON, pitch) > self._first_due():
            return NOTE_IS_DUE
        if not self._is_program_allowed(program):
            return NOT_THIS_PROGRAM.format(program)
        if pitch not in self.playable[program]:
            return f"program {program} may not play pitch {pitch}"
        if program != DRUMS:
            if (program, pitch) in self.sounding:
                return f"pitch {pitch} sounds already in program {program}"
            if self._is_full():
                return f"{len(self.sounding)} notes sound already"
            voices = self.constraints.max_voices
            if voices is not None and sum(other == program for other, _ in self.sounding) >= voices[program]:
                return f"{voices[program]} notes of program {program} sound already"
            worn = self.tops.worn_pitch(self.now, self.constraints.max_top_run)
            if pitch == worn and len(self.playable[program]) > 1:
                return f"{pitch} was the highest too often"
        return self._refusal_of_start()

    def _refusal_of_pedal_on(self, program: int) -> str | None:
        if program == DRUMS:
            return "drums have no pedal"
        if program in self.pedals:
            return f"the pedal of program {program} is on already"
        if (program, PEDAL_ON, 0) <= self.position:
            return "it comes too late in its step"
        if (program, PEDAL_ON, 0) > self._first_due():
            return NOTE_IS_DUE
        if not self._is_program_allowed(program):
            return NOT_THIS_PROGRAM.format(program)
        return self._refusal_of_start()

    def _refusal_of_start(self) -> str | None:
        return f"nothing begins at the last step, {self.now}" if self._is_last_step() else None

    def _refusal_of_end(self, key: Key) -> str | None:
        if key <= self.position:
            return "it comes too late in its step"
        if key > self._first_due():
            return NOTE_IS_DUE
        if self._is_last_step() and key != self._ends()[0]:
            return LAST_STEP
        return None

    def _may_any_note_start(self, program: int) -> bool:
        return any(self._refusal_of_note_on(program, pitch) is None for pitch in range(NUM_PITCHES))

    def _is_program_allowed(self, program: int) -> bool:
        return not self._is_closed(program, self.holes.missing) and self._is_program_free(program)

    def _is_closed(self, program: int, missing: set[int]) -> bool:
        """Whether an edit lets nothing begin in a program: in the context where it is missing, else where it is not."""
        return self.edit is not None and is_missing(missing, program) == (self.edit == "context")

    def _may_any_play(self, step: int) -> bool:
        """Whether some program may begin something at a later step of a fill."""
        missing = self.holes.missing_at(step)
        return any(not self._is_closed(p, missing) and self._is_program_free(p) for p in range(DRUMS + 1))

    def _is_program_free(self, program: int) -> bool:
        if not self.playable[program]:
            return False
        known = self.has_begun | self.required
        return program in known or self.constraints.max_programs is None or len(known) < self.constraints.max_programs

    def _velocity(self) -> int | None:
        return None if self.program is None else self.velocities.get(self.config.velocity_holder(self.program))

    def _is_full(self) -> bool:
        return len(self.sounding) >= self.max_polyphony

    def _is_last_step(self) -> bool:
        return not self._has_room(1)

    def _has_room(self, steps: int) -> bool:
        """Whether so many more steps lie within the length, or within the part that is being filled."""
        return self.now + steps <= (self.fill_end if self.edit == "fill" else self.last_step)

    def _bars_begun(self, step: int) -> int:
        """How many bars have begun at a step from now on, but one that has lasted for no time yet."""
        return self.bars_before + -((self.metre_start - step) // self.bar_steps)

    def _is_early(self, step: int) -> bool:
        """Whether a step from now on, at the tempo and in the metre in force, is before the first that may be last."""
        if self.edit is not None:
            return False
        given = self.constraints
        elapsed_us = self.elapsed_us + (step - self.now) * self.step_us
        return (
            step < (given.min_steps or 0)
            or elapsed_us < (given.min_us or 0) * self.us_scale
            or self._bars_begun(step) < (given.min_bars or 0)
        )

    def _steps_in_bar(self, index: int) -> int:
        """How many steps a bar of a time signature has."""
        numerator, denominator = time_signature(index)
        return max(1, 4 * self.config.steps_per_beat * numerator // denominator)

    def _steps_to_enter(self) -> int:
        """How many steps the programs that are missing need; 0 if none is."""
        missing = self._missing()
        return len(missing) + 2 if missing else 0

    def _find_last_step(self, earliest: int) -> None:
        """After what changes the length of steps and bars, or what is missing; a bar line counts from `earliest` on."""
        given = self.constraints
        last = MANY if given.max_steps is None else given.max_steps
        if given.max_us is not None and self.step_us:
            last = min(last, self.now + (given.max_us * self.us_scale - self.elapsed_us) // self.step_us)
        if given.max_bars is not None:
            last = min(last, self.metre_start + (given.max_bars - self.bars_before) * self.bar_steps)
        if given.whole_bars:
            bar_line = last - (last - self.metre_start) % self.bar_steps
            if bar_line >= earliest + self._steps_to_enter() and not self._is_early(bar_line):
                last = bar_line
        self.last_step = last

    def _steps_to_deadline(self) -> int:
        """How many steps are left until the first note is due."""
        return min((self._due_step(*note) - self.now for note in self.sounding), default=MANY)

    def _due_step(self, program: int, pitch: int) -> int:
        """The step at which a note that sounds must end."""
        longest = self.constraints.longest_note(program)
        return self.sounding[program, pitch] + (MANY if longest is None else longest)

    def _due(self) -> list[Key]:
        """The keys of what must end at this step, ascending."""
        if self.constraints.max_note_steps is None:
            return []
        return sorted((note[0], NOTE_OFF, note[1]) for note in self.sounding if self._due_step(*note) <= self.now)

    def _first_due(self) -> Key:
        return next(iter(self._due()), NOTHING_DUE)

    # What is demanded: that a note come, that a program play, that the end come late enough.

    def _missing(self) -> list[int]:
        """The required programs that have not played; in a fill, of those that it may write here."""
        absent = self.required - self.has_played
        return sorted(program for program in absent if not self._is_closed(program, self.holes.missing))

    def _must_enter(self, steps: int) -> bool:
        """Whether so many steps from now the programs that are missing have to begin."""
        given = self.constraints
        to_enter = len(self._missing()) + 2
        if self.edit == "fill":
            return self.now + steps + to_enter > (self.holes.next_change(self.now) or self.fill_end)
        if given.entry_by_step is not None and self.now + steps >= given.entry_by_step:
            return True
        if not self._has_room(steps + to_enter):
            return True
        slowest_us = self.step_us
        if self.is_score:  # the tempo may become slower
            slowest = given.tempo_min_index or 0 if given.tempo_index is None else given.tempo_index
            slowest_us = self.vocabulary.tempo_us_per_beat(slowest)
        elapsed_us = self.elapsed_us + steps * self.step_us + to_enter * slowest_us
        return given.max_us is not None and elapsed_us > given.max_us * self.us_scale

    def _room(self) -> int:
        """The tokens that the programs which are missing may still need."""
        return self.tokens_to_close + TOKENS_TO_ENTER * len(self._missing()) + TOKENS_TO_SPARE

    def _goal(self, remaining: int | None) -> int | str:
        """What this step must bring: nothing, any note, a program's note, or one that cannot come right now."""
        missing = self._missing()
        if missing and (self._must_enter(0) or (remaining is not None and remaining < self._room())):
            return next((program for program in missing if self._may_any_note_start(program)), WAIT)
        rest = 0 if self.sounding else self.now - self.last_sound
        given = self.constraints
        is_rest_over = given.max_rest_steps is not None and rest >= given.max_rest_steps
        are_fillers_over = given.max_filler_tokens is not None and self.num_fillers >= given.max_filler_tokens
        return ANY_NOTE if is_rest_over or are_fillers_over else NO_GOAL

    def _is_held(self, event: Event) -> bool:
        """Whether it should not come yet."""
        kind, value = event
        given = self.constraints
        if kind in ("fill", "eos"):
            return self._is_early(self.now) or bool(self._missing()) or (given.limits_rests and not self.has_played)
        if kind != "time_shift":
            return False
        silence = 0 if self.sounding else self.now + value - self.last_sound
        if given.max_rest_steps is not None and silence > given.max_rest_steps:
            return True
        return value > 1 and bool(self._missing()) and self._must_enter(value - 1)

    def _rank(self, event: Event, goal: int | str, is_tight: bool) -> int:
        """How far a token is from what the goal and the other demands ask for: 0 is best."""
        kind, value = event
        held = HELD if self._is_held(event) else 0
        if goal == NO_GOAL:
            return held
        if kind in PLAN_KINDS:  # no time passes
            return 5 if is_tight else 0
        closes = kind == "note_off" or (kind == "program" and any(program == value for program, _ in self.sounding))
        if goal == ANY_NOTE:
            if kind in ("note_on", "velocity", "note_off", "fill", "eos"):
                return held
            if kind == "program" and self._may_any_note_start(value):
                return held
            if closes:
                return held + (0 if self._is_full() else 1)
            return held + (2 if kind == "time_shift" else 5)
        if (kind in ("note_on", "velocity") and self.program == goal) or (kind == "program" and value == goal):
            return held
        if closes:
            return held + (1 if self._is_full() else 4)
        return held + (5 if kind != "time_shift" else 2 if value == 1 else 3)

    # What is still on, and how long it takes to end it.

    def _ends(self) -> list[Key]:
        """The keys of the events that end what is on, ascending."""
        notes = [(program, NOTE_OFF, pitch) for program, pitch in self.sounding]
        pedals = [(program, PEDAL_OFF, 0) for program in self.pedals]
        return sorted(notes + pedals)

    def _ends_of(self, program: int) -> list[Key]:
        return [key for key in self._ends() if key[0] == program]

    @property
    def tokens_to_close(self) -> int:
        """The length of one ending that always works, `eos` included."""
        if self.is_finished:
            return 0
        if self.header:
            return len(self.header) + 1 + (self.plan.tokens_to_end if self.plan else 0)
        if self.plan and self.in_plan:
            return self.plan.tokens_to_end + 1
        ends = self._ends()
        tokens_of_a_note = 0  # of a note that must still come, with its note_off
        if self.last.kind == "velocity":
            tokens_of_a_note = 3  # note_on, program, note_off
        elif self.last.kind == "program" and not self._ends_of(self.last.value):
            tokens_of_a_note = 4
        elif self.last.kind == "time_shift" and not ends:
            tokens_of_a_note = 5
        needs_shift = tokens_of_a_note > 0 or (bool(ends) and ends[0] <= self.position)
        programs = {program for program, _, _ in ends}
        if not needs_shift:
            programs.discard(self.position[0])  # the current group's needs no `program`
        # What is due ends before the shift: its programs may have to be named once more behind it.
        due = {program for program, _, _ in self._due()} - {self.position[0]} if needs_shift else set()
        return tokens_of_a_note + needs_shift + len(ends) + len(programs) + len(due) + self.num_parts_left + 1

    # What has been said.

    def advance(self, token_id: int) -> None:
        """Say one token.

        Raises:
            ValueError: it may not follow; the state stays as it was.
        """
        event = self.vocabulary.event(token_id)
        reason = self.refusal(event)
        if reason is not None:
            raise ValueError(
                f"token {token_id} ({event.kind} {event.value}) may not follow at step {self.now}: {reason}"
            )
        self._apply(event)

    def _apply(self, event: Event) -> None:
        kind, value = event
        program = -1 if self.program is None else self.program
        if kind in PLAN_KINDS:
            assert self.plan is not None
            self.plan.take(kind, value)
            return
        self.in_plan = False
        if kind != "note_off" and not self.header:
            self.num_fillers += 1
        if kind == "eos":
            self.is_finished = True
        elif kind == "edit":
            self.edit = "context"
            self._constrain(Constraints())
        elif kind == "hole":
            self.holes.take(self.now, value, program)
            self.position = ALL_HOLE_KEY if value >= 2 else (program, BEGIN, 1)
        elif kind == "fill":
            self._begin_part()
        elif kind == "time_shift":
            self.now += value
            self.steps_since_event += value
            self.elapsed_us += value * self.step_us
            if self.sounding:
                self.last_sound = self.now
            if self.edit == "fill":
                self.holes.missing = self.holes.missing_at(self.now)
            self.position = STEP_BEGINS
        elif kind == "time_signature":
            self.time_signature = value
            self.metre_start, self.bars_before = self.now, self._bars_begun(self.now)
            self.bar_steps = self._steps_in_bar(value)
            self.position = max(self.position, TIME_SIGNATURE_KEY)
        elif kind == "tempo":
            self.tempo = value
            self.step_us = self.vocabulary.tempo_us_per_beat(value)
            self.position = max(self.position, TEMPO_KEY)
        elif kind == "program":
            self.program = value
            self.position = (value, BEGIN, 0)
        elif kind == "velocity":
            self.velocities[self.config.velocity_holder(program)] = value
            self.position = max(self.position, (program, NOTE_ON, -1))
        elif kind == "note_off":
            del self.sounding[program, value]
            self.position = (program, NOTE_OFF, value)
        elif kind == "pedal_off":
            self.pedals.remove(program)
            self.position = (program, PEDAL_OFF, 0)
        elif kind == "pedal_on":
            self.pedals.add(program)
            self.has_begun.add(program)
            self.position = (program, PEDAL_ON, 0)
        elif kind == "note_on":
            if program != DRUMS:
                self.sounding[program, value] = self.now
                self.tops.take(self.now, value)
            self.last_sound = self.now
            self.num_fillers = 0
            is_new = program not in self.has_played
            self.has_played.add(program)
            if is_new and program in self.required:
                self._find_last_step(self.now + 1)  # its note_off comes later
            self.has_begun.add(program)
            self.position = (program, NOTE_ON, value)
        if kind != "time_shift":
            self.steps_since_event = 0
        if kind in ("bos", "time_signature", "tempo", "edit"):
            self._find_last_step(self.now)
        if self.header:
            self.header.pop(0)
            self.in_plan = not self.header and self.plan is not None
        self.last = event

    def _begin_part(self) -> None:
        """Go to where the next part of a fill begins; as at a beginning, no program and no velocity is in force."""
        if self.edit == "context":
            self._constrain(self.given)
            self.has_begun = set()
            self.num_parts_left = len(self.holes.intervals())
        interval = self.holes.next_interval(self.fill_end if self.edit == "fill" else 0)
        assert interval is not None, "a fill without a hole"
        self.edit = "fill"
        self.fill_start, self.fill_end = interval
        self.num_parts_left -= 1
        self.now = self.last_sound = self.fill_start
        self.holes.missing = self.holes.missing_at(self.now)
        self.position = STEP_BEGINS
        self.program = None
        self.velocities = {}
        self.num_fillers = 0
        self.has_played = set()
        self.tops = _Tops()


class _Tops:
    """The highest pitches that began, and how often the last one came in a row."""

    def __init__(self) -> None:
        self.step = self.pitch = -1  # of the last step at which a note began; that may go on
        self.pitch_before, self.run_before = -1, 0  # of the steps before it

    def worn_pitch(self, step: int, longest: int | None) -> int | None:
        """The pitch that has been the highest too often to be that of a step once more, or None."""
        if longest is None:
            return None
        pitch, run = self._top_before(step)
        is_above = step == self.step and self.pitch >= pitch
        return None if run < longest or is_above else pitch

    def _top_before(self, step: int) -> tuple[int, int]:
        """The highest pitch of the last step before this one at which a note began, and how often it came in a row."""
        if step == self.step:
            return self.pitch_before, self.run_before
        return self.pitch, self.run_before + 1 if self.pitch == self.pitch_before else 1

    def take(self, step: int, pitch: int) -> None:
        """A note begins."""
        self.pitch_before, self.run_before = self._top_before(step)
        self.pitch = max(pitch, self.pitch) if step == self.step else pitch
        self.step = step


class _PlanState:
    """How far the plan is.

    What is given of it breaks it into stretches, in which no section begins and no chord changes but as the model
    likes. The shortest way to its end takes each stretch in as few chords as it can.
    """

    def __init__(self, constraints: Constraints):
        self.sections, self.chords = constraints.plan_sections, constraints.plan_chords
        self.is_given = constraints.plan_half_bars is not None
        longest = constraints.max_plan_half_bars
        self.length = constraints.plan_half_bars or (MAX_PLAN_HALF_BARS if longest is None else longest)
        self.last = "tempo"  # kind of the last token
        self.at = 0  # half bars planned
        self.half_bars = 0  # in force, or 0
        self.chord: int | None = None  # the last one of this section
        self.chord_half_bars = 0  # how long that lasts
        # Of a given plan: where the stretch of each half bar ends, and the tokens from a chord there to the plan's end.
        self.stretch_end = [self.length] * self.length
        self.tokens_from = [0] * (self.length + 1)
        for at in reversed(range(self.length if self.is_given else 0)):
            if at + 1 < self.length:
                self.stretch_end[at] = at + 1 if self._breaks(at + 1) else self.stretch_end[at + 1]
            next_at = min(at + MAX_HALF_BARS, self.stretch_end[at])
            self.tokens_from[at] = 2 + self._has_section(next_at) + self.tokens_from[next_at]

    def _has_section(self, at: int) -> bool:
        """Whether a given section begins there."""
        return self.sections is not None and at < self.length and self.sections[at] != SAME_SECTION

    def _breaks(self, at: int) -> bool:
        return self._has_section(at) or (self.chords is not None and self.chords[at] != self.chords[at - 1])

    def refusal(self, kind: str, value: int) -> str | None:
        """Why a token of the plan may not follow, or None if it may."""
        if self.at >= self.length:
            return f"the plan has {self.length} half bars already"
        if kind == "section":
            if self.last not in ("tempo", "chord"):
                return f"after {self.last} a chord must follow"
            if self.sections is not None and value != self.sections[self.at]:
                return "another section begins here" if self._has_section(self.at) else "no section begins here"
            return None
        if self.last == "tempo" or self._needs_section():
            return "a section must begin first"
        if kind == "bars":
            if self.last == "bars":
                return "after bars a chord must follow"
            return "it is in force already" if value == self.half_bars else self._refusal_of_length(value)
        if self.half_bars == 0:
            return "chord needs bars before it"
        if self.chords is not None and value != self.chords[self.at]:
            return f"chord must be {self.chords[self.at]}"
        if value == self.chord and self.chord_half_bars < MAX_HALF_BARS:
            return "the chord goes on: the one before must be longer"
        return self._refusal_of_length(self.half_bars)

    def _refusal_of_length(self, half_bars: int) -> str | None:
        """Why a chord may not last so long here; behind it the plan must be able to go on."""
        left = self.stretch_end[self.at] - self.at
        if self.sections is not None and self.chords is not None and half_bars != min(left, MAX_HALF_BARS):
            return f"the chord lasts {left} half bars"
        return f"only {left} half bars are left" if half_bars > left else None

    def _needs_section(self) -> bool:
        """Whether nothing but a section may follow."""
        return self.chord is not None and self._needs_section_after(self.chord, self.chord_half_bars, self.at)

    def _needs_section_after(self, chord: int, half_bars: int, at: int) -> bool:
        """The same after a chord of so many half bars that ends at half bar `at`."""
        if at >= self.length:
            return False
        goes_on = self.chords is not None and self.chords[at] == chord and half_bars < MAX_HALF_BARS
        return goes_on or self._has_section(at)

    def may_end(self) -> bool:
        """Whether the music may begin."""
        return self.at == self.length if self.is_given else self.last in ("tempo", "chord")

    @property
    def tokens_to_end(self) -> int:
        """The length of one way to its end that always works."""
        if not self.is_given:
            return {"tempo": 0, "chord": 0, "section": 2, "bars": 1}[self.last]
        if self.last == "tempo":
            return 1 + self.tokens_from[0]
        if self.last != "bars":
            return self._needs_section() + self.tokens_from[self.at]
        chord, after = 0 if self.chords is None else self.chords[self.at], self.at + self.half_bars
        return 1 + self._needs_section_after(chord, self.half_bars, after) + self.tokens_from[after]

    def take(self, kind: str, value: int) -> None:
        """Say one token."""
        self.last = kind
        if kind == "section":
            self.chord = None
        elif kind == "bars":
            self.half_bars = value
        else:
            self.at += self.half_bars
            self.chord, self.chord_half_bars = value, self.half_bars
