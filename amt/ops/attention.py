"""Attention: signature, checks and choice of backend."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional as F

from amt.reference import attention as reference

Backend = Literal["auto", "reference", "sdpa"]
BACKENDS = ("auto", "reference", "sdpa")


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    is_causal: bool,
    key_padding_mask: torch.Tensor | None = None,
    attn_bias: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    scale: float | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """softmax(scale * query @ key^T + attn_bias) @ value over the keys that a query may attend to.

    Causal is aligned bottom-right: the last query sees the last key. A query that may attend to nothing gives zeros.

    Args:
        query: (batch, num_heads, query_len, head_dim), any strides.
        key: (batch, num_heads, key_len, head_dim).
        value: (batch, num_heads, key_len, value_dim).
        is_causal: whether later keys are hidden.
        key_padding_mask: (batch, key_len), bool, True = may attend.
        attn_bias: float, broadcastable to (batch, num_heads, query_len, key_len), added to the scores; -inf forbids.
        dropout_p: the share of attention weights set to zero, drawn from torch's generator.
        scale: factor of the scores; head_dim ** -0.5 if None.
        backend: "reference" (plain PyTorch), "sdpa" (torch's fused attention), or "auto", which takes "sdpa".

    Returns:
        (batch, num_heads, query_len, value_dim).

    Raises:
        ValueError: shapes or dtypes disagree, or the backend is unknown.
    """
    _check(query, key, value, key_padding_mask, dropout_p, backend)
    if backend == "reference":
        output, _ = reference.attention(
            query,
            key,
            value,
            is_causal=is_causal,
            key_padding_mask=key_padding_mask,
            attn_bias=attn_bias,
            dropout_p=dropout_p,
            scale=scale,
        )
        return output
    query_len, key_len = query.shape[2], key.shape[2]
    # torch's is_causal is aligned top-left: the same thing only where the lengths are equal.
    if is_causal and query_len == key_len and key_padding_mask is None and attn_bias is None:
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p, is_causal=True, scale=scale)
    mask = reference.may_attend(query_len, key_len, is_causal, key_padding_mask, query.device)
    if attn_bias is not None:
        mask = attn_bias if mask is None else attn_bias.masked_fill(~mask, float("-inf"))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout_p, scale=scale)


def _check(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_padding_mask: torch.Tensor | None,
    dropout_p: float,
    backend: str,
) -> None:
    if query.dim() != 4 or key.dim() != 4 or value.dim() != 4:
        raise ValueError("query, key and value must be (batch, num_heads, seq_len, head_dim)")
    if query.shape[:2] != key.shape[:2] or query.shape[3] != key.shape[3] or key.shape[:3] != value.shape[:3]:
        raise ValueError(
            "query, key and value must agree in batch, num_heads and head_dim, key and value in length; "
            f"got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
        )
    if key_padding_mask is not None:
        if key_padding_mask.dtype != torch.bool:
            raise ValueError(f"key_padding_mask must be bool (True = may attend), got {key_padding_mask.dtype}")
        if key_padding_mask.shape != (key.shape[0], key.shape[2]):
            raise ValueError(
                f"key_padding_mask must be (batch, key_len) = {(key.shape[0], key.shape[2])}, "
                f"got {tuple(key_padding_mask.shape)}"
            )
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout_p must be between 0 and 1, got {dropout_p}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
