"""Notes to token ids and back, in plain Python. docs/tokens.md is the definition; the numbers here are its steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from amt.config import TokenizerConfig
from amt.midi.data import MidiData, Note, PedalSpan, Tempo, TimeSignature
from amt.reference.vocabulary import DRUMS, Vocabulary, time_signature, time_signature_index, vocabulary_of

T = TypeVar("T")

DEFAULT_US_PER_BEAT = 500_000
COMMON_TIME_INDEX = 17  # of 4/4
PERFORMANCE_TICKS_PER_BEAT = 500  # at 120 BPM a tick is a millisecond
SCORE_TICKS_PER_STEP = 20
MAX_TICKS = 2**31 - 1

ENCODE_REPORT = (
    "num_notes",
    "kept_notes",
    "merged_notes",
    "truncated_notes",
    "lengthened_notes",
    "dropped_drums",
    "merged_programs",
    "sustained_notes",
    "dropped_time_signatures",
    "clamped_gaps",
    "clamped_steps",
    "moved_us_max",
)
DECODE_REPORT = ("ignored_tokens", "dropped_notes", "closed_notes")


@dataclass(frozen=True)
class StepNote:
    """A note in steps; drum notes have program 128 and an end that nobody reads."""

    program: int
    pitch: int
    start: int
    end: int
    velocity: int


class StepPedal(NamedTuple):
    """A pedal span in steps."""

    program: int
    start: int
    end: int


class TimeGrid:
    """Ticks to steps, in integers, rounding half up."""

    def __init__(self, tempos: Iterable[Tempo], ticks_per_beat: int, config: TokenizerConfig):
        self.is_score = config.preset == "score"
        self.ticks_per_beat = ticks_per_beat
        self.steps_per_beat = config.steps_per_beat
        self.step_length = config.step_ms * 1000 * ticks_per_beat  # in microseconds * ticks_per_beat, as `time`
        us_per_beat_at = {0: DEFAULT_US_PER_BEAT}
        for tempo in sorted(tempos, key=lambda tempo: tempo.tick):
            us_per_beat_at[tempo.tick] = tempo.us_per_beat
        self.segment_ticks = list(us_per_beat_at)
        self.segment_us_per_beat = list(us_per_beat_at.values())
        self.segment_times = [0]
        for tick in self.segment_ticks[1:]:
            self.segment_times.append(self.time(tick))

    def segment(self, tick: int) -> int:
        """The index of the tempo in force at a tick, among those whose time is known."""
        return bisect_right(self.segment_ticks, tick, hi=len(self.segment_times)) - 1

    def us_per_beat(self, tick: int) -> int:
        """The tempo in force at a tick."""
        return self.segment_us_per_beat[self.segment(tick)]

    def time(self, tick: int) -> int:
        """The time from the start to a tick, in microseconds * ticks_per_beat."""
        index = self.segment(tick)
        return self.segment_times[index] + (tick - self.segment_ticks[index]) * self.segment_us_per_beat[index]

    def step(self, tick: int) -> int:
        """The step nearest to a tick."""
        if self.is_score:
            return (2 * tick * self.steps_per_beat + self.ticks_per_beat) // (2 * self.ticks_per_beat)
        return (2 * self.time(tick) + self.step_length) // (2 * self.step_length)

    def moved_us(self, tick: int) -> int:
        """The distance between a tick and its step, in microseconds rounded down."""
        if self.is_score:
            halves = abs(2 * tick * self.steps_per_beat - 2 * self.step(tick) * self.ticks_per_beat)
            return halves * self.us_per_beat(tick) // (2 * self.steps_per_beat * self.ticks_per_beat)
        return abs(self.time(tick) - self.step(tick) * self.step_length) // self.ticks_per_beat


def encode(midi_data: MidiData, config: TokenizerConfig) -> tuple[list[int], dict[str, int]]:
    """The canonical token ids of a piece, and what could not be kept.

    Args:
        midi_data: notes, pedals, tempos and time signatures in ticks.
        config: the preset and its numbers.

    Returns:
        ids, from `bos` to `eos`, and the report with the keys of ENCODE_REPORT.
    """
    is_score = config.preset == "score"
    vocabulary = vocabulary_of(config)
    grid = TimeGrid(midi_data.tempos, midi_data.ticks_per_beat, config)
    report = dict.fromkeys(ENCODE_REPORT, 0)

    notes = _quantise_notes(midi_data, grid, is_score, report)
    notes = _merge_notes(notes, report)
    report["kept_notes"] = len(notes)
    pedals = _unite_pedals(midi_data.pedals, grid, is_score)
    if not is_score:
        notes = _sustain(notes, pedals, report)

    # 6. Events of each step by key: meta events before all programs, then by program, rank in its group, and pitch.
    events: list[tuple[int, tuple[int, int, int], str, int]] = []  # (step, key, kind, value)
    for note in notes:
        if note.program != DRUMS:
            events.append((note.end, (note.program, 0, note.pitch), "note_off", note.pitch))
        events.append((note.start, (note.program, 3, note.pitch), "note_on", note.pitch))
    velocity_of = {(note.start, (note.program, 3, note.pitch)): note.velocity for note in notes}
    header: list[int] = []
    if is_score:
        for pedal in pedals:
            events.append((pedal.end, (pedal.program, 1, 0), "pedal_off", 0))
            events.append((pedal.start, (pedal.program, 2, 0), "pedal_on", 0))
        signatures = _changes(_signature_indices(midi_data.time_signatures, grid, report))
        tempos = _changes(_tempo_indices(midi_data.tempos, grid, vocabulary))
        header = [vocabulary.token_id("time_signature", signatures[0][1]), vocabulary.token_id("tempo", tempos[0][1])]
        events += [(step, (-2, 0, 0), "time_signature", index) for step, index in signatures[1:]]
        events += [(step, (-1, 0, 0), "tempo", index) for step, index in tempos[1:]]
    events.sort()

    # 7. Tokens.
    ids = [vocabulary.token_id("bos"), *header]
    now = 0
    program_in_force = None if is_score else 0
    velocity_in_force = None
    for step, key, kind, value in events:
        if step > now:
            ids += _time_shifts(step - now, vocabulary, report)
            now = step
        program = key[0]
        if program >= 0 and program != program_in_force:
            program_in_force = program
            ids.append(vocabulary.token_id("program", program))
        if kind == "note_on":
            velocity_bin = vocabulary.velocity_bin(velocity_of[step, key])
            if velocity_bin != velocity_in_force:
                velocity_in_force = velocity_bin
                ids.append(vocabulary.token_id("velocity", velocity_bin))
        ids.append(vocabulary.token_id(kind, value))
    ids.append(vocabulary.token_id("eos"))
    return ids, report


def _quantise_notes(midi_data: MidiData, grid: TimeGrid, is_score: bool, report: dict[str, int]) -> list[StepNote]:
    """1., 2. and 8.: notes in steps, each in its program."""
    notes = []
    programs = set()
    for note in midi_data.notes:
        report["num_notes"] += 1
        if note.is_drum and not is_score:
            report["dropped_drums"] += 1
            continue
        start = grid.step(note.start_ticks)
        end = start
        report["moved_us_max"] = max(report["moved_us_max"], grid.moved_us(note.start_ticks))
        if not note.is_drum:
            programs.add(note.program)
            end = grid.step(note.end_ticks)
            report["moved_us_max"] = max(report["moved_us_max"], grid.moved_us(note.end_ticks))
            if end <= start:
                end = start + 1
                report["lengthened_notes"] += 1
        program = DRUMS if note.is_drum else note.program if is_score else 0
        notes.append(StepNote(program, note.pitch, start, end, note.velocity))
    if not is_score and len(programs) > 1:
        report["merged_programs"] = len(programs)
    return notes


def _merge_notes(notes: list[StepNote], report: dict[str, int]) -> list[StepNote]:
    """3.: one note for equal program, pitch and start; a note ends where the next of its pitch starts."""
    merged: dict[tuple[int, int, int], StepNote] = {}
    for note in notes:
        place = (note.program, note.pitch, note.start)
        if place in merged:
            report["merged_notes"] += 1
            other = merged[place]
            note = replace(note, end=max(note.end, other.end), velocity=max(note.velocity, other.velocity))
        merged[place] = note

    result: list[StepNote] = []
    for _, note in sorted(merged.items()):
        if result:
            before = result[-1]
            is_same_pitch = (before.program, before.pitch) == (note.program, note.pitch)
            if is_same_pitch and note.program != DRUMS and before.end > note.start:
                result[-1] = replace(before, end=note.start)
                report["truncated_notes"] += 1
        result.append(note)
    return result


def _unite_pedals(pedals: Iterable[PedalSpan], grid: TimeGrid, is_score: bool) -> list[StepPedal]:
    """4.: pedal spans in steps, those of one program that overlap united; touching ones stay two."""
    spans = []
    for pedal in pedals:
        program = pedal.program if is_score else 0
        span = StepPedal(program, grid.step(pedal.start_ticks), grid.step(pedal.end_ticks))
        if not pedal.is_drum and span.start < span.end:
            spans.append(span)

    united: list[StepPedal] = []
    for span in sorted(spans):
        if united and united[-1].program == span.program and span.start < united[-1].end:
            united[-1] = united[-1]._replace(end=max(united[-1].end, span.end))
        else:
            united.append(span)
    return united


def _sustain(notes: list[StepNote], pedals: list[StepPedal], report: dict[str, int]) -> list[StepNote]:
    """4., `performance`: a note that ends under the pedal lasts to the pedal's end or the next start of its pitch.

    Args:
        notes: by pitch and start.
        pedals: by start.
    """
    pedal_starts = [pedal.start for pedal in pedals]
    result = []
    for index, note in enumerate(notes):
        end = note.end
        num_before = bisect_right(pedal_starts, note.end)
        if num_before > 0:
            end = max(end, pedals[num_before - 1].end)
        if index + 1 < len(notes) and notes[index + 1].pitch == note.pitch:
            end = min(end, notes[index + 1].start)
        if end > note.end:
            report["sustained_notes"] += 1
        result.append(replace(note, end=end))
    return result


def _signature_indices(
    time_signatures: Iterable[TimeSignature], grid: TimeGrid, report: dict[str, int]
) -> dict[int, int]:
    """5.: the index of the last time signature at each step, from 4/4 at step 0."""
    index_at_step = {0: COMMON_TIME_INDEX}
    for signature in sorted(time_signatures, key=lambda signature: signature.tick):
        index = time_signature_index(signature.numerator, signature.denominator)
        if index is None:
            report["dropped_time_signatures"] += 1
        else:
            index_at_step[grid.step(signature.tick)] = index
    return index_at_step


def _tempo_indices(tempos: Iterable[Tempo], grid: TimeGrid, vocabulary: Vocabulary) -> dict[int, int]:
    """5.: the index of the last tempo at each step, from 120 BPM at step 0."""
    index_at_step = {0: vocabulary.tempo_index(DEFAULT_US_PER_BEAT)}
    for tempo in sorted(tempos, key=lambda tempo: tempo.tick):
        index_at_step[grid.step(tempo.tick)] = vocabulary.tempo_index(tempo.us_per_beat)
    return index_at_step


def _changes(value_at_step: dict[int, T]) -> list[tuple[int, T]]:
    """(step, value) in order of steps, without those that change nothing; the first is step 0's."""
    changes: list[tuple[int, T]] = []
    for step, value in sorted(value_at_step.items(), key=lambda item: item[0]):
        if not changes or value != changes[-1][1]:
            changes.append((step, value))
    return changes


def _time_shifts(steps: int, vocabulary: Vocabulary, report: dict[str, int]) -> list[int]:
    """7.: the way to the next event, largest shift first, cut to `max_gap_steps`."""
    max_gap_steps, largest = vocabulary.config.max_gap_steps, vocabulary.config.max_time_shift
    if steps > max_gap_steps:
        report["clamped_gaps"] += 1
        report["clamped_steps"] += steps - max_gap_steps
        steps = max_gap_steps
    shifts = [largest] * (steps // largest)
    if steps % largest:
        shifts.append(steps % largest)
    return [vocabulary.token_id("time_shift", shift) for shift in shifts]


def decode(ids: Iterable[int], config: TokenizerConfig) -> tuple[MidiData, dict[str, int]]:
    """The piece that ids say; any ids of the vocabulary mean something.

    Args:
        ids: token ids; `eos` ends them.
        config: the preset and its numbers.

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
        if event.kind not in ("pad", "bos"):
            getattr(decoder, event.kind)(event.value)
        if decoder.now >= decoder.max_steps:
            raise ValueError(f"the music up to position {position} is longer than a MIDI file can hold (2^31 ticks)")
    return decoder.finish(), decoder.report


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
        self.velocity_in_force = self.vocabulary.bin_velocity(config.num_velocities // 2)
        self.sounding: dict[tuple[int, int], StepNote] = {}  # by program and pitch
        self.pedal_start: dict[int, int] = {}  # by program
        self.notes: list[StepNote] = []
        self.pedals: list[StepPedal] = []
        self.tempos = {0: DEFAULT_US_PER_BEAT}  # by step
        self.time_signatures = {0: COMMON_TIME_INDEX}

    def time_shift(self, steps: int) -> None:
        self.now += steps

    def velocity(self, velocity_bin: int) -> None:
        self.velocity_in_force = self.vocabulary.bin_velocity(velocity_bin)

    def program(self, program: int) -> None:
        self.program_in_force = program

    def tempo(self, index: int) -> None:
        self.tempos[self.now] = self.vocabulary.tempo_us_per_beat(index)

    def time_signature(self, index: int) -> None:
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
        self.sounding[place] = StepNote(self.program_in_force, pitch, self.now, end, self.velocity_in_force)

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

    def finish(self) -> MidiData:
        """End what sounds, and say everything in ticks."""
        for note in self.sounding.values():
            if note.program == DRUMS:
                self.notes.append(note)
            else:
                self.notes.append(replace(note, end=max(self.now, note.start + 1)))
                self.report["closed_notes"] += 1
        for program in list(self.pedal_start):
            self.end_pedal(program)

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
            tempos=[Tempo(ticks * step, us_per_beat) for step, us_per_beat in _changes(self.tempos)],
            time_signatures=[
                TimeSignature(ticks * step, *time_signature(index)) for step, index in _changes(self.time_signatures)
            ],
            ticks_per_beat=self.ticks_per_beat,
        )
