"""What was asked for beside what the notes are: the row of a check for each limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from amt.midi.chords import QUALITIES
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.limits import Constraints
from amt.midi.plan import Plan, half_bar_ticks
from amt.midi.programs import DRUMS, program_name, program_number
from amt.midi.sanity import top_run
from amt.midi.vocabulary import time_signature, vocabulary_of
from amt.request.limits import BARS_AROUND, DURATION_AROUND, Limits, Voices, bar_beats, program_numbers
from amt.request.note_lengths import NoteBeats
from amt.request.reading import Reading
from amt.request.rows import ReportRow, bpm_words, listing, programs_in, signature_words
from amt.request.stated import stated

ROUNDING_S = 1e-6
CHORDAL = 0.6  # the share of the notes' time in the chords, from which on they are kept: others pass


def compare(
    reading: Reading,
    limits: Limits | None,
    constraints: Constraints | None,
    music: MidiData,
    config: TokenizerConfig,
    said: frozenset[str] = frozenset(),
) -> list[ReportRow]:
    """A row for each hard limit of the call, then one for each other thing that the text asks for.

    What each row measures: docs/generation.md; `max_filler_tokens` has none, as notes do not show it. A piece without
    notes keeps nothing.

    Args:
        said: the names of the limits that the text gave, not the call.
    """
    limits = limits or Limits()
    own = dataclasses.replace(limits, **dict.fromkeys(said))
    rows = [] if constraints is None else list(_hard(own, constraints, music, config))
    names = {row.name for row in rows}
    if config.preset != "score":
        names |= {"tempo", "time_signature", "bars"}  # its music has none: there is nothing to measure
    rows += [row for row in stated(reading, limits, said, music) if row.name not in names]
    if len(music.notes):
        return rows
    return [dataclasses.replace(row, got="no notes", is_met=False) for row in rows]


def _hard(limits: Limits, constraints: Constraints, music: MidiData, config: TokenizerConfig) -> Iterator[ReportRow]:
    pitched = music.notes[~music.notes.is_drum]
    if limits.key is not None and constraints.pitch_classes is not None:
        num_outside = int((~np.isin(pitched.pitch % 12, constraints.pitch_classes)).sum())
        got = f"{num_outside} of {len(pitched)} notes outside its scale"
        yield ReportRow("key", str(limits.key), got, num_outside == 0 < len(pitched), True)
    if limits.tempo is not None:
        yield _tempo_row(constraints, limits.tempo, limits.tempo_us_per_beat, music, config)
    if limits.time_signature is not None and constraints.time_signature_index is not None:
        asked = "{}/{}".format(*time_signature(constraints.time_signature_index))
        signatures = list(dict.fromkeys(map(signature_words, music.time_signatures)))
        yield ReportRow("time_signature", asked, ", ".join(signatures), signatures == [asked], True)
    yield from _instrument_rows(limits, constraints, music)
    yield from _pitch_rows(limits, constraints, music)
    yield from _length_rows(limits, constraints, music, config)
    if limits.max_polyphony is not None:
        highest = _highest_polyphony(pitched.start_ticks, pitched.end_ticks)
        is_met = highest <= limits.max_polyphony
        yield ReportRow("max_polyphony", f"at most {limits.max_polyphony} notes", f"{highest} notes", is_met, True)
    if limits.max_voices is not None:
        yield _voices_row(limits.max_voices, music)
    if limits.max_top_run is not None:
        run = top_run(music)
        asked = f"at most {limits.max_top_run} times in a row"
        has_choice = not any(len(constraints.playable(program)) == 1 for program in range(DRUMS))
        is_met = run <= limits.max_top_run or not has_choice
        yield ReportRow("max_top_run", asked, f"{run} times", is_met, True)
    step = 1 / config.steps_per_beat
    if limits.max_note_beats is not None:
        yield _longest_note_row(limits.max_note_beats, music, step)
    if limits.max_rest_beats is not None:
        yield _at_most("max_rest_beats", limits.max_rest_beats, _longest_rest(music) / music.ticks_per_beat, step)
    if limits.chords is not None:
        share = 0.0 if music.plan is None else time_in_chords(music, music.plan)
        got = f"{share:.0%} of the notes' time is in the chords"
        yield ReportRow("chords", limits.chords, got, share >= CHORDAL, True)
    if limits.form is not None:
        yield _form_row(limits.form, music)


def _form_row(asked: str, music: MidiData) -> ReportRow:
    """Which sections of the plan the music comes to."""
    metre = music.time_signatures[0] if music.time_signatures else TimeSignature(0, 4, 4)
    half_bar = half_bar_ticks(metre.numerator, metre.denominator, music.ticks_per_beat)
    last_start = int(music.notes.start_ticks.max(initial=-1))
    sections = [] if music.plan is None else list(zip(music.plan.sections, music.plan.starts, strict=True))
    got = " ".join(section.name for section, start in sections if half_bar * start <= last_start)
    is_met = bool(sections) and half_bar * sections[-1][1] <= last_start
    return ReportRow("form", asked, got or "no music", is_met, True)


def time_in_chords(music: MidiData, plan: Plan) -> float:
    """The share of the time of all pitched notes, as far as the plan goes, that is a tone of the chord in force."""
    metre = music.time_signatures[0] if music.time_signatures else TimeSignature(0, 4, 4)
    half_bar = float(half_bar_ticks(metre.numerator, metre.denominator, music.ticks_per_beat))
    pitched = music.notes[~music.notes.is_drum]
    inside = total = 0.0
    at = 0
    for chord in plan.chords:
        start, end = half_bar * at, half_bar * (at + chord.half_bars)
        at += chord.half_bars
        lengths = np.minimum(pitched.end_ticks, end) - np.maximum(pitched.start_ticks, start)
        lengths = np.maximum(lengths, 0) * (chord.quality != "none")
        classes = {(chord.root + step) % 12 for tones in _tones(chord.quality) for step in tones}
        inside += float(lengths[np.isin(pitched.pitch % 12, list(classes))].sum())
        total += float(lengths.sum())
    return inside / total if total else 0.0


def _tones(quality: str) -> tuple[tuple[int, ...], ...]:
    """The tones of a quality of a plan; of sus those of both."""
    return (QUALITIES["sus4"], QUALITIES["sus2"]) if quality == "sus" else (QUALITIES[quality],)


def _at_most(name: str, limit: float, beats: float, step: float) -> ReportRow:
    """The row of a number of beats, which are the nearest step, at least one."""
    is_met = beats <= max(step, limit + step / 2)
    return ReportRow(name, f"at most {limit:g} beats", f"{beats:.4g} beats", is_met, True)


def _voices_row(limit: Voices, music: MidiData) -> ReportRow:
    """The row of how many notes of one instrument sound at once, or of each that is named."""
    pitched = music.notes[~music.notes.is_drum]
    given = limit if isinstance(limit, Mapping) else dict.fromkeys(np.unique(pitched.program).tolist(), limit)
    found = []
    for instrument, most in given.items():
        number = program_number(instrument)
        notes = pitched[pitched.program == number]
        name = instrument if isinstance(instrument, str) else program_name(number)
        highest = _highest_polyphony(notes.start_ticks, notes.end_ticks)
        found.append((f"{name} {most}", f"{name} {highest}", highest <= most))
    asked = ", ".join(each for each, _, _ in found) if isinstance(limit, Mapping) else f"at most {limit} notes"
    got = ", ".join(each for _, each, _ in found) or "no notes"
    return ReportRow("max_voices", asked, got, all(is_met for _, _, is_met in found), True)


def _longest_note_row(limit: NoteBeats, music: MidiData, step: float) -> ReportRow:
    """The row of the longest note, or of that of each instrument that is named."""
    pitched = music.notes[~music.notes.is_drum]
    beats = (pitched.end_ticks - pitched.start_ticks) / music.ticks_per_beat
    if not isinstance(limit, Mapping):
        return _at_most("max_note_beats", limit, float(beats.max(initial=0)), step)
    rows = []
    for instrument, most in limit.items():
        number = program_number(instrument)
        name = instrument if isinstance(instrument, str) else program_name(number)
        row = _at_most("max_note_beats", most, float(beats[pitched.program == number].max(initial=0)), step)
        rows.append((f"{name} {row.asked}", f"{name} {row.got}", row.is_met))
    asked, got, is_met = zip(*rows, strict=True)
    return ReportRow("max_note_beats", ", ".join(asked), ", ".join(got), all(is_met), True)


def _tempo_row(
    constraints: Constraints,
    asked: float | Sequence[float],
    exact_us: int | None,
    music: MidiData,
    config: TokenizerConfig,
) -> ReportRow:
    low, high = constraints.tempo_min_index, constraints.tempo_max_index
    if constraints.tempo_index is not None:
        low = high = constraints.tempo_index
    vocabulary = vocabulary_of(config)
    shortest, longest = vocabulary.tempo_us_per_beat(high or 0), vocabulary.tempo_us_per_beat(low or 0)
    is_met = all(shortest <= tempo.us_per_beat <= longest for tempo in music.tempos)
    if exact_us is not None:
        is_met = all(tempo.us_per_beat in (exact_us, shortest) for tempo in music.tempos)
    got = ", ".join(dict.fromkeys(bpm_words(tempo.bpm) for tempo in music.tempos))
    between = [asked] if isinstance(asked, (int, float)) else list(asked)
    words = bpm_words(between[-1]) if len(between) == 1 else f"{between[0]:g} to {bpm_words(between[1])}"
    return ReportRow("tempo", words, got, is_met, True)


def _instrument_rows(limits: Limits, constraints: Constraints, music: MidiData) -> Iterator[ReportRow]:
    programs = programs_in(music)
    got = listing(programs)
    if limits.instruments is not None:
        allowed = constraints.programs or ()
        missing = {*(constraints.required_programs or ())} if limits.required_instruments is None else set()
        is_met = set(programs) <= {*allowed} and missing <= {*programs}
        yield ReportRow("instruments", listing(allowed), got, is_met, True)
    if limits.required_instruments:
        required = constraints.required_programs or ()
        is_met = set(required) <= {*programs}
        yield ReportRow("required_instruments", listing(required), got, is_met, True)
    if limits.forbidden_instruments:
        forbidden = program_numbers(limits.forbidden_instruments, "forbidden_instruments")
        is_met = not {*forbidden} & {*programs}
        yield ReportRow("forbidden_instruments", f"no {listing(forbidden)}", got, is_met, True)
    if limits.max_instruments is not None:
        asked = f"at most {limits.max_instruments}"
        yield ReportRow("max_instruments", asked, str(len(programs)), len(programs) <= limits.max_instruments, True)
    if limits.entry_by_beats is not None and constraints.required_programs:
        of_notes = np.where(music.notes.is_drum, DRUMS, music.notes.program)
        starts = [music.notes.start_ticks[of_notes == program] for program in constraints.required_programs]
        latest = max((int(ticks.min()) for ticks in starts if len(ticks)), default=0) / music.ticks_per_beat
        is_met = all(map(len, starts)) and latest <= limits.entry_by_beats + ROUNDING_S
        yield ReportRow("entry_by_beats", f"by beat {limits.entry_by_beats:g}", f"by beat {latest:.4g}", is_met, True)


def _pitch_rows(limits: Limits, constraints: Constraints, music: MidiData) -> Iterator[ReportRow]:
    of_notes = np.where(music.notes.is_drum, DRUMS, music.notes.program).astype(int)
    for name, pitches, side in (
        ("min_pitch", constraints.min_pitch, "below"),
        ("max_pitch", constraints.max_pitch, "above"),
    ):
        given = getattr(limits, name)
        if pitches is None or given is None:
            continue
        bounds = np.asarray(pitches)[of_notes]
        outside = music.notes.pitch < bounds if side == "below" else music.notes.pitch > bounds
        pairs = given.items() if isinstance(given, Mapping) else ()
        asked = ", ".join(f"{instrument} {pitch}" for instrument, pitch in pairs) or str(given)
        got = f"{int(outside.sum())} of {len(music.notes)} notes {side} it"
        yield ReportRow(name, asked, got, not outside.any(), True)


def _length_rows(
    limits: Limits, constraints: Constraints, music: MidiData, config: TokenizerConfig
) -> Iterator[ReportRow]:
    if limits.max_beats is not None:
        yield _at_most("max_beats", limits.max_beats, music.end_ticks / music.ticks_per_beat, 1 / config.steps_per_beat)
    if limits.duration is not None:
        around = float(DURATION_AROUND) * limits.duration
        is_met = abs(music.duration_s - limits.duration) <= around + ROUNDING_S
        yield ReportRow("duration", f"{limits.duration:g} s", f"{music.duration_s:.4g} s", is_met, True)
    if limits.bars is not None and constraints.time_signature_index is not None:
        num_bars = Fraction(music.end_ticks, music.ticks_per_beat) / bar_beats(constraints.time_signature_index)
        is_met = max(Fraction(limits.bars - BARS_AROUND), Fraction(1, 2)) <= num_bars <= limits.bars + BARS_AROUND
        yield ReportRow("bars", str(limits.bars), f"{float(num_bars):.4g}", is_met, True)


def _longest_rest(music: MidiData) -> int:
    """The most ticks before a note at which nothing sounds; a drum is a moment."""
    notes = music.notes
    ends = np.where(notes.is_drum, notes.start_ticks, notes.end_ticks)
    heard = np.concatenate([[0], np.maximum.accumulate(ends)[:-1]]) if len(notes) else np.zeros(0, np.int64)
    return int((notes.start_ticks - heard).max(initial=0))


def _highest_polyphony(start_ticks: np.ndarray, end_ticks: np.ndarray) -> int:
    """Most notes at once; one that begins where another ends does not meet it."""
    ticks = np.concatenate([start_ticks, end_ticks])
    changes = np.repeat([1, -1], [len(start_ticks), len(end_ticks)])
    return int(changes[np.lexsort((changes, ticks))].cumsum().max(initial=0))
