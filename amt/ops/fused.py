"""Fused attention as ops that autograd, torch.compile and opcheck know: `amt::attention_forward` and `_backward`.

With kernels="native" they run the C++ kernels, on a CPU. With kernels="triton" they run the Triton kernels on a GPU,
and on a CPU if Triton interprets (TRITON_INTERPRET=1 before it is imported); else, on a CPU, plain formulas, so that
whatever uses the ops can be tested anywhere.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from amt.devices import why_no_gpu
from amt.ops import native_attention
from amt.ops.direct import direct
from amt.ops.reference import attention as reference

Optional = torch.Tensor | None


def why_no_triton(device: torch.device) -> str | None:
    """Why the Triton kernels cannot run on this device; None if they can."""
    try:
        from amt._triton.launch import IS_INTERPRETED
    except ImportError as error:
        return f"triton cannot be imported ({error}); it comes with torch for CUDA, or with pip install triton"
    if device.type == "cuda":
        reason: str | None = _why_no_gpu(device.index or 0)
        return reason
    if device.type == "cpu" and IS_INTERPRETED:
        return None
    return f"the tensors are on {device.type}, and Triton was not started as an interpreter (TRITON_INTERPRET=1)"


@native_attention.constant_result
def _why_no_gpu(index: int) -> str | None:
    return why_no_gpu(index)


def _on_device_of(tensor: torch.Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the device that is current: for a while it is that of a tensor on a GPU."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, call: reference.Call, kernels: str = "triton"
) -> torch.Tensor:
    """The op, with gradients."""
    cu_query, cu_key = call.cu_seqlens or (None, None)
    bias = call.relative_bias
    if bias is not None and query.dtype != torch.float64:
        bias = bias.float()
    output, _ = _run_forward(
        query, key, value, call.key_padding_mask, call.key_lengths, cu_query, cu_key, bias, call.seed,
        call.is_causal, call.dropout_p, call.factor(query.shape[3]), call.query_lengths, call.window or 0, kernels,
    )  # fmt: skip
    return output  # type: ignore[no-any-return]


def _forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_padding_mask: Optional,
    key_lengths: Optional,
    cu_query: Optional,
    cu_key: Optional,
    relative_bias: Optional,
    seed: Optional,
    is_causal: bool,
    dropout_p: float,
    scale: float,
    query_lengths: Optional = None,
    window: int = 0,
    kernels: str = "triton",
) -> tuple[torch.Tensor, torch.Tensor]:
    """output and lse (batch, num_heads, query_len); window 0: none."""
    options = (
        key_padding_mask, key_lengths, cu_query, cu_key, relative_bias, seed, is_causal, dropout_p, scale,
        query_lengths, window,
    )  # fmt: skip
    if kernels == "native":
        return native_attention.forward(query, key, value, _call(*options))
    if why_no_triton(query.device) is None:
        from amt._triton import launch

        with _on_device_of(query):
            return launch.forward(query, key, value, _call(*options))
    output, lse = reference.attention(query, key, value, _call(*options))
    return _heads_together(output), lse.to(_lse_dtype(query))


attention_forward = torch.library.custom_op("amt::attention_forward", _forward, mutates_args=())
_run_forward = direct(attention_forward, _forward)


@attention_forward.register_fake
def _(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *options: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, num_heads, query_len, _ = query.shape
    output = query.new_empty(batch, query_len, num_heads, value.shape[3]).transpose(1, 2)
    return output, query.new_empty(query.shape[:3], dtype=_lse_dtype(query))


@torch.library.custom_op("amt::attention_backward", mutates_args=())
def attention_backward(
    grad: torch.Tensor,
    grad_lse: Optional,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    key_padding_mask: Optional,
    key_lengths: Optional,
    cu_query: Optional,
    cu_key: Optional,
    relative_bias: Optional,
    seed: Optional,
    is_causal: bool,
    dropout_p: float,
    scale: float,
    query_lengths: Optional = None,
    window: int = 0,
    kernels: str = "triton",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of query, key, value and relative_bias (empty without one); grad_lse None: zeros."""
    options = (
        key_padding_mask, key_lengths, cu_query, cu_key, relative_bias, seed, is_causal, dropout_p, scale,
        query_lengths, window,
    )  # fmt: skip
    call = _call(*options)
    if kernels == "native":
        room = native_attention.room_for
        grads = room(query), room(key), room(value)
        native_attention.backward(grad, grad_lse, query, key, value, output, lse, call, grads)
        return *grads, query.new_empty(0)
    if why_no_triton(query.device) is None:
        from amt._triton import launch

        with _on_device_of(query):
            of_query, of_key, of_value, of_bias = launch.backward(grad, grad_lse, query, key, value, output, lse, call)
    else:
        of_query, of_key, of_value, of_bias = reference.attention_gradients(grad, grad_lse, query, key, value, call)
        of_query, of_key, of_value = (_heads_together(tensor) for tensor in (of_query, of_key, of_value))
    return of_query, of_key, of_value, query.new_empty(0) if of_bias is None else of_bias


@attention_backward.register_fake
def _(
    grad: torch.Tensor,
    grad_lse: Optional,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    key_padding_mask: Optional,
    key_lengths: Optional,
    cu_query: Optional,
    cu_key: Optional,
    relative_bias: Optional,
    *options: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    def like(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(tensor.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)

    grad_bias = query.new_empty(0) if relative_bias is None else torch.empty_like(relative_bias)
    return like(query), like(key), like(value), grad_bias


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    tensors, options, query_lengths = inputs[:9], inputs[9:12], inputs[12]
    ctx.save_for_backward(*tensors[:3], *output, *tensors[3:], query_lengths)
    ctx.options, ctx.last_options = options, inputs[13:]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Optional, grad_lse: Optional) -> tuple[Any, ...]:
    if grad is None and grad_lse is None:
        return (None,) * 15
    *tensors, query_lengths = ctx.saved_tensors
    grad = torch.zeros_like(tensors[3]) if grad is None else grad
    *grads, grad_bias = attention_backward(grad, grad_lse, *tensors, *ctx.options, query_lengths, *ctx.last_options)
    has_bias = ctx.needs_input_grad[7]
    return *grads, None, None, None, None, grad_bias if has_bias else None, *(None,) * 7


attention_forward.register_autograd(_backward, setup_context=_setup_context)


def _call(
    key_padding_mask: Optional,
    key_lengths: Optional,
    cu_query: Optional,
    cu_key: Optional,
    relative_bias: Optional,
    seed: Optional,
    is_causal: bool,
    dropout_p: float,
    scale: float,
    query_lengths: Optional,
    window: int,
) -> reference.Call:
    return reference.Call(
        is_causal=is_causal,
        key_padding_mask=key_padding_mask,
        key_lengths=key_lengths,
        cu_seqlens=None if cu_query is None or cu_key is None else (cu_query, cu_key),
        relative_bias=relative_bias,
        dropout_p=dropout_p,
        seed=seed,
        scale=scale,
        query_lengths=query_lengths,
        window=window or None,
    )


def _heads_together(tensor: torch.Tensor) -> torch.Tensor:
    """Heads of a position side by side in memory, as the kernels write them."""
    return tensor.transpose(1, 2).contiguous().transpose(1, 2)


def _lse_dtype(query: torch.Tensor) -> torch.dtype:
    return torch.float64 if query.dtype == torch.float64 else torch.float32
