"""The test of the tests: a kernel with a fault does not pass for a good one, in one order of threads at least."""

import pytest
import torch
from cuda_library import ORDERS, KernelError, build, compiler
from kernel_cases import attention_case, linear_case

from amt.testing import assert_within_bound

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

ATTENTION, LINEAR = "decode_attention.cu", "norm_linear.cu"
STARTS = "  constexpr int kPartial = kHeadDim + 2;\n"
FAULTS = {
    "a barrier gone": (LINEAR, LINEAR, "shared.x());\n  __syncthreads();\n", "shared.x());\n"),
    "a barrier gone behind the products": (
        LINEAR, LINEAR, "shared.sums[warp]);\n  __syncthreads();\n", "shared.sums[warp]);\n"
    ),
    "a barrier gone before the merge": (
        ATTENTION, ATTENTION, "    __syncthreads();\n    for (int item", "    for (int item"
    ),
    "shared memory too small": (ATTENTION, ATTENTION, "kBytes = sizeof(", "kBytes = -4 + sizeof("),
    "shared memory too small for the rows": (
        LINEAR, "linear.cuh", "<size_t>(in_features + kPadding);", "<size_t>(in_features);"
    ),
    "a wrong fragment": (LINEAR, "linear.cuh", "{a.x, b.x, a.y, b.y}", "{a.x, a.y, b.x, b.y}"),
    "a wrong row of the result": (LINEAR, "linear.cuh", "sums[group + 8][2 * quarter]", "sums[group + 7][2 * quarter]"),
    "one thread ends early": (ATTENTION, ATTENTION, STARTS, f"{STARTS}  if (thread == 5) return;\n"),
    "two barriers": (
        LINEAR, LINEAR, "shared.x());\n  __syncthreads();\n",
        "shared.x());\n  if (thread < 64) {\n    __syncthreads();\n  } else {\n    __syncthreads();\n  }\n",
    ),
    "one position too many": (ATTENTION, ATTENTION, "position < last;  //", "position <= last;  //"),
    "a trunk that is too long": (ATTENTION, ATTENTION, "position >= trunk_len", "position > trunk_len"),
    "a counter that stays": (ATTENTION, "device.cuh", "if (is_last) *counter = 0;", ""),
    "the last block but one ends it": (ATTENTION, "device.cuh", "num_blocks - 1 ? 1 : 0", "num_blocks - 2 ? 1 : 0"),
}  # fmt: skip
MESSAGES = {
    "one thread ends early": "threads wait at a barrier that others never reach",
    "two barriers": "threads wait at two barriers at once",
    "shared memory too small": "a write behind the end of shared memory",
}
# One instance of each template is enough here, and compiles faster.
BOTH = "return is_bfloat ? launch<Bfloat>(copy, stream) : launch<float>(copy, stream);"
ONLY = {
    ATTENTION: (ATTENTION, BOTH, "return (void)is_bfloat, launch<Bfloat, 4, 64>(copy, stream);"),
    LINEAR: (LINEAR, BOTH, "return (void)is_bfloat, launch<Bfloat>(copy, stream);"),
}
CASES = {
    ATTENTION: lambda: attention_case(3, 150, is_bfloat=True, lengths=(150, 70, 129)),
    LINEAR: lambda: linear_case(9, 160, 33, is_bfloat=True),
}


def passes(library, case):
    """Whether the tests of test_kernels.py would be content."""
    start, truth, own = case
    try:
        results = [start(library, order) for order in ORDERS]
        assert_within_bound(results[0], truth, own)
    except (AssertionError, KernelError):
        return False
    return all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, tmp_path):
    source, *change = FAULTS[fault]
    library = build(source, tmp_path, (tuple(change), ONLY[source]))
    assert not passes(library, CASES[source]())
    message = MESSAGES.get(fault)
    if message is not None:  # and the error names the fault and the place
        with pytest.raises(KernelError, match=rf"{message} \(block \d+ \d+ \d+, thread \d+\)"):
            CASES[source]()[0](library, 0)


@pytest.mark.parametrize("source", CASES)
def test_without_a_fault_nothing_is_found(source, tmp_path):
    assert passes(build(source, tmp_path, (ONLY[source],)), CASES[source]())
