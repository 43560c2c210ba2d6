"""Words for a tempo, each with the beats a minute that it may mean.

The ranges are those of metronomes and textbooks, a little wider, for the words are loose. They overlap.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class TempoRange(NamedTuple):
    """Beats a minute, from the slowest to the fastest."""

    low: float
    high: float


_GRAVE, _LARGO, _ADAGIO = TempoRange(25, 50), TempoRange(40, 66), TempoRange(50, 78)
_ANDANTE, _MODERATO, _ALLEGRO = TempoRange(70, 108), TempoRange(96, 124), TempoRange(112, 168)
_PRESTO = TempoRange(160, 208)
_VERY_SLOW, _SLOW, _MEDIUM = TempoRange(30, 62), TempoRange(48, 80), TempoRange(88, 124)
_FAST, _VERY_FAST = TempoRange(124, 184), TempoRange(160, 240)

# As every country writes them.
ITALIAN_TEMPOS: dict[str, TempoRange] = {
    "larghissimo": TempoRange(20, 40), "grave": _GRAVE, "largo": _LARGO, "lento": TempoRange(40, 70),
    "larghetto": TempoRange(56, 76), "adagissimo": TempoRange(30, 54), "adagio": _ADAGIO,
    "adagietto": TempoRange(60, 84), "andante": _ANDANTE, "andantino": TempoRange(76, 112), "moderato": _MODERATO,
    "allegretto": TempoRange(100, 132), "allegro moderato": TempoRange(104, 132),
    "allegro ma non troppo": TempoRange(108, 144), "allegro": _ALLEGRO, "allegro con brio": TempoRange(126, 172),
    "allegro vivace": TempoRange(132, 176), "vivace": TempoRange(136, 180), "vivacissimo": TempoRange(160, 208),
    "allegrissimo": TempoRange(152, 184), "presto": _PRESTO, "prestissimo": TempoRange(184, 260),
}  # fmt: skip
ENGLISH_TEMPOS: dict[str, TempoRange] = {
    "extremely slow": TempoRange(24, 50), "very slow": _VERY_SLOW, "really slow": _VERY_SLOW, "slow": _SLOW,
    "slowly": _SLOW, "moderately slow": TempoRange(66, 92), "medium slow": TempoRange(66, 96),
    "mid tempo": _MEDIUM, "medium tempo": _MEDIUM, "moderate": _MEDIUM, "moderate tempo": _MEDIUM,
    "moderately fast": TempoRange(112, 144), "medium fast": TempoRange(112, 148), "medium up": TempoRange(140, 184),
    "up tempo": TempoRange(120, 180), "uptempo": TempoRange(120, 180), "down tempo": TempoRange(60, 100),
    "downtempo": TempoRange(60, 100), "midtempo": _MEDIUM, "fast": _FAST, "quick": TempoRange(120, 176),
    "brisk": TempoRange(112, 160), "lively": TempoRange(112, 160), "very fast": _VERY_FAST, "really fast": _VERY_FAST,
    "extremely fast": TempoRange(184, 280), "breakneck": TempoRange(184, 280), "walking pace": _ANDANTE,
    "medium": _MEDIUM, "leisurely": TempoRange(66, 96), "unhurried": TempoRange(60, 92),
}  # fmt: skip
_OTHER_TEMPOS: dict[str, TempoRange] = {
    # German
    "sehr langsam": _VERY_SLOW, "langsam": _SLOW, "getragen": _ADAGIO, "gehend": _ANDANTE, "mäßig": _MODERATO,
    "mäßig schnell": TempoRange(108, 140), "bewegt": TempoRange(92, 126), "lebhaft": TempoRange(120, 160),
    "schnell": _FAST, "sehr schnell": _VERY_FAST, "rasch": TempoRange(126, 176), "breit": _LARGO,
    # French
    "très lent": _VERY_SLOW, "lent": _SLOW, "lente": _SLOW, "modéré": _MODERATO, "assez vif": TempoRange(112, 144),
    "animé": TempoRange(112, 152), "vif": TempoRange(132, 176), "vive": TempoRange(132, 176), "rapide": _FAST,
    "très vif": TempoRange(152, 200), "très rapide": _VERY_FAST,
    # Spanish, Portuguese
    "muy lento": _VERY_SLOW, "moderado": _MODERATO, "rápido": _FAST, "rápida": _FAST, "muy rápido": _VERY_FAST,
    "lenta": _SLOW, "muito lento": _VERY_SLOW, "muito rápido": _VERY_FAST,
}  # fmt: skip
# Words without an end above or below: how far they reach depends on what is usual.
FAST_WORDS = frozenset({"up tempo", "uptempo", "fast", "quick", "lively", "very fast", "really fast"})
SLOW_WORDS = frozenset({"down tempo", "downtempo", "slow", "slowly", "very slow", "really slow"})
TEMPO_WORDS = ITALIAN_TEMPOS | ENGLISH_TEMPOS | _OTHER_TEMPOS


def tempo_range(words: str) -> TempoRange | None:
    """The range of words like "allegro", "very slow" or "mid-tempo"; None if they name no tempo."""
    return TEMPO_WORDS.get(re.sub(r"[\s-]+", " ", words.lower()).strip())
