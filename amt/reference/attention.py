"""What attention means, in plain PyTorch: every other backend must equal this."""

from __future__ import annotations

import torch


def may_attend(
    query_len: int, key_len: int, is_causal: bool, key_padding_mask: torch.Tensor | None, device: torch.device
) -> torch.Tensor | None:
    """Which key each query may attend to; None if all.

    Causal is aligned bottom-right: the last query sees the last key.

    Args:
        key_padding_mask: (batch, key_len), bool, True = may attend; or None.

    Returns:
        bool, broadcastable to (batch, num_heads, query_len, key_len); or None.
    """
    mask = None if key_padding_mask is None else key_padding_mask[:, None, None, :]
    if is_causal and query_len > 1:
        causal = torch.ones(query_len, key_len, dtype=torch.bool, device=device).tril(key_len - query_len)
        mask = causal if mask is None else mask & causal
    return mask


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
) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(scale * query @ key^T + attn_bias) @ value over the keys that a query may attend to.

    A query that may attend to nothing (all masked, or every bias -inf) gives zeros and lse = -inf.

    Args: as `amt.ops.attention`.

    Returns:
        output: (batch, num_heads, query_len, value_dim);
        lse: (batch, num_heads, query_len), the logarithm of the sum under the softmax.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_bias is not None:
        scores = scores + attn_bias
    mask = may_attend(query.shape[-2], key.shape[-2], is_causal, key_padding_mask, query.device)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    lse = scores.logsumexp(-1)  # (batch, num_heads, query_len)
    # Softmax of a row of -inf is NaN, and so is its gradient: such rows are computed as zeros and then erased.
    is_empty = (scores == float("-inf")).all(-1, keepdim=True)
    weights = scores.masked_fill(is_empty, 0.0).softmax(-1).masked_fill(is_empty, 0.0)
    if dropout_p > 0.0:
        weights = torch.nn.functional.dropout(weights, dropout_p)
    return weights @ value, lse
