"""What decoding needs of the things it is given; nothing here is imported by them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch


class DecoderCache(Protocol):
    """Keys and values of the positions decoded so far, one row per sequence."""

    def select(self, index: torch.Tensor, /) -> Any:
        """A new cache whose row i is a copy of row index[i]."""
        ...


class DecoderModel(Protocol):
    """A model from text embeddings to tokens; `config` has `vocab_size` and `max_sequence_length`."""

    config: Any

    def encode(self, text_embeddings: torch.Tensor, text_mask: torch.Tensor | None, /) -> torch.Tensor:
        """(batch, text_len, embedding), bool (batch, text_len), True = real -> memory (batch, text_len, d_model)."""
        ...

    def start_cache(self, memory: torch.Tensor, memory_mask: torch.Tensor | None, /) -> Any:
        """An empty DecoderCache over this memory."""
        ...

    def decode_step(self, token_ids: torch.Tensor, cache: Any, /) -> torch.Tensor:
        """Append token_ids (rows, n) to the cache; their logits (rows, n, vocab_size)."""
        ...


class GrammarState(Protocol):
    """Which tokens may come next; see `amt.midi.grammar`."""

    def allowed(self, remaining: int | None = None) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Bool (vocab_size,); `remaining` tokens may still come, this one included."""
        ...

    def advance(self, token_id: int, /) -> None:
        """Take a token; ValueError with the reason if it is not legal."""
        ...

    def copy(self) -> GrammarState:
        """An independent state."""
        ...


class LogitsProcessor(Protocol):
    """`transformers.LogitsProcessor`: token ids (rows, length), scores (rows, vocab_size) -> scores."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, /) -> torch.Tensor: ...


class StoppingCriteria(Protocol):
    """`transformers.StoppingCriteria`: token ids (rows, length), scores of all steps -> bool (rows,)."""

    def __call__(self, input_ids: torch.Tensor, scores: tuple[torch.Tensor, ...], /) -> torch.Tensor | bool: ...


class Streamer(Protocol):
    """`transformers.generation.BaseStreamer`: gets the prefix (1, length), then each token (1,)."""

    def put(self, value: torch.Tensor, /) -> None:
        """Take tokens."""
        ...

    def end(self) -> None:
        """The sequence is complete."""
        ...
