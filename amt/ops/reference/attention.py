"""What attention means, in plain PyTorch: every other backend must equal this."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from amt.ops.reference.philox import DROPOUT, WORD_MASK, philox4x32

DRAW_BITS = 8  # of a Philox word, for one weight
DRAWS_PER_CALL = 16


def may_attend(
    query_len: int,
    key_len: int,
    is_causal: bool,
    key_padding_mask: torch.Tensor | None,
    device: torch.device,
    *,
    window: int | None = None,
    query_padding_mask: torch.Tensor | None = None,
) -> torch.Tensor | None:
    """Which key each query may attend to; None if all.

    Causal is aligned bottom-right: the last query sees the last key.

    Args:
        key_padding_mask: (batch, key_len), bool, True = may attend; or None.
        window: with is_causal: a query sees this many keys at most, the last of those that it might see.
        query_padding_mask: (batch, query_len), bool, False = attends to nothing; or None.

    Returns:
        bool, broadcastable to (batch, num_heads, query_len, key_len); or None.
    """
    mask = None if key_padding_mask is None else key_padding_mask[:, None, None, :]
    if query_padding_mask is not None:
        rows = query_padding_mask[:, None, :, None]
        mask = rows if mask is None else mask & rows
    if is_causal and (query_len > 1 or window is not None):
        causal = torch.ones(query_len, key_len, dtype=torch.bool, device=device).tril(key_len - query_len)
        if window is not None:
            causal = causal.triu(key_len - query_len - window + 1)
        mask = causal if mask is None else mask & causal
    return mask


def lengths_mask(lengths: torch.Tensor, seq_len: int) -> torch.Tensor:
    """The padding mask (batch, seq_len) of these lengths (batch)."""
    return torch.arange(seq_len, device=lengths.device) < lengths[:, None]


def dense_bias(relative_bias: torch.Tensor, query_len: int, key_len: int) -> torch.Tensor:
    """(num_heads, query_len, key_len) from (num_heads, 2 * max_distance + 1), distance = key - query.

    Lengths are aligned bottom-right, as in `may_attend`. Distances beyond max_distance are clipped.

    Source: Shaw et al. 2018, arXiv:1803.02155, as one number for each distance like T5's, arXiv:1910.10683.
    """
    return relative_bias[:, _distance_index(query_len, key_len, relative_bias.shape[1] // 2, relative_bias.device)]


def _distance_index(query_len: int, key_len: int, max_distance: int, device: torch.device) -> torch.Tensor:
    query = torch.arange(query_len, device=device) + (key_len - query_len)
    distance = torch.arange(key_len, device=device) - query[:, None]
    return distance.clamp(-max_distance, max_distance) + max_distance


def dropout_threshold(dropout_p: float) -> int:
    """A weight is dropped if its draw of 8 bits is below this."""
    return round(dropout_p * (1 << DRAW_BITS))


def keep_scale(dropout_p: float) -> float:
    """What the weights that dropout keeps are multiplied by, so that the mean stays."""
    rest = (1 << DRAW_BITS) - dropout_threshold(dropout_p)
    return (1 << DRAW_BITS) / rest if rest else 0.0


def kept_weights(
    seed: torch.Tensor, batch_heads: torch.Tensor, query_len: int, key_len: int, dropout_p: float
) -> torch.Tensor:
    """Which weights dropout keeps: bool (*batch_heads.shape, query_len, key_len).

    The draw for (batch * num_heads + head, row, column) is a pure function of the seed: a byte of the Philox words of
    counter (row, column // 16, batch * num_heads + head, DROPOUT). Of 16 columns, word n has 2n, 2n + 1, 8 + 2n and
    9 + 2n in its bytes, the lowest first: those that a thread holds of a result of matrix instructions.

    Twins: `_draws` in kernels/triton/attention.py, csrc/training/dropout.h.

    Args:
        seed: int64 scalar.
        batch_heads: int64, the numbers batch * num_heads + head.
    """
    key = (seed & WORD_MASK, seed >> 32 & WORD_MASK)
    row = torch.arange(query_len, device=seed.device)[:, None]
    column = torch.arange(-(-key_len // DRAWS_PER_CALL), device=seed.device)
    words = philox4x32((row, column, batch_heads[..., None, None], DROPOUT), key)
    halves = [torch.stack((word & 0xFFFF, word >> 16), -1) for word in words]
    # (..., query_len, calls, 2 halves, 4 words, 2 bytes)
    draws = torch.stack([torch.stack((half & 0xFF, half >> 8), -1) for half in halves], -2)
    return draws.flatten(-4)[..., :key_len] >= dropout_threshold(dropout_p)


class Call(NamedTuple):
    """What an attention is asked for beside query, key and value: see `amt.ops.attention`, but for

    cu_seqlens: of queries and of keys.
    seed: int64 scalar; with dropout it must be there.
    """

    is_causal: bool = False
    key_padding_mask: torch.Tensor | None = None
    key_lengths: torch.Tensor | None = None
    cu_seqlens: tuple[torch.Tensor, torch.Tensor] | None = None
    relative_bias: torch.Tensor | None = None
    dropout_p: float = 0.0
    seed: torch.Tensor | None = None
    scale: float | None = None
    query_lengths: torch.Tensor | None = None
    window: int | None = None

    def factor(self, head_dim: int) -> float:
        """What scores are multiplied by."""
        return head_dim**-0.5 if self.scale is None else self.scale


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: Call
) -> tuple[torch.Tensor, torch.Tensor]:
    """softmax(scale * query @ key^T + relative_bias) @ value over the keys that a query may attend to.

    A query that may attend to nothing gives zeros and lse = -inf.

    Returns:
        output: (batch, num_heads, query_len, value_dim);
        lse: (batch, num_heads, query_len), the logarithm of the sum under the softmax.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.
    """
    outputs, lses = [], []
    for part in _parts(query, key, call):
        scores = _scores(query[:, :, part.queries], key[:, :, part.keys], part.mask, call)
        weights = _weights(scores)
        if part.dropout is not None:
            weights = weights * part.dropout
        outputs.append(weights @ value[:, :, part.keys])
        lses.append(scores.logsumexp(-1))
    output, lse = torch.cat(outputs, 2), torch.cat(lses, 2)
    rest = query.shape[2] - output.shape[2]  # packed queries behind the last sequence
    return F.pad(output, (0, 0, 0, rest)), F.pad(lse, (0, rest), value=float("-inf"))


def attention_gradients(
    grad: torch.Tensor,
    grad_lse: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    call: Call,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """The gradients of query, key, value and relative_bias, by hand.

    Args:
        grad, grad_lse: of the output and of lse.
    """
    factor = call.factor(query.shape[3])
    grads = torch.zeros_like(query), torch.zeros_like(key), torch.zeros_like(value)
    grad_bias = None if call.relative_bias is None else torch.zeros_like(call.relative_bias)
    for part in _parts(query, key, call):
        q, k, v = query[:, :, part.queries], key[:, :, part.keys], value[:, :, part.keys]
        g = grad[:, :, part.queries]
        weights = _weights(_scores(q, k, part.mask, call))
        grad_weights, kept = g @ v.transpose(-2, -1), weights
        if part.dropout is not None:
            grad_weights, kept = grad_weights * part.dropout, weights * part.dropout
        grad_sum = (grad_weights * weights).sum(-1, keepdim=True)
        if grad_lse is not None:
            grad_sum = grad_sum - grad_lse[:, :, part.queries, None]
        grad_scores = weights * (grad_weights - grad_sum)
        grads[0][:, :, part.queries] = grad_scores @ k * factor
        grads[1][:, :, part.keys] = grad_scores.transpose(-2, -1) @ q * factor
        grads[2][:, :, part.keys] = kept.transpose(-2, -1) @ g
        if grad_bias is not None:
            index = _distance_index(q.shape[2], k.shape[2], grad_bias.shape[1] // 2, query.device)
            grad_bias.index_add_(1, index.flatten(), grad_scores.sum(0).to(grad_bias.dtype).flatten(1))
    return *grads, grad_bias


class _Part(NamedTuple):
    """Queries that attend to keys: a whole batch, or a sequence of a packed one."""

    queries: slice
    keys: slice
    mask: torch.Tensor | None  # see `may_attend`
    dropout: torch.Tensor | None  # factors of the weights


def _parts(query: torch.Tensor, key: torch.Tensor, call: Call) -> list[_Part]:
    padding = call.key_padding_mask
    if call.key_lengths is not None:
        padding = lengths_mask(call.key_lengths, key.shape[2])
    query_padding = None
    if call.query_lengths is not None:
        query_padding = lengths_mask(call.query_lengths, query.shape[2])
    ends = [[0, query.shape[2]], [0, key.shape[2]]]
    if call.cu_seqlens is not None:
        ends = [cu_seqlens.tolist() for cu_seqlens in call.cu_seqlens]
    batch, num_heads = query.shape[:2]
    batch_heads = torch.arange(batch * num_heads, device=query.device).view(batch, num_heads)
    parts = []
    for index in range(len(ends[0]) - 1):
        queries, keys = (slice(*which[index : index + 2]) for which in ends)
        lengths = queries.stop - queries.start, keys.stop - keys.start
        dropout = None
        if dropout_threshold(call.dropout_p) > 0:
            assert call.seed is not None
            kept = kept_weights(call.seed, batch_heads + index * num_heads, *lengths, call.dropout_p)
            dropout = kept.to(query.dtype) * keep_scale(call.dropout_p)
        mask = may_attend(
            *lengths,
            call.is_causal,
            padding,
            query.device,
            window=call.window,
            query_padding_mask=query_padding,
        )
        parts.append(_Part(queries, keys, mask, dropout))
    return parts


def _scores(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, call: Call) -> torch.Tensor:
    scores = query @ key.transpose(-2, -1) * call.factor(query.shape[3])
    if call.relative_bias is not None:
        scores = scores + dense_bias(call.relative_bias, query.shape[2], key.shape[2]).to(scores.dtype)
    return scores if mask is None else scores.masked_fill(~mask, float("-inf"))


def _weights(scores: torch.Tensor) -> torch.Tensor:
    """Softmax. That of a row of -inf is NaN, and so is its gradient: it is computed as zeros and then erased."""
    is_empty = (scores == float("-inf")).all(-1, keepdim=True)
    return scores.masked_fill(is_empty, 0.0).softmax(-1).masked_fill(is_empty, 0.0)
