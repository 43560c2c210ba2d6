"""Attention on the CPU as AMT's models call it, beside torch's own called by hand.

    pytest benchmarks/bench_attention.py --benchmark-only --benchmark-json=attention.json
    python benchmarks/report.py attention.json

With `--all` also the backends that AMT does not take here by itself: the reference, and the op of the fused kernels,
which is plain formulas on a CPU. Rows are measured one after the other; `amt bench attention` takes them in turns. On a
GPU: benchmarks/gpu.py.
"""

import pytest
import torch
from comparisons import Measured
from report import duration

from amt.bench.attention import (
    CASES,
    IMPLEMENTATIONS,
    MAX_DISTANCE,
    by_backend,
    call_once,
    implementations_for,
    make_inputs,
)
from amt.testing import assert_within_bound


def by_hand(inputs):
    """What one writes with `scaled_dot_product_attention`; its mask is made in each call, as AMT's is."""
    query, key, options = inputs.query, inputs.key, inputs.options
    padding, bias = options.get("key_padding_mask"), options.get("relative_bias")
    is_causal, mask = options["is_causal"], None if padding is None else padding[:, None, None, :]
    if is_causal and (mask is not None or bias is not None):
        causal = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
        mask, is_causal = causal if mask is None else causal & mask, False
    if bias is not None:
        distance = torch.arange(key.shape[2]) - torch.arange(query.shape[2])[:, None]
        expanded = bias[:, distance.clamp(-MAX_DISTANCE, MAX_DISTANCE) + MAX_DISTANCE]
        mask = expanded if mask is None else expanded.masked_fill(~mask, -torch.inf)
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, inputs.value, attn_mask=mask, dropout_p=options.get("dropout_p", 0.0), is_causal=is_causal
    )


ATTEND = {"amt": by_backend("auto"), "torch": by_hand} | {
    f"amt-{name}": attend for name, attend in IMPLEMENTATIONS.items() if name != "sdpa"
}
SHORT = ("causal", "causal+padding", "causal+dropout")
ROWS = [
    pytest.param(
        case, name, id=f"{case.name}-{name}",
        marks=() if name in ("amt", "torch") and case.dtype == "float32" and case.is_both and case.key_len > 32
        and "+".join(sorted(case.options)) in SHORT else pytest.mark.long,
    )
    for case in CASES
    for name in ATTEND
    if (name in ("amt", "torch") and "window" not in case.options) or name[4:] in implementations_for(case)
]  # fmt: skip


@pytest.mark.parametrize(("case", "name"), ROWS)
def test_attention(benchmark, compare, rounds, case, name):
    benchmark.group = f"attention {case.name}, {torch.get_num_threads()} threads"
    inputs = make_inputs(case)
    if "dropout" not in case.options:  # which draws differently for each
        output = ATTEND[name](inputs).detach()
        reference = IMPLEMENTATIONS["reference"](inputs).detach()
        assert_within_bound(output, reference.double(), reference)
    benchmark.pedantic(call_once, (case, inputs, ATTEND[name]), rounds=rounds(5, 5), warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    benchmark.extra_info.update(gflop_s=case.flops / seconds / 1e9, tokens_s=case.batch * case.query_len / seconds)
    is_amt = name.startswith("amt")
    backend = name[4:] if is_amt else ""
    text = duration(seconds) + (f" ({backend})" if backend else "")
    compare(f"attention, {torch.get_num_threads()} threads", case.name, Measured(name, is_amt, seconds, text))
