"""Training rows that ask for edits: a row of music with holes in it, and what was there as the answer.

docs/training.md says what each kind is for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from amt.midi.edits import BarHole, BarLines, Holes, steps_before
from amt.midi.reference.holes import ALL
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import NUM_PROGRAMS, Vocabulary

LONGEST_RUN = 16  # bars of a hole, but for those that last from end to end
FULL = 0.85  # share of the tokens of a row that the music may take: an edit of it needs more
TRIES = 6


class EditSampler:
    """Draws edits of rows of music.

    Args:
        tokenizer: has edits.
    """

    def __init__(self, tokenizer: EventTokenizer):
        self.tokenizer = tokenizer
        vocabulary = tokenizer.vocabulary
        self._fill = vocabulary.token_id("fill")
        self._program_of = _programs_of(vocabulary)
        self._first_note = vocabulary.token_id("note_on", 0)

    def edited(self, ids: np.ndarray, rng: np.random.Generator, max_len: int) -> np.ndarray | None:
        """A row of music as an edit of at most `max_len` tokens, int32; None if nothing comes of it.

        Args:
            ids: with the header; they may break off anywhere behind it.
            rng: decides which edit it is.
        """
        config = self.tokenizer.config
        lines = BarLines.of_ids(ids, config)
        steps = steps_before(ids, config)
        bars = lines.bar(steps)
        is_note = (ids >= self._first_note) & (ids < self._first_note + 128)
        note_bars, programs = bars[is_note], self._programs(ids)[is_note]
        num_bars = lines.num_bars(int(steps[-1]))
        if len(ids) > FULL * max_len:
            num_bars = int(bars[int(FULL * max_len)])
        for _ in range(TRIES):
            if num_bars < 2 or not (note_bars < num_bars).any():
                return None
            there = np.unique(programs[note_bars < num_bars])
            holes = KINDS[int(rng.choice(len(KINDS), p=SHARES))](rng, num_bars, there)
            inside = note_bars < num_bars
            if not holes.contain(programs[inside], note_bars[inside]).any():
                continue
            try:
                row = self.tokenizer.edit_row(ids, holes.in_steps(lines), lines.step(num_bars))
            except ValueError:  # holes beyond what a row can say
                continue
            if len(row) <= max_len:
                return row
            num_bars = int(0.8 * num_bars)
        return None

    def num_given(self, row: np.ndarray) -> int:
        """How many tokens of an edit are given, the first `fill` included."""
        return int(np.argmax(row == self._fill)) + 1

    def _programs(self, ids: np.ndarray) -> np.ndarray:
        """The program in force at each token; 0 before the first."""
        chosen = self._program_of[ids]
        last = np.maximum.accumulate(np.where(chosen >= 0, np.arange(len(ids)), 0))
        programs: np.ndarray = np.maximum(chosen[last], 0)
        return programs


def _programs_of(vocabulary: Vocabulary) -> np.ndarray:
    """The program that each id chooses; -1: none."""
    programs = np.full(len(vocabulary), -1, np.int64)
    first = vocabulary.token_id("program", 0)
    programs[first : first + NUM_PROGRAMS] = np.arange(NUM_PROGRAMS)
    return programs


Draw = Callable[[np.random.Generator, int, np.ndarray], Holes]


def _run(rng: np.random.Generator, num_bars: int, longest: int = LONGEST_RUN) -> tuple[int, int]:
    """Some bars in a row: short runs are as likely as long ones."""
    length = min(int(np.exp(rng.random() * np.log(longest + 1))), num_bars)
    first = int(rng.integers(0, num_bars - length + 1))
    return first, first + length


def _bars(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    return Holes([BarHole(ALL, *_run(rng, num_bars))])


def _part(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    return Holes([BarHole(int(rng.choice(programs)), *_run(rng, num_bars, num_bars))])


def _whole_part(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    return Holes([BarHole(int(rng.choice(programs)), 0, num_bars)])


def _some_parts(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    chosen = rng.permutation(programs)[: int(rng.integers(1, max(2, len(programs))))]
    run = _run(rng, num_bars)
    return Holes(BarHole(int(program), *run) for program in chosen)


def _end(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    first, end = _run(rng, num_bars - 1)
    return Holes([BarHole(ALL, num_bars - (end - first), num_bars)])


def _beginning(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    first, end = _run(rng, num_bars - 1)
    return Holes([BarHole(ALL, 0, end - first)])


def _scattered(rng: np.random.Generator, num_bars: int, programs: np.ndarray) -> Holes:
    chosen = [ALL, *programs.tolist()]
    return Holes(BarHole(int(rng.choice(chosen)), *_run(rng, num_bars, 4)) for _ in range(int(rng.integers(2, 5))))


# What is drawn, and how often: bars to fill, a part to replace in some bars or to add as a whole, a section to vary in
# some of its parts, an end, a beginning, and several holes at once.
KIND_SHARES: dict[Draw, float] = {
    _bars: 0.25,
    _part: 0.2,
    _whole_part: 0.2,
    _some_parts: 0.12,
    _end: 0.12,
    _beginning: 0.05,
    _scattered: 0.06,
}
KINDS, SHARES = tuple(KIND_SHARES), tuple(KIND_SHARES.values())
