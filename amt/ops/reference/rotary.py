"""What rotary positions mean, in plain PyTorch (Su et al. 2021, arXiv:2104.09864)."""

from __future__ import annotations

import torch

Rotary = tuple[torch.Tensor, torch.Tensor]


def rotate(x: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Turn each pair of dimensions by its position's angle; dimension i is paired with i + head_dim / 2.

    Args:
        x: (batch, seq_len, 2, num_heads, head_dim): queries and keys.
        rotary: cosine and signed sine, (seq_len, 1, 1, head_dim), or (batch, seq_len, 1, 1, head_dim) where each row
            has its own positions; the sine of the first half is negative.
    """
    cosine, signed_sine = rotary
    return torch.addcmul(x * cosine, x.roll(x.shape[-1] // 2, -1), signed_sine).to(x.dtype)
