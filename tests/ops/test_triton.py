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
ROOT = Path(__file__).parents[2]


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


def test_few_kernels_are_compiled():
    """What a GPU would compile for the case list, counted: new lengths need no new kernels."""
    names = "lengths or options or head_dims or packed or strides"
    done = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.ops.triton_variants", "-k", names, str(CASES),
        PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    )  # fmt: skip
    counted = re.search(r"(\d+) variants in (\d+) launches", done.stdout)
    assert done.returncode == 0 and counted, done.stdout[-6000:] + done.stderr[-2000:]
    assert int(counted[1]) <= 130 and int(counted[2]) > 600


@pytest.mark.parametrize("arch", [80, 90, 100, 120])
def test_ahead_of_time_the_kernels_compile_without_spills_for(arch):
    """The command checks matrix instructions, spills, shared memory, and that the loops for keys and values store no
    tiles there; docs/kernels.md has the rows of some."""
    done = run(
        "-m", "amt._triton.ahead_of_time", "--archs", str(arch), "--head-dims", "64", "--dtypes", "bf16",
        "--variants", "plain;padded, bias, dropout",
    )  # fmt: skip
    rows = [line for line in done.stdout.splitlines() if f"| 64 | bf16 | {arch} |" in line]
    assert done.returncode == 0 and len(rows) == 6, done.stdout + done.stderr
    newest = {80: "mma.sync", 90: "wgmma.mma_async", 100: "tcgen05.mma", 120: "mma.sync"}[arch]
    # 64 rows are the fewest that the newer ones take.
    assert all(newest in row for row in rows if "| 32 x " not in row), done.stdout
    assert newest == "mma.sync" or sum("| 32 x " in row for row in rows) <= 1


def test_a_fault_is_told():
    from amt._triton.ahead_of_time import Resources
    from amt._triton.launch import Config

    config = Config(64, 64, 4, 2)
    good = Resources("forward", "plain", 64, "bf16", 90, config, 200, 16, 64 << 10, {"wgmma.mma_async": 12})
    assert good.faults == []
    bad = Resources("forward", "plain", 64, "bf16", 90, config, 255, 24, 300 << 10, {"mma.sync": 0})
    assert bad.faults == [
        "24 bytes spilled a thread",
        "307200 bytes of shared memory, the limit is 232448",
        "no matrix instructions",
    ]
    turned = Resources("key_value_gradient", "plain", 64, "bf16", 90, config, 200, 0, 64 << 10, {"mma.sync": 8}, 3)
    assert turned.faults == ["3 stores to shared memory in a loop"]


def test_stores_in_loops_are_found():
    from amt._triton.ahead_of_time import PRODUCTS, STORES, loops

    ptx = """
$L__BB0_1:
\tst.shared.b32 [%r1], %r2;
$L__BB0_2:
\twgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%f1}, %rd1, %rd2;
\tst.shared.v4.b32 [%r1], {%r2, %r3, %r4, %r5};
\tstmatrix.sync.aligned.m8n8.x4.shared.b16 [%r1], {%r2, %r3, %r4, %r5};
\tcp.async.cg.shared.global [%r1], [%rd1], 16;
\t@%p1 bra \t$L__BB0_2;
\tst.shared.b32 [%r1], %r2;
\tbra.uni \t$L__BB0_3;
$L__BB0_3:
\tret;
"""
    (body,) = loops(ptx)
    assert PRODUCTS.search(body) and STORES.findall(body) == ["st.shared", "stmatrix"]


def test_a_gpu_gets_the_tiles_that_fit_its_memory():
    from amt._triton.launch import family_of

    found = {
        arch: family_of(arch, limit << 10)
        for arch, limit in ((80, 163), (86, 99), (89, 99), (90, 227), (100, 227), (120, 99))
    }
    assert found == {80: 80, 86: 86, 89: 86, 90: 90, 100: 90, 120: 86}
    for arch, limit in ((75, 64), (90, 48)):
        with pytest.raises(ValueError, match=r"they need compute capability 8\.0 and 99 KiB; use backend='sdpa'"):
            family_of(arch, limit << 10)


def test_prefixes_of_masks():
    from amt._triton.launch import prefixes_and_ends

    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]], dtype=torch.bool)
    in_front, ends = prefixes_and_ends(mask)
    assert in_front.tolist() == [3, 1, 0, 4, 0] and ends.tolist() == [3, 3, 0, 4, 4]
    assert [each.tolist() for each in prefixes_and_ends(mask[:, :0])] == [[0] * 5] * 2
