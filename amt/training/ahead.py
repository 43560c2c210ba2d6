"""The rows of the next steps, made while the GPU computes: it need not wait for batches, features and captions."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")

NUM_AHEAD = 4  # steps that may lie ready
WAIT_S = 0.1  # between two looks at whether anybody still wants them


class Ahead(Generic[Item]):
    """What `make(0)`, `make(1)`, … give, made in a thread of its own; use it in a `with`.

    An error of `make` is raised where its item would have come. At the end of the `with` the thread is over.

    Args:
        make: called with the numbers `first` to `end - 1`, one after the other.
        num_ahead: items that may lie ready; 0: no thread, each is made when it is asked for.
    """

    def __init__(self, make: Callable[[int], Item], first: int, end: int, num_ahead: int = NUM_AHEAD):
        self._make, self._first, self._end = make, first, end
        self._ready: queue.Queue[Item | BaseException] = queue.Queue(max(1, num_ahead))
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True) if num_ahead else None

    def __enter__(self) -> Ahead[Item]:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        for number in range(self._first, self._end):
            if self._thread is None:
                yield self._make(number)
                continue
            item = self._ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        for number in range(self._first, self._end):
            try:
                item: Item | BaseException = self._make(number)
            except BaseException as error:  # it is raised in the thread that trains
                item = error
            while not self._is_over.is_set():
                try:
                    self._ready.put(item, timeout=WAIT_S)
                    break
                except queue.Full:
                    continue
            if self._is_over.is_set() or isinstance(item, BaseException):
                return
