"""What state features cost the engine: CPU time of a step with and without them, in turns.

    python benchmarks/features_cost.py [--rounds 5] [--tokens 150]

Fresh weights (width 256, 4 layers) sample under the grammar, with one row and with 32; one thread. Prints a row of a
table for each number of rows and type of weights. The first column of times is the model without features.
"""

from __future__ import annotations

import argparse
import time

import torch

from amt.decoding import generate
from amt.decoding.backends.engine import Engine
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.models import MusicTransformer
from amt.ops.decode import EngineDtype
from amt.request.options import GenerationConfig

DTYPES: tuple[EngineDtype, ...] = ("float32", "int8")
GRAMMAR = Grammar(TokenizerConfig(), Constraints(max_polyphony=12))


def new_model(**options: object) -> MusicTransformer:
    """The sizes of a small model of one's own."""
    torch.manual_seed(0)
    return MusicTransformer(
        659, 256, 4, 1, 4, 1024, 0.0, 1024, 384,
        norm_first=True, activation="swiglu", positions="rotary", tie_output=True, **options,  # type: ignore[arg-type]
    ).eval()  # fmt: skip


def step_us(engine: Engine, num_rows: int, num_tokens: int) -> float:
    """Microseconds of CPU time a step."""
    config = GenerationConfig(
        max_new_tokens=num_tokens, min_new_tokens=num_tokens, num_return_sequences=num_rows, seed=1,
        prompt_lookup_num_tokens=0,
    )  # fmt: skip
    began = time.process_time()
    generate(engine, torch.zeros(1, 1, 384), None, config, grammar=GRAMMAR)
    return (time.process_time() - began) / num_tokens * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=150)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| rows | weights | µs a step | with features | more |\n|---|---|---|---|---|", flush=True)
    models = new_model(), new_model(state_features=FeatureLayout.NAMES)
    for dtype in DTYPES:
        engines = [Engine(model, dtype) for model in models]
        for num_rows in (1, 32):
            times: list[list[float]] = [[], []]
            for _ in range(given.rounds):
                for engine, found in zip(engines, times, strict=True):
                    found.append(step_us(engine, num_rows, given.tokens))
            plain, told = (min(found) for found in times)  # what disturbs only adds
            print(f"| {num_rows} | {dtype} | {plain:,.0f} | {told:,.0f} | {told / plain - 1:.1%} |", flush=True)


if __name__ == "__main__":
    main()
