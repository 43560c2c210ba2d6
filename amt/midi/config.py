"""What the token ids mean, as settings."""

from __future__ import annotations

import dataclasses
from typing import Literal

from amt.config import Config, check_choice, check_range
from amt.named_values import named_values


def _metronome_marks() -> tuple[int, ...]:
    spans = ((20, 60, 2), (60, 72, 3), (72, 120, 4), (120, 144, 6), (144, 216, 8), (216, 305, 8))
    return tuple(bpm for low, high, step in spans for bpm in range(low, high, step))


@dataclasses.dataclass(frozen=True)
class TokenizerConfig(Config):
    """What the token ids mean; docs/tokens.md is the definition."""

    preset: Literal["score", "performance"] = "score"
    version: int = 1  # 2, of the preset score: velocity for each program; plans and edits
    canonical_key: bool = False  # the music was moved to the white keys: see amt.midi.canonical
    step_ms: int = 10
    steps_per_beat: int = 24
    max_time_shift: int = 0  # 0: the preset's, 96 (score) or 100 (performance)
    num_velocities: int = 32
    max_gap_steps: int = 0  # 0: the preset's, 64 beats (score) or 60 s (performance)
    tempos_bpm: tuple[int, ...] = _metronome_marks()

    def check(self) -> None:
        check_choice("version", self.version, (1, 2))
        if self.version > 1 and self.preset != "score":
            raise ValueError(f"version {self.version} is one of the preset score; {self.preset} has version 1")
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

    @property
    def holds_velocity_by_program(self) -> bool:
        """Whether each program has a velocity in force, not one for all."""
        return self.version > 1

    @property
    def has_plans_and_edits(self) -> bool:
        """Whether there are tokens for a plan and for edits."""
        return self.version > 1

    def velocity_holder(self, program: int) -> int:
        """Of what holds a velocity, the one that a program goes by."""
        return program if self.holds_velocity_by_program else 0

    def to_text(self) -> str:
        """What `VocabularyConfig` of csrc/midi/vocabulary.h reads; see `amt.named_values`."""
        names = ("step_ms", "steps_per_beat", "max_time_shift", "num_velocities", "max_gap_steps", "tempos_bpm")
        numbers = {name: getattr(self, name) for name in names}
        flags = {
            "is_score": self.preset == "score",
            "holds_velocity_by_program": self.holds_velocity_by_program,
            "has_plans_and_edits": self.has_plans_and_edits,
        }
        return named_values(flags | numbers)
