"""The one error bound for floating-point results.

Truth is the reference in float64. A fast path may err at most twice as much as the reference run in the fast path's
own dtype, plus a small floor.

Two computations in float64 have no truth that is more exact than they are. One of them is the truth then, and the
reference runs in float32: its error says how much the computation magnifies rounding, which is finer in float64. What
magnifies it beyond measure, as training does, is compared in the digits of float32: `result.float()`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

FLOOR_ULPS = 16.0


def error_bound(truth: torch.Tensor, reference: torch.Tensor, dtype: torch.dtype | None = None) -> float:
    """The largest absolute error that a result may have.

    Args:
        truth: the reference in float64.
        reference: the reference run in the dtype of the result under test, or in float32 for one in float64.
        dtype: of the result; None: that of `reference`.
    """
    if reference.shape != truth.shape:
        raise AssertionError(f"the reference has shape {tuple(reference.shape)}, the truth {tuple(truth.shape)}")
    scale = float(truth.abs().max()) if truth.numel() else 0.0
    own_error = float((reference.double() - truth).abs().max()) if truth.numel() else 0.0
    eps = torch.finfo(dtype or reference.dtype).eps
    if eps < 1e-6 and not own_error <= 0.25 * max(scale, 1.0):
        raise AssertionError(f"the reference is {own_error:.3g} away from the truth: they are not of the same numbers")
    return 2.0 * own_error * eps / torch.finfo(reference.dtype).eps + FLOOR_ULPS * eps * max(scale, 1.0)


def assert_within_bound(result: torch.Tensor, truth: torch.Tensor, reference: torch.Tensor | None = None) -> None:
    """Raise AssertionError unless `result` is within the bound of `truth`; NaN fails.

    Args:
        result: any floating dtype.
        truth: the reference in float64, same shape.
        reference: the reference in the result's dtype, or in float32 for a result in float64; without it the truth
            rounded to the result's dtype.
    """
    if result.shape != truth.shape:
        raise AssertionError(f"shape {tuple(result.shape)}, expected {tuple(truth.shape)}")
    if truth.dtype != torch.float64:
        raise AssertionError(f"truth must be float64, got {truth.dtype}")
    bound = error_bound(truth, truth.to(result.dtype) if reference is None else reference, result.dtype)
    error = float((result.double() - truth).abs().max()) if truth.numel() else 0.0
    if not error <= bound:
        raise AssertionError(f"error {error:.3g} is over the bound {bound:.3g}")


def assert_same_numbers(
    result: float | Sequence[float] | np.ndarray, truth: float | Sequence[float] | np.ndarray, decimals: int = 1000
) -> None:
    """Raise AssertionError unless numbers in float64 are the truth but for the order in which they were computed.

    Args:
        decimals: after the point, to which the results were rounded.
    """
    found, expected = (torch.from_numpy(np.asarray(values, np.float64)) for values in (result, truth))
    if found.shape != expected.shape:
        raise AssertionError(f"shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
    error = float((found - expected).abs().max()) if found.numel() else 0.0
    bound = error_bound(expected, expected) + 0.5 * 10.0**-decimals
    if not error <= bound:
        raise AssertionError(f"{found.tolist()}, expected {expected.tolist()}: error {error:.3g}, bound {bound:.3g}")
