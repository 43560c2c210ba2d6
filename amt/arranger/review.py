"""What composed pieces must keep: pitches of scale and chords, ranges of instruments, and that they differ."""

from __future__ import annotations

import numpy as np

from amt.arranger.arrangement import Arrangement
from amt.arranger.chords import line_scale
from amt.arranger.instruments import instruments
from amt.midi.chords import parse_chord
from amt.midi.sanity import bar_contents
from amt.midi.theory import SCALES, parse_key

MAX_RUN = 24


def stray_notes(piece: Arrangement, *, has_blues: bool = False) -> int:
    """How many notes are neither in the scale of the key, nor of the chords of their bar or the next, nor passing.

    Args:
        has_blues: whether the notes of the tonic's blues scale count as the scale's, too.
    """
    facts, notes = piece.facts, piece.notes
    if facts["key"] is None:
        return 0
    key = parse_key(facts["key"])
    assert key is not None, facts["key"]
    scale = set(line_scale(key)) | {(key.tonic + step) % 12 for step in SCALES["blues"] if has_blues}
    bars = []
    for text in facts["chords"]:
        chords = [parse_chord(word) for word in text.split()]
        bars.append({pitch_class for chord in chords if chord for pitch_class in chord.pitch_classes})
    allowed = np.zeros((len(bars) + 1, 12), bool)
    for number, own in enumerate(bars):
        following = bars[number + 1] if number + 1 < len(bars) else set()
        allowed[number, list(scale | own | following)] = True
    numerator, denominator = map(int, facts["meter"].split("/"))
    bar_ticks = piece.music.ticks_per_beat * 4 * numerator // denominator
    bar = np.minimum(notes.start_ticks // bar_ticks, len(bars) - 1)
    stray = ~allowed[bar, notes.pitch % 12] & ~notes.is_drum & ~piece.is_passing
    return int(stray.sum())


def out_of_range(piece: Arrangement) -> int:
    """How many notes lie beyond the comfortable range of their instrument."""
    notes, known = piece.notes, instruments()
    count = 0
    for program in np.unique(notes.program[~notes.is_drum]).tolist():
        if program in known:
            pitch = notes.pitch[~notes.is_drum & (notes.program == program)]
            count += int(((pitch < known[program].low) | (pitch > known[program].high)).sum())
    return count


def shared_bars(one: Arrangement, two: Arrangement) -> float:
    """Which share of one piece's bars with notes the other has, too; the larger of both directions."""
    bars = [[bar for bar in bar_contents(piece.music) if bar] for piece in (one, two)]
    sets = [set(each) for each in bars]
    return max(sum(bar in sets[1 - i] for bar in bars[i]) / max(1, len(bars[i])) for i in range(2))


def lead_intervals(piece: Arrangement) -> bytes:
    """The steps of the lead part's upper line, in semitones, as bytes."""
    notes, lead = piece.notes, piece.facts["lead"]
    if lead is None:
        return b""
    mine = (notes.program == lead) & ~notes.is_drum
    start, pitch = notes.start_ticks[mine], notes.pitch[mine].astype(int)
    places = np.flatnonzero(np.append(True, np.diff(start) > 0))
    top = np.maximum.reduceat(pitch, places)
    return bytes((np.diff(top) % 256).astype(np.uint8))


def runs(piece: Arrangement, length: int = MAX_RUN) -> set[bytes]:
    """All stretches of the lead's line with so many intervals, that is of `length` + 1 notes."""
    line = lead_intervals(piece)
    return {line[start : start + length] for start in range(len(line) - length + 1)}
