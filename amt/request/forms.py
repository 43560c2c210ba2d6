"""The form of a piece: named forms, letters like AABA, and the sections that a text names in their order."""

from __future__ import annotations

import re

from amt.request.said import Said
from amt.request.scan import Scan

_LETTERS = re.compile(r"(?<![\w-])((?:[A-E]-?){3,9})(?![\w-])")
_SPACED = re.compile(r"(?<![\w-])([A-E](?: [A-E]){2,8})(?= (?:form|structure))")
_NO_FORMS = (
    "ABBA",
    "BBC",
    "ABC",
    "ACDC",
    "DAC",
    "CEDE",
    "BAD",
    "DAD",
    "BEE",
    "ACE",
    "BED",
    "ADD",
    "CAB",
    "DEAD",
    "BEAD",
    "ABCD",
)


def read_forms(scan: Scan) -> list[Said[str]]:
    """Forms in the order of the text. Sections that are named are one form, like "verse chorus verse chorus"."""
    found = list(scan.of_kind("form"))
    for pattern in (_LETTERS, _SPACED):
        for match in scan.matches(pattern):
            letters = re.sub(r"[ -]", "", match[1])
            is_form = (
                re.match(r"\W+(?:form|structure|song|tune|section|rondo|pattern)", scan.english[match.end() :])
                is not None
            )
            if letters[0] == "A" and len(set(letters)) < len(letters) and (letters not in _NO_FORMS or is_form):
                scan.take(*match.span())
                found.append(scan.said(letters, *match.span()))
    sections = [(hit, value) for hit in scan.hits for value in hit.values("section")]
    if sections:
        names = " ".join(value for _, value in sections)
        found.append(scan.said(names, sections[0][0].start, sections[-1][0].end))
    return sorted(found, key=lambda form: form.start)
