"""Where models run: on the processor, or on a GPU that is there and new enough."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from amt.errors import DeviceError

if TYPE_CHECKING:
    import torch

OLDEST = (8, 0)  # compute capability: the first GPUs with bfloat16


def open_device(name: str | torch.device | None) -> torch.device:
    """The device of this name, when it can be used.

    Args:
        name: "cpu", "cuda" or "cuda:N"; None: the processor.

    Raises:
        ValueError: no such name. DeviceError: there is no such GPU, or it is too old; the message has the remedy.
    """
    import torch

    text = "cpu" if name is None else str(name)
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", text):
        raise ValueError(f"device must be cpu, cuda or cuda:N, got {text!r}")
    device = torch.device(text)
    if device.type == "cpu":
        return device
    reason = why_no_gpu(device.index or 0)
    if reason is not None:
        raise DeviceError(f"there is no {text} here: {reason}; or leave device out: the processor does it, too")
    return torch.device("cuda", device.index or 0)


def why_no_gpu(index: int = 0) -> str | None:
    """Why this GPU cannot be used, with the remedy; None: it can."""
    import torch

    if torch.version.cuda is None:
        return f"torch {torch.__version__} has no CUDA; install one that has it, pytorch.org says how"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
        num_gpus = torch.cuda.device_count()
    except (RuntimeError, AssertionError) as error:  # no driver, one that is too old, or no GPU
        told = " ".join(str(error).split()).rstrip(".")
        if "forked subprocess" in told:
            return f"{told}; start processes by spawn"
        return f"{told}; nvidia-smi shows GPU and driver, a newer driver often helps"
    if index >= num_gpus:
        return f"there are {num_gpus}, counted from 0; choose one of them"
    capability = torch.cuda.get_device_capability(index)
    if capability < OLDEST:
        major, minor = capability
        return f"{torch.cuda.get_device_name(index)} has compute capability {major}.{minor}, and 8.0 or newer is needed"
    return None


def best_device() -> torch.device:
    """A GPU if one can be used, else the processor."""
    import torch

    return torch.device("cpu") if why_no_gpu() is not None else torch.device("cuda", 0)


def explain_device() -> str:
    """What there is beside the processor, in words."""
    import torch

    reason = why_no_gpu()
    if reason is not None:
        return f"none: {reason}"
    major, minor = torch.cuda.get_device_capability(0)
    free, total = torch.cuda.mem_get_info(0)
    more = torch.cuda.device_count() - 1
    name = torch.cuda.get_device_name(0)
    room = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    return f"{name}, compute capability {major}.{minor}, {room}{f', and {more} more' if more else ''}"
