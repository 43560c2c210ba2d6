"""Whether bars and parts that a model writes anew can be told from those that stood there, beside the same music."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.data.corpus import CorpusPiece
from amt.errors import MidiError
from amt.evaluation.evaluate import caption_of
from amt.evaluation.rows import Row, row
from amt.evaluation.told_apart import told_apart
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData, NoteTable
from amt.midi.edits import BarLines, to_steps
from amt.midi.elements import TimeSignature
from amt.midi.programs import DRUMS
from amt.midi.reader import read_midi

if TYPE_CHECKING:
    from amt.models.opened import OpenedModel

BARS = 4  # that are written anew
AROUND = 4  # bars before and behind them, which are looked at, too


@dataclasses.dataclass(frozen=True)
class _Edited:
    """A piece before and after an edit, and what that was about.

    Attributes:
        first: the first bar that is written anew, counted from 1.
        program: of the part; None: all.
    """

    name: str
    before: MidiData
    after: MidiData
    first: int
    program: int | None


def evaluate_edits(
    opened: OpenedModel,
    pieces: Sequence[CorpusPiece],
    caption: int,
    split: str,
    model: str,
    seed: int = 0,
    progress: Callable[[str, int], object] | None = None,
    **options: Any,
) -> list[Row]:
    """Have four bars in the middle of each piece written anew, and where several play one part of them.

    Pieces of less than 12 bars, and bars in which nothing plays, are left out.

    Args:
        caption: which of a piece's captions the model is told.
        seed: of the first edit; each has the next one.
        options: of `amt.edit`.

    Raises:
        ValueError: less than 5 pieces are left.
    """
    from amt.api import edit

    config = opened.tokenizer.config
    edited: dict[str, list[_Edited]] = {"bars": [], "part": []}
    for place, piece in enumerate(pieces):
        for kind, music, first, program in _edits(piece, config):
            tracks = None if program is None else [program]
            after = edit(
                music, caption_of(piece, caption), bars=(first, first + BARS - 1), tracks=tracks, model=opened,
                seed=seed + place, **options,
            )  # fmt: skip
            edited[kind].append(_Edited(piece.name, music, read_midi(after.to_bytes()), first, program))
        if progress is not None:
            progress("pieces", 1)
    rows = []
    for kind, all_of_kind in edited.items():
        names = [each.name for each in all_of_kind]
        both = (
            [_window(each.before, each.first, config) for each in all_of_kind],
            [_window(each.after, each.first, config) for each in all_of_kind],
        )
        told = told_apart(*both, (names, names), split, model)
        rows.append(dataclasses.replace(told, metric=f"edited_{kind}_told_apart"))
        kept = row(f"edited_{kind}_kept", [_is_kept(each, config) for each in all_of_kind], split, model)
        rows += [] if kept is None else [kept]
    return rows


def _edits(piece: CorpusPiece, config: TokenizerConfig) -> Iterator[tuple[str, MidiData, int, int | None]]:
    """What is written anew of a piece: (kind, music, first bar, program)."""
    try:
        music = read_midi(piece.midi)
    except MidiError:
        return
    bars = _bars(music, config)
    num_bars = int(bars.max(initial=0))
    first = (num_bars - BARS) // 2 + 1
    inside = (bars >= first) & (bars < first + BARS)
    if num_bars < BARS + 2 * AROUND or not inside.any():
        return
    yield "bars", music, first, None
    programs, counts = np.unique(_programs(music)[inside], return_counts=True)
    if len(programs) > 1:  # the busiest one
        yield "part", music, first, int(programs[counts.argmax()])


def _window(music: MidiData, first: int, config: TokenizerConfig) -> MidiData:
    """The bars and those around them, as a piece of its own."""
    lines = BarLines.of_midi(music, config)
    unit = music.ticks_per_beat / config.steps_per_beat
    start = round(lines.step(first - 1 - AROUND) * unit)
    bars = _bars(music, config)
    notes = music.notes[(bars >= first - AROUND) & (bars < first + BARS + AROUND)]
    metres = [each for each in music.time_signatures if each.tick <= start][-1:] or [TimeSignature(0, 4, 4)]
    metres += [each for each in music.time_signatures if each.tick > start]
    starts, ends = np.maximum(notes.start_ticks - start, 0), np.maximum(notes.end_ticks - start, 1)
    moved = NoteTable(starts, ends, notes.pitch, notes.velocity, notes.program, notes.is_drum)
    return MidiData(
        moved,
        tempos=[dataclasses.replace(each, tick=0) for each in music.tempos if each.tick <= start][-1:],
        time_signatures=[dataclasses.replace(each, tick=max(0, each.tick - start)) for each in metres],
        ticks_per_beat=music.ticks_per_beat,
    )


def _is_kept(edited: _Edited, config: TokenizerConfig) -> bool:
    """Whether all else is as it was, in every tick."""

    def others(music: MidiData) -> list[tuple[Any, ...]]:
        bars = _bars(music, config)
        is_new = (bars >= edited.first) & (bars < edited.first + BARS)
        if edited.program is not None:
            is_new &= _programs(music) == edited.program
        return sorted(dataclasses.astuple(note) for note in music.notes[~is_new])

    return others(edited.before) == others(edited.after)


def _programs(music: MidiData) -> np.ndarray:
    return np.where(music.notes.is_drum, DRUMS, music.notes.program)


def _bars(music: MidiData, config: TokenizerConfig) -> np.ndarray:
    """In which bar each note starts, counted from 1."""
    steps = to_steps(music.notes.start_ticks, music.ticks_per_beat, config)
    return BarLines.of_midi(music, config).bar(steps) + 1
