"""Edits of a piece: which bars of which programs are holes, the row of tokens that asks for them, and what comes back.

A note or a pedal belongs to the program and to the bar in which it starts, by the step of its start. So what starts
before a hole stays as long as it is, and what starts in it goes with it. docs/editing.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from amt.midi.canonical import transposed
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import PedalSpan, TimeSignature
from amt.midi.reference.edits import StepHole
from amt.midi.reference.features import NUM_METRES
from amt.midi.reference.holes import ALL
from amt.midi.reference.time_grid import COMMON_TIME_INDEX, changes
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import DRUMS, time_signature, time_signature_index, vocabulary_of

TICKS_PER_STEP = 20  # of a piece on the grid, as of one that was decoded
LONGEST_REST = 1 << 20  # steps that a row of an edit may have without an event
Span = tuple[int, int]


class BarLines:
    """Where bars begin, in steps. They are computed, not listed: a small file may have any number of empty bars.

    Args:
        signatures: (step, index of the time signature), ascending; 4/4 before the first.
        steps_per_beat: of the tokenizer.
    """

    def __init__(self, signatures: Iterable[tuple[int, int]], steps_per_beat: int):
        at_step = {0: COMMON_TIME_INDEX} | dict(signatures)
        starts: list[int] = []
        lengths: list[int] = []
        bars = [0]
        for step, index in changes(at_step):
            if starts:
                bars.append(bars[-1] + -(-(step - starts[-1]) // lengths[-1]))
            numerator, denominator = time_signature(index)
            starts.append(step)
            lengths.append(max(1, 4 * steps_per_beat * numerator // denominator))
        self._starts, self._lengths, self._bars = (np.array(each, np.int64) for each in (starts, lengths, bars))

    @classmethod
    def of_ids(cls, ids: np.ndarray, config: TokenizerConfig) -> BarLines:
        """Those of a row of music."""
        first = vocabulary_of(config).token_id("time_signature", 0)
        ids = np.asarray(ids, np.int64)
        places = np.flatnonzero((ids >= first) & (ids < first + NUM_METRES))
        steps = steps_before(ids, config)
        return cls(((int(steps[place]), int(ids[place] - first)) for place in places), config.steps_per_beat)

    @classmethod
    def of_midi(cls, midi: MidiData, config: TokenizerConfig) -> BarLines:
        """Those of a piece."""
        at_step: dict[int, int] = {}
        for signature in midi.time_signatures:
            index = time_signature_index(signature.numerator, signature.denominator)
            if index is not None:
                at_step[int(to_steps(signature.tick, midi.ticks_per_beat, config))] = index
        return cls(sorted(at_step.items()), config.steps_per_beat)

    def step(self, bar: int) -> int:
        """Where a bar begins."""
        place = int(np.searchsorted(self._bars, bar, "right")) - 1
        return int(self._starts[place] + (bar - self._bars[place]) * self._lengths[place])

    def bar(self, steps: np.ndarray | int) -> np.ndarray:
        """The bar in which each step lies."""
        place = np.searchsorted(self._starts, steps, "right") - 1
        bars: np.ndarray = self._bars[place] + (steps - self._starts[place]) // self._lengths[place]
        return bars

    def num_bars(self, end_step: int) -> int:
        """How many bars have begun before a step."""
        return int(self.bar(end_step - 1)) + 1 if end_step > 0 else 0


@dataclasses.dataclass(frozen=True, order=True)
class BarHole:
    """A program, or `ALL`, is missing from the bar `first` up to the bar `end`, counted from 0."""

    program: int
    first: int
    end: int


class Holes:
    """Which bars of which programs are to be filled, in their normal form.

    Args:
        holes: any; they may overlap and touch each other.

    Attributes:
        spans: none of one program touches another, and those of single programs lie outside of those of all.

    Raises:
        ValueError: there is none, or one that is no hole.

    Example:
        >>> Holes([BarHole(33, 4, 8)]).spans
        (BarHole(program=33, first=4, end=8),)
    """

    def __init__(self, holes: Iterable[BarHole]):
        by_program: dict[int, list[Span]] = {}
        for hole in holes:
            if not 0 <= hole.first < hole.end or not ALL <= hole.program <= DRUMS:
                raise ValueError(f"a hole is a program, a first bar and a later one, got {hole}")
            by_program.setdefault(hole.program, []).append((hole.first, hole.end))
        if not by_program:
            raise ValueError("there is no hole; name bars or programs")
        of_all = _united(by_program.pop(ALL, []))
        spans = [BarHole(ALL, *span) for span in of_all]
        for program, given in sorted(by_program.items()):
            spans += [BarHole(program, *span) for span in _without(_united(given), of_all)]
        self.spans = tuple(spans)

    @classmethod
    def of(cls, bars: Iterable[Span], programs: Iterable[int] | None = None) -> Holes:
        """The same bars of several programs; None: of all."""
        chosen = [ALL] if programs is None else list(programs)
        return cls(BarHole(program, *span) for span in bars for program in chosen)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holes) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def __repr__(self) -> str:
        return f"Holes({list(self.spans)})"

    @property
    def intervals(self) -> list[Span]:
        """The maximal runs of bars that have holes."""
        return _united((hole.first, hole.end) for hole in self.spans)

    def contain(self, programs: np.ndarray, bars: np.ndarray) -> np.ndarray:
        """Whether what starts in a bar of a program lies in a hole, of each."""
        found = np.zeros(len(bars), bool)
        for hole in self.spans:
            is_program = True if hole.program == ALL else programs == hole.program
            found |= is_program & (bars >= hole.first) & (bars < hole.end)
        return found

    def within(self, first: int, end: int) -> Holes | None:
        """The part of them in some bars, which are counted from `first`; None: there is none."""
        cut = [BarHole(h.program, max(h.first, first) - first, min(h.end, end) - first) for h in self.spans]
        cut = [hole for hole in cut if hole.first < hole.end]
        return Holes(cut) if cut else None

    def in_steps(self, lines: BarLines) -> list[StepHole]:
        """As `EventTokenizer.edit_row` takes them."""
        return [StepHole(hole.program, lines.step(hole.first), lines.step(hole.end)) for hole in self.spans]


def edit_ids(midi: MidiData, holes: Holes, tokenizer: EventTokenizer) -> np.ndarray:
    """The row of tokens that asks for an edit of a piece, int32, with what the piece has in the holes as its fill.

    Raises:
        ValueError: the tokenizer has no edits, the holes are too many, or the piece has a rest of thousands of beats.
    """
    ids = whole_ids(midi, tokenizer)
    return tokenizer.edit_row(ids, holes.in_steps(BarLines.of_ids(ids, tokenizer.config)))


def whole_ids(midi: MidiData, tokenizer: EventTokenizer) -> np.ndarray:
    """The ids of a piece with all its rests as long as they are: steps are those of the piece."""
    config = tokenizer.config
    if config.max_gap_steps < LONGEST_REST:
        tokenizer = EventTokenizer(dataclasses.replace(config, max_gap_steps=LONGEST_REST))
    encoding = tokenizer.encode(midi)
    if encoding.report.clamped_gaps:
        raise ValueError(f"the piece has a rest of more than {LONGEST_REST // config.steps_per_beat} beats; cut it out")
    return encoding.ids


def in_holes(midi: MidiData, holes: Holes, config: TokenizerConfig) -> np.ndarray:
    """Which notes of a piece start in its holes."""
    lines = BarLines.of_midi(midi, config)
    steps = to_steps(midi.notes.start_ticks, midi.ticks_per_beat, config)
    return holes.contain(_programs(midi.notes), lines.bar(steps))


def emptied(midi: MidiData, holes: Holes, config: TokenizerConfig) -> MidiData:
    """A piece without what starts in its holes; everything else is what it was."""
    lines = BarLines.of_midi(midi, config)
    notes = midi.notes
    in_hole = in_holes(midi, holes, config)
    pedals = list(midi.pedals)
    starts = to_steps(np.array([pedal.start_ticks for pedal in pedals], np.int64), midi.ticks_per_beat, config)
    programs = np.array([DRUMS + 1 if pedal.is_drum else pedal.program for pedal in pedals], np.int64)
    has_tokens = programs <= DRUMS  # drums have no pedal there: it is not in question
    gone = holes.contain(programs, lines.bar(starts)) & has_tokens
    kept = [pedal for pedal, is_gone in zip(pedals, gone, strict=True) if not is_gone]
    return midi.replace(notes=notes[~in_hole], pedals=kept)


def merge(
    midi: MidiData,
    holes: Holes,
    ids: Sequence[int] | np.ndarray,
    tokenizer: EventTokenizer,
    *,
    first_bar: int = 0,
    semitones: int = 0,
) -> MidiData:
    """A piece whose holes have what an edit's tokens say there; outside of them it is what it was, in every tick.

    A fill note whose pitch sounds in its program already is left out, and one that would sound into the next note of
    its pitch ends there. Drum notes get the kit that the piece has there.

    Args:
        holes: of the piece.
        ids: of the edit, from `bos` on.
        first_bar: the bar of the piece that is the edit's first.
        semitones: by how much what the tokens say is moved.
    """
    config = tokenizer.config
    base = emptied(midi, holes, config)
    fill = transposed(tokenizer.decode(ids, only_fill=True), semitones)
    lines = BarLines.of_midi(midi, config)
    first_step = lines.step(first_bar)

    def ticks(grid_ticks: np.ndarray) -> np.ndarray:
        steps = np.asarray(grid_ticks, np.int64) // TICKS_PER_STEP + first_step
        return _to_ticks(steps, midi.ticks_per_beat, config)

    def are_inside(programs: np.ndarray, starts: np.ndarray) -> np.ndarray:
        return holes.contain(programs, lines.bar(to_steps(np.maximum(starts, 0), midi.ticks_per_beat, config)))

    programs = _programs(fill.notes)
    start, end = ticks(fill.notes.start_ticks), ticks(fill.notes.end_ticks)
    # Ticks may be coarser than steps: then the nearest one can lie before the hole or behind it.
    start = np.select([are_inside(programs, start + moved) for moved in (0, 1, -1)], [start, start + 1, start - 1], 0)
    end = np.maximum(end, start + 1)
    kit = np.where(fill.notes.is_drum, _kits(midi.notes, start), fill.notes.program)
    start, end, kept = _between(base.notes, start, end, fill.notes, midi.ticks_per_beat, config)
    kept &= are_inside(programs, start)
    added = (start, end, fill.notes.pitch, fill.notes.velocity, kit, fill.notes.is_drum)
    columns = zip(base.notes.columns, added, strict=True)
    notes = NoteTable(*(np.concatenate([old, new[kept].astype(old.dtype)]) for old, new in columns))
    pedals = []
    for pedal in fill.pedals:
        span = _between_pedals(base.pedals, pedal.program, *ticks(np.array([pedal.start_ticks, pedal.end_ticks])))
        if span.start_ticks < span.end_ticks and are_inside(np.array([span.program]), np.array([span.start_ticks]))[0]:
            pedals.append(span)
    return base.replace(notes=notes, pedals=[*base.pedals, *pedals])


def on_grid(midi: MidiData, config: TokenizerConfig) -> MidiData:
    """A piece in the tokenizer's steps, 20 ticks each: its bars can be cut where the tokens have them.

    Raises:
        ValueError: it is too long for that.
    """

    def grid(ticks: np.ndarray) -> np.ndarray:
        return TICKS_PER_STEP * to_steps(ticks, midi.ticks_per_beat, config)

    if grid(np.array([midi.end_ticks]))[0] >= 2**31 - TICKS_PER_STEP:
        raise ValueError(f"the piece is too long to be edited: {midi.end_ticks} ticks; cut it in two")
    notes = midi.notes
    start = grid(notes.start_ticks)
    end = np.maximum(grid(notes.end_ticks), start + TICKS_PER_STEP)
    signatures: dict[int, TimeSignature] = {}
    for signature in midi.time_signatures:
        if time_signature_index(signature.numerator, signature.denominator) is not None:
            tick = int(grid(np.array([signature.tick]))[0])
            signatures[tick] = dataclasses.replace(signature, tick=tick)

    def one(tick: int) -> int:
        return int(grid(np.array([tick]))[0])

    return MidiData(
        NoteTable(start, end, notes.pitch, notes.velocity, notes.program, notes.is_drum),
        [PedalSpan(one(p.start_ticks), one(p.end_ticks), p.program, p.is_drum) for p in midi.pedals],
        [dataclasses.replace(tempo, tick=one(tempo.tick)) for tempo in midi.tempos],
        signatures.values(),
        [dataclasses.replace(key, tick=one(key.tick)) for key in midi.key_signatures],
        ticks_per_beat=TICKS_PER_STEP * config.steps_per_beat,
        plan=midi.plan,
    )


def steps_before(ids: np.ndarray, config: TokenizerConfig) -> np.ndarray:
    """The step at which each token of a row of music stands; for a time_shift where it begins."""
    first = vocabulary_of(config).token_id("time_shift", 1)
    shifts = np.asarray(ids, np.int64) - first + 1
    shifts[(shifts < 1) | (shifts > config.max_time_shift)] = 0
    steps: np.ndarray = np.cumsum(shifts) - shifts
    return steps


def to_steps(ticks: np.ndarray | int, ticks_per_beat: int, config: TokenizerConfig) -> np.ndarray:
    """The step nearest to each tick; docs/tokens.md, "Time"."""
    halves = 2 * np.asarray(ticks, np.int64) * config.steps_per_beat + ticks_per_beat
    steps: np.ndarray = halves // (2 * ticks_per_beat)
    return steps


def _to_ticks(steps: np.ndarray, ticks_per_beat: int, config: TokenizerConfig) -> np.ndarray:
    ticks: np.ndarray = (2 * steps * ticks_per_beat + config.steps_per_beat) // (2 * config.steps_per_beat)
    return ticks


def _programs(notes: NoteTable) -> np.ndarray:
    programs: np.ndarray = np.where(notes.is_drum, DRUMS, notes.program).astype(np.int64)
    return programs


def _kits(notes: NoteTable, ticks: np.ndarray) -> np.ndarray:
    """The kit of the last drum note up to each tick; before all of them that of the first, without any 0."""
    starts, kits = notes.start_ticks[notes.is_drum], notes.program[notes.is_drum]
    if not len(starts):
        return np.zeros(len(ticks), np.uint8)
    found: np.ndarray = kits[np.maximum(np.searchsorted(starts, ticks, "right") - 1, 0)]
    return found


def _between(
    base: NoteTable, start: np.ndarray, end: np.ndarray, fill: NoteTable, ticks_per_beat: int, config: TokenizerConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends of a fill's notes between those of the piece, and which of them there are."""
    start, end = start.copy(), end.copy()
    kept = np.ones(len(start), bool)
    # The notes of one program and pitch lie together in this order, by their starts.
    base_keys, keys = _programs(base) * 128 + base.pitch, _programs(fill) * 128 + fill.pitch
    order = np.lexsort((base.start_ticks, base_keys))
    sorted_keys, starts, ends = base_keys[order], base.start_ticks[order], base.end_ticks[order]
    for index, key in enumerate(keys.tolist()):
        first, last = np.searchsorted(sorted_keys, [key, key + 1])
        if first == last:
            continue
        place = first + int(np.searchsorted(starts[first:last], start[index]))
        longest = int(ends[first:place].max(initial=0))
        if longest > start[index] and not fill.is_drum[index]:
            # Notes of the piece lie between steps: what ends at the fill note's step does not meet it.
            ends_at, starts_at = to_steps(np.array([longest, start[index]]), ticks_per_beat, config)
            kept[index] = ends_at <= starts_at and longest < end[index]
            start[index] = longest
        if place < last:
            kept[index] &= starts[place] > start[index]
            end[index] = min(end[index], starts[place])
        end[index] = max(end[index], start[index] + 1)
    return start, end, kept


def _between_pedals(base: Iterable[PedalSpan], program: int, start: int, end: int) -> PedalSpan:
    """A fill's pedal from where no pedal of the piece is down up to where the next one is; maybe an empty one."""
    own = sorted((p.start_ticks, p.end_ticks) for p in base if p.program == program and not p.is_drum)
    for first, last in own:
        if first <= start < last:
            start = last
    end = min([int(end), *(first for first, _ in own if first > start)])
    return PedalSpan(int(start), max(int(start), end), program)


def _united(spans: Iterable[Span]) -> list[Span]:
    """Spans that overlap or touch as one, ascending."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _without(spans: list[Span], others: list[Span]) -> list[Span]:
    """Spans without what others cover."""
    for other_start, other_end in others:
        pieces = []
        for start, end in spans:
            pieces += [(start, min(end, other_start)), (max(start, other_end), end)]
        spans = [(start, end) for start, end in pieces if start < end]
    return spans
