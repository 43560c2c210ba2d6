"""One row of numbers a step: into `metrics.jsonl`, to TensorBoard, to whoever watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from amt.files import GrowingFile


class Metrics:
    """Where the rows of a run go; closes its files at the end of a `with`.

    Args:
        run: the run's folder; None: nowhere (another process writes them).
        tensorboard: whether to write events for TensorBoard, too.
        progress: called with each row.

    Raises:
        ImportError: `tensorboard` without the package of that name. DiskFullError, OSError: a row cannot be written.
    """

    def __init__(self, run: Path | None, tensorboard: bool, progress: Callable[[dict[str, Any]], object] | None):
        self._progress = progress if run is not None else None
        self._writer: Any = None
        if run is not None and tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError('TensorBoard is not installed: pip install "amt-midi[train]"') from error
            self._writer = SummaryWriter(run)
        self._lines = None if run is None else GrowingFile(run / "metrics.jsonl")

    def write(self, row: dict[str, Any]) -> None:
        """Add a row; its "step" says where."""
        if self._lines is not None:
            self._lines.add(json.dumps(row))
        if self._writer is not None:
            for name, value in row.items():
                if name != "step":
                    self._writer.add_scalar(name, value, row["step"])
        if self._progress is not None:
            self._progress(row)

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._writer is not None:
            self._writer.close()
