"""The Triton kernels without a GPU: in the interpreter and compiled ahead of time, each in a process of its own.

Triton decides whether it interprets when it is imported, so neither can happen in this one.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

CASES = Path(__file__).parent / "triton_cases.py"


def run(*command, **environment):
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=os.environ | environment, check=False
    )


def test_in_the_interpreter_the_kernels_equal_the_reference():
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES), TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 90 and "skipped" not in done.stdout


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_the_kernels_equal_the_reference():
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("arch", [80, 90, 100])
def test_ahead_of_time_the_kernels_compile_without_spills_for(arch):
    """The command checks matrix instructions, spills and shared memory; docs/kernels.md has its whole table."""
    done = run(
        "-m", "amt._triton.ahead_of_time", "--archs", str(arch), "--head-dims", "64", "--dtypes", "bf16",
        "--variants", "causal;padded, bias, dropout",
    )  # fmt: skip
    rows = [line for line in done.stdout.splitlines() if f"| 64 | bf16 | {arch} |" in line]
    assert done.returncode == 0 and len(rows) == 6, done.stdout + done.stderr
    newest = {80: "mma.sync", 90: "wgmma.mma_async", 100: "tcgen05.mma"}[arch]
    # 64 rows are the fewest that the newer ones take.
    assert all(newest in row for row in rows if "| 32 x " not in row), done.stdout
    assert sum("| 32 x " in row for row in rows) <= 1


def test_a_fault_is_told():
    from amt._triton.ahead_of_time import Resources
    from amt._triton.launch import Config

    config = Config(64, 64, 4, 2)
    good = Resources("forward", "causal", 64, "bf16", 90, config, 200, 16, 64 << 10, {"wgmma.mma_async": 12})
    assert good.faults == []
    bad = Resources("forward", "causal", 64, "bf16", 90, config, 255, 24, 300 << 10, {"mma.sync": 0})
    assert bad.faults == [
        "24 bytes spilled a thread",
        "307200 bytes of shared memory, the limit is 232448",
        "no matrix instructions",
    ]
