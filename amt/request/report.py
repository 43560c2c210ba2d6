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
from amt.midi.facts import estimate_key, key_name
from amt.midi.limits import Constraints
from amt.midi.plan import Plan, half_bar_ticks
from amt.midi.programs import DRUMS, program_name
from amt.midi.vocabulary import Vocabulary, time_signature
from amt.request.limits import BARS_AROUND, DURATION_AROUND, Limits, bar_beats, program_numbers
from amt.request.reading import Reading

TEMPO_TOLERANCE = 0.05  # of what a text asks for
DURATION_TOLERANCE = 0.1
ROUNDING_S = 1e-6
CHORDAL = 0.6  # the share of the notes' time in the chords, from which on they are kept: others pass


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """One thing that was asked for, and what came.

    Attributes:
        name: of the limit; of what the text asks for "key", "tempo", "time_signature", "instruments", "without" or
            "duration".
        asked, got: in words.
        is_met: whether the notes keep it.
        is_hard: whether it was an option, or became one with `bars`; otherwise the text asked for it.
    """

    name: str
    asked: str
    got: str
    is_met: bool
    is_hard: bool

    def __str__(self) -> str:
        verdict = "kept" if self.is_met else "not kept"
        return f"{self.name.replace('_', ' ')}: asked for {self.asked}, got {self.got}: {verdict}"


def compare(
    reading: Reading, limits: Limits | None, constraints: Constraints | None, music: MidiData, config: TokenizerConfig
) -> list[ReportRow]:
    """A row for each hard limit, then one for each other thing that the text asks for.

    Hard: what docs/generation.md says of each limit; `max_filler_tokens` has no row, as notes do not show it. Soft: the
    estimated key (`amt.midi.facts`), the first time signature and the instruments are those of the text, nobody plays
    whom it refuses, the first tempo is within 5 % and the duration within 10 %.
    """
    hard = [] if limits is None or constraints is None else list(_hard(limits, constraints, music, config))
    names = {row.name for row in hard}
    if config.preset != "score":
        names |= {"tempo", "time_signature"}  # its music has none: there is nothing to measure
    return hard + [row for row in _soft(reading, music) if row.name not in names]


def _hard(limits: Limits, constraints: Constraints, music: MidiData, config: TokenizerConfig) -> Iterator[ReportRow]:
    pitched = music.notes[~music.notes.is_drum]
    if constraints.pitch_classes is not None:
        num_outside = int((~np.isin(pitched.pitch % 12, constraints.pitch_classes)).sum())
        got = f"{num_outside} of {len(pitched)} notes outside its scale"
        yield ReportRow("key", str(limits.key), got, num_outside == 0, True)
    if limits.tempo is not None:
        yield _tempo_row(constraints, limits.tempo, music, config)
    if constraints.time_signature_index is not None:
        asked = "{}/{}".format(*time_signature(constraints.time_signature_index))
        signatures = list(dict.fromkeys(map(_signature, music.time_signatures)))
        yield ReportRow("time_signature", asked, ", ".join(signatures), signatures == [asked], True)
    yield from _instrument_rows(limits, constraints, music)
    yield from _pitch_rows(limits, constraints, music)
    yield from _length_rows(limits, constraints, music, config)
    if limits.max_polyphony is not None:
        highest = _highest_polyphony(pitched.start_ticks, pitched.end_ticks)
        is_met = highest <= limits.max_polyphony
        yield ReportRow("max_polyphony", f"at most {limits.max_polyphony} notes", f"{highest} notes", is_met, True)
    step = 1 / config.steps_per_beat
    if limits.max_note_beats is not None:
        longest = int((pitched.end_ticks - pitched.start_ticks).max(initial=0)) / music.ticks_per_beat
        yield _at_most("max_note_beats", limits.max_note_beats, longest, step)
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


def _tempo_row(
    constraints: Constraints, asked: float | Sequence[float], music: MidiData, config: TokenizerConfig
) -> ReportRow:
    low, high = constraints.tempo_min_index, constraints.tempo_max_index
    if constraints.tempo_index is not None:
        low = high = constraints.tempo_index
    vocabulary = Vocabulary(config)
    shortest, longest = vocabulary.tempo_us_per_beat(high or 0), vocabulary.tempo_us_per_beat(low or 0)
    is_met = all(shortest <= tempo.us_per_beat <= longest for tempo in music.tempos)
    got = ", ".join(dict.fromkeys(_bpm(tempo.bpm) for tempo in music.tempos))
    between = [asked] if isinstance(asked, (int, float)) else list(asked)
    words = _bpm(between[-1]) if len(between) == 1 else f"{between[0]:g} to {_bpm(between[1])}"
    return ReportRow("tempo", words, got, is_met, True)


def _instrument_rows(limits: Limits, constraints: Constraints, music: MidiData) -> Iterator[ReportRow]:
    programs = _programs(music)
    got = _listing(programs)
    if limits.instruments is not None:
        allowed = constraints.programs or ()
        missing = {*(constraints.required_programs or ())} if limits.required_instruments is None else set()
        is_met = set(programs) <= {*allowed} and missing <= {*programs}
        yield ReportRow("instruments", _listing(allowed), got, is_met, True)
    if limits.required_instruments:
        required = constraints.required_programs or ()
        is_met = set(required) <= {*programs}
        yield ReportRow("required_instruments", _listing(required), got, is_met, True)
    if limits.forbidden_instruments:
        forbidden = program_numbers(limits.forbidden_instruments, "forbidden_instruments")
        is_met = not {*forbidden} & {*programs}
        yield ReportRow("forbidden_instruments", f"no {_listing(forbidden)}", got, is_met, True)
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
        if pitches is None:
            continue
        bounds = np.asarray(pitches)[of_notes]
        outside = music.notes.pitch < bounds if side == "below" else music.notes.pitch > bounds
        given = getattr(limits, name)
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


def _soft(reading: Reading, music: MidiData) -> Iterator[ReportRow]:
    if reading.key is not None and reading.key.value.mode in ("major", "minor"):
        asked = (reading.key.value.tonic, reading.key.value.is_minor)
        key = estimate_key(music.notes)
        yield ReportRow("key", key_name(asked), "none" if key is None else key_name(key), key == asked, False)
    if reading.tempo_bpm is not None:
        bpm = music.tempos[0].bpm if music.tempos else 120.0
        is_met = abs(bpm - reading.tempo_bpm) <= TEMPO_TOLERANCE * reading.tempo_bpm
        yield ReportRow("tempo", _bpm(reading.tempo_bpm), _bpm(bpm), is_met, False)
    if reading.metre is not None:
        signature = music.time_signatures[0] if music.time_signatures else TimeSignature(0, 4, 4)
        is_met = (signature.numerator, signature.denominator) == reading.metre.value
        yield ReportRow("time_signature", "{}/{}".format(*reading.metre.value), _signature(signature), is_met, False)
    programs = _programs(music)
    if reading.parts:
        # "guitar" is any guitar; an orchestra may have anything beside what is named.
        all_play = all(not {*part.programs}.isdisjoint(programs) for part in reading.parts)
        no_other = reading.allowed_programs is None or reading.allowed_programs.issuperset(programs)
        names = ", ".join(part.name for part in reading.parts)
        yield ReportRow("instruments", names, _listing(programs), all_play and no_other, False)
    if reading.refused:
        names = ", ".join(said.value.name for said in reading.refused)
        is_met = reading.forbidden_programs.isdisjoint(programs)
        yield ReportRow("without", names, _listing(programs), is_met, False)
    if reading.seconds is not None:
        low, high = reading.seconds.value.low, reading.seconds.value.high
        is_met = (1 - DURATION_TOLERANCE) * low <= music.duration_s
        is_met = is_met and (high is None or music.duration_s <= (1 + DURATION_TOLERANCE) * high)
        yield ReportRow("duration", f"about {reading.seconds.value} s", f"{music.duration_s:.4g} s", is_met, False)


def _programs(music: MidiData) -> list[int]:
    """Those that play, ascending; 128 = drums."""
    programs: list[int] = np.unique(np.where(music.notes.is_drum, DRUMS, music.notes.program)).tolist()
    return programs


def _listing(programs: Sequence[int]) -> str:
    return ", ".join(map(program_name, programs)) or "none"


def _signature(signature: TimeSignature) -> str:
    return f"{signature.numerator}/{signature.denominator}"


def _bpm(bpm: float) -> str:
    return f"{round(bpm, 1):g} quarter notes a minute"


def _highest_polyphony(start_ticks: np.ndarray, end_ticks: np.ndarray) -> int:
    """Most notes at once; one that begins where another ends does not meet it."""
    ticks = np.concatenate([start_ticks, end_ticks])
    changes = np.repeat([1, -1], [len(start_ticks), len(end_ticks)])
    return int(changes[np.lexsort((changes, ticks))].cumsum().max(initial=0))
