"""How long a piece is to be: seconds, bars, or just "short" and "long"."""

from __future__ import annotations

import re

from amt.request.lexicon.grammar import NUMBERS
from amt.request.said import Range, Said
from amt.request.scan import Scan

MAX_SECONDS = 24 * 60 * 60
MAX_BARS = 10_000
_WORDS = "|".join(sorted(NUMBERS, key=len, reverse=True))
_NUMBER = rf"(?:[0-9]{{1,4}}(?:\.[0-9]{{1,3}})?|(?:{_WORDS})(?:[ -](?:{_WORDS}))?)"
_ONE_OR_TWO = rf"(?<![\w.,:/])(?P<low>{_NUMBER})(?:\s?(?:-|–|—|to|or|and)\s?(?P<high>{_NUMBER}))?"
_UNIT = r"(?P<unit>minutes?|mins?|m|hours?|hrs?|seconds?|secs?|s)(?![^\W\d])"
# "90 seconds", "2-3 minutes", "three minutes thirty", "2m30s"; not "96 notes per minute"
_AMOUNT = re.compile(
    rf"{_ONE_OR_TWO}[ -]?{_UNIT}(?!\.?,? (?:per|a) |['’])(?P<half> and a half)?"
    rf"(?:(?:,| and)? ?(?P<more>{_NUMBER})(?:[ -]?(?:seconds?|secs?|s)\b|(?=$|[.,;])))?",
    re.IGNORECASE,
)
# "two and a half minutes"; "a minute and a half"; "half a minute"; "1/2 minute"
_HALVES = re.compile(
    rf"(?<![\w.,:/])(?P<low>{_NUMBER}|an?) and (?:a |one )?(?P<part>half|quarter|three quarters)"
    r"[ -](?P<unit>minutes?|mins?|hours?)\b"
    r"|\b(?P<one>an?|one)[ -](?P<one_unit>minute|hour) and (?:a |one )?(?P<one_part>half)"
    r"|\b(?P<only>half|(?:a |three )?quarters?)(?: of)?(?: an?)?[ -](?P<only_unit>minute|hour)\b"
    r"|(?<![\w/])1/2 (?:of )?(?:an? )?(?P<slash_unit>minute|hour)\b",
    re.IGNORECASE,
)
# "1:30", but not "1:30 pm"
_CLOCK = re.compile(r"(?<![\w:.])([0-9]{1,2}):([0-5][0-9])(?![\w:]|\s?[ap]\.?m\b)")
# "a minute long", but not "a minute waltz"
_A_UNIT = re.compile(
    r"\b(?:a|one)[ -](minute|hour)\b(?! and)(?:[ -](?:long|of|piece|song|track|loop)|(?=\s*(?:$|[.,;!)])))",
    re.IGNORECASE,
)
# "16 bars", "8-bar", but not "a four bar intro"
_BARS = re.compile(
    rf"{_ONE_OR_TWO}[ -](?:bars?|measures?)\b"
    r"(?![ -](?:intro|outro|solo|break|fill|phrase|riff|pattern|ostinato)|s?['’])",
    re.IGNORECASE,
)
# Before an amount: not a length ("the last 10 seconds", "every two bars"), or the most or the least.
_NOT_AFTER = re.compile(
    r"\b(?:last|first|every|each|after|next|per|final|another|in bar|in measure|at|from|change)\s+$", re.IGNORECASE
)
_AT_MOST = re.compile(
    r"\b(?:under|up to|at most|less than|(?:no|not) (?:longer|more) than|max(?:imum)?(?: of)?|below|within)\s+$",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"\b(?:over|at least|more than|no shorter than|minimum(?: of)?|(?:no|not) less than)\s+$", re.IGNORECASE
)
_SIZE = re.compile(r"\b(very short|short|brief|tiny|long|extended|lengthy)\b", re.IGNORECASE)
_SHORT = ("very short", "short", "brief", "tiny")
# What is "short" or "long" as a whole, and what is only a part.
_PIECES = re.compile(
    r"(?:[ ,]+[\w-]+){0,3}?[ ,]+(?:pieces?|songs?|tracks?|tunes?|composition|fragment|snippet|sketch|excerpt|clip|cue|"
    r"works?|versions?|jams?|loops?|fanfare|interlude|waltz|intro|jingle|melody|theme|prelude|etude|march|improvisation|"
    r"ballad|medley|music)\b",
    re.IGNORECASE,
)
_NO_PIECES = re.compile(
    r"[ -]+(?:notes?|reverb|attack|decay|release|tail|sustain|sustained|phrases?|fade|delay|chords?|riffs?|stabs?|"
    r"bursts?|fills?|hair|time|way|lost|story|term|ago|before|after|solo|rests?)\b",
    re.IGNORECASE,
)


def read_seconds(scan: Scan) -> Said[Range] | None:
    """The first length in time."""
    found: list[Said[Range]] = []
    for match in scan.matches(_HALVES):
        seconds = _halves(match)
        scan.take(*match.span())
        found.append(_said(scan, match, seconds, seconds))
    for match in scan.matches(_AMOUNT):
        low, high, unit, half, more = match.group("low", "high", "unit", "half", "more")
        if _NOT_AFTER.search(scan.english[: match.start()]) or _is_decade(match):
            continue
        if low[0].isalpha() and scan.english[match.start("unit") - 1 : match.start("unit")].isalpha():
            continue  # "trading fours"
        scale = {"m": 60, "h": 3600}.get(unit[0].lower(), 1)
        if more is not None and scale == 1:
            continue
        extra = (scale / 2 if half else 0) + (_number(more) if more else 0)
        first, last = _number(low) * scale + extra, _number(high or low) * scale + extra
        if not 0 < last <= MAX_SECONDS:
            continue
        scan.take(*match.span())
        found.append(_said(scan, match, first, last))
    for match in scan.matches(_CLOCK):
        if _NOT_AFTER.search(scan.english[: match.start()]) is None and match[0] not in ("0:00", "00:00"):
            scan.take(*match.span())
            seconds = 60.0 * int(match[1]) + int(match[2])
            found.append(_said(scan, match, seconds, seconds))
    for match in scan.matches(_A_UNIT):
        if _NOT_AFTER.search(scan.english[: match.start()]) is None:
            scan.take(match.start(), match.end(1))
            seconds = 60.0 if match[1].lower() == "minute" else 3600.0
            found.append(_said(scan, match, seconds, seconds))
    return min(found, key=lambda length: length.start, default=None)


def read_bars(scan: Scan) -> Said[Range] | None:
    """The first length in bars."""
    for match in scan.matches(_BARS):
        low, high = match.group("low", "high")
        first, last = _number(low), _number(high or low)
        if _NOT_AFTER.search(scan.english[: match.start()]) or not 0 < last <= MAX_BARS:
            continue
        scan.take(*match.span())
        return _said(scan, match, first, last)
    return None


def read_size(scan: Scan) -> Said[str] | None:
    """ "short" or "long", where that is said of the piece, not of its notes or its reverb."""
    for match in scan.matches(_SIZE):
        before, behind = scan.english[: match.start()].rstrip(), scan.english[match.end() :]
        if _NO_PIECES.match(behind) or re.search(
            r"(?:\d|minutes?|seconds?|bars?|measures?|how|as|so|all \w+)$", before, re.I
        ):
            continue
        is_alone = (
            before[-1:] in ("", ",", ".", ";") and behind.lstrip()[:1] in (",", ";") and match[1].lower() != "long"
        )
        if is_alone or _PIECES.match(behind):
            scan.take(*match.span())
            return scan.said("short" if match[1].lower() in _SHORT else "long", *match.span())
    return None


def _said(scan: Scan, match: re.Match[str], low: float, high: float) -> Said[Range]:
    before = scan.english[: match.start()]
    most, least = _AT_MOST.search(before), _AT_LEAST.search(before)
    if most:
        return scan.said(Range(0, high), most.start(), match.end())
    if least:
        return scan.said(Range(low, None), least.start(), match.end())
    return scan.said(Range(min(low, high), max(low, high)), *match.span())


def _is_decade(match: re.Match[str]) -> bool:
    """Whether "80s" is a decade; "30 s" and "15s" are seconds."""
    return (
        match["unit"] == "s"
        and match[0] == match["low"] + "s"
        and match["low"] in ("50", "60", "70", "80", "90", "00", "20")
    )


def _number(words: str) -> float:
    if words[0].isdigit():
        return float(words)
    values = [NUMBERS[word] for word in re.split(r"[ -]+", words.lower())]
    if len(values) == 2 and values[1] == 100:
        return float(values[0] * 100)
    return float(sum(values))


def _halves(match: re.Match[str]) -> float:
    parts = {"half": 0.5, "quarter": 0.25, "a quarter": 0.25, "three quarters": 0.75, "three quarter": 0.75}
    if match["low"]:
        whole = 1.0 if match["low"].lower() in ("a", "an") else _number(match["low"])
        return (whole + parts[match["part"].lower()]) * _unit(match["unit"])
    if match["one"]:
        return 1.5 * _unit(match["one_unit"])
    if match["only"]:
        return parts.get(match["only"].lower(), 0.25) * _unit(match["only_unit"])
    return 0.5 * _unit(match["slash_unit"])


def _unit(name: str) -> float:
    return 3600.0 if name.lower().startswith("h") else 60.0
