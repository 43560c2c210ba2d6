"""MIDI -> text: how well a piece's embedding finds its caption among all, and a caption its piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from amt.data.corpus import CorpusPiece
from amt.evaluation.evaluate import Progress, caption_of, read_pieces
from amt.evaluation.rows import Row, row
from amt.retrieval.embedding import cosines, embed, reads_midi

if TYPE_CHECKING:
    from amt.models.opened import OpenedModel

RANKS = (1, 5, 10)


def evaluate_retrieval(
    opened: OpenedModel,
    pieces: Sequence[CorpusPiece],
    caption: int,
    split: str,
    model: str,
    progress: Progress | None = None,
) -> list[Row]:
    """Squared error and cosine of embeddings, and ranks in both directions.

    Raises:
        ValueError: the model has no MIDI -> text direction.
    """
    if not reads_midi(opened.checkpoint.model):
        raise ValueError(f"{model} only writes MIDI; retrieval needs a model of both directions (MusicTextTransformer)")
    texts, music = [], []
    for piece, example in zip(pieces, read_pieces(pieces, caption), strict=True):
        embedding = None if example.midi is None else embed(example.midi, opened)
        if embedding is not None:
            texts.append(caption_of(piece, caption))
            music.append(embedding)
        if progress is not None:
            progress("pieces", 1)
    return retrieval_rows(np.stack(music), opened.text_encoder.sentence_embeddings(texts), texts, split, model)


def retrieval_rows(music: np.ndarray, words: np.ndarray, texts: Sequence[str], split: str, model: str) -> list[Row]:
    """The rows for embeddings of pieces and of their captions, each (pieces, dim) of unit length."""
    music, words = music.astype(np.float64), words.astype(np.float64)
    scores = np.stack([cosines(music, own) for own in words], 1)  # (pieces, captions)
    rows = [
        row("text_mse", ((music - words) ** 2).mean(1), split, model),
        row("text_mse_of_mean", ((words.mean(0) - words) ** 2).mean(1), split, model),
        row("text_cosine", np.diag(scores), split, model),
    ]
    same = np.array([[first == second for second in texts] for first in texts])
    for name, by_row in (("caption", scores), ("piece", scores.T)):
        ranks = ranks_of_right(by_row, same)
        for rank in RANKS:
            rows.append(row(f"{name}_recall_at_{rank}", ranks <= rank, split, model))
        rows.append(row(f"{name}_mrr", 1 / ranks, split, model))
    return [found for found in rows if found is not None]


def ranks_of_right(scores: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """For each row the rank, from 1, of its best right column among the wrong ones. Of equal scores the wrong one wins.

    Args:
        scores, is_right: (rows, columns); each row has a right column.
    """
    best = np.where(is_right, scores, -np.inf).max(1)
    ranks: np.ndarray = 1 + ((scores >= best[:, None]) & ~is_right).sum(1)
    return ranks
