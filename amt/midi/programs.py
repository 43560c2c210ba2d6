"""The names of General MIDI: its 128 programs, the families of eight they come in, and the hits of its drum kit."""

from __future__ import annotations

import difflib
import operator
import re
from typing import SupportsIndex

DRUMS = 128  # the "program" of drum notes, as in docs/tokens.md
# Organs, strings, choirs and pads: their notes may be long.
SUSTAINED = frozenset((*range(16, 24), *range(40, 56), *range(88, 104)))

FAMILIES = (
    "Piano", "Chromatic Percussion", "Organ", "Guitar", "Bass", "Strings", "Ensemble", "Brass",
    "Reed", "Pipe", "Synth Lead", "Synth Pad", "Synth Effects", "Ethnic", "Percussive", "Sound Effects",
)  # fmt: skip

PROGRAMS = (
    "Acoustic Grand Piano", "Bright Acoustic Piano", "Electric Grand Piano", "Honky-tonk Piano",
    "Electric Piano 1", "Electric Piano 2", "Harpsichord", "Clavinet",
    "Celesta", "Glockenspiel", "Music Box", "Vibraphone", "Marimba", "Xylophone", "Tubular Bells", "Dulcimer",
    "Drawbar Organ", "Percussive Organ", "Rock Organ", "Church Organ",
    "Reed Organ", "Accordion", "Harmonica", "Tango Accordion",
    "Acoustic Guitar (nylon)", "Acoustic Guitar (steel)", "Electric Guitar (jazz)", "Electric Guitar (clean)",
    "Electric Guitar (muted)", "Overdriven Guitar", "Distortion Guitar", "Guitar Harmonics",
    "Acoustic Bass", "Electric Bass (finger)", "Electric Bass (pick)", "Fretless Bass",
    "Slap Bass 1", "Slap Bass 2", "Synth Bass 1", "Synth Bass 2",
    "Violin", "Viola", "Cello", "Contrabass", "Tremolo Strings", "Pizzicato Strings", "Orchestral Harp", "Timpani",
    "String Ensemble 1", "String Ensemble 2", "Synth Strings 1", "Synth Strings 2",
    "Choir Aahs", "Voice Oohs", "Synth Voice", "Orchestra Hit",
    "Trumpet", "Trombone", "Tuba", "Muted Trumpet", "French Horn", "Brass Section", "Synth Brass 1", "Synth Brass 2",
    "Soprano Sax", "Alto Sax", "Tenor Sax", "Baritone Sax", "Oboe", "English Horn", "Bassoon", "Clarinet",
    "Piccolo", "Flute", "Recorder", "Pan Flute", "Blown Bottle", "Shakuhachi", "Whistle", "Ocarina",
    "Lead 1 (square)", "Lead 2 (sawtooth)", "Lead 3 (calliope)", "Lead 4 (chiff)",
    "Lead 5 (charang)", "Lead 6 (voice)", "Lead 7 (fifths)", "Lead 8 (bass + lead)",
    "Pad 1 (new age)", "Pad 2 (warm)", "Pad 3 (polysynth)", "Pad 4 (choir)",
    "Pad 5 (bowed)", "Pad 6 (metallic)", "Pad 7 (halo)", "Pad 8 (sweep)",
    "FX 1 (rain)", "FX 2 (soundtrack)", "FX 3 (crystal)", "FX 4 (atmosphere)",
    "FX 5 (brightness)", "FX 6 (goblins)", "FX 7 (echoes)", "FX 8 (sci-fi)",
    "Sitar", "Banjo", "Shamisen", "Koto", "Kalimba", "Bagpipe", "Fiddle", "Shanai",
    "Tinkle Bell", "Agogo", "Steel Drums", "Woodblock", "Taiko Drum", "Melodic Tom", "Synth Drum", "Reverse Cymbal",
    "Guitar Fret Noise", "Breath Noise", "Seashore", "Bird Tweet",
    "Telephone Ring", "Helicopter", "Applause", "Gunshot",
)  # fmt: skip

DRUM_NAMES = dict(
    enumerate(
        (
            "Acoustic Bass Drum", "Bass Drum", "Side Stick", "Snare", "Hand Clap", "Electric Snare", "Low Floor Tom",
            "Closed Hi-Hat", "High Floor Tom", "Pedal Hi-Hat", "Low Tom", "Open Hi-Hat", "Low-Mid Tom", "Hi-Mid Tom",
            "Crash Cymbal 1", "High Tom", "Ride Cymbal 1", "Chinese Cymbal", "Ride Bell", "Tambourine",
            "Splash Cymbal", "Cowbell", "Crash Cymbal 2", "Vibraslap", "Ride Cymbal 2", "Hi Bongo", "Low Bongo",
            "Mute Hi Conga", "Open Hi Conga", "Low Conga", "High Timbale", "Low Timbale", "High Agogo", "Low Agogo",
            "Cabasa", "Maracas", "Short Whistle", "Long Whistle", "Short Guiro", "Long Guiro", "Claves",
            "Hi Wood Block", "Low Wood Block", "Mute Cuica", "Open Cuica", "Mute Triangle", "Open Triangle",
        ),
        start=35,
    )
)  # fmt: skip

# What people say, where General MIDI says something longer or has several.
SHORT_NAMES = {
    "piano": 0, "grand piano": 0, "acoustic piano": 0, "electric piano": 4, "rhodes": 4, "harpsichord": 6,
    "vibes": 11, "organ": 19, "pipe organ": 19, "hammond organ": 16, "acoustic guitar": 24, "classical guitar": 24,
    "nylon guitar": 24, "guitar": 24, "steel guitar": 25, "jazz guitar": 26, "electric guitar": 27, "clean guitar": 27,
    "distorted guitar": 30, "bass": 33, "bass guitar": 33, "electric bass": 33, "double bass": 32, "upright bass": 32,
    "synth bass": 38, "string bass": 43, "harp": 46, "strings": 48, "string ensemble": 48, "synth strings": 50,
    "choir": 52, "voice": 53, "synth choir": 54, "horn": 60, "brass": 61, "synth brass": 62, "sax": 66, "saxophone": 66,
    "soprano saxophone": 64, "alto saxophone": 65, "tenor saxophone": 66, "baritone saxophone": 67, "cor anglais": 69,
    "panpipes": 75, "synth lead": 80, "square lead": 80, "saw lead": 81, "synth pad": 88, "synth": 81,
    "bagpipes": 109, "drums": DRUMS, "drum kit": DRUMS, "drum set": DRUMS, "percussion": DRUMS,
}  # fmt: skip


def program_name(program: int, *, is_drum: bool = False) -> str:
    """The name of a program: "Violin" for 40, "Drums" for drum notes of any kit (and for program 128)."""
    if not 0 <= program <= DRUMS:
        raise ValueError(f"program must be between 0 and {DRUMS} (drums), got {program}")
    return "Drums" if is_drum or program == DRUMS else PROGRAMS[program]


def program_number(name: str | SupportsIndex) -> int:
    """The program that a name means; a number stands for itself.

    Case, hyphens, brackets and a plural "s" do not matter: "violin", "Violins", "electric guitar (jazz)". Common short
    names are known ("piano", "sax", "drums": 128).

    Raises:
        ValueError: no such program; the message names those that look alike.

    Example:
        >>> program_number("violin")
        40
    """
    if not isinstance(name, str):
        number = operator.index(name)
        if not 0 <= number <= DRUMS:
            raise ValueError(f"program must be between 0 and {DRUMS} (drums), got {number}")
        return number
    words = _words(name)
    for known in (words, words.removesuffix("s"), f"{words} 1"):
        if known in _NUMBERS:
            return _NUMBERS[known]
    close = [known for known in _NUMBERS if words and f" {words} " in f" {known} "]
    close += difflib.get_close_matches(words, _NUMBERS, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(known) for known in close[:3])}?" if close else ""
    raise ValueError(f"there is no instrument {name!r} in General MIDI{hint}")


def _words(name: str) -> str:
    return " ".join(re.findall(r"[a-z0-9+]+", name.lower()))


_NUMBERS = {_words(name): number for number, name in enumerate(PROGRAMS)} | SHORT_NAMES
