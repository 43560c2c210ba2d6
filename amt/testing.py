"""The one error bound for floating-point results.

Truth is the reference in float64. A fast path may err at most twice as much as the reference run in the fast path's
own dtype, plus a small floor.
"""

from __future__ import annotations

import torch

FLOOR_ULPS = 16.0


def error_bound(truth: torch.Tensor, reference: torch.Tensor) -> float:
    """The largest absolute error that a result in `reference.dtype` may have.

    Args:
        truth: the reference in float64.
        reference: the reference run in the dtype of the result under test.
    """
    scale = float(truth.abs().max()) if truth.numel() else 0.0
    own_error = float((reference.double() - truth).abs().max()) if truth.numel() else 0.0
    return 2.0 * own_error + FLOOR_ULPS * torch.finfo(reference.dtype).eps * max(scale, 1.0)


def assert_within_bound(result: torch.Tensor, truth: torch.Tensor, reference: torch.Tensor | None = None) -> None:
    """Raise AssertionError unless `result` is within the bound of `truth`; NaN fails.

    Args:
        result: any floating dtype.
        truth: the reference in float64, same shape.
        reference: the reference in the result's dtype; without it the truth rounded to that dtype.
    """
    if result.shape != truth.shape:
        raise AssertionError(f"shape {tuple(result.shape)}, expected {tuple(truth.shape)}")
    if truth.dtype != torch.float64:
        raise AssertionError(f"truth must be float64, got {truth.dtype}")
    bound = error_bound(truth, truth.to(result.dtype) if reference is None else reference)
    error = float((result.double() - truth).abs().max()) if truth.numel() else 0.0
    if not error <= bound:
        raise AssertionError(f"error {error:.3g} is over the bound {bound:.3g}")
