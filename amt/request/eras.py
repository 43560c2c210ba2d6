"""The time that music is of: "80s", "1920s", "seventies"."""

from __future__ import annotations

import re

from amt.request.said import Said
from amt.request.scan import Scan

_DECADE = re.compile(r"(?<![\w.])['’]?((?:18|19|20)?[0-9]0)['’]?s\b(?![ -](?:long|loop|clip))", re.IGNORECASE)
_WORDS = {"twenties": 1920, "thirties": 1930, "forties": 1940, "fifties": 1950, "sixties": 1960, "seventies": 1970,
          "eighties": 1980, "nineties": 1990, "noughties": 2000}  # fmt: skip
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)


def read_eras(scan: Scan) -> list[Said[str]]:
    """Decades like "1980s". Of two digits 50 to 90 are of the last century."""
    found: list[Said[str]] = []
    for match in scan.matches(_DECADE):
        year = int(match[1])
        if len(match[1]) == 2 and year in (10, 30, 40):
            continue  # "30s" are seconds
        if year < 100:
            year += 2000 if year == 0 else 1900
        scan.take(*match.span())
        found.append(scan.said(f"{year}s", *match.span()))
    found += [scan.said(f"{_WORDS[match[1].lower()]}s", *match.span()) for match in scan.matches(_WORD)]
    return sorted(found, key=lambda era: era.start)
