"""A process with one implementation in it: `python -m amt.bench.worker`.

It reads a job, then a line for each round, and answers each with a line of JSON. Its standard output is kept for these
answers: whatever a library prints goes to standard error.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

from amt.bench.job import Job, Runner


def serve() -> None:
    """Answer until the input ends."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

        def answer(**values: object) -> None:
            print(json.dumps(values), file=answers, flush=True)

        job = Job.from_json(sys.stdin.readline())
        try:
            runner: Runner = importlib.import_module(job.module).load(job)
        except ImportError as error:
            answer(error=f"not installed: {error}")
            return
        answer(version=runner.version)
        while sys.stdin.readline():
            start = time.perf_counter()
            sequences = runner.generate()
            seconds = time.perf_counter() - start
            answer(seconds=seconds, lengths=list(map(len, sequences)), shared_positions=runner.shared_positions)


if __name__ == "__main__":
    serve()
