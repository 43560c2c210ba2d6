"""Where in the sequence a token stands, told to a stack of layers in one of three ways."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from amt.ops.reference.attention import dense_bias

MAX_RELATIVE_DISTANCE = 128
ROTARY_BASE = 10_000.0

PositionKind = Literal["sinusoidal", "rotary", "relative"]


def sinusoidal_table(max_sequence_length: int, d_model: int) -> torch.Tensor:
    """Sine in even columns, cosine in odd ones: (max_sequence_length, d_model), float32.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    position = torch.arange(max_sequence_length, dtype=torch.float64)[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10_000.0) / d_model))
    angle = position * frequency  # (max_sequence_length, d_model / 2)
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1).float()


def rotary_tables(max_sequence_length: int, head_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and signed sine for `rotate`, (max_sequence_length, 1, 1, head_dim), float32 (arXiv:2104.09864).

    Dimension i is paired with i + head_dim / 2. The sine of the first half is negated here, once.
    """
    frequency = ROTARY_BASE ** (torch.arange(0, head_dim, 2, dtype=torch.float64) / -head_dim)
    angle = torch.arange(max_sequence_length, dtype=torch.float64)[:, None] * frequency
    cosine = torch.cat((angle.cos(), angle.cos()), -1)
    signed_sine = torch.cat((-angle.sin(), angle.sin()), -1)
    return cosine[:, None, None].float(), signed_sine[:, None, None].float()


def rotate(x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn each pair of dimensions by its position's angle.

    Args:
        x: (batch, seq_len, 2, num_heads, head_dim): queries and keys.
        rotary: cosine and signed sine, (seq_len, 1, 1, head_dim).
    """
    cosine, signed_sine = rotary
    return torch.addcmul(x * cosine, x.roll(x.shape[-1] // 2, -1), signed_sine).to(x.dtype)


class Positions(nn.Module):
    """The positions of one stack: added to its input, turned into its queries and keys, or a bias on its scores.

    "sinusoidal" adds a fixed table; "rotary" rotates queries and keys of self-attention; "relative" learns one
    number per head and distance, with distances beyond MAX_RELATIVE_DISTANCE clipped (arXiv:1803.02155, as a scalar
    like arXiv:1910.10683), shared by all layers of the stack.
    """

    table: torch.Tensor
    cosine: torch.Tensor
    signed_sine: torch.Tensor

    def __init__(self, kind: PositionKind, d_model: int, num_heads: int, max_sequence_length: int):
        super().__init__()
        self.kind = kind
        if kind == "sinusoidal":
            self.register_buffer("table", sinusoidal_table(max_sequence_length, d_model), persistent=False)
        elif kind == "rotary":
            cosine, signed_sine = rotary_tables(max_sequence_length, d_model // num_heads)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("signed_sine", signed_sine, persistent=False)
        else:
            self.relative_bias = nn.Parameter(torch.zeros(num_heads, 2 * MAX_RELATIVE_DISTANCE + 1))

    def add(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """x (batch, seq_len, d_model) with its positions added, the first of them `start`."""
        return x + self.table[start : start + x.shape[1]] if self.kind == "sinusoidal" else x

    def rotary(self, start: int, end: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """What `rotate` needs for positions start..end-1; None if nothing is rotated."""
        if self.kind != "rotary":
            return None
        return self.cosine[start:end], self.signed_sine[start:end]

    def relative(self) -> torch.Tensor | None:
        """The relative_bias of `amt.ops.attention`; None if there is none."""
        return self.relative_bias if self.kind == "relative" else None

    def decode_tables(self, max_len: int) -> list[torch.Tensor]:
        """What decoding one position at a time needs of them.

        Returns:
            sinusoidal: the table (max_len, d_model); rotary: cosine and signed sine, (max_len, head_dim) each;
            relative: the bias of the last of max_len queries on every key, (num_heads, max_len).
        """
        if self.kind == "sinusoidal":
            return [self.table[:max_len]]
        if self.kind == "rotary":
            return [self.cosine[:max_len, 0, 0], self.signed_sine[:max_len, 0, 0]]
        return [dense_bias(self.relative_bias, 1, max_len)[:, 0]]
