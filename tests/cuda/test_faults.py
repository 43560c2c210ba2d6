"""The test of the tests: a kernel with a fault does not pass for a good one, in one order of threads at least."""

import pytest
import torch
from cuda_library import ORDERS, KernelError, build, compiler
from kernel_cases import attention_case, linear_case, prefix_case

from amt.testing import assert_within_bound

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")

ATTENTION, LINEAR = "decode_attention.cu", "norm_linear.cu"
PREFIX, PREFIX_LINEAR = "prefix_attention.cu", "prefix_linear.cu"
READ = "    __syncthreads();  // the tile{} before ha{} been read\n"
BFLOAT = "prefix_attention_bfloat16_kernel<kHeadDim>"
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
    "a barrier gone before a tile of a prefix": (
        PREFIX, PREFIX, "load(call, work, start);\n    __syncthreads();\n", "load(call, work, start);\n"
    ),
    "a tile of a prefix overwritten too early": (
        PREFIX, PREFIX, f"{READ.format('', 's')}    shared.load", "    shared.load"
    ),
    "a wrong fragment of the keys": (PREFIX, PREFIX, "key + 16 * step + 8)}", "key + 16 * step + 6)}"),
    "a wrong fragment of the values": (PREFIX, PREFIX, "{value[0], value[4]}", "{value[4], value[0]}"),
    "a wrong fragment of the weights": (
        PREFIX, PREFIX, "to_bfloats(left[2], left[3]),\n", "to_bfloats(right[0], left[3]),\n"
    ),
    "a query of a prefix sees the next": (PREFIX, PREFIX, "position <= own &&", "position <= own + 1 &&"),
    "a window that is too long": (PREFIX, PREFIX, "position > own - call.window", "position >= own - call.window"),
    "shared memory too small for a prefix": (
        PREFIX, PREFIX, "kOfBfloat = sizeof(BfloatShared<kHeadDim>)", "kOfBfloat = -64 + sizeof(BfloatShared<kHeadDim>)"
    ),
    "one thread of a prefix ends early": (
        PREFIX, PREFIX, "  const Work work = work_of(call, kBfloatQueries);\n",
        "  const Work work = work_of(call, kBfloatQueries);\n  if (threadIdx.x == 5) return;\n"
    ),
    "sums of a prefix that do not fade": (PREFIX, PREFIX, "      row_sum[part] *= faded;\n", ""),
    "a tile of a product overwritten too early": (
        PREFIX_LINEAR, PREFIX_LINEAR, READ.format("s", "ve"), ""
    ),
    "a barrier gone before a tile of a product": (
        PREFIX_LINEAR, PREFIX_LINEAR, "    __syncthreads();\n    results.add", "    results.add"
    ),
    "a wrong fragment of a prefix's rows": (PREFIX_LINEAR, PREFIX_LINEAR, "pair(lower[start]), pair(upper[start + 8])",
                                            "pair(upper[start + 8]), pair(lower[start])"),
    "shared memory too small for a product": (
        PREFIX_LINEAR, PREFIX_LINEAR, "kOfBfloat = sizeof(", "kOfBfloat = -24 + sizeof("
    ),
    "the last block but one ends it": (ATTENTION, "device.cuh", "num_blocks - 1 ? 1 : 0", "num_blocks - 2 ? 1 : 0"),
}  # fmt: skip
MESSAGES = {
    "one thread ends early": "threads wait at a barrier that others never reach",
    "two barriers": "threads wait at two barriers at once",
    "shared memory too small": "a write behind the end of shared memory",
    "shared memory too small for a prefix": "a write behind the end of shared memory",
    "shared memory too small for a product": "a write behind the end of shared memory",
    "one thread of a prefix ends early": "threads wait at a barrier that others never reach",
}
# One instance of each template is enough here, and compiles faster.
BOTH = "return is_bfloat ? launch<Bfloat>(copy, stream) : launch<float>(copy, stream);"
ONLY = {
    ATTENTION: (ATTENTION, BOTH, "return (void)is_bfloat, launch<Bfloat, 4, 64>(copy, stream);"),
    LINEAR: (LINEAR, BOTH, "return (void)is_bfloat, launch<Bfloat>(copy, stream);"),
    PREFIX: (
        PREFIX,
        "  if (call->head_dim == 32) return",
        "  return launch<32>(copy, true, stream);\n  if (call->head_dim == 32) return",
    ),
    PREFIX_LINEAR: (PREFIX_LINEAR, "  if (is_bfloat) return AMT", "  if (is_bfloat || true) return AMT"),
}
CASES = {
    ATTENTION: lambda: attention_case(3, 150, is_bfloat=True, lengths=(150, 70, 129)),
    LINEAR: lambda: linear_case(9, 160, 33, is_bfloat=True),
    PREFIX: lambda: prefix_case(100, window=70, num_heads=1, is_bfloat=True),
    PREFIX_LINEAR: lambda: linear_case(70, 160, 33, has_norm=False, is_bfloat=True, kernel="prefix_linear"),
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
