"""The chords of a text: "C Am F G", "Dm7 | G7 | Cmaj7", "a ii-V-I in F"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from amt.midi.chords import Bars, Chord, parse_chord, parse_roman
from amt.midi.theory import Key
from amt.request.said import Progression, Said
from amt.request.scan import Scan

_PIECE = re.compile(r"\|+|->|→|=>|[,;–—>-](?=\s|$)|[^\s,;|→]+")
_JOINTS = {",", "-", "–", "—", ">", "->", "→", "=>", "to", "then", "and"}
_DASHES = str.maketrans("–—‐‑", "----")
_BEFORE = re.compile(
    r"\b(?:chords?|progression|changes|harmony|using|over|vamp|sequence)\b"
    r"(?:\W+(?:are|is|be|should|will|of|the|like|such|as|progression|chords?|go|goes|following|in|with|loop|these)\b)*"
    r"\W*(?:the )?$",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"\W*(?:chord )?(?:progression|chords|changes|vamp|turnaround|loop|sequence)\b", re.IGNORECASE)
_NUMBERED = re.compile(
    r"\b(?:act|war|part|king|chapter|volume|vol|op|no|scene|mark|henry|louis|world)\.?\s*$", re.IGNORECASE
)


class _Run(NamedTuple):
    """Chords that follow one another: the words, and whether each opens a new bar."""

    words: tuple[str, ...]
    joints: tuple[str, ...]  # what stands before each, beside spaces
    start: int
    end: int


def read_chords(scan: Scan, key: Key | None) -> Said[Progression] | None:
    """The first progression of at least two chords.

    Numerals stand in `key`; without one in C major, or in A minor if the first is "i".
    """
    for run in _runs(scan):
        is_named = bool(_BEFORE.search(scan.english[: run.start]) or _BEHIND.match(scan.english, run.end))
        for numerals in (False, True):
            chords = _chords(run, numerals, key)
            if chords is None or not _is_meant(run, numerals, is_named, scan.english[: run.start]):
                continue
            scan.take(run.start, run.end)
            return scan.said(Progression(_bars(run, chords), numerals and key is None), run.start, run.end)
    return None


def _runs(scan: Scan) -> Iterator[_Run]:
    """Words that look like chords or numerals, with nothing but signs between them."""
    words: list[str] = []
    joints: list[str] = []
    start = end = 0
    joint = ""
    # "FM electric piano" begins with no chord.
    others = [(hit.start, hit.end) for hit in scan.hits if hit.after - hit.first > 1 and hit.values("instrument")]
    for match in _PIECE.finditer(scan.english.translate(_DASHES)):
        piece = match[0]
        word = piece.strip('.:()[]!?"“”')
        parts = [part for part in word.split("-") if part] if _split(word) else [word]
        if piece.strip("|") == "" or piece in _JOINTS:
            joint += piece.strip() if piece.strip("|") == "" else ("," if piece == "," else " ")
            continue
        is_other = any(first <= match.start() < after for first, after in others)
        if parts and all(map(_looks, parts)) and not is_other and scan.is_free(match.start(), match.end()):
            at = match.start() + piece.index(word)
            if not words:
                start = at
                joint = "|" if "|" in joint else ""
            words += parts
            joints += [joint or " ", *["-"] * (len(parts) - 1)]
            end, joint = at + len(word), ""
            if piece.endswith((".", ";", ":", "!", "?", ")", "]")):
                yield _Run(tuple(words), tuple(joints), start, end)
                words, joints = [], []
            continue
        if words:
            yield _Run(tuple(words), tuple(joints), start, end)
        words, joints, joint = [], [], ""
    if words:
        yield _Run(tuple(words), tuple(joints), start, end)


def _looks(word: str) -> bool:
    return len(word) <= 12 and (parse_chord(word) is not None or parse_roman(word, Key(0, "major")) is not None)


def _split(word: str) -> bool:
    """Whether hyphens join chords ("C-Am-F"); C-7 is one chord."""
    return "-" in word and not _looks(word)


def _chords(run: _Run, numerals: bool, key: Key | None) -> list[Chord] | None:
    if key is None:
        is_minor = re.match(r"i(?![iv])", run.words[0]) is not None
        key = Key(9, "minor") if is_minor else Key(0, "major")
    chords = [parse_roman(word, key) if numerals else parse_chord(word) for word in run.words]
    return [chord for chord in chords if chord is not None] if None not in chords else None


def _is_meant(run: _Run, numerals: bool, is_named: bool, before: str) -> bool:
    """Whether these are chords and not an article, a pronoun, a form (A B A) or a number."""
    count = len(run.words)
    if count < 2 or (run.words[0] in ("A", "I") and count == 2 and not is_named):
        return False
    if is_named:
        return True
    is_joined = any(joint in ("-", "|") for joint in run.joints[1:])
    if "," in "".join(run.joints[1:]) and not any(len(word) > 1 for word in run.words):
        return False
    if numerals:
        mixed = {word.islower() for word in (re.sub(r"[^IViv]", "", word) for word in run.words)}
        return not _NUMBERED.search(before) and (count >= 3 or (is_joined and len(mixed) == 2))
    rich = sum(len(word) > 1 for word in run.words)
    return (count >= 3 and rich >= 1) or rich >= 2 or (is_joined and "|" in "".join(run.joints))


def _bars(run: _Run, chords: list[Chord]) -> Bars:
    """One chord a bar; where there are bar lines, what stands between two of them."""
    if "|" not in "".join(run.joints[1:]):
        return tuple((chord,) for chord in chords)
    bars: list[list[Chord]] = []
    for chord, joint in zip(chords, run.joints, strict=True):
        if not bars or "|" in joint:
            bars.append([])
        bars[-1].append(chord)
    return tuple(map(tuple, bars))
