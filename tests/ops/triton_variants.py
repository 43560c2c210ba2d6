"""A plugin of pytest that counts how many kernels triton_cases.py would compile on a GPU, without one.

    python -m pytest -p tests.ops.triton_variants tests/ops/triton_cases.py

Triton is told that there is an sm_90, its launches stop before they compile, and results are not looked at.
"""

from collections import Counter

import torch
import triton
from triton.backends.compiler import GPUTarget

from amt._triton import launch
from amt.ops import fused

variants = Counter()


class NoDriver:
    """As much of a driver as is asked for before a kernel is compiled."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def take(*, key, fn, **rest):
    """Note the kernel; True: it is not compiled."""
    variants[fn.name, key] += 1
    return True


def pytest_configure(config):
    assert not launch.IS_INTERPRETED, "run it without TRITON_INTERPRET"
    triton.runtime.driver.set_active(NoDriver())
    triton.knobs.runtime.jit_cache_hook = take
    launch.family_of_device = lambda index: 90
    fused.why_no_triton = lambda device: None


def pytest_collection_modifyitems(items):
    import tests.ops.triton_cases as cases

    for item in items:
        module = item.module
        module.DEVICE = "cpu"
        module.check = lambda tensors, options, dtype: cases.run(
            [tensor.to(dtype) for tensor in tensors], options, "triton", dtype, torch.device("cpu")
        )


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"{len(variants)} variants in {sum(variants.values())} launches")
    for name, number in sorted(Counter(name for name, _ in variants).items()):
        terminalreporter.write_line(f"    {number:4} {name}")
