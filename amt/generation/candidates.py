"""Several candidates for a text, the one that fits best first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from amt.config import check_choice

if TYPE_CHECKING:
    from amt.generation.piece import Piece
    from amt.models.opened import OpenedModel

RerankBy = Literal["facts", "model"]
RERANK_BY: tuple[RerankBy, ...] = ("facts", "model")


def check_rerank(rerank: object, by: object, opened: OpenedModel, num_beams: object = 1) -> None:
    """Raise ValueError if candidates cannot be ranked so."""
    from amt.retrieval.embedding import reads_midi

    if not isinstance(rerank, int) or isinstance(rerank, bool) or rerank < 1:
        raise ValueError(f"rerank must be a whole number of candidates, at least 1; got {rerank!r}")
    if isinstance(num_beams, int) and 1 < num_beams < rerank:
        raise ValueError(f"rerank ({rerank}) must be at most num_beams ({num_beams}): beam search has no more results")
    check_choice("rerank_by", by, RERANK_BY)
    if rerank > 1 and by == "model" and not reads_midi(opened.checkpoint.model):
        raise ValueError('rerank_by="model" needs a model that also reads MIDI (MusicTextTransformer); take "facts"')


def ranked(pieces: Sequence[Piece], opened: OpenedModel, by: RerankBy) -> list[Piece]:
    """The pieces of one text, the best first; of equal ones the one that was written first.

    "model": by the cosine between the text's embedding and what the model's MIDI -> text direction makes of the piece
    (-1 without notes). "facts": by the share of `report` that is met, and then by that cosine, if the model has one.
    """
    from amt.retrieval.embedding import cosines, embed, reads_midi

    found = list(pieces)
    if reads_midi(opened.checkpoint.model):
        (wanted,) = opened.caption_embeddings([pieces[0].text or ""])
        embeddings = [embed(piece.music, opened) for piece in pieces]
        fits = [-1.0 if embedding is None else float(cosines(embedding[None], wanted)[0]) for embedding in embeddings]
        found = [dataclasses.replace(piece, text_cosine=cosine) for piece, cosine in zip(pieces, fits, strict=True)]

    def fit(piece: Piece) -> tuple[float, float]:
        met = [row.is_met for row in piece.report]
        share = sum(met) / len(met) if met and by == "facts" else 0.0
        return share, piece.text_cosine or 0.0

    return sorted(found, key=fit, reverse=True)
