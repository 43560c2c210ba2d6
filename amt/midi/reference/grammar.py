"""Which token may come next, in plain Python: exactly the beginnings of canonical sequences. docs/tokens.md, "Grammar".

The events of a step have keys, (program, rank, pitch), and must ascend by them. The position is the key of the step's
last event; what ends a note or pedal whose key is not above the position has to wait for a later step.

Its twin is csrc/midi/grammar.cpp.
"""

from __future__ import annotations

import copy

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.vocabulary import DRUMS, NUM_PITCHES, Event, vocabulary_of

Key = tuple[int, int, int]

STEP_BEGINS: Key = (-3, 0, 0)
TIME_SIGNATURE_KEY: Key = (-2, 0, 0)
TEMPO_KEY: Key = (-1, 0, 0)
BEGIN, NOTE_OFF, PEDAL_OFF, PEDAL_ON, NOTE_ON = range(-1, 4)  # ranks inside a program's group

LAST_STEP = "at the last step everything ends in order"

# No token brings the end further away than by this many tokens.
MAX_RISE = 16


class GrammarState:
    """What has been said so far, as far as it decides what may follow.

    Args:
        config: the vocabulary's preset and numbers.
        constraints: what the music may not do.
    """

    def __init__(self, config: TokenizerConfig, constraints: Constraints | None = None):
        self.constraints = constraints or Constraints()
        self.constraints.check_for(config)
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
        self.velocity: int | None = None
        self.tempo: int | None = None
        self.time_signature: int | None = None
        self.sounding: set[tuple[int, int]] = set()  # (program, pitch); drums never sound
        self.pedals: set[int] = set()  # programs whose pedal is on

    def copy(self) -> GrammarState:
        """A state that goes its own way."""
        other = copy.copy(self)
        other.header = list(self.header)
        other.sounding = set(self.sounding)
        other.pedals = set(self.pedals)
        return other

    # What may follow.

    def allowed(self, remaining: int | None = None) -> np.ndarray:
        """The tokens that may follow.

        Args:
            remaining: how many tokens there is room for, `eos` included; the sequence can then be ended within it,
                unless it was too small from the start: then it is ignored.

        Returns:
            (vocab_size,), bool.
        """
        mask = np.array([self.refusal(event) is None for event in self.vocabulary.events])
        if remaining is None or remaining > self.tokens_to_close + MAX_RISE:
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
        if self.last.kind == "velocity" and kind != "note_on":
            return "after velocity only note_on may follow"
        if self.last.kind == "program" and kind in ("program", "time_shift", "time_signature", "tempo", "eos"):
            return "after program an event of that program must follow"
        if kind == "eos":
            return self._refusal_of_eos()
        if kind == "time_shift":
            return self._refusal_of_time_shift(value)
        if kind == "program":
            return self._refusal_of_program(value)
        if kind == "time_signature":
            return self._refusal_of_change(
                TIME_SIGNATURE_KEY, value, self.time_signature, self.constraints.time_signature_index
            )
        if kind == "tempo":
            return self._refusal_of_change(TEMPO_KEY, value, self.tempo, self.constraints.tempo_index)
        if self.program is None:
            return f"{kind} needs a program before it"
        if kind == "velocity":
            return self._refusal_of_velocity(value)
        if kind == "note_on":
            if self.velocity is None:
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
        fixed = {"time_signature": self.constraints.time_signature_index, "tempo": self.constraints.tempo_index}
        index = fixed.get(event.kind)
        if index is not None and event.value != index:
            return f"{event.kind} must be {index}"
        return None

    def _refusal_of_eos(self) -> str | None:
        if self._ends():
            return "notes or pedals are still on"
        if self.last.kind == "time_shift":
            return "after time_shift an event must follow"
        return None

    def _refusal_of_time_shift(self, steps: int) -> str | None:
        if self.last.kind == "time_shift" and self.last.value != self.config.max_time_shift:
            return "a time_shift may only follow the largest one"
        if self.steps_since_event + steps > self.config.max_gap_steps:
            return f"more than {self.config.max_gap_steps} steps without an event"
        max_steps = self.constraints.max_steps
        if max_steps is not None:
            if self.now + steps > max_steps:
                return f"the music must end at step {max_steps}"
            if self.now + steps == max_steps and not self._ends():
                return f"nothing is left to end at the last step, {max_steps}"
        return None

    def _refusal_of_change(self, key: Key, value: int, in_force: int | None, fixed: int | None) -> str | None:
        if key <= self.position:
            return "it comes too late in its step"
        if value == in_force:
            return "it is in force already"
        if fixed is not None:
            return "it is constrained to its first value"
        return self._refusal_of_start()

    def _refusal_of_program(self, program: int) -> str | None:
        if program == self.program:
            return f"program {program} is in force already"
        if (program, BEGIN, 0) <= self.position:
            return "programs must ascend within a step"
        if self._is_last_step():
            return None if self._ends_of(program) and program == self._ends()[0][0] else LAST_STEP
        if self._ends_of(program) or self._refusal_of_pedal_on(program) is None or self._may_any_note_start(program):
            return None
        return f"nothing may follow in program {program}"

    def _refusal_of_velocity(self, velocity_bin: int) -> str | None:
        assert self.program is not None
        if velocity_bin == self.velocity:
            return "it is in force already"
        if not self._may_any_note_start(self.program):
            return "no note_on may follow"
        return None

    def _refusal_of_note_on(self, program: int, pitch: int) -> str | None:
        if (program, NOTE_ON, pitch) <= self.position:
            return "it comes too late in its step"
        if not self._is_program_allowed(program):
            return f"program {program} is not among the constraint's programs"
        if program != DRUMS:
            if (program, pitch) in self.sounding:
                return f"pitch {pitch} sounds already in program {program}"
            if self.constraints.max_polyphony is not None and len(self.sounding) >= self.constraints.max_polyphony:
                return f"{len(self.sounding)} notes sound already"
            if self.constraints.pitch_classes is not None and pitch % 12 not in self.constraints.pitch_classes:
                return f"pitch class {pitch % 12} is not among the constraint's pitch_classes"
        return self._refusal_of_start()

    def _refusal_of_pedal_on(self, program: int) -> str | None:
        if program == DRUMS:
            return "drums have no pedal"
        if program in self.pedals:
            return f"the pedal of program {program} is on already"
        if (program, PEDAL_ON, 0) <= self.position:
            return "it comes too late in its step"
        if not self._is_program_allowed(program):
            return f"program {program} is not among the constraint's programs"
        return self._refusal_of_start()

    def _refusal_of_start(self) -> str | None:
        return f"nothing begins at the last step, {self.now}" if self._is_last_step() else None

    def _refusal_of_end(self, key: Key) -> str | None:
        if key <= self.position:
            return "it comes too late in its step"
        if self._is_last_step() and key != self._ends()[0]:
            return LAST_STEP
        return None

    def _may_any_note_start(self, program: int) -> bool:
        return any(self._refusal_of_note_on(program, pitch) is None for pitch in range(NUM_PITCHES))

    def _is_program_allowed(self, program: int) -> bool:
        return self.constraints.programs is None or program in self.constraints.programs

    def _is_last_step(self) -> bool:
        return self.constraints.max_steps is not None and self.now >= self.constraints.max_steps

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
            return len(self.header) + 1
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
        return tokens_of_a_note + needs_shift + len(ends) + len(programs) + 1

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
        if kind == "eos":
            self.is_finished = True
        elif kind == "time_shift":
            self.now += value
            self.steps_since_event += value
            self.position = STEP_BEGINS
        elif kind == "time_signature":
            self.time_signature = value
            self.position = max(self.position, TIME_SIGNATURE_KEY)
        elif kind == "tempo":
            self.tempo = value
            self.position = max(self.position, TEMPO_KEY)
        elif kind == "program":
            self.program = value
            self.position = (value, BEGIN, 0)
        elif kind == "velocity":
            self.velocity = value
            self.position = max(self.position, (program, NOTE_ON, -1))
        elif kind == "note_off":
            self.sounding.remove((program, value))
            self.position = (program, NOTE_OFF, value)
        elif kind == "pedal_off":
            self.pedals.remove(program)
            self.position = (program, PEDAL_OFF, 0)
        elif kind == "pedal_on":
            self.pedals.add(program)
            self.position = (program, PEDAL_ON, 0)
        elif kind == "note_on":
            if program != DRUMS:
                self.sounding.add((program, value))
            self.position = (program, NOTE_ON, value)
        if kind != "time_shift":
            self.steps_since_event = 0
        if self.header:
            self.header.pop(0)
        self.last = event
