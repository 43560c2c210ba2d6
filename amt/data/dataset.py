"""Batches from a prepared folder. The batch of a step is a pure function of (seed, step)."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from amt.config import TokenizerConfig
from amt.data.prepare import SEGMENT_DTYPE

STEPS_PER_BLOCK = 8  # steps whose segments are drawn together and sorted by length, so that little is padding


@dataclasses.dataclass(frozen=True)
class Batch:
    """Token ids (batch, seq_len) int64, padded on the right with 0, and one caption for each row."""

    token_ids: np.ndarray
    captions: list[str]


class PreparedSplit:
    """One split of a prepared folder, memory-mapped.

    Segments are drawn so that a kind of music, which is a (source, form), comes up with the square root of its number
    of pieces; half of the draws of a longer piece take its beginning.
    """

    def __init__(self, folder: str | Path, split: str):
        folder = Path(folder)
        if not (folder / split / "segments.npy").is_file():
            raise FileNotFoundError(f"{folder} is not a prepared folder; make one with: amt prepare CORPUS -o {folder}")
        self.tokenizer_config = TokenizerConfig.load(folder / "tokenizer.json")
        self._tokens = np.load(folder / split / "tokens.npy", mmap_mode="r", allow_pickle=False)
        self.segments = np.load(folder / split / "segments.npy", allow_pickle=False)
        if self._tokens.dtype != np.uint16 or self.segments.dtype != SEGMENT_DTYPE or not len(self.segments):
            raise ValueError(f"{folder / split} is empty or damaged; prepare it again")
        with open(folder / split / "pieces.jsonl", encoding="utf-8") as lines:
            self.pieces: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self._first = np.searchsorted(self.segments["piece"], np.arange(len(self.pieces) + 1))
        kinds = [(piece["source"], piece["form"]) for piece in self.pieces]
        counts = Counter(kinds)
        weights = np.array([counts[kind] ** -0.5 for kind in kinds])
        self._cumulative = np.cumsum(weights / weights.sum())

    def tokens(self, segment: int) -> np.ndarray:
        """The ids of a segment."""
        row = self.segments[segment]
        return np.asarray(self._tokens[row["start"] : row["start"] + row["length"]])

    def batch(self, seed: int, step: int, batch_size: int, max_len: int) -> Batch:
        """The batch of one step: rows of at most `max_len` tokens."""
        block, place = divmod(step, STEPS_PER_BLOCK)
        # The block is a high word of the counter, whose low word counts the draws: no two blocks share any.
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, block]))
        num_rows = STEPS_PER_BLOCK * batch_size
        pieces = np.minimum(np.searchsorted(self._cumulative, rng.random(num_rows)), len(self.pieces) - 1)
        first, last = self._first[pieces], self._first[pieces + 1]
        inner = first + (rng.random(num_rows) * (last - first)).astype(np.int64)
        chosen = np.where(rng.random(num_rows) < 0.5, first, inner)
        caption_draws = rng.random(num_rows)
        order = np.argsort(self.segments["length"][chosen], kind="stable")
        group = rng.permutation(STEPS_PER_BLOCK)[place]
        rows = order[group * batch_size : (group + 1) * batch_size]
        captions = [self.pieces[pieces[row]]["captions"] for row in rows]
        return Batch(
            pad([self.tokens(chosen[row])[:max_len] for row in rows]),
            [texts[int(caption_draws[row] * len(texts))] for row, texts in zip(rows, captions, strict=True)],
        )


def pad(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of ids as one (batch, seq_len) int64, with 0 on the right."""
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids
