"""The backend of the CUDA kernels: the engine's requests, run on a GPU by kernels/cuda."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from amt.config import check_choice
from amt.decoding.backends.engine import Engine
from amt.midi.features import layout_text
from amt.ops.cuda import CudaDecoder, CudaGeneration, Library, way_of
from amt.ops.decode import EngineDtype, PromptRows

DTYPES = ("float32", "bfloat16")


class CudaEngine(Engine):
    """A model's decoder in the memory of a GPU.

    Args:
        model: a `MusicTransformer`; its encoder goes on running in PyTorch, on the same GPU.
        dtype: "float32" gives the tokens of plain PyTorch; "bfloat16" is faster and nearly as good.
        device: the number of the GPU.
        kernels: for tests: other kernels than those of this package.
        may_loop: False: the processor starts each step, even where the GPU could repeat them by itself.

    Raises:
        BackendUnavailableError: the library is missing. ValueError: no such dtype, or no kernels for this model.
        MemoryError: the GPU has too little memory.
    """

    def __init__(
        self,
        model: Any,
        dtype: EngineDtype = "float32",
        *,
        device: int = 0,
        kernels: Library | None = None,
        may_loop: bool = True,
    ):
        check_choice("dtype", dtype, DTYPES)
        self.may_loop = may_loop
        self.model, self.dtype, self.config = model, dtype, model.config
        self._place = f"cuda:{device}"
        self.num_threads = 1  # of the encoder, which uses the whole GPU by itself
        self.shape, tensors = model.decoder_weights()
        self.decoder = CudaDecoder(self.shape, tensors, dtype, device=device, kernels=kernels)
        self.features = "" if model.feature_layout is None else layout_text(model.feature_layout)

    @property
    def label(self) -> str:
        """What runs, in words."""
        return f"CUDA kernels {self.dtype} on {self._place}, steps {way_of(self.may_loop and self.decoder.can_loop)}"

    def start_cache(self, memory: torch.Tensor, memory_mask: torch.Tensor | None, num_bars: int = 0) -> Any:
        """See `MusicTransformer.start_cache`: where Python chooses the tokens, PyTorch runs the decoder."""
        return self.model.start_cache(memory, memory_mask, num_bars)

    def decode_step(self, token_ids: torch.Tensor, cache: Any) -> torch.Tensor:
        """See `MusicTransformer.decode_step`."""
        return self.model.decode_step(token_ids, cache)  # type: ignore[no-any-return]

    def begin(
        self,
        options: dict[str, object],
        prompts: list[PromptRows],
        memories: list[torch.Tensor],
        masks: list[torch.Tensor | None],
        *,
        grammars: tuple[str, list[str]] | None,
    ) -> CudaGeneration:
        """A generation of this decoder."""
        return CudaGeneration(
            self.decoder,
            options,
            prompts,
            memories,
            masks,
            grammars=grammars,
            features=self.features,
            may_loop=self.may_loop,
        )


_engines: weakref.WeakKeyDictionary[Any, dict[tuple[EngineDtype, int], CudaEngine]] = weakref.WeakKeyDictionary()


def packed_engine(model: Any, dtype: EngineDtype, device: torch.device) -> CudaEngine:
    """The engine of a model on a GPU; packed when it is first asked for, kept as long as the model.

    Raises:
        BackendUnavailableError: the kernels are not built. ValueError: there are none for this model or dtype.
        MemoryError, DeviceError: the GPU has too little memory, or does not work.
    """
    engines, key = _engines.setdefault(model, {}), (dtype, device.index or 0)
    if key not in engines:
        engines[key] = CudaEngine(model, dtype, device=device.index or 0)
    return engines[key]
