"""Feed-forward networks, the layers of encoder and decoder, and the stacks that they form."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from amt.nn.attention import CrossAttention, SelfAttention
from amt.nn.cache import DecoderCache
from amt.nn.config import ModelConfig
from amt.nn.positions import Positions
from amt.ops.swiglu import swiglu

Rotary = tuple[torch.Tensor, torch.Tensor]


def swiglu_hidden_size(dim_feedforward: int) -> int:
    """The width that gives SwiGLU's three matrices the parameters of two: 2/3, to the nearest multiple of 8."""
    return max(8, (2 * dim_feedforward + 12) // 24 * 8)


def drop(x: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """Dropout with `module.dropout`, and no operation at all where it would do nothing."""
    p = float(module.dropout)  # type: ignore[arg-type]
    return F.dropout(x, p) if module.training and p > 0.0 else x


class FeedForward(nn.Module):
    """Two linear layers around an activation; "swiglu" gates one half of the first with the other.

    Source: Shazeer 2020, arXiv:2002.05202.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.activation = config.activation
        self.dropout = config.dropout
        is_gated = config.activation == "swiglu"
        hidden = swiglu_hidden_size(config.dim_feedforward) if is_gated else config.dim_feedforward
        self.linear1 = nn.Linear(config.d_model, 2 * hidden if is_gated else hidden)
        self.linear2 = nn.Linear(hidden, config.d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (batch, seq_len, d_model) -> (batch, seq_len, d_model)."""
        hidden = self.linear1(x)
        if self.activation == "swiglu":
            hidden = swiglu(hidden)
        elif self.activation == "gelu":
            hidden = F.gelu(hidden)
        else:
            hidden = F.relu(hidden)
        return self.linear2(drop(hidden, self))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each with a residual; `norm_first` puts the norms before them."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.dropout = config.dropout
        self.norm_first = config.norm_first
        self.self_attention = SelfAttention(config.d_model, config.nhead, config.dropout, has_norm=config.qk_norm)
        self.feed_forward = FeedForward(config)
        self.norm1 = nn.LayerNorm(config.d_model)
        self.norm2 = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: torch.Tensor,
        key_padding_mask: torch.Tensor | None,
        rotary: Rotary | None,
        relative_bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """x (batch, seq_len, d_model) -> (batch, seq_len, d_model)."""

        def attend(x: torch.Tensor) -> torch.Tensor:
            mixed = self.self_attention(
                x, is_causal=False, key_padding_mask=key_padding_mask, rotary=rotary, relative_bias=relative_bias
            )
            return drop(mixed, self)

        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + drop(self.feed_forward(self.norm2(x)), self)
        x = self.norm1(x + attend(x))
        return self.norm2(x + drop(self.feed_forward(x), self))  # type: ignore[no-any-return]


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention if the config says so, and feed-forward, each with a residual."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.dropout = config.dropout
        self.norm_first = config.norm_first
        self.self_attention = SelfAttention(
            config.d_model, config.nhead, config.dropout, has_norm=config.qk_norm, window=config.window_of(layer)
        )
        has_cross = layer in config.layers_with_cross_attention()
        self.cross_attention = CrossAttention(config.d_model, config.nhead, config.dropout) if has_cross else None
        self.feed_forward = FeedForward(config)
        self.norm1 = nn.LayerNorm(config.d_model)
        self.norm2 = nn.LayerNorm(config.d_model) if has_cross else None
        self.norm3 = nn.LayerNorm(config.d_model)

    def forward(
        self,
        x: torch.Tensor,
        memory_kv: torch.Tensor | None,
        memory_mask: torch.Tensor | None,
        key_padding_mask: torch.Tensor | None,
        rotary: Rotary | None,
        relative_bias: torch.Tensor | None,
        cache: tuple[torch.Tensor, torch.Tensor] | None,
    ) -> torch.Tensor:
        """x (batch, seq_len, d_model) -> (batch, seq_len, d_model); memory_kv is None without cross-attention."""

        def attend(x: torch.Tensor) -> torch.Tensor:
            mixed = self.self_attention(
                x,
                is_causal=True,
                key_padding_mask=key_padding_mask,
                rotary=rotary,
                relative_bias=relative_bias,
                cache=cache,
            )
            return drop(mixed, self)

        if self.norm_first:
            x = x + attend(self.norm1(x))
            if self.cross_attention is not None and self.norm2 is not None:
                x = x + drop(self.cross_attention(self.norm2(x), memory_kv, memory_mask), self)
            return x + drop(self.feed_forward(self.norm3(x)), self)
        x = self.norm1(x + attend(x))
        if self.cross_attention is not None and self.norm2 is not None:
            x = self.norm2(x + drop(self.cross_attention(x, memory_kv, memory_mask), self))
        return self.norm3(x + drop(self.feed_forward(x), self))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Positions and encoder layers; a norm at the end if the layers' norms come first."""

    def __init__(self, config: ModelConfig, num_layers: int):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(num_layers))
        self.positions = Positions(config.positions, config.d_model, config.nhead, config.max_sequence_length)
        self.norm = nn.LayerNorm(config.d_model) if config.norm_first else None
        self.dropout = config.dropout

    def forward(self, x: torch.Tensor, key_padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        """x (batch, seq_len, d_model), without positions -> (batch, seq_len, d_model).

        Args:
            key_padding_mask: (batch, seq_len), bool, True = may attend; or None.
        """
        x = drop(self.positions.add(x), self)
        rotary = self.positions.rotary(0, x.shape[1])
        for layer in self.layers:
            x = layer(x, key_padding_mask, rotary, self.positions.relative())
        return x if self.norm is None else self.norm(x)


class Decoder(nn.Module):
    """Positions and decoder layers; a norm at the end if the layers' norms come first."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(config, layer) for layer in range(config.num_decoder_layers))
        self.cross_layers = config.layers_with_cross_attention()
        self.positions = Positions(
            config.positions, config.d_model, config.nhead, config.max_sequence_length, has_time=config.rotary_time
        )
        self.norm = nn.LayerNorm(config.d_model) if config.norm_first else None
        self.dropout = config.dropout

    def project_memory(self, memory: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values of every layer that reads the memory, (2, batch, num_heads, src_len, head_dim) each.

        Args:
            memory: (batch, src_len, d_model).
        """
        return [self.layers[index].cross_attention.project(memory) for index in self.cross_layers]  # type: ignore[operator, union-attr]

    def _of_all_layers(self, memory_kv: Iterable[torch.Tensor]) -> list[torch.Tensor | None]:
        """What `project_memory` gave, with None for the layers that do not read the memory."""
        of_layer = dict(zip(self.cross_layers, memory_kv, strict=True))
        return [of_layer.get(index) for index in range(len(self.layers))]

    def forward(
        self,
        x: torch.Tensor,
        memory: torch.Tensor,
        memory_mask: torch.Tensor | None = None,
        key_padding_mask: torch.Tensor | None = None,
        times: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """All positions at once: x (batch, seq_len, d_model), without positions -> (batch, seq_len, d_model).

        Args:
            memory: (batch, src_len, d_model).
            memory_mask: (batch, src_len), bool, True = may attend; or None.
            key_padding_mask: (batch, seq_len), bool, True = may attend; or None.
            times: (batch, seq_len): the musical time after each token; read with `rotary_time`.
        """
        x = drop(self.positions.add(x), self)
        rotary = self.positions.rotary(0, x.shape[1], times)
        for layer, memory_kv in zip(self.layers, self._of_all_layers(self.project_memory(memory)), strict=True):
            x = layer(x, memory_kv, memory_mask, key_padding_mask, rotary, self.positions.relative(), None)
        return x if self.norm is None else self.norm(x)

    def step(self, x: torch.Tensor, cache: DecoderCache, times: torch.Tensor | None = None) -> torch.Tensor:
        """The next positions: x (batch, num_tokens, d_model) -> (batch, num_tokens, d_model), appended to the cache.

        Args:
            times: as in `forward`.
        """
        start = cache.length
        slots, pasts = cache.append(x.shape[1])
        x = self.positions.add(x, start)
        rotary = self.positions.rotary(start, cache.length, times)
        all_memory_kv = self._of_all_layers(cache.cross_kv)
        for layer, memory_kv, *kept in zip(self.layers, all_memory_kv, slots, pasts, strict=True):
            x = layer(x, memory_kv, cache.memory_mask, None, rotary, self.positions.relative(), tuple(kept))
        return x if self.norm is None else self.norm(x)
