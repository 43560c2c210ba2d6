"""What SwiGLU's gate means, in plain PyTorch (Shazeer 2020, arXiv:2002.05202)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def swiglu(x: torch.Tensor) -> torch.Tensor:
    """x (..., 2 * hidden), gate and values side by side -> silu(gate) * values, (..., hidden)."""
    gate, values = x.chunk(2, -1)
    return F.silu(gate) * values
