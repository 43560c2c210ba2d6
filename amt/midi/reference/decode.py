"""Token ids to notes, in plain Python. docs/tokens.md, "From ids to notes", is the definition.

Its twin is csrc/midi/decode.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, Tempo, TimeSignature
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION, Plan
from amt.midi.reference.holes import HoleTrack
from amt.midi.reference.time_grid import COMMON_TIME_INDEX, DEFAULT_US_PER_BEAT, StepNote, StepPedal, changes
from amt.midi.vocabulary import DRUMS, time_signature, vocabulary_of

PERFORMANCE_TICKS_PER_BEAT = 500  # at 120 BPM a tick is a millisecond
SCORE_TICKS_PER_STEP = 20
MAX_TICKS = 2**31 - 1

DECODE_REPORT = ("ignored_tokens", "dropped_notes", "closed_notes")


def decode(ids: Iterable[int], config: TokenizerConfig, *, only_fill: bool = False) -> tuple[MidiData, dict[str, int]]:
    """The piece that ids say; any ids of the vocabulary mean something.

    Args:
        ids: token ids; `eos` ends them.
        config: the preset and its numbers.
        only_fill: of an edit's notes and pedals those of the fill alone.

    Returns:
        the piece, and the report with the keys of DECODE_REPORT.

    Raises:
        ValueError: an id is not in the vocabulary, or the music is longer than a file can hold.
    """
    decoder = _Decoder(config)
    vocabulary = decoder.vocabulary
    for position, token_id in enumerate(ids):
        if not 0 <= token_id < len(vocabulary):
            raise ValueError(
                f"token id {token_id} at position {position} is not in the vocabulary of {len(vocabulary)}"
            )
        event = vocabulary.events[token_id]
        if event.kind == "eos":
            break
        if event.kind in ("section", "chord", "bars"):
            decoder.planned(event.kind, event.value)
        elif event.kind not in ("pad", "bos"):
            decoder.is_planned |= event.kind not in ("time_signature", "tempo")
            getattr(decoder, event.kind)(event.value)
        if decoder.now >= decoder.max_steps:
            raise ValueError(f"the music up to position {position} is longer than a MIDI file can hold (2^31 ticks)")
    return decoder.finish(only_fill), decoder.report


def _without_overlaps(notes: list[StepNote]) -> list[StepNote]:
    """One note for equal program, pitch and start; a note ends where the next of its pitch starts."""
    places = ((note.program, note.pitch, note.start, -note.end, -note.velocity) for note in notes)
    result: list[StepNote] = []
    for program, pitch, start, end, velocity in sorted(places):
        if result and (result[-1].program, result[-1].pitch) == (program, pitch):
            if result[-1].start == start:
                continue
            result[-1] = replace(result[-1], end=min(result[-1].end, start))
        result.append(StepNote(program, pitch, start, -end, -velocity))
    return result


def _united(pedals: list[StepPedal]) -> list[StepPedal]:
    """Pedal spans, those of one program that overlap united."""
    result: list[StepPedal] = []
    for span in sorted(pedals):
        if result and result[-1].program == span.program and span.start < result[-1].end:
            result[-1] = result[-1]._replace(end=max(result[-1].end, span.end))
        else:
            result.append(span)
    return result


class _Decoder:
    """The state while reading ids; one method for each kind of token. All times are steps until `finish`."""

    def __init__(self, config: TokenizerConfig):
        self.config = config
        self.vocabulary = vocabulary_of(config)
        self.report = dict.fromkeys(DECODE_REPORT, 0)
        is_score = config.preset == "score"
        self.ticks_per_step = SCORE_TICKS_PER_STEP if is_score else config.step_ms
        self.ticks_per_beat = SCORE_TICKS_PER_STEP * config.steps_per_beat if is_score else PERFORMANCE_TICKS_PER_BEAT
        self.drum_steps = max(1, config.steps_per_beat // 4)
        self.max_steps = MAX_TICKS // self.ticks_per_step - self.drum_steps
        self.now = 0
        self.program_in_force = 0
        self.velocity_in_force: dict[int, int] = {}  # see TokenizerConfig.velocity_holder
        self.sounding: dict[tuple[int, int], StepNote] = {}  # by program and pitch
        self.pedal_start: dict[int, int] = {}  # by program
        self.notes: list[StepNote] = []
        self.pedals: list[StepPedal] = []
        self.is_planned = False  # the music has begun: no plan may come any more
        self.plan: list[tuple[int, int, int]] = []  # see Plan.from_rows
        self.section = SAME_SECTION  # that has no chord yet
        self.half_bars = self.planned_half_bars = 0  # in force; of the plan so far
        self.tempos = {0: DEFAULT_US_PER_BEAT}  # by step
        self.time_signatures = {0: COMMON_TIME_INDEX}
        self.part: Literal["context", "fill"] | None = None  # of an edit
        self.holes = HoleTrack()
        self.fill_end = 0  # of the part that is being filled
        self.num_of_context = (0, 0)  # notes and pedals before the first fill

    def planned(self, kind: str, value: int) -> None:
        """A token of the plan: what does not belong to one is ignored."""
        if self.is_planned:
            self.report["ignored_tokens"] += 1
        elif kind == "bars":
            self.half_bars = value
        elif kind == "section":
            self.report["ignored_tokens"] += self.section != SAME_SECTION
            self.section = value
        else:
            is_in_section = bool(self.plan) or self.section != SAME_SECTION
            if not is_in_section or not 0 < self.half_bars <= MAX_PLAN_HALF_BARS - self.planned_half_bars:
                self.report["ignored_tokens"] += 1
                return
            self.planned_half_bars += self.half_bars
            self.plan.append((self.section, value, self.half_bars))
            self.section = SAME_SECTION

    def time_shift(self, steps: int) -> None:
        self.now += min(steps, self.fill_end - self.now) if self.part == "fill" else steps

    def edit(self, _: int) -> None:
        if self.part is None:
            self.part = "context"
        else:
            self.report["ignored_tokens"] += 1

    def hole(self, place: int) -> None:
        if self.part != "context" or not self.holes.take(self.now, place, self.program_in_force):
            self.report["ignored_tokens"] += 1

    def fill(self, _: int) -> None:
        """End what sounds, and go to the next part; nothing is in force there, as at a beginning."""
        interval = None
        if self.part is not None:
            self.end_all()
            self.holes.close(self.now)
            interval = self.holes.next_interval(self.fill_end)
        if interval is None:
            self.report["ignored_tokens"] += 1
            return
        if self.part == "context":
            self.part = "fill"
            self.num_of_context = (len(self.notes), len(self.pedals))
        self.now, self.fill_end = interval
        self.program_in_force = 0
        self.velocity_in_force = {}

    def velocity(self, velocity_bin: int) -> None:
        holder = self.config.velocity_holder(self.program_in_force)
        self.velocity_in_force[holder] = self.vocabulary.bin_velocity(velocity_bin)

    def program(self, program: int) -> None:
        self.program_in_force = program

    def tempo(self, index: int) -> None:
        if self.part == "fill":
            self.report["ignored_tokens"] += 1
        else:
            self.tempos[self.now] = self.vocabulary.tempo_us_per_beat(index)

    def time_signature(self, index: int) -> None:
        if self.part == "fill":
            self.report["ignored_tokens"] += 1
        else:
            self.time_signatures[self.now] = index

    def note_on(self, pitch: int) -> None:
        place = (self.program_in_force, pitch)
        if self.program_in_force == DRUMS:
            before = self.sounding.pop(place, None)
            if before is not None and before.start == self.now:
                self.sounding[place] = before
                self.report["ignored_tokens"] += 1
                return
            if before is not None:
                self.notes.append(replace(before, end=min(before.end, self.now)))
        elif place in self.sounding:
            self.end_note(self.sounding.pop(place))
        # Drum notes end by themselves, others when a token or the end of the ids ends them.
        end = self.now + self.drum_steps
        middle = self.vocabulary.bin_velocity(self.config.num_velocities // 2)
        velocity = self.velocity_in_force.get(self.config.velocity_holder(self.program_in_force), middle)
        self.sounding[place] = StepNote(self.program_in_force, pitch, self.now, end, velocity)

    def note_off(self, pitch: int) -> None:
        place = (self.program_in_force, pitch)
        if self.program_in_force == DRUMS or place not in self.sounding:
            self.report["ignored_tokens"] += 1
        else:
            self.end_note(self.sounding.pop(place))

    def end_note(self, note: StepNote) -> None:
        if note.start == self.now:
            self.report["dropped_notes"] += 1
        else:
            self.notes.append(replace(note, end=self.now))

    def pedal_on(self, _: int) -> None:
        if self.program_in_force == DRUMS or self.program_in_force in self.pedal_start:
            self.report["ignored_tokens"] += 1
        else:
            self.pedal_start[self.program_in_force] = self.now

    def pedal_off(self, _: int) -> None:
        if self.program_in_force not in self.pedal_start:
            self.report["ignored_tokens"] += 1
        else:
            self.end_pedal(self.program_in_force)

    def end_pedal(self, program: int) -> None:
        start = self.pedal_start.pop(program)
        if start < self.now:
            self.pedals.append(StepPedal(program, start, self.now))

    def end_all(self) -> None:
        """End what sounds."""
        for note in self.sounding.values():
            if note.program == DRUMS:
                self.notes.append(note)
            else:
                self.notes.append(replace(note, end=max(self.now, note.start + 1)))
                self.report["closed_notes"] += 1
        self.sounding.clear()
        for program in list(self.pedal_start):
            self.end_pedal(program)

    def finish(self, only_fill: bool) -> MidiData:
        """End what sounds, and say everything in ticks."""
        self.end_all()
        self.report["ignored_tokens"] += self.section != SAME_SECTION  # it has no chord
        if only_fill:
            num_notes, num_pedals = self.num_of_context if self.part == "fill" else (len(self.notes), len(self.pedals))
            self.notes, self.pedals = self.notes[num_notes:], self.pedals[num_pedals:]
        if self.part == "fill":
            self.notes, self.pedals = _without_overlaps(self.notes), _united(self.pedals)
        ticks = self.ticks_per_step
        return MidiData(
            notes=[
                Note(
                    start_ticks=ticks * note.start,
                    end_ticks=ticks * note.end,
                    pitch=note.pitch,
                    velocity=note.velocity,
                    program=0 if note.program == DRUMS else note.program,
                    is_drum=note.program == DRUMS,
                )
                for note in self.notes
            ],
            pedals=[PedalSpan(ticks * start, ticks * end, program) for program, start, end in sorted(self.pedals)],
            tempos=[Tempo(ticks * step, us_per_beat) for step, us_per_beat in changes(self.tempos)],
            time_signatures=[
                TimeSignature(ticks * step, *time_signature(index)) for step, index in changes(self.time_signatures)
            ],
            ticks_per_beat=self.ticks_per_beat,
            plan=Plan.from_rows(self.plan),
        )
