"""Generations on a GPU by the kernels of `kernels/cuda`: the library, a decoder's weights, a batch on its way.

The library is called with plain addresses (`ctypes`): it knows nothing of torch, and torch nothing of it. What it
computes is what `amt.ops.decode.Generation` computes; float32 weights give the same tokens, as far as rounding goes.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from amt.errors import BackendUnavailableError, DecodingError, DeviceError
from amt.named_values import named_values
from amt.ops.decode import FINISH_REASONS, DecoderShape, EngineDtype, PromptRows, RowResult, prompt_lists

LIBRARY = Path(__file__).parents[1] / "_cuda.so"
FIRST_STEPS = 16  # before the first look at the clock
KINDS: tuple[type[Exception], ...] = (ValueError, DecodingError, MemoryError, DeviceError)

_POINTER, _INT, _INT64 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
_TEXT = ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "amt_cuda_error": (_TEXT, []),
    "amt_cuda_can_loop": (_INT, [_INT, _POINTER]),
    "amt_cuda_decoder_new": (_INT, [_INT, _TEXT, _POINTER, _POINTER, _INT64, _POINTER]),
    "amt_cuda_decoder_delete": (None, [_POINTER]),
    "amt_cuda_decoder_loops": (_INT, [_POINTER]),
    "amt_cuda_generation_new": (
        _INT,
        [
            *(_POINTER, _TEXT, _TEXT, _TEXT, _POINTER, _INT64, _TEXT, _POINTER, _POINTER, _POINTER, _INT64),
            *(_POINTER, _INT64, _POINTER, _INT64, _INT, _POINTER),
        ],
    ),
    "amt_cuda_generation_delete": (None, [_POINTER]),
    "amt_cuda_generation_loops": (_INT, [_POINTER]),
    "amt_cuda_generation_run": (_INT, [_POINTER, _INT64, _INT, _POINTER]),
    "amt_cuda_generation_read": (_INT, [_POINTER, _INT64, _POINTER, _POINTER, _POINTER, _POINTER]),
    "amt_cuda_generation_new_tokens": (_INT, [_POINTER, _INT64, _INT64, _INT64, _POINTER, _POINTER, _POINTER]),
}


class Library:
    """The compiled kernels.

    Args:
        path: of the library.

    Raises:
        BackendUnavailableError: it does not load.
    """

    def __init__(self, path: Path):
        try:
            self._functions = ctypes.CDLL(str(path))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(self._functions, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            raise BackendUnavailableError(f"the library of GPU kernels does not load ({error})") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._functions, name)

    def can_loop(self, device: int) -> bool:
        """Whether a GPU repeats steps by itself; else the processor starts each.

        Raises:
            DeviceError: the GPU cannot be used. MemoryError: it has too little memory.
        """
        loops = _INT()
        self.check(self.amt_cuda_can_loop(device, ctypes.byref(loops)))
        return bool(loops.value)

    def check(self, kind: int) -> None:
        """Raise what a function returned."""
        if kind:
            raise KINDS[kind - 1](self.amt_cuda_error().decode())


@functools.cache
def library() -> Library:
    """The library that was built with the package.

    Raises:
        BackendUnavailableError: it was not built, or does not load.
    """
    if not LIBRARY.is_file():
        raise BackendUnavailableError(
            "the GPU kernels are not built; install the CUDA toolkit and reinstall with AMT_CUDA=on"
        )
    return Library(LIBRARY)


def explain() -> str:
    """One line for `amt info`."""
    told = "CUDA kernels for decoding, with backend='cuda'; they have not run on a GPU yet"
    try:
        kernels = library()
        if not torch.cuda.is_available():
            return told
        return f"{told}; steps {way_of(kernels.can_loop(0))}"
    except (BackendUnavailableError, DeviceError, MemoryError) as error:
        return str(error)


def way_of(is_loop: bool) -> str:
    """How steps are repeated, in words."""
    return "in a loop of the GPU" if is_loop else "started one by one"


def _addresses(tensors: Sequence[torch.Tensor | None]) -> Any:
    return (_POINTER * max(1, len(tensors)))(*[None if each is None else each.data_ptr() for each in tensors])


def _integers(numbers: Sequence[int], kind: Any) -> Any:
    return (kind * max(1, len(numbers)))(*numbers)


class CudaDecoder:
    """A decoder's weights in the memory of a GPU.

    Args:
        shape: the sizes.
        tensors: as of `amt.ops.decode.pack_decoder`.
        dtype: "float32" or "bfloat16".
        device: the number of the GPU.
        kernels: default: those of this package.

    Raises:
        ValueError: tensors that do not fit, or a model for which there are no kernels.
        MemoryError: the GPU has too little memory.
        BackendUnavailableError: there is no library.
    """

    def __init__(
        self,
        shape: DecoderShape,
        tensors: Sequence[torch.Tensor],
        dtype: EngineDtype,
        *,
        device: int = 0,
        kernels: Library | None = None,
    ):
        self.library = library() if kernels is None else kernels
        on_cpu = [tensor.detach().to("cpu", torch.float32).contiguous() for tensor in tensors]
        sizes = _integers([tensor.numel() for tensor in on_cpu], _INT64)
        text = named_values({**dataclasses.asdict(shape), "dtype": dtype}).encode()
        made = _POINTER()
        self.library.check(
            self.library.amt_cuda_decoder_new(device, text, _addresses(on_cpu), sizes, len(on_cpu), ctypes.byref(made))
        )
        self.pointer = made.value
        weakref.finalize(self, self.library.amt_cuda_decoder_delete, made.value)

    @property
    def can_loop(self) -> bool:
        """Whether the GPU repeats steps by itself; else the processor starts each."""
        return bool(self.library.amt_cuda_decoder_loops(self.pointer))


class CudaGeneration:
    """A batch of prompts on its way; as `amt.ops.decode.Generation` with a search, and its arguments are those.

    Args:
        memories: on the GPU of the decoder, float32.
        may_loop: False: the processor starts each step, even where the GPU could repeat them by itself.
    """

    def __init__(
        self,
        decoder: CudaDecoder,
        options: Mapping[str, object],
        prompts: Sequence[PromptRows],
        memories: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor | None],
        *,
        grammars: tuple[str, Sequence[str]] | None = None,
        features: str = "",
        may_loop: bool = True,
    ):
        self._library = decoder.library
        self._steps_per_ms = 0.0  # so far
        self.num_rows = int(str(options.get("num_rows", 1)))
        self.num_prompts = len(prompts)
        self.max_len = max(len(prompt.prefix) + prompt.max_new_tokens for prompt in prompts)
        self.stage_seconds: dict[str, float] = {}
        there = [memory.float().contiguous() for memory in memories]
        here = [None if mask is None else mask.to("cpu", torch.uint8).contiguous() for mask in masks]
        if there[0].is_cuda:
            torch.cuda.synchronize(there[0].device)  # the library has a stream of its own
        vocabulary, constraints = ("", []) if grammars is None else (grammars[0], list(grammars[1]))
        prefix_ids = [token for prompt in prompts for token in prompt.prefix]
        history_ids = [token for prompt in prompts for token in prompt.history]
        made = _POINTER()
        self._library.check(
            self._library.amt_cuda_generation_new(
                decoder.pointer,
                named_values(options).encode(),
                named_values(prompt_lists(prompts, has_grammar=grammars is not None)).encode(),
                vocabulary.encode(),
                (_TEXT * max(1, len(constraints)))(*[text.encode() for text in constraints]),
                len(constraints),
                features.encode(),
                _addresses(there),
                _integers([memory.shape[3] for memory in there], _INT64),
                _addresses(here),
                len(there),
                _integers(prefix_ids, ctypes.c_int32),
                len(prefix_ids),
                _integers(history_ids, ctypes.c_int32),
                len(history_ids),
                int(may_loop),
                ctypes.byref(made),
            )
        )
        self._pointer = made.value
        weakref.finalize(self, self._library.amt_cuda_generation_delete, made.value)

    def run(self, max_steps: int = 1 << 40, max_ms: int = 1 << 40, *, is_last: bool = False) -> tuple[int, bool]:
        """See `amt.ops.decode.Generation.run`; with max_ms=0 one step.

        The clock is looked at after 16 steps, and then when the time should be over.
        """
        began, left_ms = time.monotonic(), float(max_ms)
        progress = (_INT64 * 2)()
        while True:
            fitting = max(FIRST_STEPS, int(self._steps_per_ms * left_ms)) if max_ms > 0 else 1
            num_steps = min(max_steps, fitting)
            before = time.monotonic()
            self._library.check(self._library.amt_cuda_generation_run(self._pointer, num_steps, int(is_last), progress))
            now = time.monotonic()
            self._steps_per_ms = num_steps / max(1e-3, 1e3 * (now - before))
            max_steps -= num_steps
            left_ms = max_ms - 1e3 * (now - began)
            num_tokens, is_done = progress[0], bool(progress[1])
            if is_done or max_steps <= 0 or left_ms <= 0:
                return num_tokens, is_done

    @property
    def has_looped(self) -> bool:
        """Whether the GPU has repeated the steps by itself."""
        return bool(self._library.amt_cuda_generation_loops(self._pointer))

    def read(self) -> list[list[RowResult]]:
        """See `amt.ops.decode.Generation.read`."""
        shape = (self.num_prompts, self.num_rows)
        lengths = torch.zeros(*shape, 3, dtype=torch.int64, device="cpu")
        token_ids = torch.zeros(*shape, self.max_len, dtype=torch.int32, device="cpu")
        log_probs = torch.zeros(*shape, self.max_len, dtype=torch.float32, device="cpu")
        scores = torch.zeros(shape, dtype=torch.float64, device="cpu")
        places = [each.data_ptr() for each in (lengths, token_ids, log_probs, scores)]
        self._library.check(self._library.amt_cuda_generation_read(self._pointer, self.max_len, *places))
        return [
            [
                RowResult(
                    tuple(token_ids[prompt, row, :length].tolist()),
                    tuple(log_probs[prompt, row, :num_new].tolist()),
                    float(scores[prompt, row]),
                    FINISH_REASONS[reason],
                )
                for row, (length, num_new, reason) in enumerate(lengths[prompt].tolist())
                if length
            ]
            for prompt in range(self.num_prompts)
        ]

    def new_tokens(self, first: int, group: int = 0) -> list[tuple[int, float]]:
        """See `amt.ops.decode.Generation.new_tokens`."""
        token_ids, log_probs = (ctypes.c_int32 * self.max_len)(), (ctypes.c_float * self.max_len)()
        num = _INT64()
        self._library.check(
            self._library.amt_cuda_generation_new_tokens(
                self._pointer, group, first, self.max_len, token_ids, log_probs, ctypes.byref(num)
            )
        )
        return list(zip(token_ids[: num.value], log_probs[: num.value], strict=True))
