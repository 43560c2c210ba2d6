"""Notes to token ids, in plain Python. docs/tokens.md is the definition; the numbers here are its steps.

Its twin is csrc/midi/encode.cpp.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import PedalSpan, Tempo, TimeSignature
from amt.midi.plan import SAME_SECTION, Plan
from amt.midi.reference.time_grid import COMMON_TIME_INDEX, DEFAULT_US_PER_BEAT, StepNote, StepPedal, TimeGrid, changes
from amt.midi.vocabulary import DRUMS, Vocabulary, time_signature_index, vocabulary_of

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
    "dropped_kits",
    "dropped_drum_lengths",
    "dropped_pedals",
    "dropped_key_signatures",
    "clamped_tempos",
    "tempo_ppm_max",
)


def encode(midi_data: MidiData, config: TokenizerConfig) -> tuple[list[int], dict[str, int]]:
    """The canonical token ids of a piece, and what could not be kept.

    Args:
        midi_data: notes, pedals, tempos and time signatures in ticks.
        config: the preset and its numbers.

    Returns:
        ids, from `bos` to `eos`, and the report with the keys of ENCODE_REPORT.

    Raises:
        ValueError: the piece ends at step 2^31 - 1 or later.
    """
    is_score = config.preset == "score"
    vocabulary = vocabulary_of(config)
    grid = TimeGrid(midi_data.tempos, midi_data.ticks_per_beat, config)
    report = dict.fromkeys(ENCODE_REPORT, 0)
    _check_length(midi_data, grid)

    report["dropped_key_signatures"] = len(midi_data.key_signatures)
    notes = _quantise_notes(midi_data, grid, is_score, report)
    notes = _merge_notes(notes, report)
    report["kept_notes"] = len(notes)
    pedals = _unite_pedals(midi_data.pedals, grid, is_score, report)
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
        signatures = changes(_signature_indices(midi_data.time_signatures, grid, report))
        tempos = changes(_tempo_indices(midi_data.tempos, grid, vocabulary, report))
        header = [vocabulary.token_id("time_signature", signatures[0][1]), vocabulary.token_id("tempo", tempos[0][1])]
        events += [(step, (-2, 0, 0), "time_signature", index) for step, index in signatures[1:]]
        events += [(step, (-1, 0, 0), "tempo", index) for step, index in tempos[1:]]
    events.sort()

    # 7. Tokens.
    ids = [vocabulary.token_id("bos"), *header]
    if config.has_plans_and_edits and midi_data.plan is not None:
        ids += plan_ids(midi_data.plan, vocabulary)
    now = 0
    program_in_force = None if is_score else 0
    velocity_in_force: dict[int, int] = {}  # see TokenizerConfig.velocity_holder
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
            holder = config.velocity_holder(program)
            if velocity_bin != velocity_in_force.get(holder):
                velocity_in_force[holder] = velocity_bin
                ids.append(vocabulary.token_id("velocity", velocity_bin))
        ids.append(vocabulary.token_id(kind, value))
    ids.append(vocabulary.token_id("eos"))
    return ids, report


def plan_ids(plan: Plan, vocabulary: Vocabulary) -> list[int]:
    """The tokens of a plan: `bars` stands before a chord that lasts another time than the one before."""
    ids: list[int] = []
    half_bars_in_force = None
    for section, chord, half_bars in plan.rows:
        if section != SAME_SECTION:
            ids.append(vocabulary.token_id("section", section))
        if half_bars != half_bars_in_force:
            half_bars_in_force = half_bars
            ids.append(vocabulary.token_id("bars", half_bars))
        ids.append(vocabulary.token_id("chord", chord))
    return ids


def _check_length(midi_data: MidiData, grid: TimeGrid) -> None:
    """Refuses a piece whose last step is not below 2^31 - 1."""
    end_ticks = [span.end_ticks for spans in (midi_data.notes, midi_data.pedals) for span in spans]
    change_ticks = [change.tick for part in (midi_data.tempos, midi_data.time_signatures) for change in part]
    last_step = grid.step(max([0, *end_ticks, *change_ticks]))
    if last_step >= 2**31 - 1:
        raise ValueError(f"the piece is too long: it ends at step {last_step}, which must be below 2^31 - 1")


def _quantise_notes(midi_data: MidiData, grid: TimeGrid, is_score: bool, report: dict[str, int]) -> list[StepNote]:
    """1., 2. and 8.: notes in steps, each in its program."""
    notes = []
    programs, kits = set(), set()
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
        else:
            kits.add(note.program)
            length = (note.end_ticks - note.start_ticks) * grid.steps_per_beat
            drum_length = max(1, grid.steps_per_beat // 4) * grid.ticks_per_beat
            report["dropped_drum_lengths"] += length != drum_length
        program = DRUMS if note.is_drum else note.program if is_score else 0
        notes.append(StepNote(program, note.pitch, start, end, note.velocity))
    if not is_score and len(programs) > 1:
        report["merged_programs"] = len(programs)
    report["dropped_kits"] = len(kits - {0})
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


def _unite_pedals(
    pedals: Iterable[PedalSpan], grid: TimeGrid, is_score: bool, report: dict[str, int]
) -> list[StepPedal]:
    """4.: pedal spans in steps, those of one program that overlap united; touching ones stay two."""
    spans = []
    for pedal in pedals:
        program = pedal.program if is_score else 0
        span = StepPedal(program, grid.step(pedal.start_ticks), grid.step(pedal.end_ticks))
        if not pedal.is_drum and span.start < span.end:
            spans.append(span)
        else:
            report["dropped_pedals"] += 1

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


def _tempo_indices(
    tempos: Iterable[Tempo], grid: TimeGrid, vocabulary: Vocabulary, report: dict[str, int]
) -> dict[int, int]:
    """5.: the index of the last tempo at each step, from 120 BPM at step 0."""
    slowest, fastest = (vocabulary.tempo_us_per_beat(i) for i in (0, len(vocabulary.config.tempos_bpm) - 1))
    index_at_step = {0: vocabulary.tempo_index(DEFAULT_US_PER_BEAT)}
    for tempo in sorted(tempos, key=lambda tempo: tempo.tick):
        index = vocabulary.tempo_index(tempo.us_per_beat)
        index_at_step[grid.step(tempo.tick)] = index
        moved = abs(vocabulary.tempo_us_per_beat(index) - tempo.us_per_beat)
        report["tempo_ppm_max"] = max(report["tempo_ppm_max"], moved * 1_000_000 // tempo.us_per_beat)
        report["clamped_tempos"] += not fastest <= tempo.us_per_beat <= slowest
    return index_at_step


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
