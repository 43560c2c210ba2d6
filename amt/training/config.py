"""How a model is trained, as settings."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from amt.config import Config, check_range


@dataclasses.dataclass(frozen=True)
class TrainConfig(Config):
    """How a model is trained.

    The learning rate rises over `warmup_steps`, stays, and falls to 0 over the last `decay_steps`: "linear", or as half
    a "cosine". With `max_time` it falls over the last `decay_share` of that time instead, however many steps that is,
    and the run ends when the time is up. `optimizer`: see `amt.training.optimizers`. `precision` of matrix products and
    attention: "auto" is bfloat16 on a GPU and float32 on a processor; weights are float32. `compile`: whether
    torch.compile makes kernels of its own of the model; it is meant for a GPU.

    Args:
        batch_size: rows a step.
        max_time: seconds that the run trains in all, stops not counted; 0: until `max_steps`, which always end it.
        accumulation_steps: parts of the batch that are computed one after the other; the step is the same.
        ema_decay: share that the average of the weights keeps of itself each step; the trained model is then the
            average. 0: no average.
        header_weight: weight of a piece's first time signature and tempo in the loss; other tokens have 1.
        lead_weight, lead_len: weight of the first so many tokens behind them: what the caption says shows there, before
            the music itself tells what comes next.
        midi_to_text_weight: weight of the squared error of MIDI -> text; only in a "music_text" model.
        contrastive_weight: weight of telling the caption of a row from those of the others.
        bars_dropout: share of the rows whose state features do not know how many bars are left.
        attribute_dropout: share of the attributes that a row is not told, each drawn for itself.
        no_attributes: share of the rows that are told none.
        plan_dropout: share of the rows whose plan is left out.
        edit_share: share of the rows that ask for an edit; the trained model then says that it can.
        transpose, tempo_change, velocity_change, caption_dropout: see `amt.data.augment.Augmentation`.
    """

    max_steps: int = 1000
    max_time: float = 0.0
    decay_share: float = 0.3
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
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
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
    bars_dropout: float = 0.5
    attribute_dropout: float = 0.35
    no_attributes: float = 0.1
    plan_dropout: float = 0.3
    edit_share: float = 0.0
    seed: int = 0
    save_every: int = 200
    eval_every: int = 200
    eval_batches: int = 8

    def check(self) -> None:
        check_range("max_steps", self.max_steps, 1, 1 << 40)
        check_range("max_time", self.max_time, 0.0, 1e9)
        check_range("decay_share", self.decay_share, 0.0, 1.0)
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
        for name in ("bars_dropout", "attribute_dropout", "no_attributes", "plan_dropout", "edit_share"):
            check_range(name, getattr(self, name), 0.0, 1.0)
        check_range("seed", self.seed, 0, (1 << 64) - 1)
        for name in ("save_every", "eval_every", "eval_batches"):
            check_range(name, getattr(self, name), 1, 1 << 40)

    def is_bfloat16(self, device_type: str) -> bool:
        """Whether products are in bfloat16 on such a device ("cpu", "cuda")."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device_type == "cuda")

    def learning_rate_at(self, step: int, seconds: float = 0.0) -> float:
        """The learning rate of a step, counted from 0, that begins after so many seconds of training."""
        rise = (step + 1) / self.warmup_steps if self.warmup_steps else 1.0
        if self.max_time:
            decay_time = self.decay_share * self.max_time
            fall = min(1.0, max(0.0, self.max_time - seconds) / decay_time) if decay_time else 1.0
        else:
            fall = min(1.0, (self.max_steps - step) / self.decay_steps) if self.decay_steps else 1.0
        if self.schedule == "cosine":
            fall = 0.5 - 0.5 * math.cos(math.pi * fall)
        return self.learning_rate * min(1.0, rise) * fall
