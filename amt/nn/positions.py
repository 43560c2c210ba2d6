"""Where in the sequence a token stands, told to a stack of layers in one of three ways."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from amt.ops.reference.attention import dense_bias
from amt.ops.reference.rotary import Rotary

MAX_RELATIVE_DISTANCE = 128
ROTARY_BASE = 10_000.0
# What turns by musical time turns once in so many steps; at 24 steps a beat from a sixteenth to 64 bars of 4/4.
SHORTEST_TURN, LONGEST_TURN = 6.0, 6144.0

PositionKind = Literal["sinusoidal", "rotary", "relative"]


def sinusoidal_table(max_sequence_length: int, d_model: int) -> torch.Tensor:
    """Sine in even columns, cosine in odd ones: (max_sequence_length, d_model), float32.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    position = torch.arange(max_sequence_length, dtype=torch.float64)[:, None]
    frequency = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10_000.0) / d_model))
    angle = position * frequency  # (max_sequence_length, d_model / 2)
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(1).float()


def rotary_tables(
    max_sequence_length: int, head_dim: int, num_idle_pairs: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and signed sine for `rotate`, (max_sequence_length, 1, 1, head_dim), float32 (arXiv:2104.09864).

    Dimension i is paired with i + head_dim / 2. The sine of the first half is negated here, once. The last
    `num_idle_pairs` do not turn.
    """
    num_turned = head_dim - 2 * num_idle_pairs
    frequency = ROTARY_BASE ** (torch.arange(0, num_turned, 2, dtype=torch.float64) / -max(1, num_turned))
    frequency = torch.cat((frequency, frequency.new_zeros(num_idle_pairs)))
    angle = torch.arange(max_sequence_length, dtype=torch.float64)[:, None] * frequency
    cosine = torch.cat((angle.cos(), angle.cos()), -1)
    signed_sine = torch.cat((-angle.sin(), angle.sin()), -1)
    return cosine[:, None, None].float(), signed_sine[:, None, None].float()


def time_frequency(num_pairs: int) -> torch.Tensor:
    """How far each pair of dimensions turns in a step of musical time, (num_pairs,) float32, from fast to slow."""
    shortest, longest = math.log2(SHORTEST_TURN), math.log2(LONGEST_TURN)
    return (2 * math.pi / torch.logspace(shortest, longest, num_pairs, base=2.0, dtype=torch.float64)).float()


def with_time(
    rotary: tuple[torch.Tensor, torch.Tensor], times: torch.Tensor, frequency: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The tables of `rotary_tables`, (seq_len, 1, 1, head_dim), whose last pairs turn by musical time instead.

    Args:
        times: (batch, seq_len) int64, in steps.
        frequency: from `time_frequency`; of as many pairs as are to turn so.

    Returns:
        both (batch, seq_len, 1, 1, head_dim).
    """
    angle = times[:, :, None].double() * frequency.double()
    batch, seq_len, num_pairs = angle.shape
    sine = angle.sin()
    turned = []
    for table, first, second in zip(rotary, (angle.cos(), -sine), (angle.cos(), sine), strict=True):
        halves = table.view(1, seq_len, 2, -1).expand(batch, -1, -1, -1)
        late = torch.stack((first, second), 2).to(table.dtype)  # (batch, seq_len, 2, num_pairs)
        turned.append(torch.cat((halves[..., : halves.shape[3] - num_pairs], late), 3).flatten(2)[:, :, None, None])
    return turned[0], turned[1]


class Positions(nn.Module):
    """The positions of one stack: added to its input, turned into its queries and keys, or a bias on its scores.

    "sinusoidal" adds a fixed table; "rotary" rotates queries and keys of self-attention; "relative" learns one
    number per head and distance, with distances beyond MAX_RELATIVE_DISTANCE clipped (arXiv:1803.02155, as a scalar
    like arXiv:1910.10683), shared by all layers of the stack. With `has_time` half of the pairs that "rotary" rotates
    turn by musical time instead of the position.
    """

    table: torch.Tensor
    cosine: torch.Tensor
    signed_sine: torch.Tensor
    frequency: torch.Tensor

    def __init__(
        self, kind: PositionKind, d_model: int, num_heads: int, max_sequence_length: int, *, has_time: bool = False
    ):
        super().__init__()
        self.kind = kind
        self.has_time = has_time
        if kind == "sinusoidal":
            self.register_buffer("table", sinusoidal_table(max_sequence_length, d_model), persistent=False)
        elif kind == "rotary":
            head_dim = d_model // num_heads
            num_timed = head_dim // 4 if has_time else 0
            cosine, signed_sine = rotary_tables(max_sequence_length, head_dim, num_timed)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("signed_sine", signed_sine, persistent=False)
            if has_time:
                self.register_buffer("frequency", time_frequency(num_timed), persistent=False)
        else:
            self.relative_bias = nn.Parameter(torch.zeros(num_heads, 2 * MAX_RELATIVE_DISTANCE + 1))

    def add(self, x: torch.Tensor, start: int = 0) -> torch.Tensor:
        """x (batch, seq_len, d_model) with its positions added, the first of them `start`."""
        return x + self.table[start : start + x.shape[1]] if self.kind == "sinusoidal" else x

    def rotary(self, start: int, end: int, times: torch.Tensor | None = None) -> Rotary | None:
        """What `amt.ops.reference.rotary.rotate` needs for positions start..end-1; None if nothing is rotated.

        Args:
            times: (batch, end - start): the musical time after each token, in steps; read with `has_time`.
        """
        if self.kind != "rotary":
            return None
        tables = self.cosine[start:end], self.signed_sine[start:end]
        return with_time(tables, times, self.frequency) if self.has_time and times is not None else tables

    def relative(self) -> torch.Tensor | None:
        """The relative_bias of `amt.ops.attention`; None if there is none."""
        return self.relative_bias if self.kind == "relative" else None

    def decode_tables(self, max_len: int) -> list[torch.Tensor]:
        """What decoding one position at a time needs of them.

        Returns:
            sinusoidal: the table (max_len, d_model); rotary: cosine and signed sine, (max_len, head_dim) each, and with
            `has_time` the frequencies of the pairs that turn by it;
            relative: the bias of the last of max_len queries on every key, (num_heads, max_len).
        """
        if self.kind == "sinusoidal":
            return [self.table[:max_len]]
        if self.kind == "rotary":
            tables = [self.cosine[:max_len, 0, 0], self.signed_sine[:max_len, 0, 0]]
            return [*tables, self.frequency] if self.has_time else tables
        return [dense_bias(self.relative_bias, 1, max_len)[:, 0]]
