"""Decoding beside what else a user could take: a small sample of `amt bench decode`, which has the full table.

    pytest benchmarks/bench_decode.py --benchmark-only --benchmark-json=decode.json
    python benchmarks/report.py decode.json

Each implementation runs in a process of its own, with its best settings (see `amt/bench/peers`). A round is a whole
generation of NUM_TOKENS tokens for each prompt, the text's encoder included. Rows are measured one after the other
here; `amt bench decode` takes them in turns.
"""

import statistics
import time

import pytest
import torch

import amt
from amt.bench.cases import DecodeCase
from amt.bench.decode import check_lengths
from amt.bench.job import Job
from amt.bench.peers import IMPLEMENTATIONS
from amt.bench.process import Worker, WorkerError

NUM_TOKENS = 64
CASES = [
    DecodeCase.parse(f"{name}-{NUM_TOKENS}")
    for name in ("int8-b1-greedy", "int8-b1-beam4", "int8-b8-greedy", "float32-b1-greedy", "shipped-float32-b1-sample")
]
ROWS = [
    pytest.param(
        case, implementation, setting, id=f"{case.name}-{implementation.name}{'-' if setting else ''}{setting}"
    )
    for case in CASES
    for implementation in IMPLEMENTATIONS
    if implementation.takes(case)
    for setting in implementation.settings
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """For what peers make of the model once."""
    return tmp_path_factory.mktemp("peers")


@pytest.mark.parametrize(("case", "implementation", "setting"), ROWS)
def test_decode(benchmark, folder, case, implementation, setting):
    benchmark.group = f"decode {case.name}, 1 thread"
    job = Job(implementation.module, case.name, implementation.dtypes[case.dtype], 1, str(folder))
    try:
        worker = Worker(job, implementation.settings[setting], timeout_s=300)
    except WorkerError as error:
        if str(error).startswith("not installed"):
            pytest.skip(f"{implementation.name}: {error}")
        raise
    with worker:
        answer = benchmark.pedantic(worker.run, rounds=3, warmup_rounds=1)
        check_lengths(case, answer["lengths"])
    seconds = benchmark.stats.stats.median
    benchmark.extra_info.update(version=worker.version, dtype=job.dtype)
    benchmark.extra_info.update(
        ms_per_step=1000 * seconds / case.num_tokens, tokens_s=case.batch_size * case.num_tokens / seconds
    )


LOOKUP_TEXTS = (
    "a lively jig for fiddle in D major, 6/8, 120 BPM",
    "a slow sad waltz for piano in D minor",
    "string quartet, allegro in G major",
    "drum groove, funk, 100 BPM",
    "mass movement for four-part choir in F major",
)
LOOKUP_ROUNDS = 5


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("do_sample", [True, False], ids=["sample", "greedy"])
def test_lookup(benchmark, do_sample, dtype):
    """The model in the package, one piece at a time, with and without `prompt_lookup_num_tokens`, in turns.

    The time is that of the default; `ratio_to_no_lookup` is the other's median by it. The tokens must be the same.
    """
    generator = amt.load()
    seconds = {"lookup": [], "none": []}

    def write(name):
        options = {} if name == "lookup" else {"prompt_lookup_num_tokens": 0}
        start = time.perf_counter()
        pieces = [
            amt.generate(
                text, model=generator, seed=seed, dtype=dtype, do_sample=do_sample, max_new_tokens=500, **options
            )
            for seed, text in enumerate(LOOKUP_TEXTS)
        ]
        seconds[name].append(time.perf_counter() - start)
        return [piece.tokens for piece in pieces]

    def both():
        assert write("lookup") == write("none")

    benchmark.group = f"lookup, {dtype}, {torch.get_num_threads()} threads"
    benchmark.pedantic(both, rounds=LOOKUP_ROUNDS, warmup_rounds=1)
    own, other = (statistics.median(seconds[name][1:]) for name in ("lookup", "none"))
    benchmark.extra_info.update(lookup_s=own, no_lookup_s=other, ratio_to_no_lookup=other / own)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("num_texts", [1, 8])
def test_guidance(benchmark, num_texts, dtype):
    """The model in the package with and without guidance_scale, in turns; 400 tokens of each piece.

    The time is that of guidance; `ratio_to_none` is its median by the other's.
    """
    generator = amt.load()
    texts = [LOOKUP_TEXTS[index % len(LOOKUP_TEXTS)] for index in range(num_texts)]
    seconds = {2.0: [], 1.0: []}

    def both():
        for scale, times in seconds.items():
            start = time.perf_counter()
            amt.generate(
                texts, model=generator, seed=1, dtype=dtype, min_new_tokens=400, max_new_tokens=400,
                prompt_lookup_num_tokens=0, guidance_scale=scale,
            )  # fmt: skip
            times.append(time.perf_counter() - start)

    benchmark.group = f"guidance, {dtype}, {num_texts} texts, {torch.get_num_threads()} threads"
    benchmark.pedantic(both, rounds=LOOKUP_ROUNDS, warmup_rounds=1)
    guided, free = (statistics.median(times[1:]) for times in seconds.values())
    benchmark.extra_info.update(guided_s=guided, free_s=free, ratio_to_none=guided / free)
