"""Many prompts over many processes and machines: `generate_batch`."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amt.batch.results import Results, file_of
from amt.batch.table import BadRow, Row, check_options, read_prompt_midi, read_table
from amt.config import check_range
from amt.files import alone_in
from amt.models.opened import DEFAULT_MODEL, load, packaged_models
from amt.workers import Died, Workers, each_done

if TYPE_CHECKING:
    from amt.batch.write import Job, Setting
    from amt.decoding.backends import BackendName
    from amt.ops.decode import EngineDtype

BATCH_SIZE = 8
MAX_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class BatchSummary:
    """What came of a table of prompts.

    Attributes:
        num_rows: of the table, bad ones among them.
        num_before: rows that were done before.
        num_written: rows that were done now.
        failures: rows of which no piece came.
    """

    num_rows: int
    num_before: int
    num_written: int
    failures: tuple[BadRow, ...]


def generate_batch(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: str | Path | None = None,
    device: str | None = None,
    backend: BackendName = "auto",
    dtype: EngineDtype = "float32",
    allow_download: bool = False,
    processes: int | None = None,
    threads: int | None = None,
    batch_size: int = BATCH_SIZE,
    ray: bool | str = False,
    redo: bool = False,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> BatchSummary:
    """Write a MIDI file for each row of a table of prompts, and one table of results.

    A run that was stopped, even killed, goes on with the rows that are not done when it is called again. The files and
    the table of results are the same, bit for bit, whatever works on them.

    Args:
        table: JSON lines: `text`, and if you like `id`, `seed`, `prompt_midi` and any option or limit of
            `amt.generate`.
        out: the folder of the results: new, empty, or of a run before.
        model, device, backend, dtype, allow_download: as for `amt.load` and `amt.generate`, for all rows.
        processes: how many work; default: one here, and as many as there is room for with `ray`.
        threads: of each process; default: the cores shared out; 1 with `ray`.
        batch_size: rows that a process writes at once.
        ray: whether the processes are workers of Ray, on any number of machines: True, or the cluster's address. They
            have the same AMT installed, and a model that is a folder lies at the same place.
        redo: whether rows that are done are written anew where the table, an option or the model has changed since.
        progress: called with (rows that are through, rows of the table).
        options: options and limits of all rows; those of a row go before them. `seed`: what the seeds of rows without
            one are made of, with their ids; default: 0.

    Returns:
        how many rows were written, and which were not.

    Raises:
        FileNotFoundError: there is no such table. ValueError: an option is unknown; or rows that are done have changed.
        FileExistsError: the folder has other files. BlockingIOError: another run writes to it.
        CheckpointError, TextEncoderError, DeviceError, BackendUnavailableError: as `amt.generate`.
        DiskFullError: there is no room; what is done is kept. ImportError: Ray is not installed.

    Example:
        >>> amt.generate_batch("prompts.jsonl", "pieces", processes=2)
    """
    from amt.batch.write import Setting
    from amt.decoding.backends import choose

    table, out = Path(table), Path(out)
    usual = check_options(options)
    seed = usual.pop("seed", None) or 0
    for name, value in (("processes", processes), ("threads", threads), ("batch_size", batch_size)):
        check_range(name, 1 if value is None else value, 1, 1024)
    num = processes if ray else processes or 1
    num_threads = threads or (1 if num is None or ray else max(1, (os.cpu_count() or 1) // num))
    opened = load(model, device=device, allow_download=allow_download)
    choose(opened.checkpoint.model, None, backend, dtype)  # says that it is not here
    source = str(model or DEFAULT_MODEL)
    if source not in packaged_models() and Path(source).is_dir():
        source = str(Path(source).absolute())
    setting = Setting(source, opened.digest, device, backend, dtype, num_threads, allow_download)
    with alone_in(out):
        entries = list(read_table(table, seed, usual))
        results = Results(out)
        try:
            workers = Workers(num, ray, num_threads, int(opened.device.type != "cpu"))
            return _Run(entries, results, setting, table.parent, redo, progress).go(workers, batch_size)
        finally:
            results.close()


class _Run:
    """The rows of a table on their way."""

    def __init__(
        self,
        entries: list[Row | BadRow],
        results: Results,
        setting: Setting,
        folder: Path,
        redo: bool,
        progress: Callable[[int, int], object] | None,
    ):
        self._results, self._setting, self._folder, self._progress = results, setting, folder, progress
        self._entries = entries
        self._failures = {entry.line: entry for entry in entries if isinstance(entry, BadRow)}
        self._requests: dict[int, str] = {}
        self._to_do: list[Row] = []
        changed: list[Row] = []
        for row in entries:
            if isinstance(row, BadRow):
                continue
            try:
                self._requests[row.line] = _digest(row, setting, read_prompt_midi(row, folder))
            except ValueError as error:
                self._fail(row, str(error))
                continue
            if not results.has(row.id):
                self._to_do.append(row)
            elif results.requests[row.id] != self._requests[row.line]:
                changed.append(row)
        if changed and not redo:
            raise ValueError(_what_changed(changed, results.folder))
        self._num_before = len(self._requests) - len(self._to_do) - len(changed)
        self._num_written = 0
        self._to_do = sorted([*self._to_do, *changed], key=lambda row: row.line)

    def go(self, workers: Workers, batch_size: int) -> BatchSummary:
        """Write what is not done."""
        from amt.batch.write import write_rows

        begun = {row.id for row in self._to_do}
        self._results.rewrite([name for name in self._results.requests if name not in begun])
        self._tell()
        if workers.num is not None:  # everybody has some
            batch_size = max(1, min(batch_size, -(-len(self._to_do) // workers.num)))
        again: list[Row] = []  # one of them has ended its workers: which one shows when each is alone
        for size, rows in ((batch_size, self._to_do), (1, again)):
            for job, found in each_done(write_rows, self._jobs(rows, size), workers):
                if not isinstance(found, Died):
                    for row, outcome in zip(job.rows, found, strict=True):
                        self._take(row, outcome)
                elif len(job.rows) > 1:
                    again += job.rows
                else:
                    self._fail(job.rows[0], found.reason)
                self._tell()
        in_table = [self._failures.get(entry.line) or entry.id for entry in self._entries]
        known = set(in_table)
        of_others = [name for name in self._results.requests if name not in known]
        self._results.rewrite([entry for entry in (*in_table, *of_others) if entry is not None])
        failures = tuple(self._failures[line] for line in sorted(self._failures))
        return BatchSummary(len(self._entries), self._num_before, self._num_written, failures)

    def _jobs(self, rows: list[Row], size: int) -> Iterator[Job]:
        from amt.batch.write import Job

        rest = iter(rows)
        while some := tuple(itertools.islice(rest, size)):
            yield Job(self._setting, some, tuple(read_prompt_midi(row, self._folder) for row in some))

    def _take(self, row: Row, outcome: Any) -> None:
        from amt.batch.write import Failed

        if isinstance(outcome, Failed):
            self._fail(row, outcome.reason)
            return
        facts = dict(outcome.facts)
        seed = facts.pop("seed")
        request = self._requests[row.line]
        self._results.add(row.id, outcome.midi, {"seed": seed, "file": file_of(row.id), **facts, "request": request})
        self._num_written += 1

    def _fail(self, row: Row, reason: str) -> None:
        self._failures[row.line] = BadRow(row.line, row.id, reason)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._num_before + self._num_written + len(self._failures), len(self._entries))


def _digest(row: Row, setting: Setting, prompt_midi: bytes | None) -> str:
    """Of all that a piece depends on."""
    asked = {
        "text": row.text,
        "seed": row.seed,
        "options": dict(row.options),
        "prompt_midi": None if prompt_midi is None else hashlib.sha256(prompt_midi).hexdigest(),
        "model": setting.digest,
        "dtype": setting.dtype,
        "device": (setting.device or "cpu").split(":")[0],
    }
    plain = json.loads(json.dumps(asked))  # whatever Python calls a list, and its keys texts
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _what_changed(rows: list[Row], folder: Path) -> str:
    names = ", ".join(f"{row.id!r} (line {row.line})" for row in rows[:MAX_SHOWN])
    more = f" and {len(rows) - MAX_SHOWN} more" if len(rows) > MAX_SHOWN else ""
    return (
        f"{folder} has pieces of rows that ask for something else now: {names}{more}; their text, options, seed, file"
        " to continue or model have changed. Give them new ids, name another folder, or write them anew: redo=True"
    )
