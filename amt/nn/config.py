"""The architecture of a model, as settings."""

from __future__ import annotations

import dataclasses
from typing import Literal

from amt.config import MAX_LAYERS, MAX_VOCAB_SIZE, MAX_WIDTH, Config, check_range

NUM_FAMILIES = 16  # of eight programs each; `amt.midi.programs.FAMILIES` names them


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
    """The architecture of a model. The defaults are the plain configuration of `torch.nn.Transformer`.

    `architecture` "music" is MusicTransformer, "music_text" MusicTextTransformer (whose MIDI encoder has
    `num_encoder_layers` layers too, and is trained on parts of `midi_to_text_len` tokens at most).

    What the decoder is told beside its tokens, and how it starts; all off by default:
    `state_features` are names out of docs/features.md. With `rotary_time` half of the rotary dimensions of the decoder
    turn by musical time. `qk_norm` gives queries and keys of self-attention one length. `zero_outputs` begins training
    with layers that add nothing. `attributes` are kinds of known facts that the decoder attends to beside the text,
    names out of docs/attributes.md.

    What makes the decoder cheaper, off by default, too: with `attention_window` self-attention sees only so many
    positions, its own among them, in all layers but the last. With `cross_attention_layers` only so many layers read
    the text: evenly spread and beginning with the first, so that all others work on what was read.

    `longest_notes`: how many beats notes last in the music that it learned from: the 99.9 % quantile for each of the 16
    families of General MIDI. It is how long they usually last at most; see docs/generation.md. Empty: unknown.

    `edits`: whether rows that ask for edits were among those that it learned; see docs/editing.md.
    """

    architecture: Literal["music", "music_text"] = "music"
    vocab_size: int = 659
    d_model: int = 512
    nhead: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dim_feedforward: int = 2048
    dropout: float = 0.1
    max_sequence_length: int = 1024
    text_embedding_dim: int = 768
    norm_first: bool = False
    activation: Literal["relu", "gelu", "swiglu"] = "relu"
    positions: Literal["sinusoidal", "rotary", "relative"] = "sinusoidal"
    tie_output: bool = False
    midi_to_text_len: int = 512
    state_features: tuple[str, ...] = ()
    rotary_time: bool = False
    qk_norm: bool = False
    zero_outputs: bool = False
    attributes: tuple[str, ...] = ()
    edits: bool = False
    longest_notes: tuple[float, ...] = ()
    attention_window: int = 0
    cross_attention_layers: int = 0

    def check(self) -> None:
        check_range("vocab_size", self.vocab_size, 4, MAX_VOCAB_SIZE)
        check_range("d_model", self.d_model, 2, MAX_WIDTH)
        check_range("nhead", self.nhead, 1, self.d_model)
        if self.d_model % (2 * self.nhead):
            raise ValueError(
                f"d_model must be a multiple of 2 * nhead, got d_model={self.d_model} and nhead={self.nhead}"
            )
        check_range("num_encoder_layers", self.num_encoder_layers, 1, MAX_LAYERS)
        check_range("num_decoder_layers", self.num_decoder_layers, 1, MAX_LAYERS)
        check_range("dim_feedforward", self.dim_feedforward, 1, MAX_WIDTH * 4)
        check_range("dropout", self.dropout, 0.0, 1.0)
        check_range("max_sequence_length", self.max_sequence_length, 1, 1 << 20)
        check_range("text_embedding_dim", self.text_embedding_dim, 1, MAX_WIDTH)
        check_range("midi_to_text_len", self.midi_to_text_len, 4, 1 << 20)
        check_range("attention_window", self.attention_window, 0, 1 << 20)
        check_range("cross_attention_layers", self.cross_attention_layers, 0, self.num_decoder_layers)
        if self.longest_notes and len(self.longest_notes) != NUM_FAMILIES:
            raise ValueError(f"longest_notes must have {NUM_FAMILIES} numbers or none, got {len(self.longest_notes)}")
        for beats in self.longest_notes:
            check_range("each of longest_notes", beats, 0, 1 << 20)
        for name in ("rotary_time", "qk_norm"):
            if getattr(self, name) and self.positions != "rotary":
                raise ValueError(f'{name} needs positions "rotary", got "{self.positions}"')

    def window_of(self, layer: int) -> int:
        """How many positions self-attention of that decoder layer sees; 0: all."""
        return self.attention_window if layer < self.num_decoder_layers - 1 else 0

    def layers_with_cross_attention(self) -> tuple[int, ...]:
        """The decoder layers that read the text. Its twin is `DecoderShape::cross_index` in csrc/engine/decoder.h."""
        num = self.cross_attention_layers or self.num_decoder_layers
        return tuple(index * self.num_decoder_layers // num for index in range(num))
