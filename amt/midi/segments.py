"""Long pieces in parts that fit a model, cut at bar lines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import TimeSignature
from amt.midi.plan import Plan, half_bar_tick, half_bar_ticks
from amt.midi.tokenizer import EventTokenizer


@dataclasses.dataclass(frozen=True)
class Segment:
    """Consecutive tokens of one piece, beginning like a piece of its own.

    `ids` ends with `eos` only if the piece ends there.
    """

    ids: np.ndarray
    is_start: bool


def bars_at(data: MidiData, ticks: np.ndarray) -> np.ndarray:
    """The bar line at or before each tick, by the time signatures.

    They are computed, not listed: a small file may declare any number of empty bars.
    """
    changes = [TimeSignature(0, 4, 4), *data.time_signatures]
    starts = np.array([change.tick for change in changes], np.int64)
    lengths = np.array([data.ticks_per_beat * 4 * change.numerator // change.denominator for change in changes])
    index = np.searchsorted(starts, ticks, "right") - 1
    start, length = starts[index], np.maximum(lengths[index], 1)
    bars: np.ndarray = start + (ticks - start) // length * length
    return bars


def cut(data: MidiData, start: int, end: int) -> MidiData:
    """The music from tick `start` to tick `end`, moved to tick 0; notes that cross the end are shortened.

    Notes that sound already at `start` are left out. The plan stays only if `start` is at one of its half bars and the
    metre has not changed before: else it would say another time there.
    """
    notes = data.notes
    inside = (notes.start_ticks >= start) & (notes.start_ticks < end)

    def moved(changes: Sequence[Any]) -> list[Any]:
        before = [change for change in changes if change.tick <= start][-1:]
        after = [change for change in changes if start < change.tick < end]
        return [dataclasses.replace(change, tick=max(0, change.tick - start)) for change in before + after]

    return data.replace(
        notes=NoteTable(
            start_ticks=notes.start_ticks[inside] - start,
            end_ticks=np.minimum(notes.end_ticks[inside], end) - start,
            pitch=notes.pitch[inside],
            velocity=notes.velocity[inside],
            program=notes.program[inside],
            is_drum=notes.is_drum[inside],
        ),
        pedals=[
            dataclasses.replace(
                pedal, start_ticks=max(pedal.start_ticks - start, 0), end_ticks=min(pedal.end_ticks, end) - start
            )
            for pedal in data.pedals
            if pedal.start_ticks < end and pedal.end_ticks > start
        ],
        tempos=moved(data.tempos),
        time_signatures=moved(data.time_signatures),
        key_signatures=moved(data.key_signatures),
        repairs=(),
        end_ticks=0,
        plan=_plan_between(data, start, end),
    )


def _plan_between(data: MidiData, start: int, end: int) -> Plan | None:
    """The plan's half bars from tick `start` to tick `end`."""
    if data.plan is None:
        return None
    metres = [(change.numerator, change.denominator) for change in data.time_signatures if change.tick <= start]
    first = next(((c.numerator, c.denominator) for c in data.time_signatures if c.tick == 0), (4, 4))
    half_bar = half_bar_ticks(*first, data.ticks_per_beat)
    begin = round(start / half_bar)
    if any(metre != first for metre in metres) or half_bar_tick(begin, *first, data.ticks_per_beat) != start:
        return None
    return data.plan.part(begin, math.ceil(end / half_bar))


def segments(data: MidiData, tokenizer: EventTokenizer, max_len: int, max_segments: int | None = None) -> list[Segment]:
    """A piece as segments of at most `max_len` tokens, each with a note; none if the piece has no note.

    Cuts lie on bar lines, where about nine tenths of `max_len` are full; what is still too long is cut off. Changes of
    tempo and metre behind the last note are left out.

    Args:
        max_segments: only the first ones; None: all.
    """
    data = _to_the_last_note(data)
    ids = tokenizer.encode(data).ids
    if len(ids) <= max_len:
        return [Segment(ids, True)] if _has_note(ids, tokenizer) else []
    starts = data.notes.start_ticks
    bars = bars_at(data, starts)
    usual_num_notes = max(1, int(0.9 * max_len * len(starts) / len(ids)))
    parts: list[Segment] = []
    first = end = 0
    while first < len(starts) and (max_segments is None or len(parts) < max_segments):
        # A bar that was cut in two does not begin again.
        begin = max(end, int(bars[first])) if parts else 0
        num_notes, fewest, most = usual_num_notes, 0, len(starts)
        while True:
            end, last = _end_of_part(data, bars, first, num_notes)
            is_end = last >= len(starts)
            part = tokenizer.encode(cut(data, begin, end)).ids
            # Where tokens are not spread evenly over the notes, the usual number of them is far off.
            better = int(0.9 * num_notes * max_len / len(part))
            if len(part) > max_len and num_notes > fewest + 1:
                most, num_notes = num_notes, max(better, fewest + 1)
            elif 2 * len(part) < max_len and not is_end and num_notes + 1 < most:
                fewest, num_notes = num_notes, min(better, most - 1)
            else:
                break
        segment = Segment((part if is_end else part[:-1])[:max_len], not parts)
        if _has_note(segment.ids, tokenizer):
            parts.append(segment)
        first = last
    return parts


def _to_the_last_note(data: MidiData) -> MidiData:
    """The piece without what changes behind its last note."""
    end = int(data.notes.end_ticks.max(initial=0))
    maps = (data.tempos, data.time_signatures)
    if all(not changes or changes[-1].tick < max(end, 1) for changes in maps):
        return data
    tempos, time_signatures = ([change for change in changes if change.tick < max(end, 1)] for changes in maps)
    return data.replace(tempos=tempos, time_signatures=time_signatures)


def _has_note(ids: np.ndarray, tokenizer: EventTokenizer) -> bool:
    lowest, highest = (tokenizer.vocabulary.token_id("note_on", pitch) for pitch in (0, 127))
    return bool(((ids >= lowest) & (ids <= highest)).any())


def _end_of_part(data: MidiData, bars: np.ndarray, first: int, num_notes: int) -> tuple[int, int]:
    """Where a part that begins with note `first` ends, and the first note behind it: near so many notes, at a bar."""
    starts = data.notes.start_ticks
    last = first + num_notes
    if last >= len(starts):
        return data.end_ticks + 1, len(starts)
    end = int(bars[last])
    if end <= starts[first]:  # one bar holds more than a segment
        end = int(starts[last])
    last = int(np.searchsorted(starts, end))
    if last == first:
        last = int(np.searchsorted(starts, starts[first], "right"))
        end = int(starts[first]) + 1
    return end, last


def last_bars(data: MidiData, tokenizer: EventTokenizer, max_len: int) -> MidiData:
    """The end of a piece, from the earliest bar with a new note that leaves at most `max_len` tokens.

    If none does, it is the last bar.
    """
    bars = np.unique(bars_at(data, data.notes.start_ticks)).tolist()
    low, high = 0, len(bars) - 1
    while low < high:
        middle = (low + high) // 2
        if len(tokenizer.encode(cut(data, bars[middle], data.end_ticks + 1))) <= max_len:
            high = middle
        else:
            low = middle + 1
    return cut(data, bars[low], data.end_ticks + 1)
