"""Use that goes on and on: `python tests/soak.py [--generations 5000] [--cancels 1000] [--forks 1000] [--spawns 100]`.

With a small random model, whose music is noise but valid, it makes pieces with mixed options and looks at the memory of
the process, stops streams, and lets workers that were forked and spawned after use make a piece that must be the known
one. It prints a row of docs/reliability.md for each part, and exits with 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

import amt
from amt.midi.config import TokenizerConfig
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec

MAX_GROWTH = 10 << 20
HANGS_AFTER = 300  # seconds, for one worker
AT_ONCE = 4
TEXTS = (
    "a slow sad waltz in D minor for piano", "a reel for flute", "lofi hip hop beat", "two minutes of a string quartet",
    "a march, brass band", "drums only", "bossa nova in 4/4 at 120 bpm", "something", "a fugue in C major for organ",
)  # fmt: skip


def resident_bytes() -> int:
    """Of memory that was taken; pages of files come and go as the system likes."""
    gc.collect()
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def save_small_model(folder: Path) -> None:
    torch.manual_seed(3)
    config = ModelConfig(
        vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
        max_sequence_length=96, text_embedding_dim=384, positions="rotary", tie_output=True,
    )  # fmt: skip
    amt.save_checkpoint(folder, build_model(config).eval(), TokenizerConfig(), TextEncoderSpec(), GenerationConfig())


def mixed_options(draw: random.Random) -> dict[str, object]:
    """Options as different callers have them."""
    options: dict[str, object] = {"max_new_tokens": draw.randrange(5, 60), "seed": draw.randrange(1 << 40)}
    kinds: list[dict[str, object]] = [
        {"do_sample": False, "seed": None}, {"num_beams": 3, "seed": None}, {"num_return_sequences": 2}, {"rerank": 1},
        {"guidance_scale": 2.0}, {"temperature": 0.7, "top_p": 0.9}, {"top_k": 5, "repetition_penalty": 1.2},
        {"prompt_lookup_num_tokens": 4, "rerank": 1},
    ]  # fmt: skip
    limits: list[dict[str, object]] = [
        {}, {"instruments": ["violin", "cello"]}, {"tempo": 120, "time_signature": "3/4"}, {"bars": 2},
        {"key": "D minor", "max_polyphony": 3}, {"duration": 4}, {"max_note_beats": None, "max_rest_beats": 2},
    ]  # fmt: skip
    options |= draw.choice(kinds) | draw.choice(limits)
    options["dtype"] = draw.choice(["float32", "float32", "bfloat16", "int8"])
    return options


def generate_one(model: amt.OpenedModel, draw: random.Random, number: int) -> None:
    options = mixed_options(draw)
    text = draw.choice(TEXTS) if draw.random() < 0.7 else f"{draw.choice(TEXTS)}, number {number}"
    kind = draw.random()
    if kind < 0.75:
        amt.generate(text, model=model, **options)
    elif kind < 0.85:
        amt.generate([text, draw.choice(TEXTS)], model=model, **options)
    elif kind < 0.95:
        for name in ("num_beams", "num_return_sequences", "rerank"):
            options.pop(name, None)
        list(amt.stream(text, model=model, **options))
    else:
        piece = amt.generate(text, model=model, seed=number, max_new_tokens=30)
        amt.generate(text, model=model, prompt_midi=piece.to_bytes(), seed=number, max_new_tokens=20)
        amt.describe(piece.to_bytes(), model=model)


def soak_generations(model: amt.OpenedModel, number: int) -> str:
    draw = random.Random(1)
    samples: list[int] = []
    warm_up = number // 10
    for index in range(warm_up + number):
        generate_one(model, draw, index)
        if index + 1 >= warm_up and (index + 1 - warm_up) % max(1, number // 10) == 0:
            samples.append(resident_bytes())
    growth = samples[-1] - samples[0]
    steps = " ".join(f"{(sample - samples[0]) / 2**20:.1f}" for sample in samples[1:])
    return ("" if growth <= MAX_GROWTH else "FAILED: ") + f"{growth / 2**20:+.1f} MiB (on the way: {steps})"


def soak_cancels(model: amt.OpenedModel, number: int) -> str:
    draw = random.Random(2)
    before = 0
    for index in range(number):
        if index == number // 10:
            before = resident_bytes()
        stream = amt.stream(draw.choice(TEXTS), model=model, seed=index, max_new_tokens=80)
        how = index % 3
        if how == 0:
            list(itertools.islice(stream, draw.randrange(1, 20)))  # and nobody asks for more
        elif how == 1:
            next(stream)
            stream.cancel()
            assert list(stream) == []
        else:
            thread = threading.Timer(draw.random() * 0.005, stream.cancel)
            thread.start()
            list(stream)
            thread.join()
        stream.result().to_bytes()
    growth = resident_bytes() - before
    return ("" if growth <= MAX_GROWTH else "FAILED: ") + f"{growth / 2**20:+.1f} MiB"


def known_piece(model: amt.OpenedModel) -> tuple[int, ...]:
    return amt.generate("a reel for flute", model=model, seed=1, max_new_tokens=30).tokens


def spawned(folder: str, expected: tuple[int, ...]) -> None:
    sys.exit(known_piece(amt.load(folder)) != expected)


def soak_forks(model: amt.OpenedModel, number: int) -> str:
    expected = known_piece(model)
    begun: dict[int, float] = {}
    num_left, num_wrong, num_hung = number, 0, 0
    while num_left or begun:
        while num_left and len(begun) < AT_ONCE:
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    code = int(known_piece(model) != expected)
                finally:
                    os._exit(code)
            begun[child] = time.monotonic()
            num_left -= 1
        for child in list(begun):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                num_wrong += status != 0
                del begun[child]
            elif time.monotonic() - begun[child] > HANGS_AFTER:
                num_hung += 1
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return f"FAILED: {num_hung} hung, {num_wrong} wrong" if num_wrong else "none hung, all the same piece"


def soak_spawns(model: amt.OpenedModel, folder: Path, number: int) -> str:
    expected = known_piece(model)
    context = multiprocessing.get_context("spawn")
    num_wrong = num_hung = 0
    for first in range(0, number, AT_ONCE):
        workers = [
            context.Process(target=spawned, args=(str(folder), expected)) for _ in range(min(AT_ONCE, number - first))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(HANGS_AFTER)
            if worker.exitcode is None:
                num_hung += 1
                worker.kill()
                worker.join()
            num_wrong += worker.exitcode != 0
    return f"FAILED: {num_hung} hung, {num_wrong} wrong" if num_wrong else "none hung, all the same piece"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    counts = {"generations": 5000, "cancels": 1000, "forks": 1000, "spawns": 100}
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    given = vars(parser.parse_args())
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
    has_failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "small"
        save_small_model(folder)
        model = amt.load(folder)
        parts = {
            "generations": lambda number: soak_generations(model, number),
            "cancels": lambda number: soak_cancels(model, number),
            "forks": lambda number: soak_forks(model, number),
            "spawns": lambda number: soak_spawns(model, folder, number),
        }
        for part, run in parts.items():
            if not given[part]:
                continue
            start = time.monotonic()
            result = run(given[part])
            minutes = (time.monotonic() - start) / 60
            today = datetime.datetime.now(datetime.timezone.utc).date()
            print(f"| {today} | {commit} | {given[part]} {part} | {minutes:.0f} | {result} |", flush=True)
            has_failed |= result.startswith("FAILED")
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
