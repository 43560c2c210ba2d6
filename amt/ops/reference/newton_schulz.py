"""What orthogonalising a matrix means, in plain PyTorch: Newton-Schulz iterations as in the optimizer Muon."""

from __future__ import annotations

import torch

# Of Jordan et al. 2024, kellerjordan.github.io/posts/muon: steep at 0, so that five steps are enough.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_STEPS = 5
EPSILON = 1e-7


def orthogonalize(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix with the same singular vectors, its singular values about 1, (rows, columns), in the matrix's dtype.

    Several of one shape may come as one tensor, (number, rows, columns).
    """
    is_turned = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if is_turned else matrix
    multiply_add = torch.addmm if x.dim() == 2 else torch.baddbmm
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=x.dim() > 2).clamp(min=EPSILON)
    a, b, c = COEFFICIENTS
    for _ in range(NUM_STEPS):
        gram = x @ x.mT
        x = multiply_add(x, multiply_add(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_turned else x
