"""What a worker does: the pieces of some rows, in one running batch where the engine can."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from amt import api
from amt.batch.table import Row
from amt.decoding.backends import Backend, choose
from amt.errors import AmtError
from amt.models.opened import OpenedModel, load

if TYPE_CHECKING:
    from amt.decoding.backends.shared import SharedBatch
    from amt.decoding.deadline import Deadline
    from amt.decoding.protocols import DecoderModel
    from amt.request.request import Request

# What a row may come to instead of a piece; others do not depend on it.
FAILURES = (AmtError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError, RuntimeError, OSError)


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all rows of a run share.

    Attributes:
        model: its name, or its folder.
        digest: of the model: it is the same wherever a worker is.
        device, backend, dtype: as for `amt.generate`.
        num_threads: of one worker.
    """

    model: str
    digest: str
    device: str | None
    backend: Any
    dtype: Any
    num_threads: int
    allow_download: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """Some rows, with the files that they continue."""

    setting: Setting
    rows: tuple[Row, ...]
    prompts_midi: tuple[bytes | None, ...]


@dataclasses.dataclass(frozen=True)
class Written:
    """A piece: its file, and what the table of results says of it."""

    midi: bytes
    facts: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Failed:
    """No piece, and why."""

    reason: str


def write_rows(job: Job) -> list[Written | Failed]:
    """The pieces of a job, in its order.

    Raises:
        RuntimeError: this worker has another model of that name. CheckpointError, TextEncoderError, DeviceError,
            BackendUnavailableError: it has none, or not what runs it.
    """
    import torch

    setting = job.setting
    torch.set_num_threads(setting.num_threads)
    opened = load(setting.model, device=setting.device, allow_download=setting.allow_download)
    if opened.digest != setting.digest:
        raise RuntimeError(f"the model {setting.model} of a worker is another one; install the same on all machines")
    _ = opened.text_encoder  # opened once, before there are threads
    own = choose(opened.checkpoint.model, None, setting.backend, setting.dtype)
    write = functools.partial(_write, setting, opened)
    if len(job.rows) == 1 or own.backend.name != "engine":
        return [write(setting.backend, *each) for each in zip(job.rows, job.prompts_midi, strict=True)]
    batch = _shared(setting)

    def start(model: DecoderModel, request: Request, deadline: Deadline) -> Any:
        if batch.refusal(request) is None:
            return batch.start(model, request, deadline)
        alone = choose(opened.checkpoint.model, request, setting.backend, setting.dtype)
        return alone.start(request, deadline)

    backend = Backend(own.label, lambda request: None, start)
    with concurrent.futures.ThreadPoolExecutor(
        len(job.rows), initializer=torch.set_num_threads, initargs=(1,)
    ) as threads:
        return list(threads.map(functools.partial(write, backend), job.rows, job.prompts_midi))


@functools.lru_cache(maxsize=1)
def _shared(setting: Setting) -> SharedBatch:
    """The batch of this process."""
    from amt.decoding.backends.engine import packed_engine
    from amt.decoding.backends.shared import SharedBatch

    opened = load(setting.model, device=setting.device, allow_download=setting.allow_download)
    engine = packed_engine(opened.checkpoint.model, setting.dtype)
    return SharedBatch(engine, num_threads=setting.num_threads)


def _write(
    setting: Setting, opened: OpenedModel, backend: Any, row: Row, prompt_midi: bytes | None
) -> Written | Failed:
    options: dict[str, Any] = dict(row.options)
    if prompt_midi is not None:
        options["prompt_midi"] = prompt_midi
    try:
        piece: Any = api.generate(
            row.text, model=opened, seed=row.seed, backend=backend, dtype=setting.dtype, **options
        )
        facts = {
            "seed": piece.seed,
            "duration_s": round(piece.duration_s, 3),
            "num_notes": len(piece.notes),
            "instruments": piece.instruments,
            "backend": piece.backend,
            "report": [dataclasses.asdict(each) for each in piece.report],
            "warnings": piece.warnings,
        }
        return Written(piece.to_bytes(), facts)
    except FAILURES as error:
        return Failed(str(error) or type(error).__name__)
