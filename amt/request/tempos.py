"""The tempo of a text: a number of beats a minute, or a word for a tempo."""

from __future__ import annotations

import re
from fractions import Fraction

from amt.midi.metres import Metre, beat_length
from amt.midi.tempo_words import FAST_WORDS, SLOW_WORDS, TEMPO_WORDS, TempoRange
from amt.request.said import Said, Tempo
from amt.request.scan import Scan

SLOWEST_BPM, FASTEST_BPM = 1, 999  # what a tempo may be is for the limits to say
_NUMBER = r"([0-9]{1,3}(?:\.[0-9]{1,3})?)"
_RANGE = rf"{_NUMBER}(?:\s?(?:-|–|—|to|and)\s?{_NUMBER})?"
_UNIT = r"(?:b\.?p\.?m\.?\b|beats (?:per|a) min(?:ute)?\b|beats/min\b)"
_NOTE = r"(dotted[ -])?(whole|half|quarter|eighth|minim|crotchet|quaver)"
# "120 bpm", "90-100 BPM (dotted-quarter beat)"
_BEHIND = re.compile(
    rf"(?<![\w./,:])(?:between )?{_RANGE}\s?{_UNIT}(?:\s?\(?\s?{_NOTE}(?:[ -](?:note|beat|pulse)s?\b|\s?\)))?",
    re.IGNORECASE,
)
# "BPM: 120", "tempo of 96", "speed 130"
_BEFORE = re.compile(
    rf"\b(?:bpm|tempo|speed|pace|metronome)\b\s?(?:mark(?:ing)?)?\s?(?:of|:|=|at|is|around|about|approximately|~"
    rf"|,)?\s?(?:about |around )?"
    rf"{_RANGE}(?![\d./:]?\d|\s?(?:%|/|seconds|minutes|bars))",
    re.IGNORECASE,
)
# "♩ = 120", "quarter note = 84"
_EQUALS = re.compile(rf"(?:([♩♪𝅗𝅥𝅘𝅥]+)(\.)?|\b{_NOTE}(?:[ -]notes?)?|\b(q))\s?=\s?{_NUMBER}", re.IGNORECASE)
# "at 124", "@120"
_AT = re.compile(
    r"(?:\bat |@ ?)(?:about |around |a tempo of )?([0-9]{2,3})(?=\s*(?:$|[.,;!)]|(?:with|and|using|for|in [A-G])\b))",
    re.IGNORECASE,
)
_NOTES = {
    "whole": Fraction(4), "half": Fraction(2), "minim": Fraction(2), "quarter": Fraction(1), "crotchet": Fraction(1),
    "eighth": Fraction(1, 2), "quaver": Fraction(1, 2), "♩": Fraction(1), "𝅘𝅥": Fraction(1), "♪": Fraction(1, 2),
    "𝅗𝅥": Fraction(2), "q": Fraction(1),
}  # fmt: skip


def read_tempo(scan: Scan, metre: Metre | None, usual: TempoRange | None = None) -> Said[Tempo] | None:
    """The first number of beats a minute, else the first word for a tempo; in quarter notes.

    A number counts the notes that the text names behind it, as in "52 BPM (dotted-quarter beat)" or "♩. = 60". Without
    these it counts the beats of the metre: dotted quarters in 6/8, halves in 2/2, else quarters. A word reaches as far
    as the music of its style: `usual` are that style's quarter notes a minute, and "fast bebop" may be at 220.
    """
    beat = Fraction(1) if metre is None else beat_length(metre)
    found: list[Said[Tempo]] = []
    for match in scan.matches(_EQUALS):
        sign, dot, dotted, note, letter, number = match.groups()
        unit = _NOTES[(sign or note or letter).lower()] * (Fraction(3, 2) if dot or dotted else 1)
        _add(scan, found, match, number, None, unit)
    for match in scan.matches(_BEHIND):
        low, high, dotted, note = match.groups()
        unit = beat if note is None else _NOTES[note.lower()] * (Fraction(3, 2) if dotted else 1)
        _add(scan, found, match, low, high, unit)
    for match in scan.matches(_BEFORE):
        _add(scan, found, match, match[1], match[2], beat)
    if not found:
        for match in scan.matches(_AT):
            if 40 <= int(match[1]) <= 300:
                _add(scan, found, match, match[1], None, beat)
    if found:
        return min(found, key=lambda tempo: tempo.start)
    for word in scan.of_kind("tempo"):
        low_bpm, high_bpm = TEMPO_WORDS[word.value]
        unit_bpm = float(beat) if metre is not None and metre[1] == 8 and beat > 1 else 1.0
        low_bpm, high_bpm = low_bpm * unit_bpm, high_bpm * unit_bpm
        if usual is not None and word.value in SLOW_WORDS:
            low_bpm = min(low_bpm, usual.low)
        if usual is not None and word.value in FAST_WORDS:
            high_bpm = max(high_bpm, usual.high)
        return word.of(Tempo(low_bpm, high_bpm, word.value))
    return None


def _add(
    scan: Scan, found: list[Said[Tempo]], match: re.Match[str], low: str, high: str | None, unit: Fraction
) -> None:  # fmt: skip
    numbers = sorted(float(Fraction(number) * unit) for number in (low, high or low))
    if not all(SLOWEST_BPM <= float(number) <= FASTEST_BPM for number in (low, high or low)):
        return
    scan.take(*match.span())
    found.append(scan.said(Tempo(numbers[0], numbers[1]), *match.span()))
