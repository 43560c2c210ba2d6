"""Pieces and texts as unit vectors in one space: that of the text encoder which a model was trained with.

A text is the mean of its token states. A piece is what the model says of its parts: each at unit length, their mean at
unit length again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from amt.midi.canonical import to_canonical
from amt.midi.data import MidiData
from amt.midi.segments import segments
from amt.midi.tokenizer import EventTokenizer

if TYPE_CHECKING:
    from amt.models import MusicTextTransformer, MusicTransformer
    from amt.models.opened import OpenedModel

BATCH_TOKENS = 8192  # in a batch of parts, padding included
BATCH_ROWS = 1 << 14  # of vectors that are multiplied at once


def reads_midi(model: MusicTransformer) -> TypeGuard[MusicTextTransformer]:
    """Whether a model has the direction MIDI -> text."""
    from amt.models import MusicTextTransformer

    return isinstance(model, MusicTextTransformer)


def part_len(model: MusicTransformer) -> int:
    """Tokens in a part of a piece, at most."""
    return min(model.config.midi_to_text_len, model.config.max_sequence_length)


def parts_of(data: MidiData, tokenizer: EventTokenizer, max_len: int, max_parts: int | None = None) -> list[np.ndarray]:
    """The tokens of a piece in parts of at most `max_len`, cut at bar lines; none if it has no notes to read.

    Args:
        max_parts: how many; None: all.
    """
    if tokenizer.config.canonical_key:
        data = to_canonical(data).midi
    if not tokenizer.encode(data).report.kept_notes:
        return []
    return [segment.ids for segment in segments(data, tokenizer, max_len, max_parts)]


def embed_pieces(model: MusicTextTransformer, pieces: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """The embeddings of pieces, (len(pieces), text_embedding_dim) float32, of unit length.

    Parts of similar length share a batch; rounding depends on it. Equal parts are computed once, so that equal pieces
    have equal embeddings.

    Args:
        pieces: the parts of each, at least one: see `parts_of`.
    """
    import torch
    from torch.nn import functional as F

    number_of: dict[bytes, int] = {}  # of each part that differs from those before
    numbers = [
        [number_of.setdefault(np.asarray(ids, np.int64).tobytes(), len(number_of)) for ids in piece] for piece in pieces
    ]
    parts = [np.frombuffer(ids, np.int64) for ids in number_of]
    device = next(model.parameters()).device
    vectors = torch.zeros(len(parts), model.config.text_embedding_dim, dtype=torch.float32, device="cpu")
    total = torch.zeros(len(pieces), model.config.text_embedding_dim, dtype=torch.float32, device="cpu")
    order = sorted(range(len(parts)), key=lambda index: -len(parts[index]))
    first = 0
    with torch.inference_mode():
        while first < len(order):
            longest = len(parts[order[first]])
            batch = order[first : first + max(1, BATCH_TOKENS // longest)]
            token_ids = np.full((len(batch), longest), model.pad_token_id, np.int64)
            for row, index in enumerate(batch):
                token_ids[row, : len(parts[index])] = parts[index]
            said = model.midi_to_text(torch.from_numpy(token_ids).to(device)).float()
            vectors[batch] = F.normalize(said, dim=-1).cpu()
            first += len(batch)
        for index, own in enumerate(numbers):
            total[index] = vectors[own].sum(0)
        return F.normalize(total, dim=-1).numpy()


def cosines(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The cosines between vectors of unit length, (rows, dim), and one more, (dim,): (rows,) float64.

    Each row is summed alone and in one order, so that equal rows have equal cosines. A matrix product sums the rows at
    its edges in another order, and which of equal rows comes first would be chance.
    """
    found = [np.zeros(0)]
    for first in range(0, len(vectors), BATCH_ROWS):
        rows = np.ascontiguousarray(vectors[first : first + BATCH_ROWS], np.float64)
        found.append((rows * vector.astype(np.float64)).sum(1))
    return np.concatenate(found)


def embed(data: MidiData, opened: OpenedModel, max_parts: int | None = None) -> np.ndarray | None:
    """The embedding of a piece, (text_embedding_dim,); None if the model does not read MIDI or there are no notes."""
    model = opened.checkpoint.model
    if not reads_midi(model):
        return None
    parts = parts_of(data, opened.tokenizer, part_len(model), max_parts)
    return embed_pieces(model, [parts])[0] if parts else None
