"""What a step costs at position 2,048 beside one at 512: int8 weights, one row, one thread.

    python benchmarks/positions.py [--rounds 5] [--steps 48]

Two generations of one model have read so many tokens and go on in turns, a step each, so that whatever disturbs the
machine meets both. Prints a row of a table for each model: medians of all steps, and their ratio.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import torch

from amt.bench.machine import machine
from amt.decoding.backends import choose
from amt.decoding.backends.engine import Engine
from amt.decoding.deadline import Deadline
from amt.decoding.generate import make_request
from amt.models import MusicTransformer
from amt.request.options import GenerationConfig

PLACES = (512, 2048)
MODELS = {"d 512, 8 heads, 6 layers": (512, 8, 6, 2048), "d 256, 4 heads, 4 layers": (256, 4, 4, 1024)}


def new_model(d_model: int, nhead: int, num_layers: int, dim_feedforward: int) -> MusicTransformer:
    """Fresh weights with room behind the last place."""
    torch.manual_seed(0)
    return MusicTransformer(
        659, d_model, nhead, 1, num_layers, dim_feedforward, 0.0, PLACES[-1] + 512, 384,
        norm_first=True, activation="swiglu", positions="rotary", tie_output=True,
    ).eval()  # fmt: skip


def step_times(engine: Engine, num_steps: int, seed: int) -> list[list[float]]:
    """Milliseconds of the processor of each step at each place."""
    rng = random.Random(seed)
    config = GenerationConfig(
        max_new_tokens=num_steps + 8, do_sample=False, suppress_tokens=(2,), prompt_lookup_num_tokens=0
    )
    states = []
    for place in PLACES:
        prefix = [rng.randrange(3, 659) for _ in range(place - num_steps // 2 - 1)]
        request = make_request(engine, torch.zeros(1, 1, 384), None, config, prefixes=[prefix])
        states.append(choose(engine, request).start(request, Deadline()))
        while not states[-1].new_tokens():  # until the prefix is read
            states[-1].step(1)
    times: list[list[float]] = [[] for _ in PLACES]
    for _ in range(num_steps):
        for state, found in zip(states, times, strict=True):
            began = time.process_time()
            state.step(1)
            found.append(1000 * (time.process_time() - began))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=48)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print("| model, int8, one row | ms at 512 | ms at 2,048 | ratio |\n|---|---|---|---|", flush=True)
    for name, sizes in MODELS.items():
        engine = Engine(new_model(*sizes), "int8", num_threads=1)
        times: list[list[float]] = [[] for _ in PLACES]
        for seed in range(given.rounds):
            for found, more in zip(times, step_times(engine, given.steps, seed), strict=True):
                found += more
        early, late = map(statistics.median, times)
        print(f"| {name} | {early:.2f} | {late:.2f} | {late / early:.2f} |", flush=True)


if __name__ == "__main__":
    main()
