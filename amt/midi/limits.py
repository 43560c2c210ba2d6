"""What the music may not do beyond being canonical, in the terms of tokens.

Its twin is `Constraints` in csrc/midi/grammar.h.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from amt.config import check_range
from amt.midi.config import TokenizerConfig
from amt.midi.vocabulary import DENOMINATORS, DRUMS, MAX_NUMERATOR
from amt.named_values import named_values


@dataclass(frozen=True)
class Constraints:
    """What the music may not do beyond being canonical; None leaves it free.

    Args:
        max_polyphony: non-drum notes that may sound at once.
        max_steps: the step at which everything has ended.
        programs: those that may play; 128 = drums.
        pitch_classes: 0..11, of non-drum notes.
        tempo_index: of the header; no later change.
        time_signature_index: of the header; no later change.
    """

    max_polyphony: int | None = None
    max_steps: int | None = None
    programs: tuple[int, ...] | None = None
    pitch_classes: tuple[int, ...] | None = None
    tempo_index: int | None = None
    time_signature_index: int | None = None

    def __post_init__(self) -> None:
        if self.max_polyphony is not None:
            check_range("max_polyphony", self.max_polyphony, 1, 1 << 40)
        if self.max_steps is not None:
            check_range("max_steps", self.max_steps, 1, 1 << 40)
        for name, values, high in (("programs", self.programs, DRUMS), ("pitch_classes", self.pitch_classes, 11)):
            if values is None:
                continue
            if not values:
                raise ValueError(f"{name} must name at least one; leave it out to allow all")
            for value in values:
                check_range(name, value, 0, high)
        if self.tempo_index is not None:
            check_range("tempo_index", self.tempo_index, 0, 511)
        if self.time_signature_index is not None:
            check_range("time_signature_index", self.time_signature_index, 0, MAX_NUMERATOR * len(DENOMINATORS) - 1)

    def check_for(self, config: TokenizerConfig) -> None:
        """Raise ValueError for a constraint that the preset cannot keep."""
        if config.preset == "performance":
            for name in ("programs", "tempo_index", "time_signature_index"):
                if getattr(self, name) is not None:
                    raise ValueError(f"the preset 'performance' has no {name} to constrain; use the preset 'score'")
        if self.tempo_index is not None:
            check_range("tempo_index", self.tempo_index, 0, len(config.tempos_bpm) - 1)

    def to_text(self) -> str:
        """What `Constraints` of csrc/midi/grammar.h reads; see `amt.named_values`."""
        return named_values(dataclasses.asdict(self))
