"""What can decode a request: a row for each backend, and the one place that chooses among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, get_args

import torch

from amt.config import check_choice
from amt.decoding.backends import cuda, engine, plain
from amt.decoding.deadline import Deadline
from amt.decoding.hypothesis import Hypothesis, NewToken
from amt.decoding.plain.start import device_of
from amt.decoding.protocols import DecoderModel
from amt.errors import BackendUnavailableError
from amt.ops import native
from amt.ops.decode import ENGINE_DTYPES, EngineDtype
from amt.request.request import Prompt, Request

BackendName = Literal["auto", "engine", "plain", "cuda"]


class State(Protocol):
    """A request on its way."""

    @property
    def is_done(self) -> bool:
        """Whether all sequences have ended."""
        ...

    @property
    def num_tokens(self) -> int:
        """New tokens so far, of all sequences; one that has ended early counts as whole."""
        ...

    def step(self, num_steps: int, max_ms: int) -> None:
        """Go on by some passes, at most so many; none begins later than `max_ms` after the first.

        An error may come behind tokens that `new_tokens` still has.
        """
        ...

    def new_tokens(self) -> list[NewToken]:
        """What the only sequence has got since the last call."""
        ...

    def read(self) -> list[list[Hypothesis]]:
        """For each prompt its results, the best first."""
        ...

    def go_on(self, prompts: Mapping[int, Prompt]) -> bool:
        """Once all is done, decode some of the prompts again, which begin otherwise, and only them.

        What `start` would do, but what they have in common with what was decoded is not read again.

        Args:
            prompts: by number; they differ in prefix, `max_new_tokens`, `first_sequence` and `before`, and fit into
                the `room` of the first ones.

        Returns:
            False: the state cannot; begin anew.
        """
        ...

    def close(self) -> None:
        """Nobody asks for more; what runs by itself may stop."""
        ...


@dataclasses.dataclass(frozen=True)
class Backend:
    """A way to decode.

    Attributes:
        name: in `BackendName` and in `amt.info()`.
        refusal: why it cannot decode a request, in a few words; None: it can.
        start: begins a request with a model; its errors name the prompt.
    """

    name: str
    refusal: Callable[[Request], str | None]
    start: Callable[[DecoderModel, Request, Deadline], State]


ENGINE = Backend("engine", engine.refusal, engine.start)
PLAIN = Backend("plain", lambda request: None, plain.start)
CUDA = Backend("cuda", engine.refusal, engine.start)
BACKENDS = (ENGINE, PLAIN, CUDA)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What decodes a request, and why.

    Attributes:
        backend: the row of the table.
        decoder: the model, or its packed decoder.
        label: what runs, as `piece.backend` says it.
        reason: why this and nothing else.
    """

    backend: Backend
    decoder: DecoderModel
    label: str
    reason: str

    def start(self, request: Request, deadline: Deadline) -> State:
        """Begin."""
        return self.backend.start(self.decoder, request, deadline)


def choose(
    model: DecoderModel, request: Request | None = None, backend: str | Backend = "auto", dtype: str = "float32"
) -> Choice:
    """What decodes a request.

    Args:
        model: a model, or an `Engine`, which is a choice in itself.
        request: None: one without anything that only Python knows.
        backend: "engine": the compiled engine or an error; "cuda": the CUDA kernels or an error; "plain": PyTorch;
            "auto": the engine if it is here, PyTorch for a model on a GPU, since the CUDA kernels have not run on one
            yet; or a row of the caller's own, such as that of a batch that is shared.
        dtype: of the engine's weights; anything but float32 asks for the engine.

    Raises:
        ValueError: no such backend or dtype, or a dtype that the backend does not have.
        BackendUnavailableError: the engine, or the CUDA kernels, were asked for and are not here.
    """
    if isinstance(backend, Backend):
        refusal = None if request is None else backend.refusal(request)
        if refusal is not None:
            raise ValueError(f"the backend {backend.name!r} cannot decode this: {refusal}")
        return Choice(backend, model, backend.name, "given by the caller")
    check_choice("backend", backend, get_args(BackendName))
    check_choice("dtype", dtype, ENGINE_DTYPES)
    if not isinstance(model, engine.Engine):
        device = device_of(model)
        if device.type != "cpu":
            return _on_gpu(model, device, request, backend, dtype)
        if backend == "cuda":
            raise BackendUnavailableError(
                "the CUDA kernels run on a GPU, and the model is on the processor; use device='cuda'"
            )
        if backend == "plain" and dtype != "float32":
            raise ValueError(f"dtype={dtype!r} needs backend='engine'; plain PyTorch has float32 only")
        if backend == "plain":
            return Choice(PLAIN, model, plain.LABEL, "asked for")
        if backend == "auto" and dtype == "float32" and not native.is_available():
            return Choice(PLAIN, model, plain.LABEL, native.explain())
        model = engine.packed_engine(model, _engine_dtype(dtype))
    refusal = None if request is None else engine.refusal(request)
    if refusal is not None:
        return Choice(PLAIN, model, model.label, f"step by step from Python: {refusal}")
    if isinstance(model, cuda.CudaEngine):
        return Choice(CUDA, model, model.label, "given by the caller")
    return Choice(ENGINE, model, model.label, "the compiled engine is here")


def _on_gpu(model: DecoderModel, device: torch.device, request: Request | None, backend: str, dtype: str) -> Choice:
    """What decodes on a GPU: plain PyTorch, unless the CUDA kernels are asked for."""
    if backend == "engine":
        raise BackendUnavailableError(
            f"the compiled engine runs on the processor, and the model is on {device}; use device='cpu' or"
            " backend='plain'"
        )
    if backend == "cuda":
        packed = cuda.packed_engine(model, _engine_dtype(dtype), device)
        refusal = None if request is None else engine.refusal(request)
        if refusal is None:
            return Choice(CUDA, packed, packed.label, "asked for")
        return Choice(PLAIN, model, plain.label(device), f"step by step from Python: {refusal}")
    if dtype != "float32":
        raise ValueError(
            f"dtype={dtype!r} needs the compiled engine, and so device='cpu', or backend='cuda'; the model is on"
            f" {device}"
        )
    reason = "asked for" if backend == "plain" else f"the model is on {device}, and the compiled engine has no GPU"
    return Choice(PLAIN, model, plain.label(device), reason)


def _engine_dtype(name: str) -> EngineDtype:
    return next(dtype for dtype in ENGINE_DTYPES if dtype == name)
