"""How long pieces are of which nobody says how long: the seconds that such pieces have in the corpus."""

from __future__ import annotations

import math
import re

from amt.request.lexicon.styles import STYLES
from amt.request.parts import BAND_FAMILIES
from amt.request.reading import Reading
from amt.request.said import Range

SHORTEST_S, LONGEST_S = 20.0, 300.0
# Seconds that 10, 50 and 90 % of the corpus' pieces of a style do not reach.
USUAL_S: dict[str, tuple[float, float, float]] = {
    "reel": (20, 22, 43),
    "jig": (32, 35, 44),
    "slip jig": (23, 25, 40),
    "hornpipe": (24, 47, 55),
    "polka": (29, 32, 94),
    "slide": (30, 33, 35),
    "strathspey": (29, 31, 34),
    "air": (21, 41, 84),
    "folk": (25, 43, 82),
    "mazurka": (34, 101, 273),
    "polonaise": (69, 169, 376),
    "waltz": (33, 78, 368),
    "minuet": (33, 70, 244),
    "march": (32, 130, 326),
    "prelude": (20, 54, 155),
    "étude": (18, 57, 171),
    "nocturne": (94, 218, 356),
    "lullaby": (57, 106, 246),
    "fugue": (73, 154, 284),
    "canon": (16, 25, 120),
    "madrigal": (56, 78, 153),
    "motet": (109, 178, 216),
    "hymn": (23, 46, 238),
    "rondo": (80, 241, 586),
    "sonata": (75, 205, 555),
    "symphony": (54, 163, 608),
    "concerto": (75, 192, 510),
    "string quartet": (138, 349, 709),
    "video game": (87, 149, 250),
    "rock": (20, 41, 194),
    "funk": (28, 108, 225),
    "latin": (51, 144, 234),
    "jazz": (35, 61, 178),
}
ANY_S = (23.0, 86.0, 298.0)  # of all of them
# A song of a band, at least: the corpus has loops and takes of drummers in such styles.
SONG_S = (75.0, 130.0, 220.0)
_SONG = re.compile(r"\b(?:songs?|tracks?|anthems?)\b", re.IGNORECASE)
# Which part of these a text means that says so.
_PARTS = {"short": (0.0, 1 / 3), "long": (2 / 3, 1.0)}


def usual_seconds(reading: Reading, part: float) -> float:
    """The length of a piece that a text asks for without a length.

    Args:
        reading: of the text: its first style that is known here, or any, and whether it says "short" or "long".
        part: 0..1: so many of the pieces between the shortest and the longest tenth are shorter.

    Returns:
        seconds, between 20 and 300; straight lines over their logarithm between the numbers of the table.
    """
    names = [said.value for said in (*reading.styles, *reading.forms, *reading.uses)]
    low, middle, high = next((USUAL_S[name] for name in names if name in USUAL_S), ANY_S)
    if any(STYLES[said.value].family in BAND_FAMILIES for said in reading.styles) and _SONG.search(reading.english):
        low, middle, high = map(max, (low, middle, high), SONG_S)
    first, last = (0.0, 1.0) if reading.length is None else _PARTS[reading.length.value]
    place = 2 * (first + (last - first) * part)
    ends = (low, middle) if place <= 1 else (middle, high)
    seconds = math.exp(math.log(ends[0]) + (place - (place > 1)) * (math.log(ends[1]) - math.log(ends[0])))
    return min(max(seconds, SHORTEST_S), LONGEST_S)


def within(asked: Range, part: float) -> float:
    """One length of a range: of an open one up to a quarter more, of one without a beginning the upper quarter."""
    low = asked.low or 0.75 * (asked.high or 0.0)
    high = 1.25 * low if asked.high is None else asked.high
    return low + part * (high - low)
