"""The metre of a text: "6/8", "in 3/4 time", "alla breve", "five-four"."""

from __future__ import annotations

import re

from amt.midi.metres import METRE_NAMES, Metre
from amt.request.said import Said
from amt.request.scan import Scan

_FRACTION = re.compile(r"(?<![\w./,-])([1-9][0-9]?)/(16|1|2|4|8)(?![\w/]|[.,-][0-9])(?!\s+of\b)")
_SPOKEN = re.compile(
    r"\b(two|three|five|six|seven|nine|twelve|[2-9]|12)[ -](?:(four|eight|quarter|4|8)) (?:time|metre|meter|feel)\b",
    re.IGNORECASE,
)
_NUMBERS = {"two": 2, "three": 3, "five": 5, "six": 6, "seven": 7, "nine": 9, "twelve": 12}


def read_metre(scan: Scan) -> Said[Metre] | None:
    """The first metre that the text says, not what a dance implies."""
    found: list[Said[Metre]] = []
    for match in scan.matches(_FRACTION):
        if match[1] != "1":  # "1/4 notes", "1/2 minute"
            scan.take(*match.span())
            found.append(scan.said((int(match[1]), int(match[2])), *match.span()))
    for match in scan.matches(_SPOKEN):
        above = _NUMBERS.get(match[1].lower()) or int(match[1])
        scan.take(*match.span())
        found.append(scan.said((above, 8 if match[2].lower() in ("eight", "8") else 4), *match.span()))
    found += [name.of(METRE_NAMES[name.value]) for name in scan.of_kind("metre")]
    return min(found, key=lambda metre: metre.start, default=None)
