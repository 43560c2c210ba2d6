"""What a decoder remembers between steps: keys and values of the tokens so far and of the memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

FIRST_CAPACITY = 64


@dataclasses.dataclass
class DecoderCache:
    """Keys and values of every layer; all rows have the same length.

    Attributes:
        self_kv: (num_layers, 2, batch, num_heads, capacity, head_dim): keys and values of the tokens so far, of which
            the first `length` positions are filled. The capacity doubles when it is full.
        cross_kv: (num_cross_layers, 2, batch, num_heads, src_len, head_dim): keys and values of the memory, computed
            once, for the layers that read it.
        memory_mask: (batch, src_len), bool, True = may attend; or None.
        max_length: the length beyond which nothing can be appended.
        length: how many tokens have been appended.
        states: for each row what its state features follow from (`amt.midi.features.FeatureState`); empty if the model
            has none.
    """

    self_kv: torch.Tensor
    cross_kv: torch.Tensor
    memory_mask: torch.Tensor | None
    max_length: int
    length: int = 0
    states: list[Any] = dataclasses.field(default_factory=list)

    @classmethod
    def empty(
        cls,
        num_layers: int,
        cross_kv: torch.Tensor,
        memory_mask: torch.Tensor | None,
        max_length: int,
        states: Sequence[Any] = (),
    ) -> DecoderCache:
        """The cache before the first token."""
        shape = (num_layers, *cross_kv.shape[1:4], min(FIRST_CAPACITY, max_length), cross_kv.shape[5])
        return cls(cross_kv.new_empty(shape), cross_kv, memory_mask, max_length, states=list(states))

    @property
    def batch_size(self) -> int:
        """How many rows there are."""
        return self.self_kv.shape[2]

    def append(self, num_tokens: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """Make room for `num_tokens` more positions, which the layers then fill.

        Returns:
            slots: per layer (2, batch, num_heads, num_tokens, head_dim), where the new keys and values go;
            pasts: per layer (2, batch, num_heads, length, head_dim), everything up to and with the new positions.

        Raises:
            ValueError: there would be more than max_length tokens.
        """
        start, end = self.length, self.length + num_tokens
        if end > self.max_length:
            raise ValueError(
                f"{end} tokens are more than max_sequence_length ({self.max_length}); "
                "stop earlier or use a model with a larger max_sequence_length"
            )
        capacity = self.self_kv.shape[4]
        if end > capacity:
            capacity = min(max(2 * capacity, end), self.max_length)
            grown = self.self_kv.new_empty((*self.self_kv.shape[:4], capacity, self.self_kv.shape[5]))
            grown[..., :start, :] = self.self_kv[..., :start, :]
            self.self_kv = grown
        self.length = end
        return self.self_kv[..., start:end, :].unbind(0), self.self_kv[..., :end, :].unbind(0)

    def select(self, index: torch.Tensor) -> DecoderCache:
        """A new cache whose row i is row index[i] of this one; rows may repeat or be left out.

        Args:
            index: (new_batch,), int64.
        """
        return DecoderCache(
            self.self_kv.index_select(2, index),
            self.cross_kv.index_select(2, index),
            None if self.memory_mask is None else self.memory_mask.index_select(0, index),
            self.max_length,
            self.length,
            [self.states[row].copy() for row in index.tolist()] if self.states else [],
        )
