"""What candidates cost: time of a piece with one, two and three of them, by that with one.

    python benchmarks/candidates_cost.py [--seconds 20] [--rounds 2] [--model score-plan] [--dtype float32]

Six texts, each with one, two and three candidates in turns, a round for each seed; ratios of sums of times. Segments
that are written anew are part of it.
"""

from __future__ import annotations

import argparse
import time

import torch

import amt

TEXTS = (
    "a slow sad waltz for piano", "a lively jig for fiddle in D major", "pop song with piano, bass and drums",
    "string quartet in C major", "jazz trio with piano, double bass and drums", "march for brass band",
)  # fmt: skip
COUNTS = (1, 2, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each piece")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="score-plan")
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    opened = amt.load(given.model)
    amt.generate(TEXTS[0], model=opened, seed=0, duration=10, dtype=given.dtype)  # packs the weights
    wall, cpu = dict.fromkeys(COUNTS, 0.0), dict.fromkeys(COUNTS, 0.0)
    for seed in range(given.rounds):
        for text in TEXTS:
            for count in COUNTS:
                began, began_cpu = time.perf_counter(), time.process_time()
                amt.generate(text, model=opened, seed=seed, duration=given.seconds, rerank=count, dtype=given.dtype)
                wall[count] += time.perf_counter() - began
                cpu[count] += time.process_time() - began_cpu
    num_pieces = given.rounds * len(TEXTS)
    print(
        f"{num_pieces} pieces of {given.seconds:g} s, {given.model}, {given.dtype}, {torch.get_num_threads()} threads"
    )
    print("| candidates | s a piece | by that of one | CPU time by that of one |\n|---|---|---|---|")
    for count in COUNTS:
        print(f"| {count} | {wall[count] / num_pieces:.2f} | {wall[count] / wall[1]:.2f} | {cpu[count] / cpu[1]:.2f} |")


if __name__ == "__main__":
    main()
