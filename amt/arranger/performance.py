"""From what the parts play to a MIDI file: swing, loudness, clean notes, tempo."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from amt.arranger.instruments import instruments
from amt.arranger.metre import STEPS
from amt.arranger.stage import PartNote
from amt.midi.programs import DRUMS

TICKS_PER_STEP = 20
MAX_TOP_RUN = 10
TRIPLETS = (8, 16)  # the steps of a quarter note that only triplets have
VELOCITY_STEP = 4  # velocities are the middles of 32 bins, as the tokenizer keeps them


class Chunk(NamedTuple):
    """What one part plays in one section: rows (start, length, pitch, velocity, is_passing), where, how loud."""

    rows: np.ndarray
    offset: int
    level: float
    program: int


def as_rows(notes: Sequence[PartNote]) -> np.ndarray:
    """Notes as an int32 array of shape (num_notes, 5)."""
    return np.array(notes, np.int32).reshape(-1, 5)


def swung(steps: np.ndarray, swing: tuple[int, int]) -> np.ndarray:
    """Steps with the off-beats of a straight rhythm late.

    Args:
        swing: the step of the off-beat (12: eighths, 6: sixteenths), and where it comes instead.
    """
    straight, late = swing
    whole, rest = np.divmod(steps, 2 * straight)
    first = np.rint(rest * late / straight)
    second = np.rint(late + (rest - straight) * (2 * straight - late) / straight)
    moved: np.ndarray = whole * 2 * straight + np.where(rest <= straight, first, second).astype(steps.dtype)
    return moved


def _swing(notes: np.ndarray, swing: tuple[int, int]) -> None:
    """Swing notes in place, but triplets, which are where they belong already."""
    start, end = notes[:, 0].copy(), notes[:, 1].copy()
    before = np.isin(start % STEPS, TRIPLETS)
    behind = before | np.isin((end + 3) % STEPS, [(step + k) % STEPS for step in TRIPLETS for k in range(4)])
    notes[:, 0] = np.where(before, start, swung(start, swing))
    notes[:, 1] = np.maximum(np.where(behind, end, swung(end, swing)), notes[:, 0] + 1)


def assemble(chunks: Sequence[Chunk], swing: tuple[int, int] | None) -> np.ndarray:
    """All notes, sorted, as int32 rows (start, end, pitch, velocity, program, is_passing) in steps.

    What an instrument cannot reach is moved by octaves. No pitch of a program sounds twice at once: the earlier note
    ends where the later begins. Of equal notes one stays.
    """
    blocks = []
    for rows, offset, level, program in chunks:
        if not len(rows):
            continue
        block = np.empty((len(rows), 6), np.int32)
        block[:, 0] = rows[:, 0] + offset
        block[:, 1] = block[:, 0] + np.maximum(rows[:, 1], 1)
        block[:, 2] = rows[:, 2]
        bins = np.clip(rows[:, 3] * level, 8, 126).astype(np.int32) // VELOCITY_STEP
        block[:, 3] = bins * VELOCITY_STEP + VELOCITY_STEP // 2
        block[:, 4] = program
        block[:, 5] = rows[:, 4]
        blocks.append(block)
    notes = np.concatenate(blocks) if blocks else np.zeros((0, 6), np.int32)
    lows, highs = _ranges()
    while (below := notes[:, 2] < lows[notes[:, 4]]).any():
        notes[below, 2] += 12
    while (above := notes[:, 2] > highs[notes[:, 4]]).any():
        notes[above, 2] -= 12
    if swing is not None:
        _swing(notes, swing)
    order = np.lexsort((notes[:, 1], notes[:, 0], notes[:, 2], notes[:, 4]))
    notes = notes[order]
    same = (notes[1:, 4] == notes[:-1, 4]) & (notes[1:, 2] == notes[:-1, 2])
    twice = np.append(same & (notes[1:, 0] == notes[:-1, 0]), False)  # the longer one comes later, and stays
    if twice.any():
        notes = notes[~twice]
        same = (notes[1:, 4] == notes[:-1, 4]) & (notes[1:, 2] == notes[:-1, 2])
    notes[:-1, 1] = np.where(same, np.minimum(notes[:-1, 1], notes[1:, 0]), notes[:-1, 1])
    return varied_top(notes[np.lexsort((notes[:, 2], notes[:, 4], notes[:, 0]))])


@functools.lru_cache(maxsize=1)
def _ranges() -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pitch of each program."""
    lows, highs = np.zeros(129, np.int32), np.full(129, 127, np.int32)
    for program, instrument in instruments().items():
        lows[program], highs[program] = instrument.low, instrument.high
    return lows, highs


def varied_top(notes: np.ndarray) -> np.ndarray:
    """Notes in which the highest pitch is not the same too often in a row.

    In every tenth place the highest note is left out if others sound with it, and else goes an octave down or up; if
    the instrument reaches neither, it rests.

    Args:
        notes: rows of `assemble`, sorted by start.
    """
    pitched = np.flatnonzero(notes[:, 4] != DRUMS)
    if len(pitched) < MAX_TOP_RUN:
        return notes
    start, pitch = notes[pitched, 0], notes[pitched, 2]
    places = np.flatnonzero(np.append(True, np.diff(start) > 0))
    top = np.maximum.reduceat(pitch, places)
    ends = np.flatnonzero(np.append(np.diff(top) != 0, True))
    lengths = np.diff(ends, prepend=-1)
    dropped: list[int] = []
    for end, length in zip(ends[lengths > MAX_TOP_RUN], lengths[lengths > MAX_TOP_RUN], strict=True):
        for run in range(int(end) - int(length) + MAX_TOP_RUN, int(end) + 1, MAX_TOP_RUN):
            last = places[run + 1] if run + 1 < len(places) else len(pitched)
            rows = pitched[places[run] : last]
            highest = rows[notes[rows, 2] == top[run]]
            if len(highest) < len(rows):
                dropped += highest.tolist()
                continue
            for row in highest:
                program, other = notes[row, 4], notes[row, 2] - 12
                if other < _ranges()[0][program]:
                    other += 24
                if other <= _ranges()[1][program]:
                    notes[row, 2] = other
                else:
                    dropped.append(int(row))
    return np.delete(notes, dropped, 0) if dropped else notes


def slowed(bpm: float, bars: int, bar_steps: int) -> list[tuple[int, float]]:
    """The tempo changes of a ritardando: a tenth slower in the last bar but one, a fifth in the last."""
    return [(0, bpm), ((bars - 2) * bar_steps, round(bpm * 0.9)), ((bars - 1) * bar_steps, round(bpm * 0.78))]


def seconds_at(step: int, tempos: Sequence[tuple[int, float]]) -> float:
    """When a step comes."""
    total = 0.0
    for (start, bpm), end in zip(tempos, [*(begin for begin, _ in tempos[1:]), step], strict=True):
        total += max(0, min(end, step) - start) / STEPS * 60 / bpm
    return total


def is_drum(program: int) -> bool:
    """Whether notes of this program are drum hits."""
    return program == DRUMS
