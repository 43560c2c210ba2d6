"""Metres: their names, the metre of a dance, and what is counted in one.

A metre is (numerator, denominator). Lengths are in quarter notes.
"""

from __future__ import annotations

import re
from fractions import Fraction

Metre = tuple[int, int]

METRE_NAMES: dict[str, Metre] = {
    "common time": (4, 4), "cut time": (2, 2), "alla breve": (2, 2), "waltz time": (3, 4), "march time": (2, 4),
    "triple metre": (3, 4), "triple meter": (3, 4), "triple time": (3, 4), "duple metre": (2, 4),
    "duple meter": (2, 4), "duple time": (2, 4), "quadruple metre": (4, 4), "quadruple meter": (4, 4),
    "four four": (4, 4), "three four": (3, 4), "two four": (2, 4), "six eight": (6, 8), "five four": (5, 4),
    "seven eight": (7, 8), "seven four": (7, 4), "nine eight": (9, 8), "twelve eight": (12, 8), "five eight": (5, 8),
    "three eight": (3, 8), "two two": (2, 2), "three two": (3, 2), "six four": (6, 4),
}  # fmt: skip

# The metre that a dance has almost always.
DANCE_METRES: dict[str, Metre] = {
    "waltz": (3, 4), "minuet": (3, 4), "mazurka": (3, 4), "ländler": (3, 4), "polonaise": (3, 4), "sarabande": (3, 4),
    "chaconne": (3, 4), "passacaglia": (3, 4), "bolero": (3, 4), "sevillana": (3, 4), "fandango": (3, 4),
    "galliard": (3, 4), "courante": (3, 4), "musette": (3, 4), "jarabe": (6, 8), "hambo": (3, 4), "polska": (3, 4),
    "polka": (2, 4), "march": (4, 4), "tango": (4, 4), "milonga": (2, 4), "habanera": (2, 4), "samba": (2, 4),
    "choro": (2, 4), "baião": (2, 4), "maxixe": (2, 4), "csárdás": (2, 4), "galop": (2, 4), "krakowiak": (2, 4),
    "ecossaise": (2, 4), "schottische": (4, 4), "bourrée": (2, 2), "gavotte": (2, 2), "rigaudon": (2, 2),
    "pavane": (4, 4), "allemande": (4, 4), "reel": (4, 4), "hornpipe": (4, 4), "strathspey": (4, 4),
    "jig": (6, 8), "gigue": (6, 8), "tarantella": (6, 8), "siciliana": (6, 8), "barcarolle": (6, 8),
    "saltarello": (6, 8), "slip jig": (9, 8), "cueca": (6, 8), "ragtime": (2, 4), "rag": (2, 4), "cakewalk": (2, 4),
    "cha cha": (4, 4), "rumba": (4, 4), "foxtrot": (4, 4), "quickstep": (4, 4), "bossa nova": (4, 4), "salsa": (4, 4),
    "mambo": (4, 4), "merengue": (4, 4), "bachata": (4, 4), "cumbia": (4, 4), "beguine": (4, 4), "forró": (2, 4),
    "paso doble": (2, 4), "two step": (2, 4), "kopanitsa": (11, 8), "rachenitsa": (7, 8), "jazz waltz": (3, 4),
}  # fmt: skip


def parse_metre(text: str) -> Metre | None:
    """The metre of "3/4", "common time" or "six-eight"; None if it is none. The denominator is a power of two to 16."""
    match = re.fullmatch(r"\s*(\d{1,2})\s*/\s*(1|2|4|8|16)\s*", text)
    if match:
        return (int(match[1]), int(match[2])) if 1 <= int(match[1]) <= 16 else None
    return METRE_NAMES.get(re.sub(r"[\s-]+", " ", text.lower()).strip())


def bar_length(metre: Metre) -> Fraction:
    """Quarter notes in a bar."""
    return Fraction(4 * metre[0], metre[1])


def is_compound(metre: Metre) -> bool:
    """Whether three eighths (or sixteenths) are one beat: 6/8, 9/8, 12/8, and 3/8, which counts one."""
    return metre[1] >= 8 and metre[0] % 3 == 0 and metre[0] <= 12 and (metre[1] == 8 or metre[0] > 3)


def beat_length(metre: Metre) -> Fraction:
    """What is counted, in quarter notes: a dotted quarter in 6/8, a half in 2/2, an eighth in 7/8.

    Only 3/8, 6/8, 9/8 and 12/8 count in three; nothing shorter than an eighth is counted.
    """
    if metre[1] == 8 and is_compound(metre):
        return Fraction(3, 2)
    return max(Fraction(4, metre[1]), Fraction(1, 2))


def beats_in_bar(metre: Metre) -> Fraction:
    """How many of `beat_length` make a bar: 2 in 6/8, 3 in 3/4, 7 in 7/8."""
    return bar_length(metre) / beat_length(metre)
