"""What training makes small: cross-entropy for text -> MIDI, squared error for MIDI -> text."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def token_loss(logits: torch.Tensor, targets: torch.Tensor, pad_token_id: int = 0) -> torch.Tensor:
    """The mean negative log-likelihood, in nats, of the targets that are not padding; 0 if all are.

    Args:
        logits: (batch, seq_len, vocab_size), of the token after each position.
        targets: (batch, seq_len), int64: that token.
        pad_token_id: the target that does not count.
    """
    # In float32 whatever the logits are: half precision loses the sum over the vocabulary.
    flat = logits.flatten(0, -2).float() if logits.dtype in (torch.float16, torch.bfloat16) else logits.flatten(0, -2)
    total = F.cross_entropy(flat, targets.flatten(), ignore_index=pad_token_id, reduction="sum")
    return total / (targets != pad_token_id).sum().clamp(min=1)


def embedding_loss(predicted: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
    """The mean squared error between two (batch, text_embedding_dim)."""
    return F.mse_loss(predicted, text_embeddings)
