"""What the norm of queries and keys means, in plain PyTorch (Henry et al. 2020, arXiv:2010.04245)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

EPSILON = 1e-6


def normed(x: torch.Tensor, scale: float) -> torch.Tensor:
    """x (..., head_dim) with each vector divided by its root mean square (EPSILON under the root), times `scale`."""
    return F.rms_norm(x, x.shape[-1:], eps=EPSILON) * scale
