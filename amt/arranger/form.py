"""The form of a piece: which sections there are, how long each is, and what returns."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence

_WORD = re.compile(r"([A-Za-z]+)('?)(\d+)")

# How loud a section is beside the loudest, where a style does not say it.
LEVELS = {
    "intro": 0.8, "verse": 0.86, "pre": 0.92, "chorus": 1.0, "bridge": 0.86, "solo": 1.0, "outro": 0.84, "break": 0.76,
    "build": 0.9, "drop": 1.0, "climax": 1.06, "A": 0.9, "B": 0.96, "C": 1.0, "D": 0.92, "head": 0.92, "trio": 0.88,
}  # fmt: skip
# What a section takes its patterns from, where a style has none for it; at last "main".
FALLBACKS = {
    "pre": "verse", "solo": "chorus", "drop": "chorus", "climax": "chorus", "B": "A", "C": "B", "D": "A",
    "break": "intro", "bridge": "verse", "outro": "verse", "build": "pre", "head": "A", "trio": "B", "end": "chorus",
}  # fmt: skip
# What a section takes its chords from.
HARMONY_FALLBACKS = {**FALLBACKS, "intro": "verse", "outro": "chorus", "break": "verse", "solo": "A", "verse": "A"}
MAX_BARS = 400


@dataclasses.dataclass(frozen=True)
class Section:
    """A stretch of whole bars.

    Attributes:
        name: like "verse" or "A".
        is_varied: whether it is written with a prime: it comes back varied.
        start: its first bar, from 0.
    """

    name: str
    is_varied: bool
    start: int
    bars: int

    @property
    def end(self) -> int:
        """The bar behind it."""
        return self.start + self.bars


def parse_form(text: str) -> tuple[Section, ...]:
    """Sections of a text like "intro4 A8 A'8 B8 A8".

    Raises:
        ValueError: it is no form.
    """
    sections: list[Section] = []
    start = 0
    for word in text.split():
        match = _WORD.fullmatch(word)
        if match is None or not 1 <= int(match[3]) <= 64:
            raise ValueError(f'a form is words like "verse8" or "A\'8" (1 to 64 bars), got {word!r}')
        sections.append(Section(match[1], bool(match[2]), start, int(match[3])))
        start += int(match[3])
    if not sections:
        raise ValueError("a form has at least one section")
    return tuple(sections)


_FRAMES = ("intro", "outro", "break", "build", "bridge")


def in_a_row(sections: Sequence[tuple[str, int]]) -> tuple[Section, ...]:
    """Sections of these names and bars, one behind the other."""
    starts = itertools.accumulate((bars for _, bars in sections), initial=0)
    return tuple(Section(name, False, start, bars) for (name, bars), start in zip(sections, starts, strict=False))


def fitted(form: Sequence[Section], bars: int, *, is_exact: bool) -> tuple[Section, ...]:
    """A form of just so many bars, or, with `is_exact` false, of about so many in whole sections.

    A short one is made of the main sections alone; of a longer one, sections in the middle come again or fall away, and
    one is cut or lengthened.
    """
    mains = [section for section in form if section.name not in _FRAMES] or list(form)
    first, last = form[0], form[-1]
    frame = first.bars * (first.name == "intro") + last.bars * (last.name == "outro")
    if bars >= 2 * frame + mains[0].bars and frame:
        chosen = [section for section in form if section.name != "outro" or section is last]
    else:
        chosen = list(mains)
    inner = [section for section in chosen if section.name not in ("intro", "outro")]
    head = [section for section in chosen[:1] if section.name == "intro"]
    tail = [section for section in chosen[-1:] if section.name == "outro"]
    room = bars - sum(section.bars for section in head + tail)
    body: list[Section] = []
    total = place = 0
    while total < room:  # the form from its beginning, then its main sections again
        section = inner[place] if place < len(inner) else mains[(place - len(inner)) % len(mains)]
        missing = room - total
        if not is_exact and total and missing < section.bars / 2:
            break
        if not is_exact and section.bars <= 16:
            missing = max(missing, section.bars)
        if (
            total + section.bars > room and total and room - total < 4 and is_exact
        ):  # too little is left: the last one is longer
            body[-1] = dataclasses.replace(body[-1], bars=body[-1].bars + room - total)
            break
        body.append(dataclasses.replace(section, bars=min(section.bars, missing)))
        total += body[-1].bars
        place += 1
    start, made = 0, []
    for section in [*head, *body, *tail]:
        made.append(dataclasses.replace(section, start=start))
        start += section.bars
    return tuple(made)


def lookup(table: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    """What a table of patterns has for a section."""
    while name not in table:
        if name not in FALLBACKS:
            return table.get("main", ())
        name = FALLBACKS[name]
    return table[name]
