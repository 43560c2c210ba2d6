"""What orthogonalising a matrix means, in plain PyTorch: Newton-Schulz iterations as in the optimizer Muon."""

from __future__ import annotations

import torch

# Of Jordan et al. 2024, kellerjordan.github.io/posts/muon: steep at 0, so that five steps are enough.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_STEPS = 5
EPSILON = 1e-7


def orthogonalize(matrix: torch.Tensor) -> torch.Tensor:
    """A matrix with the same singular vectors, its singular values about 1, (rows, columns), in the matrix's dtype."""
    is_turned = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_turned else matrix
    x = x / x.norm().clamp(min=EPSILON)
    a, b, c = COEFFICIENTS
    for _ in range(NUM_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if is_turned else x
