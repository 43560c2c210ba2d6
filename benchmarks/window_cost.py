"""What a long past costs the engine: CPU time of a step behind 512 and behind 2,048 tokens, with and without a window.

    python benchmarks/window_cost.py [--rounds 7] [--dtype int8]

Fresh weights (width 256, 4 heads, 4 layers, 2,112 positions), one row, one thread; the tokens of the past are read at
once, and 64 more one by one. In turns. Prints a row of a table for each model; the ratio is that of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from amt.decoding.backends.engine import Engine
from amt.models import MusicTransformer
from amt.ops.decode import ENGINE_DTYPES

NUM_STEPS, PASTS = 64, (512, 2048)
VARIANTS: dict[str, dict[str, int]] = {
    "no window": {},
    "window 256": {"attention_window": 256},
    "window 512": {"attention_window": 512},
    "window 256, cross-attention in 2 layers": {"attention_window": 256, "cross_attention_layers": 2},
}


def new_model(options: dict[str, Any]) -> MusicTransformer:
    """The sizes of a small model of one's own."""
    torch.manual_seed(0)
    return MusicTransformer(
        809, 256, 4, 1, 4, 1024, 0.0, max(PASTS) + NUM_STEPS, 384,
        norm_first=True, activation="swiglu", positions="rotary", tie_output=True, **options,
    ).eval()  # fmt: skip


def step_us(engine: Engine, memory: torch.Tensor, past: int) -> float:
    """Microseconds of CPU time a step, behind so many tokens."""
    ids = torch.randint(3, 809, (1, past + NUM_STEPS), generator=torch.Generator().manual_seed(1))
    cache = engine.start_cache(memory, None)
    cache.append(ids[:, :past])
    began = time.process_time()
    for position in range(past, past + NUM_STEPS):
        cache.append(ids[:, position : position + 1])
    return (time.process_time() - began) / NUM_STEPS * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", choices=ENGINE_DTYPES, default="int8")
    given = parser.parse_args()
    torch.set_num_threads(1)
    engines = {name: Engine(new_model(options), given.dtype) for name, options in VARIANTS.items()}
    times: dict[tuple[str, int], list[float]] = {(name, past): [] for name in engines for past in PASTS}
    with torch.no_grad():
        memories = {name: engine.encode(torch.randn(1, 16, 384), None) for name, engine in engines.items()}
        for _ in range(given.rounds):
            for name, past in times:
                times[name, past].append(step_us(engines[name], memories[name], past))
    print(f"| model, {given.dtype} | µs a step at 512 | at 2,048 | ratio |\n|---|---|---|---|")
    for name in engines:
        short, long = (statistics.median(times[name, past]) for past in PASTS)
        print(f"| {name} | {short:,.0f} | {long:,.0f} | {long / short:.2f} |")


if __name__ == "__main__":
    main()
