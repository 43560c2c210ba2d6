"""The same work on many jobs, by processes of this machine or by the workers of a Ray cluster.

What a job comes to depends on the job alone, so it does not matter who does it. The caller writes the results to disk:
workers on other machines need not see its folders.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from amt.errors import AmtError
from amt.version import __version__

J = TypeVar("J")
R = TypeVar("R")

MAX_DEATHS = 2  # so many workers may end with a job in their hands, then it is given up
# What work may raise: it ends the run, as if it were raised here. Anything else ends the worker.
FAILURES = (AmtError, ValueError, OSError, ImportError, RuntimeError)


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who works.

    Attributes:
        num: processes; None: as many as the Ray cluster has room for, or one a core of this machine.
        ray: whether they are workers of Ray: of the cluster with this address, or (True) of the one that Ray finds, or
            else makes on this machine.
        num_cpus, num_gpus: what each of them takes of a Ray cluster.
    """

    num: int | None = None
    ray: bool | str = False
    num_cpus: int = 1
    num_gpus: int = 0


@dataclasses.dataclass(frozen=True)
class Died:
    """What comes of a job whose workers ended before it was done: `reason` is how the last one did."""

    reason: str


class _Crew(Protocol):
    """Workers that have been started."""

    def has_room(self) -> bool: ...

    def begin(self, job: Any) -> None: ...

    def next_results(self) -> list[tuple[Any, Any]]:
        """Wait until some jobs are done: each with its result, or with `Died`."""
        ...

    def close(self) -> None: ...


def each_done(work: Callable[[J], R], jobs: Iterable[J], workers: Workers) -> Iterator[tuple[J, R | Died]]:
    """`work` of each job, as soon as it is done; the order is that of being done.

    Args:
        work: a function of a module, which other processes can import.
        jobs: each is asked for when a worker is free, or nearly so.

    Raises:
        whatever `work` raises of `FAILURES`. ImportError: Ray is not installed. ConnectionError: there is no such
            cluster.
    """
    coming = iter(jobs)
    waiting: deque[tuple[J, int]] = deque()  # each with the number of workers that have ended with it
    num_deaths: dict[int, int] = {}  # of jobs on their way

    def fetch() -> bool:
        waiting.extend((job, 0) for job in itertools.islice(coming, 1))
        return bool(waiting)

    if not fetch():
        return  # nobody is started for nothing
    crew: _Crew = _RayWorkers(work, workers) if workers.ray else _Processes(work, workers.num or os.cpu_count() or 1)
    try:
        while True:
            while crew.has_room() and (waiting or fetch()):
                job, deaths = waiting.popleft()
                num_deaths[id(job)] = deaths
                crew.begin(job)
            if not num_deaths:
                return
            if not waiting:
                fetch()  # made while others work
            for job, result in crew.next_results():
                deaths = num_deaths.pop(id(job)) + isinstance(result, Died)
                if isinstance(result, Died) and deaths < MAX_DEATHS:
                    waiting.appendleft((job, deaths))
                else:
                    yield job, result
    finally:
        crew.close()


class _Process(Generic[J, R]):
    """A process of this machine with a pipe to it."""

    def __init__(self, work: Callable[[J], R]):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # or its end would not be seen here
        self.is_ready = False

    def exit_code(self) -> int | None:
        self.process.join()
        return self.process.exitcode


class _Processes:
    """Processes of this machine, each with one job. They end when this one does, however it ends."""

    def __init__(self, work: Callable[[Any], Any], num: int):
        self._work, self._num = work, num
        self._idle: list[_Process[Any, Any]] = []
        self._busy: dict[Connection, tuple[_Process[Any, Any], Any]] = {}

    def has_room(self) -> bool:
        return len(self._busy) < self._num

    def begin(self, job: Any) -> None:
        process = self._idle.pop() if self._idle else _Process(self._work)
        self._busy[process.connection] = process, job
        if process.is_ready:
            _send(process, job)

    def next_results(self) -> list[tuple[Any, Any]]:
        results: list[tuple[Any, Any]] = []
        while not results:
            for connection in wait(list(self._busy)):
                process, job = self._busy[connection]  # type: ignore[index]
                try:
                    is_done, result = process.connection.recv()
                except (EOFError, OSError):
                    del self._busy[process.connection]
                    code = process.exit_code()
                    if not process.is_ready and (code is None or code >= 0):  # below 0: somebody killed it
                        raise RuntimeError(
                            f"a worker process ended before it began (exit code {code}); in a script"
                            ' the call stands below: if __name__ == "__main__":'
                        ) from None
                    results.append((job, Died(f"its worker process ended (exit code {code})")))
                    continue
                if not process.is_ready:
                    process.is_ready = True
                    _send(process, job)
                    continue
                del self._busy[process.connection]
                self._idle.append(process)
                if not is_done:
                    raise result
                results.append((job, result))
        return results

    def close(self) -> None:
        everybody = [*self._idle, *(process for process, _ in self._busy.values())]
        for each in everybody:
            each.process.kill()  # what it has not handed over is nowhere
        for each in everybody:
            each.process.join()
            each.connection.close()


def _send(process: _Process[Any, Any], job: Any) -> None:
    with contextlib.suppress(OSError):  # it has ended: `recv` says so
        process.connection.send(job)


def _serve(connection: Connection, work: Callable[[Any], Any]) -> None:
    """What a process of this machine does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that asks
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection.send((True, None))
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[bool, Any] = True, work(job)
        except FAILURES as error:
            answer = False, error
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _RayWorkers:
    """Tasks of Ray, some more than there are workers, so that none of them waits for its next job."""

    def __init__(self, work: Callable[[Any], Any], workers: Workers):
        try:
            import ray
        except ImportError as error:
            raise ImportError('Ray is not installed; pip install "amt-midi[ray]"') from error
        self._ray = ray
        self._was_there = ray.is_initialized()
        if not self._was_there:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # of a cluster of our own: it tells nobody
            address = workers.ray if isinstance(workers.ray, str) else None
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="WARNING")
        # A job is tried again here, not by Ray: by one rule for all workers.
        needs = {"num_cpus": workers.num_cpus, "num_gpus": workers.num_gpus, "max_retries": 0}
        self._task = ray.remote(_by_ray).options(**needs)
        self._work, self._needs, self._num = work, needs, workers.num
        self._busy: dict[Any, Any] = {}

    def has_room(self) -> bool:
        if self._num is not None:
            return len(self._busy) < self._num
        there = self._ray.cluster_resources()  # it may grow
        num = int(there.get("CPU", 1) // self._needs["num_cpus"])
        if self._needs["num_gpus"]:
            num = min(num, int(there.get("GPU", 0) // self._needs["num_gpus"]))
        return len(self._busy) < 2 * max(1, num)

    def begin(self, job: Any) -> None:
        self._busy[self._task.remote(self._work, __version__, job)] = job

    def next_results(self) -> list[tuple[Any, Any]]:
        errors = self._ray.exceptions
        done, _ = self._ray.wait(list(self._busy), num_returns=1)
        results = []
        for reference in done:
            job = self._busy.pop(reference)
            try:
                results.append((job, self._ray.get(reference)))
            except errors.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, FAILURES) else error) from None
            except errors.RayError as error:  # its worker, or the machine of that, is gone
                reason = str(error).strip().splitlines() or [type(error).__name__]
                results.append((job, Died(f"its worker of Ray ended ({reason[0]})")))
        return results

    def close(self) -> None:
        for reference in self._busy:
            self._ray.cancel(reference, force=True)
        if not self._was_there:
            self._ray.shutdown()


def _by_ray(work: Callable[[Any], Any], version: str, job: Any) -> Any:
    """What a worker of Ray does."""
    if version != __version__:
        raise RuntimeError(f"a worker of Ray has AMT {__version__}, and this is {version}; install the same everywhere")
    return work(job)
