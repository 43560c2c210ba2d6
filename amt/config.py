"""Strict dataclasses for every setting, and their JSON.

A config file is hostile until it is checked: unknown keys, wrong types and numbers out of range are refused before
anything is allocated.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

from amt.files import new_file

C = TypeVar("C", bound="Config")

MAX_VOCAB_SIZE = 1 << 20
MAX_WIDTH = 1 << 16
MAX_LAYERS = 1 << 10


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high (NaN fails)."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, got {value!r}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ValueError unless value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}; got {value!r}")


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(item, typing.get_args(kind)[0]) for item in value)
    if typing.get_args(kind):  # a union
        return any(_fits(value, option) for option in typing.get_args(kind))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


class Config:
    """A frozen dataclass that loads from and saves to JSON, refusing what it does not know."""

    def __post_init__(self) -> None:
        for name, kind in typing.get_type_hints(type(self)).items():
            if not _fits(getattr(self, name), kind):
                raise ValueError(f"{name} must be {kind}, got {getattr(self, name)!r}")
        self.check()

    def check(self) -> None:
        """Raise ValueError for values out of range; overridden by each config."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON knows them."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls: type[C], values: dict[str, Any]) -> C:
        """The config with these values; unknown keys and wrong types raise ValueError."""
        if not isinstance(values, dict):
            raise ValueError(f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
        names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - names)
        if unknown:
            raise ValueError(f"{cls.__name__} does not know {', '.join(unknown)}; it knows {', '.join(sorted(names))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def save(self, path: str | Path) -> None:
        """Write JSON; `path` becomes the whole new file or stays what it was."""
        with new_file(Path(path)) as stream:
            stream.write((json.dumps(self.to_dict(), indent=1) + "\n").encode())

    @classmethod
    def load(cls: type[C], path: str | Path) -> C:
        """Read JSON; the file's name stands in every error."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error


def _metronome_marks() -> tuple[int, ...]:
    spans = ((20, 60, 2), (60, 72, 3), (72, 120, 4), (120, 144, 6), (144, 216, 8), (216, 305, 8))
    return tuple(bpm for low, high, step in spans for bpm in range(low, high, step))


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(Config):
    """What the token ids mean; docs/tokens.md is the definition."""

    preset: Literal["score", "performance"] = "score"
    version: int = 1
    step_ms: int = 10
    steps_per_beat: int = 24
    max_time_shift: int = 0  # 0: the preset's, 96 (score) or 100 (performance)
    num_velocities: int = 32
    max_gap_steps: int = 0  # 0: the preset's, 64 beats (score) or 60 s (performance)
    tempos_bpm: tuple[int, ...] = _metronome_marks()

    def check(self) -> None:
        check_choice("version", self.version, (1,))
        check_choice("step_ms", self.step_ms, (1, 2, 4, 5, 10, 20, 25, 50, 100))
        check_range("steps_per_beat", self.steps_per_beat, 1, 960)
        check_range("num_velocities", self.num_velocities, 1, 64)
        if 128 % self.num_velocities:
            raise ValueError(f"num_velocities must divide 128, got {self.num_velocities}")
        check_range("len(tempos_bpm)", len(self.tempos_bpm), 1, 512)
        if list(self.tempos_bpm) != sorted(set(self.tempos_bpm)):
            raise ValueError("tempos_bpm must ascend")
        check_range("tempos_bpm", self.tempos_bpm[0], 4, 1000)
        check_range("tempos_bpm", self.tempos_bpm[-1], 4, 1000)
        is_score = self.preset == "score"
        if self.max_time_shift == 0:
            object.__setattr__(self, "max_time_shift", 4 * self.steps_per_beat if is_score else 1000 // self.step_ms)
        if self.max_gap_steps == 0:
            object.__setattr__(self, "max_gap_steps", 64 * self.steps_per_beat if is_score else 60_000 // self.step_ms)
        check_range("max_time_shift", self.max_time_shift, 1, 4096)
        check_range("max_gap_steps", self.max_gap_steps, 1, 1 << 20)


@dataclasses.dataclass(frozen=True)
class ModelConfig(Config):
    """The architecture of a model. The defaults are the plain configuration of `torch.nn.Transformer`.

    `architecture` "music" is MusicTransformer, "music_text" MusicTextTransformer (whose MIDI encoder has
    `num_encoder_layers` layers too, and is trained on parts of `midi_to_text_len` tokens at most).
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


@dataclasses.dataclass(frozen=True)
class GenerationConfig(Config):
    """How tokens are chosen. Names and meanings are those of `transformers.GenerationConfig`; `seed` is ours.

    `seed` None draws a fresh one, which the result reports. `max_time` is in seconds.

    `guidance_scale`: classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598: the scores of a token are
    negative + guidance_scale * (own - negative), of its log-probabilities after the text and after a negative one.
    Above 1 the music keeps closer to the text; 1: off, at half the work.

    `prompt_lookup_num_tokens`: speculative decoding by the engine, for one or two prompts with one row each: so many
    tokens that followed when the last tokens (`max_matching_ngram_size` of them, or fewer) stood in the piece before
    are tried in the same pass. It changes no token, only the speed; 0: off.
    """

    max_new_tokens: int = 1023
    min_new_tokens: int = 0
    do_sample: bool = True
    temperature: float = 1.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    num_beams: int = 1
    length_penalty: float = 1.0
    guidance_scale: float = 1.0
    early_stopping: bool | Literal["never"] = False
    num_return_sequences: int = 1
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_tokens: tuple[int, ...] = ()
    begin_suppress_tokens: tuple[int, ...] = ()
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | None = None
    max_time: float | None = None
    prompt_lookup_num_tokens: int = 3
    max_matching_ngram_size: int = 8
    seed: int | None = None

    def check(self) -> None:
        check_range("max_new_tokens", self.max_new_tokens, 1, 1 << 20)
        check_range("min_new_tokens", self.min_new_tokens, 0, self.max_new_tokens)
        check_range("temperature", self.temperature, 1e-4, 1e4)
        check_range("top_k", self.top_k, 0, MAX_VOCAB_SIZE)
        check_range("top_p", self.top_p, 1e-6, 1.0)
        check_range("min_p", self.min_p, 0.0, 1.0)
        check_range("num_beams", self.num_beams, 1, 64)
        check_range("length_penalty", self.length_penalty, -100, 100)
        check_range("guidance_scale", self.guidance_scale, 0, 100)
        check_range("num_return_sequences", self.num_return_sequences, 1, 4096)
        if self.num_beams > 1 and not self.do_sample and self.num_return_sequences > self.num_beams:
            raise ValueError(
                f"num_return_sequences ({self.num_return_sequences}) must be at most num_beams ({self.num_beams})"
            )
        if self.num_beams == 1 and not self.do_sample and self.num_return_sequences > 1:
            raise ValueError("greedy search has one result; for num_return_sequences > 1 set do_sample or num_beams")
        if self.num_beams > 1 and self.do_sample:
            raise ValueError("num_beams > 1 needs do_sample=False: sampling inside beam search is not offered")
        check_range("repetition_penalty", self.repetition_penalty, 1e-3, 1e3)
        check_range("no_repeat_ngram_size", self.no_repeat_ngram_size, 0, 1 << 16)
        for name in ("suppress_tokens", "begin_suppress_tokens"):
            for token in getattr(self, name):
                check_range(f"each of {name}", token, 0, MAX_VOCAB_SIZE - 1)
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            token = getattr(self, name)
            if token is not None:
                check_range(name, token, 0, MAX_VOCAB_SIZE - 1)
                if token in self.suppress_tokens:
                    raise ValueError(f"{name} {token} is one of suppress_tokens: it cannot be forced and forbidden")
        check_range("prompt_lookup_num_tokens", self.prompt_lookup_num_tokens, 0, 64)
        check_range("max_matching_ngram_size", self.max_matching_ngram_size, 2, 64)
        if self.max_time is not None:
            check_range("max_time", self.max_time, 0, 1e9)
        if self.seed is not None:
            check_range("seed", self.seed, 0, (1 << 64) - 1)


@dataclasses.dataclass(frozen=True)
class TrainConfig(Config):
    """How a model is trained.

    The learning rate rises over `warmup_steps`, stays, and falls to 0 over the last `decay_steps`: "linear", or as half
    a "cosine". `optimizer`: see `amt.training.optimizers`. `precision` of matrix products and attention; weights are
    float32.

    Args:
        batch_size: rows a step.
        accumulation_steps: parts of the batch that are computed one after the other; the step is the same.
        ema_decay: share that the average of the weights keeps of itself each step; the trained model is then the
            average. 0: no average.
        header_weight: weight of a piece's first time signature and tempo in the loss; other tokens have 1.
        lead_weight, lead_len: weight of the first so many tokens behind them: what the caption says shows there, before
            the music itself tells what comes next.
        midi_to_text_weight: weight of the squared error of MIDI -> text; only in a "music_text" model.
        contrastive_weight: weight of telling the caption of a row from those of the others.
        transpose, tempo_change, velocity_change, caption_dropout: see `amt.data.augment.Augmentation`.
    """

    max_steps: int = 1000
    batch_size: int = 8
    accumulation_steps: int = 1
    max_len: int = 1025
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    decay_steps: int = 300
    schedule: Literal["linear", "cosine"] = "linear"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    max_grad_norm: float = 1.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    precision: Literal["float32", "bfloat16"] = "float32"
    ema_decay: float = 0.0
    header_weight: float = 1.0
    lead_weight: float = 1.0
    lead_len: int = 32
    midi_to_text_weight: float = 1.0
    contrastive_weight: float = 0.0
    transpose: int = 0
    tempo_change: float = 0.0
    velocity_change: int = 0
    caption_dropout: float = 0.0
    seed: int = 0
    save_every: int = 200
    eval_every: int = 200
    eval_batches: int = 8

    def check(self) -> None:
        check_range("max_steps", self.max_steps, 1, 1 << 40)
        check_range("batch_size", self.batch_size, 1, 1 << 16)
        check_range("accumulation_steps", self.accumulation_steps, 1, self.batch_size)
        check_range("max_len", self.max_len, 4, (1 << 20) + 1)
        check_range("learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("warmup_steps", self.warmup_steps, 0, self.max_steps)
        check_range("decay_steps", self.decay_steps, 0, self.max_steps)
        check_range("weight_decay", self.weight_decay, 0.0, 10.0)
        check_range("beta1", self.beta1, 0.0, 0.99999)
        check_range("beta2", self.beta2, 0.0, 0.99999)
        check_range("max_grad_norm", self.max_grad_norm, 1e-6, 1e6)
        check_range("ema_decay", self.ema_decay, 0.0, 0.99999)
        check_range("lead_len", self.lead_len, 0, 1 << 20)
        for name in ("header_weight", "lead_weight", "midi_to_text_weight", "contrastive_weight"):
            check_range(name, getattr(self, name), 0.0, 1e4)
        check_range("transpose", self.transpose, 0, 12)
        check_range("tempo_change", self.tempo_change, 0.0, 1.0)
        check_range("velocity_change", self.velocity_change, 0, 63)
        check_range("caption_dropout", self.caption_dropout, 0.0, 1.0)
        check_range("seed", self.seed, 0, (1 << 64) - 1)
        for name in ("save_every", "eval_every", "eval_batches"):
            check_range(name, getattr(self, name), 1, 1 << 40)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rise = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        fall = min(1.0, (self.max_steps - step) / self.decay_steps) if self.decay_steps else 1.0
        if self.schedule == "cosine":
            fall = 0.5 - 0.5 * math.cos(math.pi * fall)
        return self.learning_rate * min(1.0, rise) * fall
