"""Edits of a piece by a model, window after window: a context with a hole that the model fills. docs/editing.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.generation.generator import ask_edit
from amt.generation.piece import Piece
from amt.midi.canonical import to_canonical
from amt.midi.data import MidiData
from amt.midi.edits import (
    TICKS_PER_STEP,
    BarHole,
    BarLines,
    Holes,
    emptied,
    in_holes,
    merge,
    on_grid,
    to_steps,
    whole_ids,
)
from amt.midi.limits import Constraints
from amt.midi.reference.holes import ALL
from amt.midi.segments import cut
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import DRUMS, NUM_PROGRAMS
from amt.models.opened import OpenedModel
from amt.request.edits import num_bars_of, own_instruments
from amt.request.limits import Limits
from amt.request.options import GenerationConfig
from amt.request.reading import Reading
from amt.request.report import compare

if TYPE_CHECKING:
    from amt.decoding.backends import Choice

CONTEXT_BARS = (1, 2, 4, 8, 16, 32)  # on each side of a hole, the most that there is room for
ROOM_FACTOR = 1.5  # tokens that a fill may have, times what such bars have on the average
LEAST_ROOM = 64


@dataclasses.dataclass(frozen=True)
class Window:
    """Some bars of a piece that a model reads at once: `first` to `end`, and the hole in them.

    Attributes:
        holes: of the piece, in this window alone.
        prefix: the tokens up to the first `fill`.
    """

    first: int
    end: int
    holes: Holes
    prefix: tuple[int, ...]


@dataclasses.dataclass
class _Candidate:
    """A result on its way: as the model reads it, and as it will be."""

    work: MidiData
    result: MidiData
    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    warnings: list[str] = dataclasses.field(default_factory=list)


def check_can_edit(opened: OpenedModel) -> None:
    """Raise ValueError for a model that has not learned it."""
    if not opened.checkpoint.model.config.edits or not opened.tokenizer.config.has_plans_and_edits:
        raise ValueError(
            'this model was not trained for edits; take one whose config.json says "edits": true, or train one with'
            " edit_share above 0"
        )


def write_edit(
    opened: OpenedModel,
    midi: MidiData,
    holes: Holes,
    options: GenerationConfig,
    limits: Limits,
    choose: Callable[[Any], Choice],
    *,
    text: str | None,
    progress: Callable[[int, int], object] | None = None,
    **asking: Any,
) -> list[Piece]:
    """The piece with its holes filled, as often as the options say.

    Args:
        midi: the piece.
        limits: what the fill is held to.
        choose: what decodes a request.
        text: what the fill should be like; None: whatever fits.
        progress: called with (windows done, all windows).
        asking: see `ask_edit`.
    """
    from amt.decoding import decode

    check_can_edit(opened)
    config = opened.tokenizer.config
    work, semitones = midi, 0
    if config.canonical_key:
        work, moved, _ = to_canonical(midi)
        semitones = -moved
    density = tokens_per_bar(work, opened.tokenizer)
    work, result = emptied(work, holes, config), emptied(midi, holes, config)
    is_of_all = any(hole.program == ALL for hole in holes.spans)
    own = own_instruments(midi, text, limits) if is_of_all and limits.instruments is None else None
    num_wanted = options.num_return_sequences
    candidates = [_Candidate(work, result) for _ in range(num_wanted)]
    todo = holes.intervals
    num_done, num_windows = 0, len(todo)
    request = choice = None
    seed: int | None = None
    while todo:
        window, rest = next_window(opened, candidates[0].work, holes, todo, density)
        num_windows += len(rest) - len(todo) + 1
        together = num_done == 0
        prefixes = [window.prefix] if together else [_again(opened, each.work, window) for each in candidates]
        each_options = options if together else dataclasses.replace(options, num_return_sequences=1)
        if seed is not None:
            each_options = dataclasses.replace(each_options, seed=(seed + num_done) % (1 << 64))
        request = ask_edit(
            opened, text, each_options, limits, prefixes=prefixes, semitones=semitones, instruments=own, **asking
        )
        seed = request.prompts[0].seed if seed is None else seed
        choice = choose(request)
        found = decode(choice, request)
        hypotheses = found[0] if together else [each[0] for each in found]
        candidates = candidates[: len(hypotheses)]  # beam search may find fewer
        prompts = list(request.prompts) * (len(hypotheses) if together else 1)
        for each, hypothesis, prompt in zip(candidates, hypotheses, prompts, strict=True):
            each.tokens = tuple(hypothesis.token_ids)
            each.log_probs += tuple(hypothesis.token_log_probs)
            each.work = merge(each.work, window.holes, each.tokens, opened.tokenizer, first_bar=window.first)
            each.result = merge(
                each.result, window.holes, each.tokens, opened.tokenizer, first_bar=window.first, semitones=semitones
            )
            if len(each.tokens) - len(prompt.prefix) >= prompt.max_new_tokens:
                first, end = window.holes.intervals[0]
                each.warnings.append(f"the tokens ran out in bars {first + 1} to {end}; give max_new_tokens more")
        todo = rest
        num_done += 1
        if progress is not None:
            progress(num_done, num_windows)
    assert request is not None and choice is not None, "an edit without a hole"
    return [_piece(opened, request, choice, holes, each, text, seed) for each in candidates]


def next_window(
    opened: OpenedModel, work: MidiData, holes: Holes, todo: Sequence[tuple[int, int]], density: float
) -> tuple[Window, list[tuple[int, int]]]:
    """The window of the first hole that is left, or of as much of it as the model has room for, and what is left then.

    Raises:
        ValueError: one bar is more than the model reads.
    """
    (first, end), *rest = todo
    num_positions = opened.checkpoint.model.config.max_sequence_length
    grid = on_grid(work, opened.tokenizer.config)
    num_bars = num_bars_of(work, opened.tokenizer.config)
    last = end

    def room(window: Window) -> bool:
        cells = sum(min(hole.end, last) - hole.first for hole in window.holes.spans)
        return len(window.prefix) + max(LEAST_ROOM, ROOM_FACTOR * density * cells) <= num_positions

    window = _window(opened.tokenizer, grid, holes, first, first, last, last)
    while not room(window) and last - first > 1:
        last = first + (last - first) // 2
        window = _window(opened.tokenizer, grid, holes, first, first, last, last)
    if len(window.prefix) + LEAST_ROOM > num_positions:
        raise ValueError(
            f"bar {first + 1} and its hole take {len(window.prefix)} tokens, and this model reads {num_positions};"
            " thin it out or take a larger model"
        )
    # What comes behind helps only where it is there: not the rest of the hole, nor other holes.
    behind = max(last, min(num_bars, rest[0][0] if rest else num_bars)) if last == end else last
    for num_context in CONTEXT_BARS:
        wider = _window(
            opened.tokenizer, grid, holes, max(0, first - num_context), first, last, min(behind, last + num_context)
        )
        if not room(wider):
            break
        window = wider
    return window, ([(last, end)] if last < end else []) + rest


def _window(
    tokenizer: EventTokenizer, grid: MidiData, holes: Holes, begin: int, first: int, last: int, end: int
) -> Window:
    """The bars `begin` to `end` with the holes from `first` to `last`."""
    chosen = Holes(
        BarHole(hole.program, max(hole.first, first), min(hole.end, last))
        for hole in holes.spans
        if hole.first < last and hole.end > first
    )
    lines = BarLines.of_midi(grid, tokenizer.config)
    music = cut(grid, TICKS_PER_STEP * lines.step(begin), TICKS_PER_STEP * lines.step(end))
    ids = whole_ids(music, tokenizer)
    here = chosen.within(begin, end)
    assert here is not None, "a window without a hole"
    row = tokenizer.edit_row(ids, here.in_steps(BarLines.of_ids(ids, tokenizer.config)))
    fill = int(np.argmax(row == tokenizer.vocabulary.token_id("fill")))
    return Window(begin, end, chosen, tuple(row[: fill + 1].tolist()))


def _again(opened: OpenedModel, work: MidiData, window: Window) -> tuple[int, ...]:
    """The prefix of the same window in another candidate; as far as it fits into the model."""
    grid = on_grid(work, opened.tokenizer.config)
    first, last = window.holes.intervals[0][0], window.holes.intervals[-1][1]
    begin, end = window.first, window.end
    longest = opened.checkpoint.model.config.max_sequence_length - LEAST_ROOM
    while True:
        found = _window(opened.tokenizer, grid, window.holes, begin, first, last, end)
        # The window must begin where the others do, so that only what is behind the hole can go.
        if len(found.prefix) <= longest or end == last:
            return found.prefix
        end = last


def tokens_per_bar(midi: MidiData, tokenizer: EventTokenizer) -> float:
    """The tokens that a bar of one program has on the average."""
    notes = midi.notes
    steps = to_steps(notes.start_ticks, midi.ticks_per_beat, tokenizer.config)
    bars = BarLines.of_midi(midi, tokenizer.config).bar(steps)
    cells = len(np.unique(bars * NUM_PROGRAMS + np.where(notes.is_drum, DRUMS, notes.program)))
    return len(tokenizer.encode(midi).ids) / max(1, cells)


def _piece(
    opened: OpenedModel,
    request: Any,
    choice: Choice,
    holes: Holes,
    candidate: _Candidate,
    text: str | None,
    seed: int | None,
) -> Piece:
    prompt = request.prompts[0]
    config = opened.tokenizer.config
    constraints = prompt.grammar.constraints if prompt.grammar is not None else Constraints()
    filled = candidate.result
    added = filled.replace(notes=filled.notes[in_holes(filled, holes, config)], pedals=(), end_ticks=0)
    reading: Reading = prompt.reading
    report = [row for row in compare(reading, prompt.limits, constraints, added, config) if row.name != "duration"]
    warnings = [*reading.warnings, *request.warnings, *candidate.warnings]
    if not len(added.notes):
        warnings.append("the model wrote no notes; try another seed or other words")
    return Piece(
        candidate.tokens,
        candidate.result,
        text,
        seed,
        warnings,
        candidate.log_probs,
        choice.label,
        choice.reason,
        report,
    )
