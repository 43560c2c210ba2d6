"""Checks and measures on a CUDA GPU, within some minutes, into one dated JSON file.

    python benchmarks/gpu.py [--minutes 9] [--stages facts,verify,decoding,attention,training] [-o FILE]
    python benchmarks/gpu.py --train DATA --minutes 9

Stages: `facts` measures what the GPU gives (memory, matrix products, L2, launches, exchanges between its processors),
`verify` runs tests/ops/triton_cases.py on it in several processes, bfloat16 included, each case twice for equal bits,
`decoding` holds the CUDA kernels of kernels/cuda to the CPU engine's tokens and times them: a step with 1 to 512 rows,
in a loop of the GPU and started one by one, and a prefix of 1,024 tokens,
`attention` times the kernels beside torch's own, and `training` a step of the default model with each. The file is
written after each stage, so a run that is cut keeps what it has. Without -o it is benchmarks/results/gpu-DATE.json.

With --train nothing of this runs: `amt train` gets the minutes, and leaves its run, weights included, in a folder
beside the file. DATA is a folder made by `amt prepare`.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from torch.nn.attention import SDPBackend, sdpa_kernel

import amt
from amt.bench.attention import Attend, AttentionCase, Inputs, by_backend, call_once, make_inputs
from amt.bench.machine import machine
from amt.devices import why_no_gpu
from amt.errors import BackendUnavailableError
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.ops import attention_backend

ROOT = Path(__file__).parents[1]
SCHEMA = 1
STAGES = ("facts", "verify", "decoding", "attention", "training")
SHARES = {"facts": 0.1, "verify": 0.35, "decoding": 0.25, "attention": 0.15, "training": 0.15}  # of the time
NUM_PROCESSES = 12  # that compile the kernels of `verify`, as far as there are processors
TOTAL_POSITIONS = 16_384  # batch times length of the attention cases


def main() -> int:
    """0 if every check passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", default=",".join(STAGES), help="with commas between")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all stages together; default: 9")
    parser.add_argument("--train", metavar="DATA", type=Path, help="train on this folder instead")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    stages = args.stages.split(",")
    unknown = sorted(set(stages) - set(STAGES))
    if unknown:
        parser.error(f"there is no stage {', '.join(unknown)}; choose from {', '.join(STAGES)}")
    if not 0 < args.minutes <= 600:
        parser.error(f"--minutes must be above 0 and at most 600, got {args.minutes:g}")
    reason = why_no_gpu()
    if reason is not None:
        print(f"gpu.py: there is no GPU here: {reason}", file=sys.stderr)
        return 1
    if args.train is not None:
        stages = ["train"]
        globals()["measure_train"] = functools.partial(measure_train, args.train)
    all_shares = sum(SHARES.get(stage, 1.0) for stage in stages)
    now = datetime.datetime.now(datetime.timezone.utc)
    path = args.output or ROOT / "benchmarks" / "results" / f"gpu-{now:%Y-%m-%d-%H%M}.json"
    report = Report(path, now)
    for stage in (*STAGES, "train"):
        if stage in stages:
            start = time.monotonic()
            try:
                share = SHARES.get(stage, 1.0) / all_shares
                globals()[f"measure_{stage}"](report, start + 60 * args.minutes * share)
            except Exception as error:  # the other stages are still worth having
                report.fail(stage, f"{type(error).__name__}: {error}")
            report.data["seconds"][stage] = round(time.monotonic() - start, 1)
            report.save()
    print(path)
    return int(not all(check["pass"] for check in report.data["checks"]))


class Report:
    """The JSON file: facts, checks, and rows of figures."""

    def __init__(self, path: Path, now: datetime.datetime):
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
        properties = torch.cuda.get_device_properties(0)
        self.path = path
        self.data: dict[str, Any] = {
            "schema": SCHEMA,
            "date": f"{now:%Y-%m-%dT%H:%MZ}",
            "commit": commit.stdout.strip() or None,
            "device": {
                "name": properties.name,
                "sm": f"{properties.major}.{properties.minor}",
                "processors": properties.multi_processor_count,
                "memory_gib": round(properties.total_memory / 2**30, 1),
                "cuda": torch.version.cuda,
                "driver_and_clocks_before": _nvidia_smi(),
            },
            "machine": machine() | {"triton": triton.__version__, "amt_path": str(Path(amt.__file__).name)},
            "facts": {},
            "checks": [],
            "bench": [],
            "seconds": {},
        }

    def fact(self, name: str, value: float, unit: str) -> None:
        """One figure about the machine."""
        self.data["facts"][name] = {"value": value, "unit": unit}
        print(f"{name}: {value:.4g} {unit}", flush=True)

    def check(self, name: str, has_passed: bool, detail: str = "") -> None:
        """Something that must hold."""
        self.data["checks"].append({"name": name, "pass": has_passed, "detail": detail})
        print(f"{'ok  ' if has_passed else 'FAIL'} {name} {detail}", flush=True)

    def fail(self, stage: str, detail: str) -> None:
        """A stage that broke off."""
        self.check(f"stage {stage}", False, detail)

    def row(self, suite: str, case: str, impl: str, **values: Any) -> None:
        """A figure of a benchmark; `error` in it if there is none."""
        self.data["bench"].append({"suite": suite, "case": case, "impl": impl} | values)
        shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
        print(f"{suite} {case} {impl}: {shown}", flush=True)

    def save(self) -> None:
        """Replace the file by what there is so far."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.data["device"]["clocks_after"] = _nvidia_smi()
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.data, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.path)


def _nvidia_smi() -> str:
    fields = "driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw"
    try:
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "no nvidia-smi"
    return done.stdout.strip()


def times_us(work: Callable[[], object], num_rounds: int = 20, limit_s: float = 2.0) -> list[float]:
    """Microseconds of each round, with the caches flushed between rounds; after three that are not measured."""
    flush = torch.empty(256 << 20, dtype=torch.int8, device="cuda")
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    found: list[float] = []
    end = time.monotonic() + limit_s
    while len(found) < 3 or (len(found) < num_rounds and time.monotonic() < end):
        flush.zero_()
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        stop.synchronize()
        found.append(1000 * start.elapsed_time(stop))
    return found


def summary(times: list[float]) -> dict[str, float | int]:
    """Median, first and last tenth."""
    ordered = sorted(times)
    return {
        "median_us": statistics.median(ordered),
        "p10_us": ordered[len(ordered) // 10],
        "p90_us": ordered[-1 - len(ordered) // 10],
        "rounds": len(ordered),
    }


# facts


@triton.jit
def _nothing_kernel(place):
    return


@triton.jit
def _read_kernel(source, sink, num_blocks, repeats, BLOCK: tl.constexpr):
    total = tl.zeros((BLOCK,), tl.float32)
    for _repeat in range(repeats):
        for block in range(tl.program_id(0), num_blocks, tl.num_programs(0)):
            total += tl.load(source + block * BLOCK + tl.arange(0, BLOCK), volatile=True)
    tl.store(sink + tl.program_id(0), tl.sum(total))


@triton.jit
def _barrier_kernel(counter, num_rounds):
    """All programs add to one word and wait until all have."""
    for turn in range(num_rounds):
        tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu")
        goal = (turn + 1) * tl.num_programs(0)
        while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < goal:
            pass


@triton.jit
def _exchange_kernel(words, num_rounds, NUM: tl.constexpr):
    """Each program stores its own word of a round and reads everyone's until all are of that round."""
    places = tl.arange(0, NUM)
    is_there = places < tl.num_programs(0)
    for turn in range(1, num_rounds + 1):
        half = words + (turn % 2) * NUM
        tl.store(half + tl.program_id(0), turn, cache_modifier=".wt")
        lowest = tl.min(tl.load(half + places, mask=is_there, other=turn, volatile=True))
        while lowest < turn:
            lowest = tl.min(tl.load(half + places, mask=is_there, other=turn, volatile=True))


def measure_facts(report: Report, _: float) -> None:
    """Seven ceilings: copy, matrix products, L2, stream launch, graph node, barrier, exchange."""
    processors = report.data["device"]["processors"]
    source = torch.empty(1 << 30, dtype=torch.int8, device="cuda")
    target = torch.empty_like(source)
    copy = min(times_us(lambda: target.copy_(source), 10))
    report.fact("copy", 2 * source.numel() / copy / 1e6, "TB/s")
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    report.fact("bf16 product 8192^3", 2 * 8192**3 / statistics.median(times_us(lambda: a @ b, 10)) / 1e6, "TFLOP/s")
    for mib in (16, 32, 48):
        numbers = torch.zeros(mib << 18, device="cuda")
        sink = torch.zeros(4 * processors, device="cuda")

        def read(repeats: int, numbers: torch.Tensor = numbers, sink: torch.Tensor = sink) -> None:
            _read_kernel[(4 * processors,)](numbers, sink, numbers.numel() // 1024, repeats, BLOCK=1024)

        extra = statistics.median(times_us(lambda: read(9))) - statistics.median(times_us(lambda: read(1)))
        report.fact(f"read of {mib} MiB again", 8 * numbers.numel() * 4 / extra / 1e6, "TB/s")
    place = torch.zeros(1, dtype=torch.int32, device="cuda")
    count = 1000
    _nothing_kernel[(processors,)](place)

    def launch_many() -> None:
        for _ in range(count):
            _nothing_kernel[(processors,)](place)

    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        launch_many()
    report.fact("kernel in a CUDA graph", statistics.median(times_us(graph.replay)) / count, "us")
    report.fact("kernel on a stream, from Triton", statistics.median(times_us(launch_many, 5)) / count, "us")
    counter = torch.zeros(1, dtype=torch.int32, device="cuda")

    def barrier(rounds: int) -> None:
        counter.zero_()
        _barrier_kernel[(processors,)](counter, rounds, num_warps=1, launch_cooperative_grid=True)

    extra = statistics.median(times_us(lambda: barrier(1001))) - statistics.median(times_us(lambda: barrier(1)))
    report.fact("barrier of all processors, one atomic word", extra / 1000, "us")
    size = triton.next_power_of_2(processors)
    words = torch.zeros(2 * size, dtype=torch.int32, device="cuda")

    def exchange(rounds: int) -> None:
        words.zero_()
        _exchange_kernel[(processors,)](words, rounds, NUM=size, num_warps=4, launch_cooperative_grid=True)

    extra = statistics.median(times_us(lambda: exchange(1001))) - statistics.median(times_us(lambda: exchange(1)))
    report.fact("exchange of a word by all processors, polled", extra / 1000, "us")


# verify


def shards(names: list[str], num_shards: int) -> list[list[str]]:
    """Tests in so many parts; neighbours, which share compiled kernels, stay together."""
    size = -(-len(names) // num_shards)
    return [names[first : first + size] for first in range(0, len(names), size)]


def measure_verify(report: Report, end: float) -> None:
    """The kernels' tests, on this GPU, in several processes: most of their time is compilation."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    listed = subprocess.run(
        [*pytest, "--collect-only", "tests/ops/triton_cases.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    names = [line for line in listed.stdout.splitlines() if "::" in line]
    report.check("cases were found", len(names) > 100, f"{len(names)}, {listed.stderr[-200:]}")
    running = [
        subprocess.Popen(
            [*pytest, *part], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        for part in shards(names, min(NUM_PROCESSES, os.cpu_count() or 1))
    ]
    for number, process in enumerate(running):
        try:
            output, _ = process.communicate(timeout=max(1.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            report.fail("verify", f"part {number} was not done in time")
            continue
        lines = output.strip().splitlines()
        report.check(f"triton_cases, part {number}", process.returncode == 0, lines[-1] if lines else "")
        for line in lines:
            if line.startswith("FAILED"):
                report.check(line.removeprefix("FAILED "), False)


# attention


def _with_sdpa(backend: SDPBackend) -> Attend:
    attend = by_backend("sdpa")

    def run(inputs: Inputs) -> torch.Tensor:
        with sdpa_kernel(backend):
            return attend(inputs)

    return run


def _flex(inputs: Inputs) -> torch.Tensor:
    """FlexAttention, compiled, with a block mask made once for the inputs."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    options = inputs.options
    if "dropout_p" in options:
        raise NotImplementedError("FlexAttention has no dropout")
    if "flex" not in _compiled:
        _compiled["flex"] = torch.compile(flex_attention)
    query_len, key_len = inputs.query.shape[2], inputs.key.shape[2]
    mask, bias = options.get("key_padding_mask"), options.get("relative_bias")

    def may_attend(b: Any, h: Any, i: Any, j: Any) -> Any:
        may = j >= 0
        if options["is_causal"]:
            may = may & (j <= i + key_len - query_len)
        return may if mask is None else may & mask[b, j]

    def score(value: Any, b: Any, h: Any, i: Any, j: Any) -> Any:
        distance = (j - i - (key_len - query_len)).clamp(-(bias.shape[1] // 2), bias.shape[1] // 2)
        return value + bias[h, distance + bias.shape[1] // 2]

    key = id(inputs)
    if key not in _block_masks:
        _block_masks[key] = create_block_mask(may_attend, inputs.query.shape[0], None, query_len, key_len)
    return _compiled["flex"](
        inputs.query,
        inputs.key,
        inputs.value,
        score_mod=score if bias is not None else None,
        block_mask=_block_masks[key],
    )


_compiled: dict[str, Any] = {}
_block_masks: dict[int, Any] = {}

ATTENTION = {
    "triton": by_backend("triton"),
    "sdpa": by_backend("sdpa"),
    "sdpa-cudnn": _with_sdpa(SDPBackend.CUDNN_ATTENTION),
    "sdpa-efficient": _with_sdpa(SDPBackend.EFFICIENT_ATTENTION),
    "flex": _flex,
    "reference": by_backend("reference"),
}


def attention_cases() -> list[AttentionCase]:
    """The most telling first, because time may run out."""
    names = []
    for passes in ("forward", "both"):
        for length in (1024, 512, 2048, 256):
            shape = f"bfloat16-b{TOTAL_POSITIONS // length}-q{length}-k{length}"
            names.append(f"{shape}-causal-{passes}")
            if length == 1024:
                names += [
                    f"{shape}-{options}-{passes}"
                    for options in (
                        "plain",
                        "causal+padding",
                        "causal+dropout",
                        "causal+bias",
                        "causal+padding+dropout+bias",
                    )
                ]
        names += [f"bfloat16-b16-q1024-k{key_len}-padding-{passes}" for key_len in (16, 64)]
    return [AttentionCase.parse(name) for name in names]


def measure_attention(report: Report, end: float) -> None:
    """Each case by everyone who takes it; `both` is forward and gradients together."""
    for case in attention_cases():
        if time.monotonic() > end:
            report.row("attention", case.name, "-", error="no time left")
            continue
        inputs = make_inputs(case, "cuda")
        for name, attend in ATTENTION.items():
            try:
                figures = summary(times_us(lambda: call_once(case, inputs, attend), limit_s=0.5))  # noqa: B023
            except Exception as error:  # a backend that does not take the case says so in many ways
                report.row("attention", case.name, name, error=f"{type(error).__name__}: {str(error)[:200]}")
                continue
            report.row("attention", case.name, name, **figures, tflops=case.flops / figures["median_us"] / 1e6)
        _block_masks.clear()


# training


def measure_training(report: Report, end: float) -> None:
    """Tokens a second of a training step of the default model, 16 texts and 1,024 tokens each, in bfloat16 autocast."""
    config = ModelConfig(vocab_size=512, max_sequence_length=1024)
    batch, length, text_len = 16, 1024, 32
    text = torch.randn(batch, text_len, config.text_embedding_dim, device="cuda")
    tokens = torch.randint(3, 512, (batch, length + 1), device="cuda")
    mask = torch.arange(text_len, device="cuda") < torch.randint(8, text_len + 1, (batch, 1), device="cuda")
    for is_compiled in (False, True):
        for backend in ("triton", "sdpa", "reference"):
            case = f"default-b{batch}-t{length}-{'compiled' if is_compiled else 'eager'}"
            if time.monotonic() > end:
                report.row("training", case, backend, error="no time left")
                continue
            torch.manual_seed(0)
            torch.compiler.reset()
            model = build_model(config).cuda().train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
            run = torch.compile(model) if is_compiled else model

            def step(run: Any = run, optimizer: Any = optimizer) -> torch.Tensor:
                with torch.autocast("cuda", torch.bfloat16):
                    logits = run(text, tokens[:, :-1], text_mask=mask)
                    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                return loss

            try:
                with attention_backend(backend):
                    figures = summary(times_us(step, 20, limit_s=5.0))
            except Exception as error:  # the next one may do better
                report.row("training", case, backend, error=f"{type(error).__name__}: {str(error)[:200]}")
                continue
            report.row("training", case, backend, **figures, tokens_s=batch * length / figures["median_us"] * 1e6)


# decoding


NUM_TOKEN_CASES = 60
STREAMS = ((1, 1), (1, 4), (32, 1), (128, 4))  # (prompts, beams)
NUM_NEW_TOKENS = 256
PREFIX_LEN, PREFIXED = 1024, (1, 32)  # tokens, and prompts that begin with so many
VOCAB_SIZE, TEXT_LEN = 659, 32


def measure_decoding(report: Report, end: float) -> None:
    """Tokens beside those of the CPU engine, then the time of a step, in both ways, and of a prefix."""
    from amt.ops import cuda

    try:
        kernels = cuda.library()
    except BackendUnavailableError as error:
        report.fail("decoding", str(error))
        return
    sys.path.append(str(ROOT / "tests" / "cuda"))
    import generation_cases

    begin = time.monotonic()
    for seed in range(NUM_TOKEN_CASES):
        if time.monotonic() > begin + (end - begin) / 2:
            report.check("decoding tokens", False, f"no time left after {seed} of {NUM_TOKEN_CASES} cases")
            break
        try:
            found = generation_cases.difference(generation_cases.case_of(seed), kernels, device="cuda")
        except Exception as error:  # the others are still worth having
            found = f"{type(error).__name__}: {error}"
        report.check(f"decoding tokens {seed}", not found, found[:300])
    report.save()
    for dtype in ("bfloat16", "float32"):
        timings: dict[str, Callable[[], dict[str, float]]] = {}
        for prompts, beams in STREAMS:
            for may_loop in (True, False):
                case = f"{dtype}-{prompts}x{beams}-{'loop' if may_loop else 'replays'}"
                timings[case] = functools.partial(time_steps, dtype, prompts, beams, may_loop=may_loop)
        for prompts in PREFIXED:
            timings[f"{dtype}-prefix-{prompts}x{PREFIX_LEN}"] = functools.partial(time_prefix, dtype, prompts)
        for case, timing in timings.items():
            if time.monotonic() > end:
                report.row("decoding", case, "cuda", error="no time left")
                continue
            try:
                figures = timing()
            except Exception as error:  # such as too little memory
                report.row("decoding", case, "cuda", error=f"{type(error).__name__}: {str(error)[:200]}")
                continue
            report.row("decoding", case, "cuda", **figures)
        report.save()


def time_steps(
    dtype: Any, num_prompts: int, num_beams: int, *, may_loop: bool, num_new: int = NUM_NEW_TOKENS, **where: Any
) -> dict[str, float]:
    """A step of the default model with random weights; eos never comes."""
    engine, memory = _engine_of(dtype, may_loop=may_loop, **where)
    options: dict[str, object] = {
        "mode": "beams" if num_beams > 1 else "greedy",
        "num_rows": num_beams,
        "suppress_tokens": [2],
    }
    prompts = [_prompt(1, num_new) for _ in range(num_prompts)]
    generation = engine.begin(options, prompts, [memory], [None], grammars=None)
    num_warm = min(8, num_new // 2)
    before, _ = generation.run(num_warm)  # captures the step
    start = time.monotonic()
    num_tokens, _ = generation.run()
    seconds = time.monotonic() - start
    return {
        "step_us": seconds / (num_new - num_warm) * 1e6,
        "tokens_s": (num_tokens - before) / seconds,
        "tokens": num_tokens,
        "looped": int(generation.has_looped),
    }


def time_prefix(dtype: Any, num_prompts: int, *, prefix_len: int = PREFIX_LEN, **where: Any) -> dict[str, float]:
    """From a prefix to its first token: with what a generation begins with, and without. The middle of some."""
    engine, memory = _engine_of(dtype, may_loop=True, max_len=max(TEXT_LEN, prefix_len) + 8, **where)
    options: dict[str, object] = {"mode": "greedy", "num_rows": 1, "suppress_tokens": [2]}
    whole, steps = [], []
    for _ in range(6):
        prompts = [_prompt(prefix_len, 2) for _ in range(num_prompts)]
        begin = time.monotonic()
        generation = engine.begin(options, prompts, [memory], [None], grammars=None)
        start = time.monotonic()
        num_tokens, _ = generation.run(1)
        end = time.monotonic()
        assert num_tokens == num_prompts
        whole.append(end - begin)
        steps.append(end - start)
    return {
        "first_token_ms": statistics.median(whole[1:]) * 1e3,
        "without_begin_ms": statistics.median(steps[1:]) * 1e3,
        "prefix_tokens_s": num_prompts * prefix_len / statistics.median(steps[1:]),
    }


def _prompt(prefix_len: int, num_new: int) -> Any:
    from amt.ops.decode import PromptRows

    return PromptRows(0, [1, *(3 + place % (VOCAB_SIZE - 3) for place in range(prefix_len - 1))], num_new)


def _engine_of(
    dtype: Any, *, may_loop: bool, max_len: int = 1024, device: str = "cuda", kernels: Any = None
) -> tuple[Any, torch.Tensor]:
    """The default model, and keys and values of a text. `kernels` are others than those of the package, for tests."""
    from amt.decoding.backends.cuda import CudaEngine

    torch.manual_seed(0)
    config = ModelConfig(vocab_size=VOCAB_SIZE, max_sequence_length=max_len)
    engine = CudaEngine(build_model(config).to(device).eval(), dtype, kernels=kernels, may_loop=may_loop)
    shape = engine.shape
    num_cross = shape.cross_attention_layers or shape.num_layers
    memory = torch.randn(num_cross, 2, shape.num_heads, TEXT_LEN, shape.d_model // shape.num_heads, device=device)
    return engine, memory


# train


def measure_train(data: Path, report: Report, end: float) -> None:
    """A run of `amt train` until the end; the folder has the weights."""
    folder = report.path.with_suffix(".run")
    seconds = max(30.0, end - time.monotonic() - 30)
    command = [sys.executable, "-m", "amt", "train", str(data), "-o", str(folder), "--max-time", f"{seconds:.0f}"]
    done = subprocess.run([*command, "--device", "cuda"], cwd=ROOT, check=False)
    report.check("train", done.returncode == 0, str(folder))


if __name__ == "__main__":
    sys.exit(main())
