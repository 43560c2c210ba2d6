"""Attention on the CPU: the reference, torch's own, and the op of the fused kernels, which is plain formulas here.

    pytest benchmarks/bench_attention.py --benchmark-only --benchmark-json=attention.json
    python benchmarks/report.py attention.json

Rows are measured one after the other; `amt bench attention` takes them in turns. On a GPU: benchmarks/gpu.py.
"""

import pytest
import torch

from amt.bench.attention import CASES, IMPLEMENTATIONS, call_once, make_inputs
from amt.testing import assert_within_bound


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_attention(benchmark, case, name):
    benchmark.group = f"attention {case.name}, {torch.get_num_threads()} threads"
    inputs = make_inputs(case)
    if "dropout" not in case.options:  # which draws differently for each
        output = IMPLEMENTATIONS[name](inputs).detach()
        reference = IMPLEMENTATIONS["reference"](inputs).detach()
        assert_within_bound(output, reference.double(), reference)
    benchmark.pedantic(call_once, (case, inputs, IMPLEMENTATIONS[name]), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    benchmark.extra_info.update(gflop_s=case.flops / seconds / 1e9, tokens_s=case.batch * case.query_len / seconds)
