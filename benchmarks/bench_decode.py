"""Decoding beside what else a user could take: a small sample of `amt bench decode`, which has the full table.

    pytest benchmarks/bench_decode.py --benchmark-only --benchmark-json=decode.json
    python benchmarks/report.py decode.json

Each implementation runs in a process of its own, with its best settings (see `amt/bench/peers`). A round is a whole
generation of NUM_TOKENS tokens for each prompt, the text's encoder included. Rows are measured one after the other
here; `amt bench decode` takes them in turns. Some rows run with `--all` only.
"""

import pytest
import torch
from comparisons import Measured, in_turns
from report import duration

import amt
from amt.bench.cases import DecodeCase
from amt.bench.decode import check_lengths
from amt.bench.job import Job
from amt.bench.peers import IMPLEMENTATIONS
from amt.bench.process import Worker

NUM_TOKENS = 64
OWN = "the model in the package, beside itself"
CASES = [
    DecodeCase.parse(f"{name}-{NUM_TOKENS}")
    for name in ("int8-b1-greedy", "int8-b1-beam4", "int8-b8-greedy", "float32-b1-greedy", "shipped-float32-b1-sample")
]
ROWS = [
    pytest.param(
        case,
        implementation,
        setting,
        id=f"{case.name}-{implementation.name}{'-' if setting else ''}{setting}",
        marks=pytest.mark.long if case.is_shipped or implementation.name == "reference" else (),
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
def test_decode(benchmark, compare, needs, folder, case, implementation, setting):
    question = f"decode, {NUM_TOKENS} tokens a prompt, 1 thread"
    benchmark.group = f"decode {case.name}, 1 thread"
    needs(implementation.name, question, case.name)
    job = Job(implementation.module, case.name, implementation.dtypes[case.dtype], 1, str(folder))
    with Worker(job, implementation.settings[setting], timeout_s=300) as worker:
        answer = benchmark.pedantic(worker.run, rounds=3, warmup_rounds=1)
        check_lengths(case, answer["lengths"])
    seconds = benchmark.stats.stats.median
    ms_per_step = 1000 * seconds / case.num_tokens
    benchmark.extra_info.update(version=worker.version, dtype=job.dtype)
    benchmark.extra_info.update(ms_per_step=ms_per_step, tokens_s=case.batch_size * case.num_tokens / seconds)
    is_amt = implementation.name in ("engine", "reference")
    compare(question, case.name, Measured(implementation.name, is_amt, seconds, f"{ms_per_step:.3g} ms a step"))


LOOKUP_TEXTS = (
    "a lively jig for fiddle in D major, 6/8, 120 BPM",
    "a slow sad waltz for piano in D minor",
    "string quartet, allegro in G major",
    "drum groove, funk, 100 BPM",
    "mass movement for four-part choir in F major",
)


@pytest.mark.parametrize("dtype", ["float32", pytest.param("int8", marks=pytest.mark.long)])
@pytest.mark.parametrize("do_sample", [True, pytest.param(False, marks=pytest.mark.long)], ids=["sample", "greedy"])
def test_lookup(benchmark, compare, packaged, rounds, do_sample, dtype):
    """The model in the package, one piece at a time, with and without `prompt_lookup_num_tokens`, in turns.

    `ratio_to_no_lookup` is the time without it by the time with it. The tokens must be the same.
    """
    name = f"prompt lookup, {'sampling' if do_sample else 'greedy'}, {dtype}"
    opened = packaged(OWN, name)
    texts = LOOKUP_TEXTS[: rounds(3, 5)]
    tokens = {}

    def write(kind, **options):
        pieces = [
            amt.generate(text, model=opened, seed=seed, dtype=dtype, do_sample=do_sample, max_new_tokens=500, **options)
            for seed, text in enumerate(texts)
        ]
        tokens[kind] = [piece.tokens for piece in pieces]

    benchmark.group = f"lookup, {dtype}, {torch.get_num_threads()} threads"
    turns = in_turns(
        benchmark,
        lambda: write("lookup"),
        lambda: write("none", prompt_lookup_num_tokens=0),
        rounds=rounds(3, 5),
    )
    assert tokens["lookup"] == tokens["none"]
    own, other = turns.medians
    benchmark.extra_info.update(lookup_s=own, no_lookup_s=other, ratio_to_no_lookup=turns.ratio)
    compare(
        OWN, name, Measured("lookup", True, own, duration(own)), Measured("without", False, other, duration(other)),
        ratio=turns.ratio,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", pytest.param("int8", marks=pytest.mark.long)])
@pytest.mark.parametrize("num_texts", [1, pytest.param(8, marks=pytest.mark.long)])
def test_guidance(benchmark, compare, packaged, rounds, num_texts, dtype):
    """The model in the package with and without guidance_scale, in turns; 400 tokens of each piece.

    `ratio_to_none` is the time with guidance by the time without.
    """
    name = f"guidance, batch {num_texts}, {dtype}"
    opened = packaged(OWN, name)
    texts = [LOOKUP_TEXTS[index % len(LOOKUP_TEXTS)] for index in range(num_texts)]

    def write(scale):
        amt.generate(
            texts, model=opened, seed=1, dtype=dtype, min_new_tokens=400, max_new_tokens=400,
            prompt_lookup_num_tokens=0, guidance_scale=scale,
        )  # fmt: skip

    benchmark.group = f"guidance, {dtype}, {num_texts} texts, {torch.get_num_threads()} threads"
    turns = in_turns(benchmark, lambda: write(2.0), lambda: write(1.0), rounds=rounds(3, 5))
    guided, free = turns.medians
    benchmark.extra_info.update(guided_s=guided, free_s=free, ratio_to_none=guided / free)
    compare(
        OWN, name, Measured("guided", True, guided, duration(guided)),
        Measured("without", False, free, duration(free)), ratio=turns.ratio,
    )  # fmt: skip
