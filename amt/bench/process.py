"""The other end of a worker: starts it, asks for rounds, and says in words why there is no answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from amt.bench.job import Job
from amt.errors import AmtError

# What glibc does by default costs implementations that allocate their caches anew at each step a page fault for every
# page of every step. Nobody is slower with these settings, so everybody gets them.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


class WorkerError(AmtError, RuntimeError):
    """A worker that gave no result; the message is the row's error."""


class Worker:
    """A process of its own for one job. Use it as a context manager.

    Args:
        job: what it runs.
        environment: variables that must be set before its libraries are loaded.
        timeout_s: the longest that one answer may take.

    Raises:
        WorkerError: the implementation is not installed or fails to load.
    """

    def __init__(self, job: Job, environment: Mapping[str, str], *, timeout_s: float):
        self._timeout_s = timeout_s
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        threads = {f"{library}_NUM_THREADS": str(job.threads) for library in ("OMP", "MKL", "OPENBLAS")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "amt.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ
            | MALLOC
            | threads
            | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "TOKENIZERS_PARALLELISM": "false"}
            | dict(environment),
        )
        try:
            self.version = str(self._ask(job.to_json())["version"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self) -> dict[str, Any]:
        """One round: its `seconds`, the `lengths` of the sequences, and `shared_positions`.

        Raises:
            WorkerError: it failed, died or took too long; it is of no more use then.
        """
        return self._ask("run")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # it died before it read what was written
                    stream.close()

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        has_timed_out = threading.Event()

        def stop() -> None:
            has_timed_out.set()
            self._process.kill()

        timer = threading.Timer(self._timeout_s, stop)
        timer.start()
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if has_timed_out.is_set():
            raise WorkerError(f"no answer within {self._timeout_s:g} s; allow more with --timeout")
        if not answer:
            raise WorkerError(self._cause())
        values: dict[str, Any] = json.loads(answer)
        if "error" in values:
            raise WorkerError(values["error"])
        return values

    def _cause(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        if code < 0:
            last = f": {lines[-1]}" if lines else ""
            return f"killed by {signal.Signals(-code).name}{last}"
        return lines[-1] if lines else f"ended with exit code {code} and no word"
