"""SwiGLU's gate: one pass over memory forward and one backward by C++ kernels, where torch takes a dozen."""

from __future__ import annotations

import torch

from amt.ops import native, native_attention
from amt.ops.direct import direct
from amt.ops.reference import swiglu as reference

MIN_NUMBERS = 1 << 14  # with fewer torch's own operations are as fast


def swiglu(x: torch.Tensor) -> torch.Tensor:
    """x (..., 2 * hidden), gate and values side by side -> silu(gate) * values, (..., hidden)."""
    is_fit = x.device.type == "cpu" and x.dtype in native_attention.DTYPES and x.shape[-1] % 2 == 0
    if is_fit and x.numel() >= MIN_NUMBERS and native_attention.is_fast():
        return _run_forward(x)  # type: ignore[no-any-return]
    return reference.swiglu(x)


def _forward(x: torch.Tensor) -> torch.Tensor:
    """silu(gate) * values by the C++ kernels."""
    output = x.new_empty(*x.shape[:-1], x.shape[-1] // 2)
    _run(x, x.new_empty(0), output)
    return output


swiglu_forward = torch.library.custom_op("amt::swiglu_forward", _forward, mutates_args=())
_run_forward = direct(swiglu_forward, _forward)


@swiglu_forward.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-1] // 2)


@torch.library.custom_op("amt::swiglu_backward", mutates_args=())
def swiglu_backward(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of x."""
    grad_x = x.new_empty(x.shape)
    _run(x, grad.contiguous(), grad_x)
    return grad_x


@swiglu_backward.register_fake
def _(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return x.new_empty(x.shape)


def _run(x: torch.Tensor, grad: torch.Tensor, output: torch.Tensor) -> None:
    rows = x.contiguous().flatten(0, -2) if x.dim() > 1 else x.contiguous()[None]
    with native.translated_errors():
        native.ops().native_swiglu_(rows, grad, output, [torch.get_num_threads()], native_attention.chosen_kernel_set())


def _setup_context(ctx: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
    ctx.save_for_backward(*inputs)  # type: ignore[attr-defined]


def _backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
    return swiglu_backward(grad, *ctx.saved_tensors)  # type: ignore[attr-defined, no-any-return]


swiglu_forward.register_autograd(_backward, setup_context=_setup_context)
