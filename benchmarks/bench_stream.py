"""What streaming costs: `amt.stream`, read to its end, beside `amt.generate` without candidates, same seed, in turns.

    pytest benchmarks/bench_stream.py --benchmark-only

The model in the package. `stream_by_generate` is the median over ten pairs of time(stream) / time(generate);
`cpu_stream_by_generate` the same of the CPU time of the process, which other work on the machine disturbs less.
"""

import time

import pytest
import torch
from comparisons import Measured, Turns, in_turns
from report import duration

import amt

TEXT = "a lively jig for fiddle in D major, 6/8, 120 BPM"
NUM_PAIRS = 10
QUESTION = "streaming beside generate"
OPTIONS = {"seed": 7, "min_new_tokens": 256, "max_new_tokens": 256}


@pytest.fixture
def use_threads():
    """Sets torch's number of threads, which is the engine's, for one benchmark."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_stream(benchmark, compare, packaged, use_threads, dtype, num_threads):
    case = f"{dtype}, {num_threads} thread{'s' if num_threads > 1 else ''}"
    opened = packaged(QUESTION, case)
    use_threads(num_threads)
    tokens, cpu_s = {}, {"stream": [], "generate": []}

    def streamed():
        began = time.process_time()
        stream = amt.stream(TEXT, model=opened, dtype=dtype, **OPTIONS)
        for _ in stream:
            pass
        tokens["stream"] = stream.result().tokens
        cpu_s["stream"].append(time.process_time() - began)

    def at_once():
        began = time.process_time()
        tokens["generate"] = amt.generate(TEXT, model=opened, dtype=dtype, rerank=1, **OPTIONS).tokens
        cpu_s["generate"].append(time.process_time() - began)

    benchmark.group = f"stream, {dtype}, {num_threads} threads"
    turns = in_turns(benchmark, streamed, at_once, rounds=NUM_PAIRS)
    assert tokens["stream"] == tokens["generate"]
    stream_s, generate_s = turns.medians
    wall, cpu = turns.median_of_ratios, Turns(cpu_s["stream"][1:], cpu_s["generate"][1:]).median_of_ratios
    benchmark.extra_info.update(stream_s=stream_s, generate_s=generate_s)
    benchmark.extra_info.update(stream_by_generate=wall, cpu_stream_by_generate=cpu)
    compare(
        QUESTION, case,
        Measured("stream", True, stream_s, duration(stream_s)),
        Measured("generate", False, generate_s, duration(generate_s)),
        ratio=1 / wall, note=f"stream / generate {wall:.3f}, CPU time {cpu:.3f}",
    )  # fmt: skip
