"""A composed piece: its music, its facts, its captions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from amt.midi.data import MidiData
from amt.views.playable import Playable


@dataclasses.dataclass(frozen=True)
class Arrangement(Playable):
    """A piece that `amt.arrange` has composed.

    Args:
        music: notes, tempos, time signature, key signature.
        facts: what is known of it, by the columns of a corpus' metadata; docs/arranger.md lists them.
        captions: texts that fit it, each of another kind.
        is_passing: for each note of `music.notes` whether it is a passing note, outside scale and chord.

    Example:
        >>> amt.arrange("bossa nova", seed=3).save("bossa.mid")
    """

    music: MidiData
    facts: dict[str, Any]
    captions: tuple[str, ...]
    is_passing: np.ndarray = dataclasses.field(repr=False, default_factory=lambda: np.zeros(0, bool))

    @property
    def row(self) -> dict[str, Any]:
        """The facts and captions as a row of a corpus' table."""
        return {**self.facts, "captions": list(self.captions)}

    def _repr_html_(self) -> str:
        from amt.views.player import player_html

        return player_html(self.music, title=self.captions[0], facts=list(self.captions[1:4]), warnings=[])

    def __repr__(self) -> str:
        return (
            f"Arrangement({self.facts['style']!r}: {len(self.notes)} notes, {self.duration_s:.1f} s,"
            f" {self.facts['key']}, {self.facts['meter']}, seed={self.facts['seed']})"
        )
