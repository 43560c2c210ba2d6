"""What words claim of the music: "slap bass and tight horns" may only be said where both play."""

from __future__ import annotations

import functools
import re

from amt.midi.programs import DRUMS

# Words of names, scenes and moods, and the programs of which one must play.
_INSTRUMENTS: dict[str, tuple[int, ...]] = {
    "piano": tuple(range(6)), "rhodes": (4, 5), "electric piano": (4, 5), "harpsichord": (6,), "clavinet": (7,),
    "celesta": (8,), "glockenspiel": (9,), "music box": (10,), "bells": (9, 14, 112), "vibes": (11,),
    "vibraphone": (11,), "marimba": (12,), "organ": tuple(range(16, 21)), "accordion": (21, 23), "harmonica": (22,),
    "bandoneon": (23,), "guitar": tuple(range(24, 32)), "guitars": tuple(range(24, 32)), "bass": (*range(32, 40), 43),
    "bass guitar": tuple(range(32, 40)),
    "slap bass": (36, 37), "808": (38, 39), "violin": (40,), "fiddle": (40, 110), "cello": (42,),
    "strings": (*range(40, 46), *range(48, 52)), "orchestra": tuple(range(40, 62)), "harp": (46,), "timpani": (47,),
    "choir": (52, 53, 54, 91), "trumpet": (56, 59), "trumpets": (56, 59), "trombone": (57,), "tuba": (58,),
    "horns": tuple(range(56, 68)), "brass": tuple(range(56, 64)), "sax": tuple(range(64, 68)),
    "clarinet": (71,), "oboe": (68,), "flute": (72, 73, 74, 75, 77), "whistle": (78,), "pipes": (109,),
    "bagpipes": (109,), "bagpipe": (109,), "sitar": (104,), "banjo": (105,), "koto": (107,), "kalimba": (108,),
    "steelpan": (114,), "steel drums": (114,), "shakuhachi": (77,), "xylophone": (13,), "ukulele": (24,),
    "bass drum": (DRUMS,), "drum": (DRUMS, 116), "drums": (DRUMS, 116, 47), "drumming": (DRUMS,),
    "percussion": (DRUMS, 116, 47), "mouth organ": (22,),
    "thumb piano": (108,), "montuno": tuple(range(6)), "pads": tuple(range(88, 96)),
}  # fmt: skip
_COUNTS = {"solo": 1, "duo": 2, "duet": 2, "trio": 3, "quartet": 4, "quintet": 5}
_WORD = re.compile(r"[a-z0-9]+")


@functools.lru_cache(maxsize=4096)
def _claimed(text: str) -> tuple[tuple[tuple[int, ...], ...], int | None]:
    """The instruments that a text names, each as the programs that may be meant, and how many players it counts."""
    words = " ".join(_WORD.findall(text.lower()))
    found = [name for name in _INSTRUMENTS if re.search(rf"\b{name}\b", words)]
    found = [name for name in found if not any(name != other and name in other for other in found)]
    count = next((number for word, number in _COUNTS.items() if re.search(rf"\b{word}\b", words)), None)
    return tuple(_INSTRUMENTS[name] for name in found), count


def is_true(text: str, programs: frozenset[int]) -> bool:
    """Whether all instruments and numbers of players that a text names are those of the piece."""
    named, count = _claimed(text)
    return all(programs & set(each) for each in named) and (count is None or count == len(programs))
