"""The face of the C++ attention in csrc/training: what it takes, and its two passes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch

from amt.ops import native
from amt.ops.reference import norm
from amt.ops.reference.attention import Call, dropout_threshold, keep_scale
from amt.ops.reference.rotary import Rotary

T = TypeVar("T")
MAX_HEAD_DIM, HEAD_DIM_MULTIPLE = 128, 8
DTYPES = (torch.float32, torch.bfloat16)
# Written, but not yet run on a processor that has the instructions: taken only if it is asked for.
UNVERIFIED_SETS = ("avx512_amx",)


def why_not(query: torch.Tensor, value: torch.Tensor, call: Call) -> str | None:
    """Why the kernels do not offer such a call; None if they do."""
    if query.device.type != "cpu":
        return f"the tensors are on {query.device.type}"
    if query.dtype not in DTYPES:
        return f"numbers must be float32 or bfloat16; got {query.dtype}"
    head_dim, value_dim = query.shape[3], value.shape[3]
    if head_dim != value_dim or not HEAD_DIM_MULTIPLE <= head_dim <= MAX_HEAD_DIM or head_dim % HEAD_DIM_MULTIPLE:
        return (
            f"head_dim and value_dim must be the same, a multiple of {HEAD_DIM_MULTIPLE} up to {MAX_HEAD_DIM}; "
            f"got {head_dim} and {value_dim}"
        )
    if call.cu_seqlens is not None:
        return "packed sequences"
    if call.relative_bias is not None:
        return "a relative bias"
    return None


def constant_result(function: Callable[..., T]) -> Callable[..., T]:
    """`torch.compiler.assume_constant_result`, which would import the compiler at once: a second of start-up."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@constant_result
def why_unavailable() -> str | None:
    """Why the kernels cannot run here; None if they can."""
    return native.why_not()


def is_fast() -> bool:
    """Whether there are kernels for this processor that are faster than plain PyTorch."""
    return why_unavailable() is None and chosen_kernel_set() != "generic"


def kernel_sets() -> list[str]:
    """The instruction sets that attention was built for and that this processor runs, the slowest first."""
    return str(native.ops().training_kernel_sets()).split(",")


@constant_result
def chosen_kernel_set() -> str:
    """The set to use: that of the environment variable AMT_CPU_ISA, else the fastest.

    For a set of the decode engine that attention has no kernels for, as avx512_vnni, it is the set that this one
    extends.

    Raises:
        BackendUnavailableError: there is no such set here.
    """
    names, wanted = kernel_sets(), os.environ.get(native.ISA_VARIABLE)
    if not wanted:
        return [name for name in names if name not in UNVERIFIED_SETS][-1]
    return native.known_kernel_set(wanted, names, native.kernel_sets(), native.ISA_VARIABLE)


def forward(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    call: Call,
    rotary: Rotary | None = None,
    norm_scale: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """output, (batch, seq_len, num_heads, head_dim) in memory, and lse (batch, num_heads, query_len).

    Args:
        rotary: with it queries and keys are turned first; see `amt.ops.reference.rotary.rotate`.
        norm_scale: if it is not 0 they are normed before; see `amt.ops.reference.norm.normed`.
    """
    query, key, value = (_with_unit_stride(tensor) for tensor in (query, key, value))
    output = room_for(query)
    lse = query.new_empty(query.shape[:3], dtype=torch.float32)
    with native.translated_errors():
        native.ops().native_attention_forward_(
            query, key, value, output, lse, *_padding(call), *_tables(rotary), _options(call),
            _factors(query, call, norm_scale), chosen_kernel_set(),
        )  # fmt: skip
    return output, lse


def backward(
    grad: torch.Tensor,
    grad_lse: torch.Tensor | None,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    call: Call,
    grads: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    rotary: Rotary | None = None,
    norm_scale: float = 0.0,
) -> None:
    """Write the gradients of query, key and value.

    Args:
        grad, grad_lse: of what `forward` returned.
        grads: what is written to, in the shapes of query, key and value.
    """
    grad, query, key, value, output = (_with_unit_stride(t) for t in (grad, query, key, value, output))
    grad_lse = lse.new_empty(0) if grad_lse is None else grad_lse.float().contiguous()
    with native.translated_errors():
        native.ops().native_attention_backward_(
            query, key, value, output, lse.contiguous(), grad, grad_lse, *grads, *_padding(call), *_tables(rotary),
            _options(call), _factors(query, call, norm_scale),
            chosen_kernel_set(),
        )  # fmt: skip


def room_for(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of that shape with the heads of a position side by side, as the projection behind it reads them."""
    batch, num_heads, seq_len, head_dim = tensor.shape
    return tensor.new_empty(batch, seq_len, num_heads, head_dim).transpose(1, 2)


def _padding(call: Call) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = call.key_padding_mask
    bytes_of_mask = (
        torch.empty(0, dtype=torch.uint8, device="cpu") if mask is None else mask.contiguous().view(torch.uint8)
    )
    return bytes_of_mask, _lengths(call.key_lengths), _lengths(call.query_lengths)


def _lengths(lengths: torch.Tensor | None) -> torch.Tensor:
    return torch.empty(0, dtype=torch.int32, device="cpu") if lengths is None else lengths.to(torch.int32).contiguous()


def _tables(rotary: Rotary | None) -> Rotary:
    """(seq_len, head_dim) each, or (batch, seq_len, head_dim)."""
    if rotary is None:
        return torch.empty(0, dtype=torch.float32, device="cpu"), torch.empty(0, dtype=torch.float32, device="cpu")
    cosine, signed_sine = (table.float().squeeze(-2).squeeze(-2).contiguous() for table in rotary)
    return cosine, signed_sine


def _options(call: Call) -> list[int]:
    threshold = dropout_threshold(call.dropout_p)
    seed = 0 if call.seed is None or threshold == 0 else int(call.seed)
    return [torch.get_num_threads(), int(call.is_causal), call.window or 0, threshold, seed]


def _factors(query: torch.Tensor, call: Call, norm_scale: float) -> list[float]:
    return [call.factor(query.shape[3]), keep_scale(call.dropout_p), norm_scale, norm.EPSILON]


def _with_unit_stride(tensor: torch.Tensor) -> torch.Tensor:
    return tensor if tensor.stride(3) == 1 else tensor.contiguous()
