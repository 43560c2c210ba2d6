"""Token states of texts: several as one batch, and one text as one vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


def pad_embeddings(rows: Sequence[torch.Tensor | npt.NDArray[Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put embeddings of different lengths into one batch.

    Args:
        rows: (text_len, dim) each, of any float dtype.

    Returns:
        embeddings: (batch, longest text_len, dim), float32, zero after a row's end.
        mask: (batch, longest text_len), bool; True where a row is.
    """
    import torch

    embeddings = torch.zeros(
        len(rows), max(len(row) for row in rows), rows[0].shape[-1], dtype=torch.float32, device="cpu"
    )
    mask = torch.zeros(embeddings.shape[:2], dtype=torch.bool, device="cpu")
    for index, row in enumerate(rows):
        embeddings[index, : len(row)] = (
            torch.tensor(row, dtype=torch.float32, device="cpu") if isinstance(row, np.ndarray) else row
        )
        mask[index, : len(row)] = True
    return embeddings, mask


def sentence_embedding(text_embeddings: torch.Tensor, text_mask: torch.Tensor) -> torch.Tensor:
    """What MIDI -> text learns to say: the mean of a text's token states at unit length, (batch, text_embedding_dim).

    Args:
        text_embeddings: (batch, src_len, text_embedding_dim).
        text_mask: (batch, src_len), bool, True = real.
    """
    import torch

    total = text_embeddings.masked_fill(~text_mask[:, :, None], 0.0).sum(1)
    return torch.nn.functional.normalize(total, dim=-1)
