"""What it brings that rows rest in a shared batch between the segments of a piece, and do not leave it.

python benchmarks/rest_cost.py
python benchmarks/rest_cost.py --clients 8 --pieces 24
"""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
from time import perf_counter
from unittest import mock

import amt
from amt.decoding.backends import Backend
from amt.decoding.backends.engine import packed_engine
from amt.decoding.backends.shared import SharedBatch, SharedState

TEXTS = (
    "a slow waltz for piano",
    "a rock song with electric guitar, bass and drums",
    "a jig for fiddle and guitar",
    "a bossa nova with nylon guitar, bass, flute and drums",
)


def main() -> None:
    """Print seconds a piece with rest and without, in turns; the music is the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pieces", type=int, default=12)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--bars", type=int, default=16)
    given = parser.parse_args()
    opened = amt.load("score-plan")
    batch = SharedBatch(packed_engine(opened.checkpoint.model))
    backend = Backend("shared", batch.refusal, lambda *asked: batch.start(*asked))

    def write(number: int) -> tuple[int, ...]:
        text = TEXTS[number % len(TEXTS)]
        return amt.generate(text, seed=number, bars=given.bars, backend=backend, model=opened).tokens

    def timed(first: int) -> tuple[float, list[tuple[int, ...]]]:
        began = perf_counter()
        with concurrent.futures.ThreadPoolExecutor(given.clients) as pool:
            found = list(pool.map(write, range(first, first + given.pieces)))
        return (perf_counter() - began) / given.pieces, found

    write(0)
    ratios = []
    for number in range(given.rounds):
        resting_s, resting = timed(1000 * number)
        with mock.patch.object(SharedState, "go_on", lambda self, prompts: False):
            leaving_s, leaving = timed(1000 * number)
        assert resting == leaving
        ratios.append(leaving_s / resting_s)
        print(f"rows rest: {resting_s:.3f} s a piece, leave: {leaving_s:.3f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"median of the ratios: {statistics.median(ratios):.2f}")
    batch.close()


if __name__ == "__main__":
    main()
