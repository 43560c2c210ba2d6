"""Work on requests in threads: a queue with an end, deadlines, and work that stops when nobody waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from amt.decoding.backends.shared import Cancelled

T = TypeVar("T")

POLL_S = 0.1  # how often it is looked whether the client is still there


class Busy(Exception):
    """The queue is full.

    Attributes:
        retry_after_s: when to come again.
    """

    def __init__(self, retry_after_s: int):
        super().__init__(f"too many requests wait already; come again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class TimeOver(Exception):
    """The deadline has passed."""


class ClientGone(Exception):
    """Nobody waits for the answer."""


class Job:
    """One request on its way; any thread may ask it.

    Args:
        timeout_s: what it may take.
    """

    def __init__(self, timeout_s: float):
        self.began = monotonic()
        self.deadline = self.began + timeout_s
        self._cancelled = threading.Event()
        self._emit: Callable[[Any], None] = lambda event: None

    def cancel(self) -> None:
        """Let the work end at its next chance."""
        self._cancelled.set()

    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._cancelled.is_set() or monotonic() >= self.deadline

    def check(self) -> None:
        """Raise Cancelled if nobody waits any more."""
        if self.is_cancelled():
            raise Cancelled

    def emit(self, name: str, value: Any) -> None:
        """Send an event to whoever reads the stream."""
        self._emit((name, value))


class Jobs:
    """Threads that work on requests.

    Args:
        max_running: how many at once.
        max_queue: how many may wait.
    """

    def __init__(self, max_running: int, max_queue: int):
        self._max_running, self._max_queue = max_running, max_queue
        self._pool = concurrent.futures.ThreadPoolExecutor(max_running, "amt-job", initializer=_one_thread)
        self._lock = threading.Lock()
        self._num = 0
        self._usual_s = 1.0

    @property
    def num_running(self) -> int:
        """Requests that are worked on."""
        return min(self._num, self._max_running)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._num - self._max_running)

    def submit(self, job: Job, work: Callable[[Job], T]) -> concurrent.futures.Future[T]:
        """Begin, or wait in the queue.

        Raises:
            Busy: the queue is full.
        """
        with self._lock:
            if self._num >= self._max_running + self._max_queue:
                wait_s = self._usual_s * (1 + self._max_queue / self._max_running)
                raise Busy(max(1, min(60, round(wait_s))))
            self._num += 1

        def run() -> T:
            began = monotonic()
            try:
                job.check()
                return work(job)
            finally:
                with self._lock:
                    self._num -= 1
                    self._usual_s += 0.1 * (monotonic() - began - self._usual_s)

        return self._pool.submit(run)

    async def result(self, job: Job, work: Callable[[Job], T], is_gone: Callable[[], Awaitable[bool]]) -> T:
        """What the work comes to.

        Raises:
            Busy, TimeOver, ClientGone, and what the work raises.
        """
        future = asyncio.wrap_future(self.submit(job, work))
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=max(0.0, min(POLL_S, job.deadline - monotonic())))
                if not future.done() and monotonic() >= job.deadline:
                    raise TimeOver
                if not future.done() and await is_gone():
                    raise ClientGone
            return future.result()
        except Cancelled:
            raise TimeOver from None
        finally:
            job.cancel()
            future.add_done_callback(_look_at)

    async def events(self, job: Job, work: Callable[[Job], Any]) -> AsyncGenerator[tuple[str, Any], None]:
        """What the work emits, as (name, value), and at last ("result", what it comes to).

        Closing the iterator cancels the work.

        Raises:
            TimeOver, and what the work raises.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

        def put(event: tuple[str, Any] | None) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, event)

        job._emit = put
        future = self.submit(job, work)
        future.add_done_callback(lambda _: put(None))
        try:
            while (event := await asyncio.wait_for(queue.get(), max(0.0, job.deadline - monotonic()))) is not None:
                yield event
            yield "result", future.result()
        except (asyncio.TimeoutError, Cancelled):
            raise TimeOver from None
        finally:
            job.cancel()

    def close(self) -> None:
        """End the threads when their work is done."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _look_at(future: asyncio.Future[Any]) -> None:
    """Nobody reads the error of work that was given up; asyncio would print it."""
    if not future.cancelled():
        future.exception()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # of this thread: others work beside it
