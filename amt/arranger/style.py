"""A style: what its file says, checked. See docs/arranger.md for the format."""

from __future__ import annotations

import dataclasses

from amt.arranger.form import Section


@dataclasses.dataclass(frozen=True)
class PartSpec:
    """One part of a style's ensemble; what its fields mean is in docs/arranger.md."""

    name: str
    play: str
    role: str
    programs: tuple[int, ...]
    names: tuple[str, ...]
    low: int
    high: int
    bass_low: int
    chance: float
    volume: float
    sections: tuple[str, ...]
    not_sections: tuple[str, ...]
    substyles: tuple[str, ...]
    group: str
    patterns: dict[str, tuple[str, ...]]
    rhythms: dict[str, tuple[str, ...]]
    plans: tuple[str, ...]
    voices: int
    voicing: str
    holds_on: bool
    grid: int
    unit: int
    scale: str
    leap: int
    lift: int
    has_solos: bool
    follows: str
    delay: int
    transpose: int
    shapes: tuple[str, ...]
    octaves: int
    gate: float
    voice: int
    like: str

    def plays_in(self, section: str) -> bool:
        """Whether the part plays in a section."""
        if section == "end":
            return True
        return section not in self.not_sections and (not self.sections or section in self.sections)


@dataclasses.dataclass(frozen=True)
class DrumSpec:
    """The drums: pools of patterns by section and drum, and fills."""

    chance: float
    volume: float
    names: tuple[str, ...]
    grooves: dict[str, dict[str, tuple[str, ...]]]
    fills: tuple[dict[str, str], ...]
    fill_width: int
    fill_every: int
    variants: int
    has_crash: bool
    solo_sections: tuple[str, ...]
    is_steady: bool
    ending: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class HarmonySpec:
    """The chords of one mode: what a symbol may become, and phrases of symbols and chords by section."""

    symbols: dict[str, tuple[str, ...]]
    phrases: dict[str, tuple[str, ...]]
    end: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class EndingSpec:
    """How pieces end: ritardando or not, and how long the last chord rings (in bars)."""

    has_ritardando: bool
    ring: float
    lead: bool


@dataclasses.dataclass(frozen=True)
class Style:
    """One style; `substyles` are the variants that it may be played in.

    Attributes:
        plain_metre: that of the patterns which name none: the first of the file.
    """

    name: str
    substyle: str
    family: str
    names: tuple[str, ...]
    scenes: tuple[str, ...]
    uses: tuple[str, ...]
    moods: dict[str, str]
    tempo: tuple[float, float]
    metres: dict[str, float]
    plain_metre: str
    swing: tuple[int, int] | None
    modes: dict[str, float]
    tonics: tuple[int, ...]
    forms: tuple[tuple[Section, ...], ...]
    levels: dict[str, float]
    promises: tuple[str, ...]
    turnaround: float
    harmony: dict[str, HarmonySpec]
    drums: DrumSpec | None
    parts: tuple[PartSpec, ...]
    ending: EndingSpec
    weight: float
    substyles: tuple[Style, ...]
