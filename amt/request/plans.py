"""The plan that is asked for: a progression and a form, as options or in a text, laid over the bars of the piece."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

from amt.config import shown
from amt.midi.chords import Bars, Chord, parse_progression
from amt.midi.plan import MAX_PLAN_HALF_BARS, SAME_SECTION, number_of_chord
from amt.midi.theory import Key
from amt.midi.vocabulary import SECTIONS
from amt.request.reading import Reading

# Who decides form and chords where neither the call nor the text does.
PlanBy = Literal["style", "model"]
PLAN_BY: tuple[PlanBy, ...] = ("style", "model")
USUAL_BARS = 16  # of a plan for music whose length nobody says
USUAL_SECTION_BARS = 4  # the same for each section of a form
MAX_BARS = MAX_PLAN_HALF_BARS // 2
MAX_TEXT_LEN = 4000  # of a progression or a form: more than such a plan needs
FEWEST_SECTIONS = 3  # that make a form of a text: fewer may be named for another reason

# Other words for sections.
_NAMES = {name.lower(): name for name in SECTIONS if len(name) > 1} | {
    "prechorus": "pre-chorus", "pre": "pre-chorus", "refrain": "chorus", "breakdown": "break", "buildup": "build",
    "coda": "outro", "ending": "outro", "introduction": "intro", "interlude": "bridge", "instrumental": "solo",
}  # fmt: skip
_JOINTS = re.compile(r"\s*(?:->|→|=>|[,;|/–—-])\s*|\s+")
_WORD = re.compile(r"([A-Za-z]+)'?[:x*(]?(\d+)?\)?")

Plan = tuple[tuple[int, ...] | None, tuple[int, ...] | None]


def plan_asked(chords: str | None, form: str | None, *, key: Key | None, num_bars: int | None, is_exact: bool) -> Plan:
    """For each half bar the section that begins there (or -1), and the number of its chord; None for what is not asked.

    The progression comes again and again, and begins anew with each section of the form.

    Args:
        chords: like "C Am F G", a chord a bar, or with bar lines one or two a bar; or numerals like "ii-V-I in F".
        form: like "verse chorus verse chorus", "AABA" or "intro 4 A8 A8 B8 A8", with bars.
        key: of numerals that do not name one.
        num_bars: how long the piece is; None: 16 bars, or 4 for each section that names no length.
        is_exact: whether that is more than a guess.

    Raises:
        ValueError: what is no chord or section, or does not fit the bars.
    """
    for name, text in (("chords", chords), ("form", form)):
        if isinstance(text, str) and len(text) > MAX_TEXT_LEN:
            raise ValueError(f"{name} may have {MAX_TEXT_LEN} characters at most, got {len(text)}")
    progression = None if chords is None else _progression(chords, key)
    if progression is not None and len(progression) > MAX_BARS:
        raise ValueError(f"chords has {len(progression)} bars, and a plan {MAX_BARS} at most; leave some out")
    lengths = None if form is None else _lengths(_form(form), num_bars, is_exact)
    total = sum(bars for _, bars in lengths) if lengths is not None else num_bars or USUAL_BARS
    if total > MAX_BARS:
        raise ValueError(f"a plan has at most {MAX_BARS} bars, and this one has {total}; ask for fewer")
    planned_sections: list[int] = []
    planned_chords: list[int] = []
    for section, bars in lengths if lengths is not None else [(SAME_SECTION, total)]:
        planned_sections += [section, *[SAME_SECTION] * (2 * bars - 1)]
        for bar in range(bars if progression else 0):
            planned_chords += progression[bar % len(progression)] if progression else []
    return tuple(planned_sections) if lengths is not None else None, tuple(planned_chords) if progression else None


def form_lengths(form: str, num_bars: int | None, *, is_exact: bool) -> list[tuple[str, int]]:
    """The names of the sections of a form like "verse chorus", and the bars of each; see `plan_asked`.

    Raises:
        ValueError: as there.
    """
    return [(SECTIONS[section], bars) for section, bars in _lengths(_form(form), num_bars, is_exact)]


def _progression(text: str, key: Key | None) -> list[tuple[int, int]]:
    """The numbers of the chords of the halves of each bar."""
    if not isinstance(text, str):
        raise ValueError(f'chords must be a text like "C Am F G" or "ii-V-I in F", got {text!r}')
    bars = parse_progression(text, key)
    if bars is None:
        words = [word for word in _JOINTS.split(re.sub(r"\s+in\s+.*", "", text)) if word and word != "%"]
        wrong = next((word for word in words if parse_progression(word, key) is None), text)
        raise ValueError(
            f"{shown(wrong)} in chords is no chord; write them like Am7, F#dim, Bb/D or G7sus4,"
            " or as numerals like ii-V-I in F"
        )
    crowded = next((bar for bar in bars if len(bar) > 2), None)
    if crowded is not None:
        names = " ".join(chord.name for chord in crowded)
        raise ValueError(f"chords has the bar {names!r}; a bar has one chord or two, so put a bar line (|) into it")
    return [(number_of_chord(bar[0]), number_of_chord(bar[-1])) for bar in bars]


def _form(text: str) -> list[tuple[int, int]]:
    """The index of each section and its bars; 0 where it names none."""
    if not isinstance(text, str):
        raise ValueError(f'form must be a text like "verse chorus verse chorus" or "AABA", got {text!r}')
    joined = re.sub(r"\b(pre|build)[ -](chorus|up)\b", r"\1\2", text, flags=re.IGNORECASE)
    sections: list[tuple[int, int]] = []
    for word in filter(None, _JOINTS.split(joined.strip())):
        if word.isdecimal() and sections and not sections[-1][1]:
            sections[-1] = (sections[-1][0], int(word))
            continue
        match = _WORD.fullmatch(word)
        name = match and match[1]
        bars = int(match[2] or 0) if match else 0
        if name and name.lower() in _NAMES:
            sections.append((SECTIONS.index(_NAMES[name.lower()]), bars))
        elif name and (name.isupper() or len(name) == 1) and set(name.upper()) <= set("ABCD"):
            letters = [SECTIONS.index(letter) for letter in name.upper()]
            sections += [(letter, bars) for letter in letters]
        else:
            known = ", ".join(name for name in SECTIONS if len(name) > 1)
            raise ValueError(f"{shown(word)} in form is no section; there are {known}, and letters A to D, as in AABA")
    if not sections:
        raise ValueError('form is empty; name sections, like "verse chorus verse chorus" or "AABA"')
    return sections


def _lengths(sections: list[tuple[int, int]], num_bars: int | None, is_exact: bool) -> list[tuple[int, int]]:
    """The sections, each with its bars: those that name none share what the others leave, in fours where they may."""
    named = sum(bars for _, bars in sections)
    num_free = sum(bars == 0 for _, bars in sections)
    if num_bars is None or (num_bars < named + num_free and not is_exact):
        num_bars = named + USUAL_SECTION_BARS * num_free
    left = num_bars - named
    if left < num_free or (left > 0 and num_free == 0 and is_exact):
        wanted = f"{named} bars" if num_free == 0 else f"at least {named + num_free} bars"
        raise ValueError(f"form has {wanted}, and bars is {num_bars}; change one of them")
    unit = next((unit for unit in (4, 2) if left >= 2 * unit * num_free), 1)
    ends = [left * (place + 1) // (num_free * unit) * unit for place in range(num_free)]
    ends[-1:] = [left] if ends else []
    shares = iter([end - start for start, end in zip([0, *ends], ends, strict=False)])
    return [(section, bars or next(shares)) for section, bars in sections]


def said_plan(reading: Reading, key: Key | None, named: Collection[str]) -> dict[str, str]:
    """The options `chords` and `form` that a text states; not those that a call names.

    Args:
        key: of the call; numerals whose key the text does not say stand in it.
    """
    found: dict[str, str] = {}
    if reading.chords is not None and "chords" not in named:
        bars = reading.chords.value.bars
        if reading.chords.value.is_movable and key is not None:
            home = 9 if key.is_minor and _is_minor(bars) else 0
            bars = tuple(tuple(chord.transposed(key.tonic - home) for chord in bar) for bar in bars)
        if all(len(bar) <= 2 for bar in bars):
            found["chords"] = " | ".join(" ".join(chord.name for chord in bar) for bar in bars)
    if "form" not in named:
        for form in reading.forms:
            try:
                sections = _form(form.value)
            except ValueError:  # a fugue, a loop
                continue
            if len(sections) >= FEWEST_SECTIONS:
                found["form"] = form.value
                break
    return found


def _is_minor(bars: Bars) -> bool:
    """Whether numerals without a key were read in A minor: the first is "i"."""
    first: Chord = bars[0][0]
    return first.root == 9 and first.plan_quality in ("min", "min7", "dim")
