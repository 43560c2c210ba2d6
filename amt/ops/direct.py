"""Custom ops without their wrapper, where nobody asks for a gradient or a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

PLAIN = (torch.Tensor, torch.nn.Parameter)


def direct(op: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """`op`, or its `function` where the op would do nothing else.

    The first call of a custom op imports torch._dynamo, which takes seconds of processor time: too much for who only
    writes music.
    """

    def call(*arguments: Any) -> Any:
        tensors = [each for each in arguments if isinstance(each, torch.Tensor)]
        has_gradient = torch.is_grad_enabled() and any(each.requires_grad for each in tensors)
        is_traced = torch.compiler.is_compiling() or any(type(each) not in PLAIN for each in tensors)
        return (op if has_gradient or is_traced else function)(*arguments)

    return call
