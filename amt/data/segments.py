"""Long pieces in parts that fit a model, cut at bar lines."""

from __future__ import annotations

import dataclasses

import numpy as np

from amt.midi.data import MidiData, NoteTable
from amt.midi.tokenizer import EventTokenizer


@dataclasses.dataclass(frozen=True)
class Segment:
    """Consecutive tokens of one piece, beginning like a piece of its own.

    `ids` ends with `eos` only if the piece ends there.
    """

    ids: np.ndarray
    is_start: bool


def bar_ticks(data: MidiData) -> np.ndarray:
    """The tick of each bar line up to the end of the piece, by its time signatures."""
    changes = [(change.tick, change.numerator, change.denominator) for change in data.time_signatures]
    if not changes or changes[0][0] > 0:
        changes.insert(0, (0, 4, 4))
    lines = []
    for (tick, numerator, denominator), end in zip(
        changes, [change[0] for change in changes[1:]] + [data.end_ticks], strict=True
    ):
        bar = max(1, data.ticks_per_beat * 4 * numerator // denominator)
        lines.append(np.arange(tick, max(end, tick + 1), bar, dtype=np.int64))
    return np.concatenate(lines)


def cut(data: MidiData, start: int, end: int) -> MidiData:
    """The music from tick `start` to tick `end`, moved to tick 0; notes that cross the end are shortened.

    Notes that sound already at `start` are left out.
    """
    notes = data.notes
    inside = (notes.start_ticks >= start) & (notes.start_ticks < end)

    def moved(changes: list) -> list:  # type: ignore[type-arg]
        before = [change for change in changes if change.tick <= start][-1:]
        after = [change for change in changes if start < change.tick < end]
        return [dataclasses.replace(change, tick=max(0, change.tick - start)) for change in before + after]

    return MidiData(
        ticks_per_beat=data.ticks_per_beat,
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
    )


def segments(data: MidiData, tokenizer: EventTokenizer, max_len: int) -> list[Segment]:
    """A piece as segments of at most `max_len` tokens.

    Cuts lie on bar lines, where about nine tenths of `max_len` are full; what is still too long is cut off.
    """
    ids = tokenizer.encode(data).ids
    if len(ids) <= max_len:
        return [Segment(ids, True)]
    starts = np.sort(data.notes.start_ticks)
    notes_per_segment = max(1, int(0.9 * max_len * len(starts) / len(ids)))
    bars = bar_ticks(data)
    parts: list[Segment] = []
    first = 0
    while first < len(starts):
        begin = int(bars[max(0, np.searchsorted(bars, starts[first], "right") - 1)]) if parts else 0
        last = first + notes_per_segment
        is_end = last >= len(starts)
        if is_end:
            end = data.end_ticks + 1
            last = len(starts)
        else:
            end = int(bars[np.searchsorted(bars, starts[last], "right") - 1])
            if end <= starts[first]:  # one bar holds more than a segment
                end = int(starts[last])
            last = int(np.searchsorted(starts, end))
            if last == first:
                last = int(np.searchsorted(starts, starts[first], "right"))
                end = int(starts[first]) + 1
        part = tokenizer.encode(cut(data, begin, end)).ids
        parts.append(Segment((part if is_end else part[:-1])[:max_len], not parts))
        first = last
    return parts


def last_bars(data: MidiData, tokenizer: EventTokenizer, max_len: int) -> MidiData:
    """The end of a piece, from the earliest bar line that leaves at most `max_len` tokens (the last bar if none does)."""
    bars = bar_ticks(data)
    low, high = 0, len(bars) - 1
    while low < high:
        middle = (low + high) // 2
        if len(tokenizer.encode(cut(data, int(bars[middle]), data.end_ticks + 1))) <= max_len:
            high = middle
        else:
            low = middle + 1
    return cut(data, int(bars[low]), data.end_ticks + 1)
