"""Decoding beside what else a user could take: a small sample of `amt bench decode`, which has the full table.

    pytest benchmarks/bench_decode.py --benchmark-only --benchmark-json=decode.json
    python benchmarks/report.py decode.json

Each implementation runs in a process of its own, with its best settings (see `amt/bench/peers`). A round is a whole
generation of NUM_TOKENS tokens for each prompt, the text's encoder included. Rows are measured one after the other
here; `amt bench decode` takes them in turns.
"""

import pytest

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
