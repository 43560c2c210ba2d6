import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from amt.bench.attention import (
    CASES,
    IMPLEMENTATIONS,
    AttentionCase,
    call_once,
    implementations_for,
    make_inputs,
    measure_attention,
)
from amt.ops import attention, native
from amt.testing import assert_within_bound

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("gpu-*.json"))


def test_a_name_says_all_of_a_case():
    for case in CASES:
        assert AttentionCase.parse(case.name) == case
    case = AttentionCase.parse("bfloat16-b2-q8-k5-causal+bias-both")
    assert (case.batch, case.query_len, case.key_len, case.options, case.is_both) == (2, 8, 5, {"causal", "bias"}, True)
    assert (case.num_heads, case.head_dim) == (8, 64)
    case = AttentionCase.parse("bfloat16-b2-q8-k5-h2x128-window-forward")
    assert (case.num_heads, case.head_dim, case.options) == (2, 128, {"window"})


@pytest.mark.parametrize(
    "name", ["", "float32-b4-q8-k8-causal", "float32-b0-q8-k8-plain-both", "int8-b1-q8-k8-plain-both"]
)
def test_no_name_of_a_case(name):
    with pytest.raises(ValueError, match="a case is DTYPE-bBATCH-qLENGTH-kLENGTH-OPTIONS-PASSES"):
        AttentionCase.parse(name)


def test_operations_are_counted():
    """Two products forward and five for the gradients; a causal one has half of the pairs and half a diagonal."""
    assert AttentionCase.parse("float32-b2-q8-k16-plain-forward").flops == 2 * 2 * 2 * 8 * 8 * 16 * 64
    causal = AttentionCase.parse("float32-b1-q8-k8-causal-both")
    assert causal.flops == 7 * 2 * 8 * 64 * sum(range(1, 9))
    window = AttentionCase.parse("float32-b3-q300-k310-h2x8-window-forward")
    assert window.flops == 2 * 2 * 3 * 2 * 8 * sum(min(query + 11, 256) for query in range(300))


@pytest.mark.skipif(not native.is_available(), reason=str(native.why_not()))
def test_who_takes_what():
    assert set(implementations_for(AttentionCase.parse("float32-b2-q9-k12-causal-both"))) == set(IMPLEMENTATIONS)
    with_bias = implementations_for(AttentionCase.parse("float32-b2-q9-k12-bias-both"))
    assert set(with_bias) == {"reference", "sdpa", "fused-op"}
    large = implementations_for(AttentionCase.parse("float32-b8-q1024-k1024-causal-both"))
    assert set(large) == {"sdpa", "chunks", "native"}


@pytest.mark.parametrize("options", ["plain", "causal+padding", "causal+bias", "causal+dropout", "causal+window"])
def test_everyone_computes_the_same(options):
    case = AttentionCase.parse(f"float32-b2-q9-k12-{options}-both")
    inputs = make_inputs(case)
    outputs = [attend(inputs).detach() for attend in implementations_for(case).values()]
    assert len(inputs.leaves) == (4 if "bias" in options else 3)
    if "dropout" not in options:
        more = {name: value.double() if name == "relative_bias" else value for name, value in inputs.options.items()}
        exact = [tensor.detach().double() for tensor in (inputs.query, inputs.key, inputs.value)]
        truth = attention(*exact, backend="reference", **more).detach()
        for output in outputs:
            assert_within_bound(output, truth, outputs[0])
    call_once(AttentionCase.parse("float32-b2-q9-k12-plain-both"), inputs, IMPLEMENTATIONS["fused-op"])


def test_rows_have_figures():
    rows = list(measure_attention([AttentionCase.parse("float32-b1-q8-k8-causal-both")], num_rounds=2))
    assert [row.impl for row in rows] == list(IMPLEMENTATIONS)
    assert all(row.suite == "attention" and row.ms_per_step > 0 and row.rounds == 2 for row in rows)
    assert next(row for row in rows if row.impl == "sdpa").ratio_to_best_peer == 1.0
    assert all(0 < row.fraction_of_limit < 2 for row in rows)


def run_gpu_script(*arguments):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=ROOT)


def test_the_gpu_script_says_when_there_is_none(tmp_path):
    pytest.importorskip("triton")
    done = run_gpu_script("-o", str(tmp_path / "out.json"))
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("gpu.py: there is no GPU here: ")
    assert not (tmp_path / "out.json").exists()
    assert "choose from facts, verify, decoding, attention, training" in run_gpu_script("--stages", "all").stderr


def test_the_gpu_scripts_kernels_compile_ahead_of_time():
    """And its cases have names; in a process of its own, as test_triton.py says."""
    pytest.importorskip("triton")
    code = """
import sys
sys.path.insert(0, "benchmarks")
import gpu, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
assert len(gpu.attention_cases()) > 20
for kernel, signature, constants in (
    (gpu._nothing_kernel, {"place": "*i32"}, {}),
    (gpu._read_kernel, {"source": "*fp32", "sink": "*fp32", "num_blocks": "i32", "repeats": "i32"}, {"BLOCK": 1024}),
    (gpu._barrier_kernel, {"counter": "*i32", "num_rounds": "i32"}, {}),
    (gpu._exchange_kernel, {"words": "*i32", "num_rounds": "i32"}, {"NUM": 256}),
):
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    kinds = signature | dict.fromkeys(constants, "constexpr")
    triton.compile(ASTSource(kernel, kinds, places), target=GPUTarget("cuda", 90, 32))
    print("compiled")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.count("compiled") == 4, done.stderr


def test_committed_gpu_results_are_whole():
    if not RESULTS:
        pytest.skip("no result of a GPU has been committed yet")
    for path in RESULTS:
        data = json.loads(path.read_text())
        assert data["schema"] == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ", data["date"])
        assert data["device"]["name"] and data["machine"]["packages"]["torch"]
        assert all(set(check) == {"name", "pass", "detail"} for check in data["checks"])
        for row in data["bench"]:
            assert {"suite", "case", "impl"} <= set(row) and ("error" in row or row["median_us"] > 0)
