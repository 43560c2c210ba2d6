"""Work on requests in threads: a queue with an end, deadlines, and work that stops when nobody waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
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


class Stopping(Exception):
    """The server is being stopped."""


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
        self._jobs: set[Job] = set()
        self._is_stopping = False
        self._usual_s = 1.0

    @property
    def num_running(self) -> int:
        """Requests that are worked on."""
        return min(len(self._jobs), self._max_running)

    @property
    def num_waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, len(self._jobs) - self._max_running)

    def submit(self, job: Job, work: Callable[[Job], T]) -> concurrent.futures.Future[T]:
        """Begin, or wait in the queue.

        Raises:
            Busy: the queue is full. Stopping: nothing begins any more.
        """

        with self._lock:
            if self._is_stopping:
                raise Stopping
            if len(self._jobs) >= self._max_running + self._max_queue:
                wait_s = self._usual_s * (1 + self._max_queue / self._max_running)
                raise Busy(max(1, min(60, round(wait_s))))
            self._jobs.add(job)
            future = self._pool.submit(self._run, job, work)
        future.add_done_callback(lambda _: self._leave(job))
        return future

    def _run(self, job: Job, work: Callable[[Job], T]) -> T:
        job.check()
        began = monotonic()
        try:
            return work(job)
        finally:
            with self._lock:
                self._usual_s += 0.1 * (monotonic() - began - self._usual_s)

    def _leave(self, job: Job) -> None:
        with self._lock:
            self._jobs.discard(job)

    async def result(self, job: Job, work: Callable[[Job], T], is_gone: Callable[[], Awaitable[bool]]) -> T:
        """What the work comes to.

        Args:
            is_gone: whether nobody waits for it any more.

        Raises:
            Busy, TimeOver, ClientGone, Stopping, and what the work raises.
        """
        future = asyncio.wrap_future(self.submit(job, work))
        future.add_done_callback(_look_at)
        try:
            await self._wait(job, future, is_gone)
            return future.result()
        except Cancelled:
            raise self._why_cancelled() from None
        finally:
            job.cancel()
            future.cancel()  # if it waits yet, another one has its place

    async def events(
        self, job: Job, work: Callable[[Job], Any], is_gone: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[tuple[str, Any], None]:
        """What the work emits, as (name, value), and at last ("result", what it comes to).

        Closing the iterator cancels the work.

        Args:
            is_gone: whether nobody waits for it any more; asked until there is the first event. Then who sends the
                events knows it.

        Raises:
            as `result`.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

        def put(event: tuple[str, Any] | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody reads them
                loop.call_soon_threadsafe(queue.put_nowait, event)

        job._emit = put
        future = self.submit(job, work)
        future.add_done_callback(lambda _: put(None))
        coming = asyncio.ensure_future(queue.get())
        try:
            await self._wait(job, coming, is_gone)
            while (event := coming.result()) is not None:
                yield event
                coming = asyncio.ensure_future(queue.get())
                await self._wait(job, coming, _never)
            yield "result", future.result()
        except Cancelled:
            raise self._why_cancelled() from None
        finally:
            coming.cancel()
            job.cancel()
            future.cancel()

    async def _wait(self, job: Job, coming: asyncio.Future[Any], is_gone: Callable[[], Awaitable[bool]]) -> None:
        """Until it is there.

        Raises:
            TimeOver, ClientGone, Stopping.
        """
        while not coming.done():
            await asyncio.wait({coming}, timeout=max(0.0, min(POLL_S, job.deadline - monotonic())))
            if coming.done():
                return
            if self._is_stopping:
                raise Stopping
            if monotonic() >= job.deadline:
                raise TimeOver
            if await is_gone():
                raise ClientGone

    def _why_cancelled(self) -> Exception:
        return Stopping() if self._is_stopping else TimeOver()

    def stop(self) -> None:
        """Begin nothing any more, and cancel what is there."""
        with self._lock:
            self._is_stopping = True
            jobs = list(self._jobs)
        for job in jobs:
            job.cancel()

    def close(self) -> None:
        """Stop, and end the threads when their work has."""
        self.stop()
        self._pool.shutdown()


def _look_at(future: asyncio.Future[Any]) -> None:
    """Nobody reads the error of work that was given up; asyncio would print it."""
    if not future.cancelled():
        future.exception()


async def _never() -> bool:
    return False


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # of this thread: others work beside it
