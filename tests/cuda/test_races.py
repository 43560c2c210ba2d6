"""Memory that threads of a GPU share without a barrier or a fence: kernels have none, and what is planted is found.

tests/cuda/sanitize.sh looks at whole generations in the same way.
"""

import pytest
from cuda_library import WATCH, KernelError, build, compiler, library
from kernel_cases import attention_case, embed_case, linear_case, prefix_case
from test_faults import ATTENTION, CASES, LINEAR, ONLY, PREFIX, PREFIX_LINEAR, READ

pytestmark = pytest.mark.skipif(
    compiler() is None or "clang" in compiler(), reason="there is no g++, which tells of reads and writes"
)
FIRST_FENCE = "    __threadfence();  // publishes"
SECOND_FENCE = "    __threadfence();  // and receives"
FAULTS = {
    "a fence gone before the counter": (ATTENTION, "device.cuh", FIRST_FENCE, "    // publishes"),
    "a fence gone behind the counter": (ATTENTION, "device.cuh", SECOND_FENCE, "    // and receives"),
    "a barrier gone before the counter": (
        ATTENTION, "device.cuh", "int& is_last) {\n  __syncthreads();\n", "int& is_last) {\n"
    ),
    "a barrier gone behind the counter": (
        ATTENTION, "device.cuh", "  __syncthreads();\n  return is_last != 0;", "  return is_last != 0;"
    ),
    "a barrier gone before the merge": (
        ATTENTION, ATTENTION, "    __syncthreads();\n    for (int item", "    for (int item"
    ),
    "a barrier gone": (LINEAR, LINEAR, "shared.x());\n  __syncthreads();\n", "shared.x());\n"),
    "a tile of a prefix overwritten too early": (
        PREFIX, PREFIX, f"{READ.format('', 's')}    shared.load", "    shared.load"
    ),
    "a barrier gone before a tile of a prefix": (
        PREFIX, PREFIX, "load(call, work, start);\n    __syncthreads();\n", "load(call, work, start);\n"
    ),
    "a tile of a product overwritten too early": (PREFIX_LINEAR, PREFIX_LINEAR, READ.format("s", "ve"), ""),
    "a barrier gone before a tile of a product": (
        PREFIX_LINEAR, PREFIX_LINEAR, "    __syncthreads();\n    results.add", "    results.add"
    ),
    "two threads with one result": (
        LINEAR, LINEAR, "static_cast<int64_t>(row) *", "static_cast<int64_t>(row / 2) *"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_race_is_found(fault, tmp_path):
    source, *change = FAULTS[fault]
    loaded = build(source, tmp_path, (tuple(change), ONLY[source]), *WATCH)
    with pytest.raises(KernelError, match=r"a race: a (read|write), and before it a (read|write) of block \d+, thread"):
        CASES[source]()[0](loaded, 0)


@pytest.mark.parametrize("is_bfloat", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("source", "case"),
    [
        (ATTENTION, lambda is_bfloat: attention_case(9, 70, window=66, is_bfloat=is_bfloat)),
        (ATTENTION, lambda is_bfloat: attention_case(1, 130, head_dim=128, is_bfloat=is_bfloat)),
        (LINEAR, lambda is_bfloat: linear_case(9, 96, 21, "swiglu", has_residual=True, is_bfloat=is_bfloat)),
        (PREFIX, lambda is_bfloat: prefix_case(70, window=66, has_bias=True, is_bfloat=is_bfloat)),
        (PREFIX, lambda is_bfloat: prefix_case(17, head_dim=128, len_of_text=65, is_bfloat=is_bfloat)),
        (
            PREFIX_LINEAR,
            lambda is_bfloat: linear_case(
                65, 96, 70, "swiglu", has_norm=False, has_residual=True, is_bfloat=is_bfloat, kernel="prefix_linear"
            ),
        ),
        (
            "embed.cu",
            lambda is_bfloat: embed_case(5, 130, has_features=True, has_positions=True, is_bfloat=is_bfloat),
        ),
    ],
    ids=["attention", "attention of one", "product", "prefix", "prefix and text", "product of a prefix", "embedding"],
)
def test_kernels_have_no_races(source, case, is_bfloat):
    start, _, _ = case(is_bfloat)
    loaded = library(source, *WATCH)
    for order in (0, 7):
        start(loaded, order)
