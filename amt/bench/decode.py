"""Decoding, side by side: every implementation in a process of its own, in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amt.bench.bandwidth import bytes_per_step
from amt.bench.cases import MODEL, DecodeCase
from amt.bench.job import Job
from amt.bench.peers import IMPLEMENTATIONS, PEERS, Implementation
from amt.bench.process import Worker, WorkerError
from amt.bench.rows import Row, best_settings, with_ratios, with_times
from amt.nn.config import ModelConfig

BANDWIDTH_ROUNDS = 30


@dataclasses.dataclass
class _Entry:
    """One implementation with one setting, while its case is measured."""

    row: Row
    worker: Worker | None = None
    seconds: list[float] = dataclasses.field(default_factory=list)

    def fail(self, error: WorkerError) -> None:
        """Keep the reason; there are no more rounds."""
        self.row = dataclasses.replace(self.row, error=str(error))
        self.worker = None


def measure_decoding(
    cases: Sequence[DecodeCase],
    *,
    threads: Sequence[int] = (1,),
    num_rounds: int = 5,
    timeout_s: float = 600.0,
    implementations: Sequence[Implementation] = IMPLEMENTATIONS,
    model: ModelConfig = MODEL,
    progress: Callable[[str], object] | None = None,
) -> Iterator[Row]:
    """The rows of every case and number of threads, as they come.

    Within a case all implementations are loaded, decode the whole case once unmeasured, and then take turns, each round
    beginning with another one: what else the machine does meanwhile meets them all.

    Args:
        cases: what to measure.
        threads: with how many threads each.
        num_rounds: measured rounds.
        timeout_s: the longest that loading, and one round, may take.
        implementations: which ones.
        model: the architecture with random weights.
        progress: called with a word before each thing that takes time.
    """
    with tempfile.TemporaryDirectory(prefix="amt-bench-") as folder:
        for case in cases:
            for num_threads in threads:
                base = Job("", case.name, case.dtype, num_threads, folder, model.to_dict())
                yield from _measure_case(case, base, implementations, num_rounds, timeout_s, progress or _silent)


def _silent(_: str) -> None:
    pass


def _measure_case(
    case: DecodeCase,
    base: Job,
    implementations: Sequence[Implementation],
    num_rounds: int,
    timeout_s: float,
    progress: Callable[[str], object],
) -> list[Row]:
    entries: list[_Entry] = []
    with contextlib.ExitStack() as stack:
        for implementation in implementations:
            if not implementation.takes(case):
                continue
            job = dataclasses.replace(base, module=implementation.module, dtype=implementation.dtypes[case.dtype])
            for setting, environment in implementation.settings.items():
                progress(f"{case.name}: loading {implementation.name} {setting}".rstrip())
                entry = _Entry(
                    Row("decode", case.name, implementation.name, "", job.threads, job.dtype, setting=setting)
                )
                entries.append(entry)
                try:
                    entry.worker = stack.enter_context(Worker(job, environment, timeout_s=timeout_s))
                    entry.row = dataclasses.replace(entry.row, version=entry.worker.version)
                    first = _round(case, entry.worker)
                    entry.row = dataclasses.replace(entry.row, shared_positions=first["shared_positions"])
                except WorkerError as error:
                    entry.fail(error)
        for turn in range(num_rounds):
            first_entry = turn % len(entries) if entries else 0
            for entry in (*entries[first_entry:], *entries[:first_entry]):
                if entry.worker is None:
                    continue
                progress(
                    f"{case.name}: round {turn + 1} of {num_rounds}, {entry.row.impl} {entry.row.setting}".rstrip()
                )
                try:
                    entry.seconds.append(_round(case, entry.worker)["seconds"])
                except WorkerError as error:
                    entry.fail(error)
    tokens = case.batch_size * case.num_tokens
    rows = [
        with_times(entry.row, entry.seconds, num_steps=case.num_tokens, num_tokens=tokens)
        if entry.row.error is None
        else entry.row
        for entry in entries
    ]
    progress(f"{case.name}: reading bandwidth")
    return with_ratios(best_settings(rows), PEERS, _limit_ms(case, base, timeout_s))


def _round(case: DecodeCase, worker: Worker) -> dict[str, Any]:
    answer = worker.run()
    check_lengths(case, answer["lengths"])
    return answer


def check_lengths(case: DecodeCase, lengths: Sequence[int]) -> None:
    """A time for less work than was asked for is no time.

    Raises:
        WorkerError: there is not one sequence of exactly num_tokens for each prompt.
    """
    expected = [case.num_tokens] * case.batch_size
    if list(lengths) != expected:
        raise WorkerError(
            f"made {len(lengths)} sequences of {min(lengths, default=0)} to {max(lengths, default=0)} tokens, "
            f"not {case.batch_size} of {case.num_tokens}"
        )


def _limit_ms(case: DecodeCase, base: Job, timeout_s: float) -> float | None:
    """How long reading what a step must read takes here, in the fastest of some rounds."""
    if case.is_shipped:
        return None  # its layers are of another kind than those that are counted
    num_bytes = bytes_per_step(case, ModelConfig.from_dict(base.model))
    job = dataclasses.replace(base, module="amt.bench.bandwidth", num_bytes=num_bytes)
    try:
        with Worker(job, {}, timeout_s=timeout_s) as worker:
            return 1000 * min(float(worker.run()["seconds"]) for _ in range(BANDWIDTH_ROUNDS))
    except WorkerError:
        return None
