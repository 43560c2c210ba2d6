"""What words claim of the music: "slap bass and tight horns" may only be said where these play, and nobody else."""

from __future__ import annotations

import functools
import re

from amt.midi.programs import DRUMS
from amt.midi.tempo_words import TEMPO_WORDS

# Words of names, scenes and moods, and the programs of which one must play.
_INSTRUMENTS: dict[str, tuple[int, ...]] = {
    "piano": tuple(range(4)), "saloon piano": (3,), "keyboard": (0, 1, 2, 4, 5, 6, 7, 16, 17, 18),
    "rhodes": (2, 4, 5), "electric piano": (2, 4, 5), "harpsichord": (6,), "clavinet": (7,),
    "celesta": (8,), "glockenspiel": (9,), "music box": (10,), "bells": (9, 14, 112), "bell": (9, 14, 112),
    "vibes": (11,),
    "vibraphone": (11,), "marimba": (12,), "organ": tuple(range(16, 21)), "accordion": (21, 23), "harmonica": (22,),
    "bandoneon": (23,), "guitar": tuple(range(24, 32)), "acoustic guitar": (24, 25),  "fingerpicking guitar": (24, 25),
    "fingerstyle guitar": (24, 25), "flamenco guitar": (24,), "guitars": tuple(range(24, 32)),
    "bass": (*range(32, 40), 43),
    "bass guitar": tuple(range(33, 38)),
    "slap bass": (36, 37), "808": (38, 39), "violin": (40,), "fiddle": (40, 110), "viola": (41,), "cello": (42,),
    "strings": (*range(40, 46), *range(48, 52)), "orchestra": tuple(range(40, 62)), "harp": (46,), "timpani": (47,),
    "choir": (52, 53, 54, 91), "voices": (52, 53, 54, 91), "vocals": (53, 52, 54, 85, 91),
    "singing": (53, 52, 54, 85, 91), "trumpet": (56, 59), "trumpets": (56, 59), "trombone": (57,), "tuba": (58,),
    "horns": tuple(range(56, 68)), "brass": tuple(range(56, 64)), "sax": tuple(range(64, 68)),
    "saxophone": tuple(range(64, 68)),
    "clarinet": (71,), "oboe": (68,), "flute": (72, 73), "whistle": (78,), "whistles": (78,), "pipes": (109,),
    "bagpipes": (109,), "bagpipe": (109,), "sitar": (104,), "banjo": (105,), "koto": (107,), "kalimba": (108,),
    "steelpan": (114,), "steel drums": (114,), "shakuhachi": (77,), "xylophone": (13,), "ukulele": (24,),
    "bass drum": (DRUMS,), "drum": (DRUMS,), "drums": (DRUMS,), "war drums": (DRUMS, 116), "kicks": (DRUMS,),
    "snare": (DRUMS,), "ride cymbal": (DRUMS,), "cymbal": (DRUMS,), "drummer": (DRUMS,), "drummers": (DRUMS,),
    "drumming": (DRUMS,),
    "percussion": (DRUMS, 116, 47), "mouth organ": (22,),
    "thumb piano": (108,), "synths": (81, 80, 90, 84, 87, 88, 89), "pads": tuple(range(88, 96)),
}  # fmt: skip
# What somebody must play, too, though it names nobody.
_FIGURES: dict[str, tuple[int, ...]] = {"hats": (DRUMS,), "montuno": tuple(range(6))}
_VOICES = frozenset({52, 53, 54, 85, 91})  # "instrumental" says that there are none
_BANDS = ("house", "rock", "band", "orchestra")  # in "piano house" others play, too
_COUNTS = {"solo": 1, "duo": 2, "duet": 2, "trio": 3, "quartet": 4, "quintet": 5}
_WORD = re.compile(r"[^\W_]+")
_TEMPOS = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, TEMPO_WORDS), key=len, reverse=True))})\b")


@functools.lru_cache(maxsize=4096)
def _claimed(text: str) -> tuple[tuple[tuple[int, ...], ...], int | None, bool]:
    """What a text says of players.

    Returns:
        the instruments that it names, each as the programs that may be meant; how many players it counts; whether it
        leaves open that others play.
    """
    words = " ".join(_WORD.findall(text.lower()))
    found = [name for name in _INSTRUMENTS if re.search(rf"\b{name}\b", words)]
    found = [name for name in found if not any(name != other and name in other for other in found)]
    count = next((number for word, number in _COUNTS.items() if re.search(rf"\b{word}\b", words)), None)
    is_open = any(re.search(rf"\b{word}\b", words) for word in _BANDS)
    return tuple(_INSTRUMENTS[name] for name in found), count, is_open


def is_true(text: str, programs: frozenset[int]) -> bool:
    """Whether the players that a text names are those of the piece: all of them, and in number.

    "A lonely saxophone" is said of one, "piano house" of any house with a piano.
    """
    named, count, is_open = _claimed(text)
    if any(word in text and not programs & set(each) for word, each in _FIGURES.items()):
        return False
    if "instrumental" in text and programs & _VOICES:
        return False
    if not all(programs & set(each) for each in named) or count not in (None, len(programs)):
        return False
    return not named or is_open or programs <= {program for each in named for program in each}


@functools.lru_cache(maxsize=4096)
def tempo_words(text: str) -> tuple[str, ...]:
    """The words for a tempo in a text, as `TEMPO_WORDS` has them."""
    return tuple(_TEMPOS.findall(" ".join(_WORD.findall(text.lower()))))
