"""Who plays in a style: the program that an instrument has there, and the band where a prompt names nobody."""

from __future__ import annotations

from amt.midi.programs import DRUMS

# What a general name means in the styles of a family; elsewhere its first program of the lexicon.
PROGRAMS_IN: dict[str, dict[str, int]] = {
    "guitar": {
        "pop": 27, "rock": 29, "metal": 30, "blues": 27, "soul": 27, "funk": 27, "jazz": 26, "hip hop": 27,
        "electronic": 27, "reggae": 27, "latin": 24, "classical": 24, "early": 24, "african": 27,
    },
    "electric guitar": {"rock": 29, "metal": 30, "jazz": 26},
    "bass": {"jazz": 32, "classical": 32, "folk": 32, "dance": 32, "electronic": 38},
    "organ": {"rock": 18, "blues": 16, "soul": 16, "funk": 16, "jazz": 16, "reggae": 16, "pop": 16, "electronic": 16},
    "voice": {"classical": 52, "sacred": 52, "early": 52},
    "percussion": {"african": DRUMS, "latin": DRUMS},
}  # fmt: skip

# The band of a family or a style, the style first; "" has none.
BANDS: dict[str, str] = {
    "rock": "electric guitar, bass guitar, drums", "metal": "distorted guitar, bass guitar, drums",
    "blues": "guitar, bass, drums", "soul": "piano, bass, drums", "funk": "electric guitar, bass guitar, drums",
    "jazz": "piano, double bass, drums", "hip hop": "bass, drums", "electronic": "synth bass, drums",
    "reggae": "guitar, bass guitar, drums", "country": "acoustic guitar, bass guitar, drums",
    "ragtime": "piano", "boogie-woogie": "piano", "lounge": "piano", "gypsy jazz": "acoustic guitar, double bass",
    "smooth jazz": "saxophone, bass, drums", "ambient": "synth pad", "new age": "synth pad", "downtempo": "bass, drums",
    "chiptune": "square lead, drums", "bluegrass": "banjo, fiddle", "disco": "bass guitar, drums",
    "dance pop": "synth bass, drums", "synth-pop": "synth bass, drums", "k-pop": "synth bass, drums",
    "pop": "piano, bass guitar, drums", "indie pop": "electric guitar, bass guitar, drums",
    "j-pop": "piano, bass guitar, drums", "ballad": "", "singer-songwriter": "acoustic guitar", "anthem": "",
    "salsa": "piano, bass, drums", "merengue": "bass, drums", "cumbia": "bass, drums", "mambo": "trumpet, bass, drums",
    "samba": "bass, drums", "bossa nova": "nylon guitar, drums", "reggaeton": "bass, drums",
    "latin jazz": "piano, bass, drums", "cha cha": "bass, drums", "fanfare": "brass", "march": "",
    "orchestral": "strings, brass", "symphony": "strings, brass", "flamenco": "nylon guitar",
    "mariachi": "trumpet, nylon guitar", "afrobeat": "guitar, bass, drums", "balkan": "brass",
    "gregorian chant": "choir", "square dance": "fiddle",
}  # fmt: skip
# The band of a use.
USE_BANDS: dict[str, str] = {"workout": "drums", "party": "drums"}
# Feels that a drummer makes.
DRUM_FEELS = ("four on the floor", "backbeat", "half-time", "one drop")
