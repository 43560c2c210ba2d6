"""Self-attention of packed queries, keys and values: what comes between the two projections of a layer, as one op.

The C++ kernels norm and turn queries and keys where they read them, and write all gradients into one tensor. Plain
PyTorch takes a dozen passes over memory for that.
"""

from __future__ import annotations

from typing import Any

import torch

from amt.ops import native_attention
from amt.ops.attention import Backend, attention, backend_for, check_call, seed_or_drawn
from amt.ops.direct import direct
from amt.ops.reference.attention import Call
from amt.ops.reference.norm import normed
from amt.ops.reference.rotary import Rotary, rotate

Optional = torch.Tensor | None


def self_attention(
    qkv: torch.Tensor,
    *,
    rotary: Rotary | None = None,
    norm_scale: float = 0.0,
    backend: Backend = "auto",
    **options: Any,
) -> torch.Tensor:
    """`attention` of a sequence to itself, after norming queries and keys and turning them by their positions.

    Args:
        qkv: (batch, seq_len, 3, num_heads, head_dim): queries, keys and values.
        rotary: see `amt.ops.reference.rotary.rotate`; None: nothing is turned.
        norm_scale: see `amt.ops.reference.norm.normed`; 0: nothing is normed.
        backend, options: those of `attention`.

    Returns:
        (batch, num_heads, seq_len, head_dim).

    Raises:
        ValueError, BackendUnavailableError: as `attention` does.
    """
    if qkv.dim() != 5 or qkv.shape[2] != 3:
        raise ValueError(f"qkv must be (batch, seq_len, 3, num_heads, head_dim), got {tuple(qkv.shape)}")
    query, key, value = _unbind(qkv)
    call = check_call(query, key, value, **options)
    if backend_for(query, key, value, call, backend) != "native":
        if rotary is not None or norm_scale:
            turned, value = torch.split(qkv, [2, 1], 2)  # split, not slices: its gradient is one copy
            turned = normed(turned, norm_scale) if norm_scale else turned
            turned = turned if rotary is None else rotate(turned, rotary)
            query, key = turned.permute(2, 0, 3, 1, 4).unbind(0)
            value = value.squeeze(2).transpose(1, 2)
        return attention(query, key, value, backend=backend, **options)
    output, _ = _run_forward(
        qkv, *(rotary or (None, None)), call.key_padding_mask, call.key_lengths, call.query_lengths,
        seed_or_drawn(call, qkv.device), call.is_causal, call.window or 0, call.dropout_p, call.factor(qkv.shape[4]),
        norm_scale,
    )  # fmt: skip
    return output  # type: ignore[no-any-return]


def _unbind(qkv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values, (batch, num_heads, seq_len, head_dim)."""
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


def _forward(
    qkv: torch.Tensor,
    cosine: Optional,
    signed_sine: Optional,
    key_padding_mask: Optional,
    key_lengths: Optional,
    query_lengths: Optional,
    seed: Optional,
    is_causal: bool,
    window: int,
    dropout_p: float,
    scale: float,
    norm_scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """output and lse of the C++ kernels; window 0: none, norm_scale 0: no norm."""
    call = _call(key_padding_mask, key_lengths, query_lengths, seed, is_causal, window, dropout_p, scale)
    return native_attention.forward(*_unbind(qkv), call, _rotary(cosine, signed_sine), norm_scale)


self_attention_forward = torch.library.custom_op("amt::self_attention_forward", _forward, mutates_args=())
_run_forward = direct(self_attention_forward, _forward)


@self_attention_forward.register_fake
def _(qkv: torch.Tensor, *options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    batch, seq_len, _, num_heads, head_dim = qkv.shape
    output = qkv.new_empty(batch, seq_len, num_heads, head_dim).transpose(1, 2)
    return output, qkv.new_empty(batch, num_heads, seq_len, dtype=torch.float32)


@torch.library.custom_op("amt::self_attention_backward", mutates_args=())
def self_attention_backward(
    grad: torch.Tensor,
    qkv: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    cosine: Optional,
    signed_sine: Optional,
    key_padding_mask: Optional,
    key_lengths: Optional,
    query_lengths: Optional,
    seed: Optional,
    is_causal: bool,
    window: int,
    dropout_p: float,
    scale: float,
    norm_scale: float,
) -> torch.Tensor:
    """The gradient of qkv."""
    call = _call(key_padding_mask, key_lengths, query_lengths, seed, is_causal, window, dropout_p, scale)
    grad_qkv = torch.empty(qkv.shape, dtype=qkv.dtype, device="cpu")
    rotary, grads = _rotary(cosine, signed_sine), _unbind(grad_qkv)
    native_attention.backward(grad, None, *_unbind(qkv), output, lse, call, grads, rotary, norm_scale)
    return grad_qkv


@self_attention_backward.register_fake
def _(grad: torch.Tensor, qkv: torch.Tensor, *options: Any) -> torch.Tensor:
    return qkv.new_empty(qkv.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    qkv, *tensors = inputs[:7]
    ctx.save_for_backward(qkv, *output, *tensors)
    ctx.options = inputs[7:]
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Optional, _: Optional) -> tuple[Any, ...]:
    if grad is None:
        return (None,) * 12
    return self_attention_backward(grad, *ctx.saved_tensors, *ctx.options), *(None,) * 11


self_attention_forward.register_autograd(_backward, setup_context=_setup_context)


def _call(
    key_padding_mask: Optional,
    key_lengths: Optional,
    query_lengths: Optional,
    seed: Optional,
    is_causal: bool,
    window: int,
    dropout_p: float,
    scale: float,
) -> Call:
    return Call(
        is_causal=is_causal,
        key_padding_mask=key_padding_mask,
        key_lengths=key_lengths,
        dropout_p=dropout_p,
        seed=seed,
        scale=scale,
        query_lengths=query_lengths,
        window=window or None,
    )


def _rotary(cosine: Optional, signed_sine: Optional) -> Rotary | None:
    return None if cosine is None or signed_sine is None else (cosine, signed_sine)
