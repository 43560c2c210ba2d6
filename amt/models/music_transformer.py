"""Text to MIDI: an encoder over text embeddings and a decoder over MIDI tokens."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, FeatureState
from amt.midi.vocabulary import vocabulary_of
from amt.models.feature_inputs import advance, features_of_rows
from amt.nn.cache import DecoderCache
from amt.nn.config import ModelConfig
from amt.nn.features import FeatureInputs, StateFeatures
from amt.nn.layers import Decoder, Encoder
from amt.ops.decode import DecoderShape
from amt.request.attributes import check_attributes, num_attribute_ids

M = TypeVar("M", bound="MusicTransformer")


class MusicTransformer(nn.Module):
    """An encoder-decoder transformer that gives the logits of the next MIDI token for a text.

    With sinusoidal positions token embeddings are multiplied by sqrt(d_model), which gives them about unit size beside
    the positions. Text embeddings pass a linear projection. In `decode`, padding on the right needs no mask: causal
    attention already hides it from every real token.

    Args:
        vocab_size: number of token ids.
        d_model: width.
        nhead: attention heads; 2 * nhead must divide d_model.
        num_encoder_layers: layers over the text embeddings.
        num_decoder_layers: layers over the tokens.
        dim_feedforward: hidden width of the feed-forward networks (for "swiglu" see `swiglu_hidden_size`).
        dropout: share of values dropped in training.
        max_sequence_length: the most tokens, and the most text embeddings.
        text_embedding_dim: size of one text embedding.
        norm_first: norms before the sublayers (and one at the end of each stack) instead of after them.
        activation: of the feed-forward networks: "relu", "gelu" or "swiglu".
        positions: "sinusoidal", "rotary" or "relative"; see `amt.nn.positions.Positions`.
        tie_output: whether the output layer's weight is the token embedding's.
        pad_token_id: the token that stands for no token.
        state_features, rotary_time, qk_norm, zero_outputs, attributes, edits, longest_notes,
            attention_window, cross_attention_layers: see `ModelConfig`.
        tokenizer_config: what the tokens mean, for state_features and rotary_time; default: that of
            `TokenizerConfig()`.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        max_sequence_length: int = 1024,
        text_embedding_dim: int = 768,
        *,
        norm_first: bool = False,
        activation: Literal["relu", "gelu", "swiglu"] = "relu",
        positions: Literal["sinusoidal", "rotary", "relative"] = "sinusoidal",
        tie_output: bool = False,
        pad_token_id: int = 0,
        state_features: tuple[str, ...] = (),
        rotary_time: bool = False,
        qk_norm: bool = False,
        zero_outputs: bool = False,
        attributes: tuple[str, ...] = (),
        edits: bool = False,
        longest_notes: tuple[float, ...] = (),
        attention_window: int = 0,
        cross_attention_layers: int = 0,
        tokenizer_config: TokenizerConfig | None = None,
    ):
        super().__init__()
        self.config = ModelConfig(
            architecture="music",
            vocab_size=vocab_size,
            d_model=d_model,
            nhead=nhead,
            num_encoder_layers=num_encoder_layers,
            num_decoder_layers=num_decoder_layers,
            dim_feedforward=dim_feedforward,
            dropout=dropout,
            max_sequence_length=max_sequence_length,
            text_embedding_dim=text_embedding_dim,
            norm_first=norm_first,
            activation=activation,
            positions=positions,
            tie_output=tie_output,
            state_features=state_features,
            rotary_time=rotary_time,
            qk_norm=qk_norm,
            zero_outputs=zero_outputs,
            attributes=attributes,
            edits=edits,
            longest_notes=longest_notes,
            attention_window=attention_window,
            cross_attention_layers=cross_attention_layers,
        )
        if not 0 <= pad_token_id < vocab_size:
            raise ValueError(f"pad_token_id must be between 0 and {vocab_size - 1}, got {pad_token_id}")
        self.pad_token_id = pad_token_id
        self.embedding_scale = math.sqrt(d_model) if positions == "sinusoidal" else 1.0
        self.feature_layout = _feature_layout(self.config, tokenizer_config or TokenizerConfig())
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.state_features = (
            StateFeatures(self.feature_layout.num_columns, d_model) if self.feature_layout and state_features else None
        )
        self.text_projection = nn.Linear(text_embedding_dim, d_model)
        check_attributes(attributes)
        self.attribute_embedding = nn.Embedding(num_attribute_ids(attributes), d_model) if attributes else None
        self.encoder = Encoder(self.config, num_encoder_layers)
        self.decoder = Decoder(self.config)
        self.output_weight = None if tie_output else nn.Parameter(torch.empty(vocab_size, d_model))
        self.output_bias = nn.Parameter(torch.zeros(vocab_size))
        self.reset_parameters()

    @classmethod
    def from_config(
        cls: type[M], config: ModelConfig, *, pad_token_id: int = 0, tokenizer_config: TokenizerConfig | None = None
    ) -> M:
        """The model that `config` describes, with fresh weights.

        Raises:
            ValueError: the config is for another architecture.
        """
        if config.architecture != "music":
            raise ValueError(f'MusicTransformer has architecture "music", got "{config.architecture}"; use build_model')
        options = config.to_dict()
        del options["architecture"], options["midi_to_text_len"]
        return cls(**options, pad_token_id=pad_token_id, tokenizer_config=tokenizer_config)

    def reset_parameters(self) -> None:
        """Fresh weights from torch's generator.

        Matrices are Xavier uniform, as in `torch.nn.Transformer`; embeddings and output have standard deviation
        d_model ** -0.5; biases are zero. With norm_first, what enters a residual is smaller by the square root of the
        number of its sublayers (Radford et al. 2019, section 2.3); with zero_outputs it is zero.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        std = self.config.d_model**-0.5
        nn.init.normal_(self.token_embedding.weight, std=std)
        if self.output_weight is not None:
            nn.init.normal_(self.output_weight, std=std)
        if self.state_features is not None:
            self.state_features.reset_parameters()
        if self.attribute_embedding is not None:  # as large as what the encoder's last norm gives
            nn.init.normal_(self.attribute_embedding.weight, std=0.5)
        if self.config.norm_first or self.config.zero_outputs:
            with torch.no_grad():
                for stack in self.modules():
                    if isinstance(stack, (Encoder, Decoder)):
                        cross_layers = stack.cross_layers if isinstance(stack, Decoder) else ()
                        sublayers = 2 * len(stack.layers) + len(cross_layers)
                        for name, weight in stack.named_parameters():
                            if name.endswith(("attention.output.weight", "linear2.weight")):
                                weight.mul_(0.0 if self.config.zero_outputs else sublayers**-0.5)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_embedding.weight.device

    def _embed(self, token_ids: torch.Tensor, features: FeatureInputs | None = None) -> torch.Tensor:
        if token_ids.dim() != 2:
            raise ValueError(f"token_ids must be (batch, seq_len), got shape {tuple(token_ids.shape)}")
        embedded = self.token_embedding(token_ids)  # (batch, seq_len, d_model)
        if self.embedding_scale != 1.0:
            embedded = embedded * self.embedding_scale
        if self.state_features is not None and features is not None:
            embedded = embedded + self.state_features(features)
        return embedded  # type: ignore[no-any-return]

    def _check_length(self, name: str, length: int) -> None:
        if length > self.config.max_sequence_length:
            raise ValueError(
                f"{name} has {length} positions, more than max_sequence_length ({self.config.max_sequence_length})"
            )

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        weight = self.token_embedding.weight if self.output_weight is None else self.output_weight
        return F.linear(hidden, weight, self.output_bias)

    def encode(
        self,
        text_embeddings: torch.Tensor,
        text_mask: torch.Tensor | None = None,
        attribute_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The memory that the decoder attends to, (batch, src_len, d_model), behind it a row for each attribute.

        Args:
            text_embeddings: (batch, src_len, text_embedding_dim).
            text_mask: (batch, src_len), bool, True = real; None: all are real.
            attribute_ids: (batch, num_attributes), int64, from `amt.request.attributes`, 0 where a row has fewer; see
                `memory_mask` for what may be attended to.
        """
        if text_embeddings.dim() != 3 or text_embeddings.shape[2] != self.config.text_embedding_dim:
            raise ValueError(
                f"text_embeddings must be (batch, src_len, {self.config.text_embedding_dim}), "
                f"got shape {tuple(text_embeddings.shape)}"
            )
        self._check_length("text_embeddings", text_embeddings.shape[1])
        memory = self.encoder(self.text_projection(text_embeddings), text_mask)
        if attribute_ids is None:
            return memory  # type: ignore[no-any-return]
        if self.attribute_embedding is None:
            raise ValueError("this model reads no attributes; its config has none")
        self._check_length("text and attributes have together", memory.shape[1] + attribute_ids.shape[1])
        return torch.cat((memory, self.attribute_embedding(attribute_ids).to(memory.dtype)), 1)

    def memory_mask(
        self, text_embeddings: torch.Tensor, text_mask: torch.Tensor | None, attribute_ids: torch.Tensor | None
    ) -> torch.Tensor | None:
        """What may be attended to of the memory that `encode` makes of these, (batch, len), bool; None: all of it."""
        if attribute_ids is None:
            return text_mask
        if text_mask is None:
            text_mask = torch.ones(text_embeddings.shape[:2], dtype=torch.bool, device=text_embeddings.device)
        return torch.cat((text_mask, attribute_ids != 0), 1)

    def decode(
        self,
        token_ids: torch.Tensor,
        memory: torch.Tensor,
        *,
        memory_mask: torch.Tensor | None = None,
        token_mask: torch.Tensor | None = None,
        features: FeatureInputs | None = None,
    ) -> torch.Tensor:
        """Logits of the token after each position, (batch, seq_len, vocab_size).

        Args:
            token_ids: (batch, seq_len), int64.
            memory: (batch, src_len, d_model), from `encode`.
            memory_mask: (batch, src_len), bool: the text_mask.
            token_mask: (batch, seq_len), bool, True = real; needed only if there is padding before real tokens.
            features: of the tokens; default: those that follow from them, with an unknown number of bars.
        """
        self._check_length("token_ids", token_ids.shape[-1])
        if features is None and self.feature_layout is not None:
            features = features_of_rows(self.feature_layout, token_ids)
        times = None if features is None else features.times
        return self._logits(self.decoder(self._embed(token_ids, features), memory, memory_mask, token_mask, times))

    def forward(
        self,
        text_embeddings: torch.Tensor,
        token_ids: torch.Tensor,
        text_mask: torch.Tensor | None = None,
        token_mask: torch.Tensor | None = None,
        features: FeatureInputs | None = None,
        attribute_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`encode`, then `decode`: logits (batch, seq_len, vocab_size)."""
        memory = self.encode(text_embeddings, text_mask, attribute_ids)
        mask = self.memory_mask(text_embeddings, text_mask, attribute_ids)
        return self.decode(token_ids, memory, memory_mask=mask, token_mask=token_mask, features=features)

    @torch.no_grad()
    def decoder_weights(self) -> tuple[DecoderShape, list[torch.Tensor]]:
        """What the decode engine packs: the decoder's sizes and tensors, in its order; see `amt.ops.decode`."""
        config, positions = self.config, self.decoder.positions
        layers: list[Any] = list(self.decoder.layers)
        shape = DecoderShape(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            num_heads=config.nhead,
            num_layers=len(layers),
            hidden_size=layers[0].feed_forward.linear2.in_features,
            max_sequence_length=config.max_sequence_length,
            norm_first=config.norm_first,
            activation=config.activation,
            positions=config.positions,
            num_feature_columns=0 if self.state_features is None else len(self.state_features.weight),
            rotary_time=config.rotary_time,
            qk_norm=config.qk_norm,
            attention_window=config.attention_window,
            cross_attention_layers=config.cross_attention_layers,
        )
        tensors = [self.token_embedding.weight]
        if self.state_features is not None:
            tensors.append(self.state_features.weight)
        tensors += positions.decode_tables(config.max_sequence_length)
        for layer in layers:
            cross = layer.cross_attention
            norms = (layer.norm1, layer.norm2, layer.norm3)
            tensors += [tensor for norm in norms if norm is not None for tensor in norm.parameters()]
            for linear in (
                layer.self_attention.query_key_value,
                layer.self_attention.output,
                *(() if cross is None else (cross.query, cross.output)),
                layer.feed_forward.linear1,
                layer.feed_forward.linear2,
            ):
                tensors += [linear.weight, linear.bias]
        if self.decoder.norm is not None:
            tensors += [self.decoder.norm.weight, self.decoder.norm.bias]
        output_weight = self.token_embedding.weight if self.output_weight is None else self.output_weight
        return shape, [*tensors, output_weight, self.output_bias]

    @torch.no_grad()
    def start_cache(
        self, memory: torch.Tensor, memory_mask: torch.Tensor | None = None, num_bars: int = 0
    ) -> DecoderCache:
        """A cache for `decode_step`, with the memory's keys and values.

        Args:
            num_bars: how many bars the music is to have, for a model with that state feature; 0: unknown.
        """
        memory_kv = torch.stack(self.decoder.project_memory(memory))
        states = []
        if self.feature_layout is not None:
            states = [FeatureState(self.feature_layout, num_bars) for _ in range(memory.shape[0])]
        num_layers = self.config.num_decoder_layers
        return DecoderCache.empty(num_layers, memory_kv, memory_mask, self.config.max_sequence_length, states)

    @torch.no_grad()
    def decode_step(self, token_ids: torch.Tensor, cache: DecoderCache) -> torch.Tensor:
        """Logits of the token after each new one, (batch, num_tokens, vocab_size); the new ones join the cache.

        Args:
            token_ids: (batch, num_tokens), int64: the tokens that follow those in the cache.
            cache: from `start_cache`; changed in place.
        """
        if token_ids.shape[0] != cache.batch_size:
            raise ValueError(f"token_ids has {token_ids.shape[0]} rows, the cache {cache.batch_size}")
        if not cache.states:
            return self._logits(self.decoder.step(self._embed(token_ids), cache))
        features = advance(cache.states, token_ids)
        return self._logits(self.decoder.step(self._embed(token_ids, features), cache, features.times))


def _feature_layout(config: ModelConfig, tokenizer_config: TokenizerConfig) -> FeatureLayout | None:
    """What says of the tokens what is true after them; None if the model need not know."""
    if not config.state_features and not config.rotary_time:
        return None
    layout = FeatureLayout(tokenizer_config, config.state_features)
    vocab_size = len(vocabulary_of(tokenizer_config))
    if config.vocab_size != vocab_size:
        raise ValueError(
            f"state_features and rotary_time need the tokenizer of the model: vocab_size is {config.vocab_size}, the"
            f" tokenizer has {vocab_size} tokens; pass tokenizer_config="
        )
    return layout
