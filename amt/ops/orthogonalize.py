"""Orthogonalising matrices, for the optimizer Muon: C++ kernels on a CPU, else plain PyTorch in bfloat16."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from amt.ops import native, native_attention
from amt.ops.reference import newton_schulz as reference


def orthogonalize(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Matrices with the same singular vectors, their singular values about 1.

    Args:
        matrices: (rows, columns) each, of one dtype, on one device.

    Returns:
        as many of the same shapes, float32 or bfloat16.
    """
    is_fit = all(matrix.device.type == "cpu" and matrix.dtype == torch.float32 for matrix in matrices)
    if matrices and matrices[0].is_cuda:
        return in_batches(matrices)
    if not (is_fit and native_attention.is_fast()):
        return [reference.orthogonalize(matrix.bfloat16()) for matrix in matrices]
    results = [matrix.clone(memory_format=torch.contiguous_format) for matrix in matrices]
    orthogonalize_(results)
    return results


def in_batches(matrices: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Those of one shape together, in bfloat16: one product instead of many, for a GPU."""
    results: list[torch.Tensor] = list(matrices)
    for shape in dict.fromkeys(matrix.shape for matrix in matrices):
        alike = [place for place, matrix in enumerate(matrices) if matrix.shape == shape]
        batch = reference.orthogonalize(torch.stack([matrices[place] for place in alike]).bfloat16())
        for place, result in zip(alike, batch.unbind(0), strict=True):
            results[place] = result
    return results


def orthogonalize_(matrices: list[torch.Tensor]) -> None:
    """Contiguous float32 matrices on a CPU, in place, by the C++ kernels; products are those of bfloat16 or better."""
    options = [torch.get_num_threads(), reference.NUM_STEPS]
    factors = [*reference.COEFFICIENTS, reference.EPSILON]
    with native.translated_errors():
        native.ops().native_orthogonalize_(matrices, options, factors, native_attention.chosen_kernel_set())
