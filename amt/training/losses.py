"""What training makes small: cross-entropy for text -> MIDI, squared error for MIDI -> text."""

from __future__ import annotations

import torch
from torch.nn import functional as F

# Cosines are divided by this before the softmax of `contrastive_loss` (the starting value of CLIP).
CONTRASTIVE_TEMPERATURE = 0.07


def token_losses(logits: torch.Tensor, targets: torch.Tensor, pad_token_id: int = 0) -> torch.Tensor:
    """The negative log-likelihood, in nats, of each target, (batch, seq_len) float32; 0 for padding.

    Args:
        logits: (batch, seq_len, vocab_size), of the token after each position.
        targets: (batch, seq_len), int64: that token.
        pad_token_id: the target that does not count.
    """
    # In float32 whatever the logits are: half precision loses the sum over the vocabulary.
    flat = logits.flatten(0, -2).float() if logits.dtype in (torch.float16, torch.bfloat16) else logits.flatten(0, -2)
    losses = F.cross_entropy(flat, targets.flatten(), ignore_index=pad_token_id, reduction="none")
    return losses.view(targets.shape)


def token_loss(logits: torch.Tensor, targets: torch.Tensor, pad_token_id: int = 0) -> torch.Tensor:
    """The mean of `token_losses` over the targets that are not padding; 0 if all are."""
    return token_losses(logits, targets, pad_token_id).sum() / (targets != pad_token_id).sum().clamp(min=1)


def embedding_loss(predicted: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
    """The mean squared error between two (batch, text_embedding_dim)."""
    return F.mse_loss(predicted, text_embeddings)


def contrastive_loss(predicted: torch.Tensor, text_embeddings: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of finding the right text for each piece among all, and the right piece for each text.

    The loss of CLIP (Radford et al. 2021, arXiv:2103.00020), at a fixed temperature.

    Args:
        predicted: (batch, text_embedding_dim), of the pieces.
        text_embeddings: the same shape, of their texts.
    """
    cosines = F.normalize(predicted, dim=-1) @ F.normalize(text_embeddings, dim=-1).T
    logits = cosines.float() / CONTRASTIVE_TEMPERATURE
    right = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
