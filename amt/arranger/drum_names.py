"""The drums that a style file may name: their pitches in the General MIDI kit, and how loud an accent of each is."""

from __future__ import annotations

DRUM_PITCHES = {
    "kick": 36, "snare": 38, "snare2": 40, "rim": 37, "clap": 39, "hat": 42, "open": 46, "pedal": 44, "ride": 51,
    "ride2": 59, "bell": 53, "crash": 49, "crash2": 57, "china": 52, "splash": 55, "tom1": 50, "tom2": 48, "tom3": 47,
    "tom4": 45, "floor1": 43, "floor2": 41, "tambourine": 54, "cowbell": 56, "bongo1": 60, "bongo2": 61,
    "conga_mute": 62, "conga": 63, "tumba": 64, "timbale1": 65, "timbale2": 66, "agogo1": 67, "agogo2": 68,
    "cabasa": 69, "maracas": 70, "guiro": 73, "guiro_long": 74, "claves": 75, "block1": 76, "block2": 77,
    "cuica_mute": 78, "cuica": 79, "triangle_mute": 80, "triangle": 81, "bass_drum": 35,
}  # fmt: skip

_LOUD = {
    "kick": 102, "bass_drum": 104, "snare": 102, "snare2": 100, "rim": 86, "clap": 94, "hat": 78, "open": 82,
    "pedal": 66, "ride": 80, "ride2": 80, "bell": 88, "crash": 106, "crash2": 104, "china": 100, "splash": 92,
    "tambourine": 70, "cabasa": 62, "maracas": 60, "cowbell": 82, "triangle": 62, "triangle_mute": 56, "guiro": 66,
    "guiro_long": 66, "claves": 80,
}  # fmt: skip
STRENGTH = {"x": 1.0, "o": 0.8, "g": 0.48}


def drum_velocity(drum: str, symbol: str) -> float:
    """How loud a hit is, before the level of its section."""
    return _LOUD.get(drum, 94) * STRENGTH[symbol]
