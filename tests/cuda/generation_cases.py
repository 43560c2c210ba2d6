"""Whole generations by the CUDA kernels, compiled for this processor, beside those of the CPU engine.

    PYTHONPATH=. python tests/cuda/generation_cases.py 150

prints how many of so many random models and options gave other tokens, and which. Every tenth case has long prefixes.
"""

from __future__ import annotations

import concurrent.futures
import copy
import dataclasses
import functools
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from cuda_library import ENGINE_SOURCES, FLAGS, INCLUDES, KERNELS, WARNINGS, compiler, link

from amt.decoding.backends.cuda import CudaEngine
from amt.decoding.backends.engine import Engine
from amt.decoding.hypothesis import Hypothesis
from amt.errors import DecodingError
from amt.ops.cuda import Library

sys.path.append(str(Path(__file__).parents[1] / "engine"))
import random_models
from replay import tokens_of


def build(folder: Path, *flags: str) -> Path:
    """The library of amt/ops/cuda.py for this processor; its path."""
    folder.mkdir(parents=True, exist_ok=True)

    def compiled(source: Path) -> Path:
        made = folder / f"{source.parent.name}_{source.stem}.o"
        language = ["-x", "c++"] if source.suffix == ".cu" else []
        command = [str(compiler()), *FLAGS, "-O2", *WARNINGS, *flags, *INCLUDES, "-c", *language, str(source)]
        done = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return made

    sources = [*sorted(KERNELS.glob("*.cu")), *ENGINE_SOURCES]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    path = folder / "_cuda.so"
    link(objects, path, flags)
    return path


@functools.cache
def kernels() -> Library:
    """The library; compiled once."""
    return load(build(Path(tempfile.mkdtemp(prefix="amt-cuda-"))))


@functools.cache
def load(path: Path) -> Library:
    """The library at a path; loaded once."""
    return Library(path)


def one_prompt(case: random_models.Case, index: int) -> random_models.Case:
    """The case with one of its prompts alone."""
    which = slice(index, index + 1)
    return dataclasses.replace(
        case,
        embeddings=case.embeddings[which],
        mask=None if case.mask is None else case.mask[which],
        prefixes=case.prefixes[which],
        seeds=case.seeds[which],
    )


def long_case(seed: int, num_prompts: int | None = None) -> random_models.Case:
    """Prefixes of up to 280 tokens, of other lengths in a batch; a few new tokens."""
    rng = random.Random(f"long {seed}")
    score = rng.choice(random_models.SCORES)
    options = random_models.random_economy(rng) | {"max_sequence_length": 300}
    options["attention_window"] = rng.choice([0, options["attention_window"], 64, 70])
    if rng.random() < 0.5:
        options |= random_models.random_features(rng, score)
    vocab_size = random_models.Grammar(score).vocab_size if "state_features" in options else rng.choice([16, 37])
    model = random_models.random_model(rng, vocab_size, **options)
    lengths = [rng.choice([0, 1, 31, 32, 63, 64, 130, 279]) for _ in range(num_prompts or rng.choice([1, 2, 3]))]
    config = random_models.random_config(rng, vocab_size)
    most = min(4, config.max_new_tokens)
    return random_models.Case(
        model,
        torch.randn(len(lengths), 5, 6),
        torch.arange(5) < torch.tensor([rng.randint(1, 5) for _ in lengths])[:, None],
        torch.randn(1, 3, 6),
        dataclasses.replace(config, max_new_tokens=most, min_new_tokens=min(config.min_new_tokens, most)),
        [[rng.randrange(3, vocab_size) for _ in range(length)] for length in lengths],
        [rng.randrange(1 << 64) for _ in lengths],
        None,
        None,
        rng.choice([0, 3]) if "state_features" in options else 0,
    )


def case_of(seed: int) -> random_models.Case:
    """The case of a number."""
    return long_case(seed) if seed % 10 == 9 else random_models.random_case(seed)


def outcome(case: random_models.Case, engine: Engine) -> list[list[Hypothesis]] | str:
    """The hypotheses, or what went wrong."""
    try:
        return case.run(engine)
    except DecodingError as error:
        return random_models.without_numbers(error)


def difference(case: random_models.Case, library: Library, device: str = "cpu") -> str:
    """What the kernels do otherwise than the CPU engine; empty if nothing.

    `device` is where the kernels run: "cuda", or "cpu" for those that are compiled for this processor.

    Tokens and reasons are the same, unless float64 says that float32 may choose either (`random_models.difference`). In
    a batch every prompt gets, bit for bit, what it gets alone.
    """
    engine = CudaEngine(copy.deepcopy(case.model).to(device), kernels=library)
    expected, found = outcome(case, Engine(case.model)), outcome(case, engine)
    if isinstance(expected, str) or isinstance(found, str):
        return "" if expected == found else f"{expected}; {found}"
    reasons = [[[hypothesis.finish_reason for hypothesis in each] for each in all_] for all_ in (expected, found)]
    if tokens_of(expected) != tokens_of(found) or reasons[0] != reasons[1]:
        return random_models.difference(case, engine)
    if len(case.prefixes) > 1:
        for index, together in enumerate(found):
            if outcome(one_prompt(case, index), engine) != [together]:
                return f"prompt {index} is another one alone"
    return ""


def differences(path: Path, seeds: list[int]) -> list[str]:
    """Those of several cases, by a process of its own."""
    torch.set_num_threads(1)
    library = load(path)
    return [f"case {seed}: {found}" for seed in seeds if (found := difference(case_of(seed), library))]


def all_differences(path: Path, first: int, num: int) -> list[str]:
    """Those of `num` cases from number `first` on, by all processors."""
    num_processes = os.cpu_count() or 1
    parts = [list(range(first + place, first + num, num_processes)) for place in range(num_processes)]
    command = [sys.executable, __file__, str(path)]
    running = [
        subprocess.Popen([*command, *map(str, part)], stdout=subprocess.PIPE, text=True, env=os.environ)
        for part in parts
    ]
    found = []
    for each in running:
        told, _ = each.communicate()
        assert each.returncode == 0, told
        found += told.splitlines()
    return found


def main() -> None:
    if len(sys.argv) > 2:
        for found in differences(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]]):
            print(found)
        return
    num = int(sys.argv[1])
    different = all_differences(build(Path(tempfile.mkdtemp(prefix="amt-cuda-"))), 0, num)
    print("\n".join([*different, f"{num} cases, {len(different)} different"]))


if __name__ == "__main__":
    main()
