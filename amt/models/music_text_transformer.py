"""Text to MIDI and MIDI to text: a MusicTransformer with a second encoder, over MIDI tokens."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeVar

import torch
from torch import nn

from amt.midi.config import TokenizerConfig
from amt.models.music_transformer import MusicTransformer
from amt.nn.config import ModelConfig
from amt.nn.features import FeatureInputs
from amt.nn.layers import Encoder

M = TypeVar("M", bound="MusicTextTransformer")


class MusicTextTransformer(MusicTransformer):
    """A model with two modes: text -> MIDI (logits) and MIDI -> text (a text embedding).

    For MIDI -> text an encoder of its own reads the whole piece in both directions, over the token embedding that both
    modes share; the mean over real positions is projected to the size of a text embedding.

    Args:
        num_layers: of each of the three stacks: text encoder, MIDI decoder, MIDI encoder.
        midi_to_text_len: the most tokens that the MIDI encoder reads of a piece at once, in training and in
            `amt.describe` and `amt.search`; longer pieces are read in parts.
        Everything else as in `MusicTransformer`.
    """

    def __init__(
        self,
        vocab_size: int,
        d_model: int = 512,
        nhead: int = 8,
        num_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        max_sequence_length: int = 1024,
        text_embedding_dim: int = 768,
        *,
        norm_first: bool = False,
        activation: Literal["relu", "gelu", "swiglu"] = "relu",
        positions: Literal["sinusoidal", "rotary", "relative"] = "sinusoidal",
        tie_output: bool = False,
        midi_to_text_len: int = 512,
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
        super().__init__(
            vocab_size,
            d_model,
            nhead,
            num_layers,
            num_layers,
            dim_feedforward,
            dropout,
            max_sequence_length,
            text_embedding_dim,
            norm_first=norm_first,
            activation=activation,
            positions=positions,
            tie_output=tie_output,
            pad_token_id=pad_token_id,
            state_features=state_features,
            rotary_time=rotary_time,
            qk_norm=qk_norm,
            zero_outputs=zero_outputs,
            attributes=attributes,
            edits=edits,
            longest_notes=longest_notes,
            attention_window=attention_window,
            cross_attention_layers=cross_attention_layers,
            tokenizer_config=tokenizer_config,
        )
        self.config = dataclasses.replace(self.config, architecture="music_text", midi_to_text_len=midi_to_text_len)
        self.midi_encoder = Encoder(self.config, num_layers)
        self.text_output = nn.Linear(d_model, text_embedding_dim)
        self.reset_parameters()

    @classmethod
    def from_config(
        cls: type[M], config: ModelConfig, *, pad_token_id: int = 0, tokenizer_config: TokenizerConfig | None = None
    ) -> M:
        """The model that `config` describes, with fresh weights.

        Raises:
            ValueError: the config is for another architecture, or its stacks are not equally deep.
        """
        if config.architecture != "music_text":
            raise ValueError(
                f'MusicTextTransformer has architecture "music_text", got "{config.architecture}"; use build_model'
            )
        if config.num_encoder_layers != config.num_decoder_layers:
            raise ValueError(
                "MusicTextTransformer needs num_encoder_layers equal to num_decoder_layers, "
                f"got {config.num_encoder_layers} and {config.num_decoder_layers}"
            )
        options = config.to_dict()
        del options["architecture"], options["num_decoder_layers"]
        num_layers = options.pop("num_encoder_layers")
        return cls(num_layers=num_layers, **options, pad_token_id=pad_token_id, tokenizer_config=tokenizer_config)

    def midi_to_text(self, token_ids: torch.Tensor, token_mask: torch.Tensor | None = None) -> torch.Tensor:
        """The text embedding of each piece, (batch, text_embedding_dim).

        Args:
            token_ids: (batch, seq_len), int64.
            token_mask: (batch, seq_len), bool, True = real; None: all but pad_token_id are real.
        """
        self._check_length("token_ids", token_ids.shape[-1])
        if token_mask is None:
            token_mask = token_ids != self.pad_token_id
        hidden = self.midi_encoder(self._embed(token_ids), token_mask)  # (batch, seq_len, d_model)
        total = hidden.masked_fill(~token_mask[:, :, None], 0.0).sum(1)
        return self.text_output(total / token_mask.sum(1, keepdim=True).clamp(min=1))  # type: ignore[no-any-return]

    def forward(
        self,
        text_embeddings: torch.Tensor | None,
        token_ids: torch.Tensor,
        text_mask: torch.Tensor | None = None,
        token_mask: torch.Tensor | None = None,
        features: FeatureInputs | None = None,
        attribute_ids: torch.Tensor | None = None,
        *,
        mode: Literal["text_to_midi", "midi_to_text"] = "text_to_midi",
    ) -> torch.Tensor:
        """Logits (batch, seq_len, vocab_size), or in mode "midi_to_text" text embeddings (batch, text_embedding_dim).

        Args:
            text_embeddings: (batch, src_len, text_embedding_dim); not read in mode "midi_to_text".
        """
        if mode == "midi_to_text":
            return self.midi_to_text(token_ids, token_mask)
        if mode != "text_to_midi":
            raise ValueError(f'mode must be "text_to_midi" or "midi_to_text", got {mode!r}')
        if text_embeddings is None:
            raise ValueError('mode "text_to_midi" needs text_embeddings')
        return super().forward(text_embeddings, token_ids, text_mask, token_mask, features, attribute_ids)
