"""The same work on several texts: each is done by one thread alone, so that its bits do not depend on the others."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Sequence[T], num_threads: int) -> list[R]:
    """`work` of each item, up to `num_threads` at once; PyTorch has one thread for each and computes no gradients.

    A matrix product that is split over threads may sum in another order; here none is.
    """
    import torch

    def alone(item: T) -> R:
        with torch.no_grad():
            return work(item)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # of this thread, and of those that it starts
    try:
        if num_threads == 1 or len(items) < 2:
            return [alone(item) for item in items]
        workers = min(num_threads, len(items))
        with concurrent.futures.ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(before)
