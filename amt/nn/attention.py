"""Self-attention and cross-attention with their projections."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from amt.ops.attention import attention
from amt.ops.reference.norm import normed
from amt.ops.reference.rotary import Rotary, rotate
from amt.ops.self_attention import self_attention

# With normed queries and keys a score is at most NORM_SCALE ** 2 * head_dim ** 0.5.
NORM_SCALE = 1.2


class SelfAttention(nn.Module):
    """Attention of a sequence to itself; queries, keys and values come from one matrix product.

    With `has_norm` each head's queries and keys are divided by their root mean square and multiplied by NORM_SCALE,
    before they are rotated (Henry et al. 2020, arXiv:2010.04245). With a `window` causal attention is local: a position
    sees itself and window - 1 before it.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float, *, has_norm: bool = False, window: int = 0):
        super().__init__()
        self.window = window
        self.has_norm = has_norm
        self.num_heads = num_heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def forward(
        self,
        x: torch.Tensor,
        *,
        is_causal: bool,
        key_padding_mask: torch.Tensor | None = None,
        rotary: Rotary | None = None,
        relative_bias: torch.Tensor | None = None,
        cache: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """x (batch, seq_len, d_model) -> (batch, seq_len, d_model).

        Args:
            key_padding_mask: (batch, key_len), bool, True = may attend.
            rotary: see `amt.ops.reference.rotary.rotate`.
            relative_bias: see `amt.ops.attention`.
            cache: the layer's slot, filled here, and its past, attended to; see `DecoderCache.append`.
        """
        batch, seq_len, d_model = x.shape
        qkv = self.query_key_value(x).view(batch, seq_len, 3, self.num_heads, d_model // self.num_heads)
        key_len = seq_len if cache is None else cache[1].shape[3]
        options: dict[str, Any] = {
            "is_causal": is_causal,
            "window": self.window if 0 < self.window < key_len else None,
            "key_padding_mask": key_padding_mask,
            "relative_bias": relative_bias,
            "dropout_p": self.dropout if self.training else 0.0,
        }
        if cache is None:
            norm_scale = NORM_SCALE if self.has_norm else 0.0
            mixed = self_attention(qkv, rotary=rotary, norm_scale=norm_scale, **options)
        else:
            if self.has_norm:
                qkv = torch.cat((normed(qkv[:, :, :2], NORM_SCALE), qkv[:, :, 2:]), 2)
            if rotary is not None:
                qkv = torch.cat((rotate(qkv[:, :, :2], rotary), qkv[:, :, 2:]), 2)
            query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, num_heads, seq_len, head_dim)
            slot, past = cache
            slot[0].copy_(key)
            slot[1].copy_(value)
            if options["window"]:
                past = past[..., -(seq_len + self.window - 1) :, :]  # what the first query sees, and later ones
                options["window"] = self.window if seq_len > 1 else None
            mixed = attention(query, *past.unbind(0), **options)
        return self.output(mixed.transpose(1, 2).reshape(batch, seq_len, d_model))  # type: ignore[no-any-return]


class CrossAttention(nn.Module):
    """Attention to a memory, whose keys and values are computed once by `project`."""

    def __init__(self, d_model: int, num_heads: int, dropout: float):
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(d_model, d_model)
        self.key_value = nn.Linear(d_model, 2 * d_model)
        self.output = nn.Linear(d_model, d_model)

    def project(self, memory: torch.Tensor) -> torch.Tensor:
        """memory (batch, src_len, d_model) -> keys and values (2, batch, num_heads, src_len, head_dim)."""
        batch, src_len, d_model = memory.shape
        key_value = self.key_value(memory).view(batch, src_len, 2, self.num_heads, d_model // self.num_heads)
        return key_value.permute(2, 0, 3, 1, 4)  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor, memory_kv: torch.Tensor, memory_mask: torch.Tensor | None) -> torch.Tensor:
        """x (batch, seq_len, d_model) -> the same, or (batch, 1, d_model) if that holds for every position.

        Args:
            memory_kv: what `project` returned.
            memory_mask: (batch, src_len), bool, True = may attend; or None.
        """
        if memory_kv.shape[3] == 1 and not (self.training and self.dropout > 0.0):
            x = x[:, :1]  # with one key every query gets its value: one query is enough
        batch, seq_len, d_model = x.shape
        query = self.query(x).view(batch, seq_len, self.num_heads, d_model // self.num_heads).transpose(1, 2)
        key, value = memory_kv.unbind(0)
        mixed = attention(
            query,
            key,
            value,
            is_causal=False,
            key_padding_mask=memory_mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.output(mixed.transpose(1, 2).reshape(batch, seq_len, d_model))  # type: ignore[no-any-return]
