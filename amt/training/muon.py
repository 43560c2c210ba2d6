"""Muon, torch's own but for the orthogonalisation, which `amt.ops.orthogonalize` does for all matrices at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from amt.ops.orthogonalize import orthogonalize

NORM_OF_ADAMW = 0.2  # about the root mean square of an AdamW update


class Muon(torch.optim.Muon):
    """Nesterov momentum, made orthogonal, and scaled to the size of an AdamW update.

    State and options are those of `torch.optim.Muon` with adjust_lr_fn="match_rms_adamw".

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.
    """

    def __init__(self, params: Any, *, lr: float, weight_decay: float):
        super().__init__(params, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            grads = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                if "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter.grad)
            momenta = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
            torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
            updates = orthogonalize(torch._foreach_lerp(grads, momenta, group["momentum"]))
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            for longest in sorted({max(parameter.shape) for parameter in parameters}):
                alike = [place for place, parameter in enumerate(parameters) if max(parameter.shape) == longest]
                torch._foreach_add_(
                    [parameters[place] for place in alike],
                    [updates[place].to(parameters[place].dtype) for place in alike],
                    alpha=-group["lr"] * NORM_OF_ADAMW * longest**0.5,
                )
