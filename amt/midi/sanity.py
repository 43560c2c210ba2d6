"""Whether notes are sane as music, and whether they have the feel that was promised. From notes alone.

The bounds are wide: nearly all real music is within them, while the usual faults of a model are not (notes that hang,
chords that stick, bars that repeat for ever, silence).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.facts import longest
from amt.midi.programs import DRUMS, SUSTAINED
from amt.midi.units import ticks_to_seconds

# Organs, strings, choirs and pads may hold a note for 16 beats, others for 8.
_IS_SUSTAINED = np.isin(np.arange(DRUMS + 1), sorted(SUSTAINED))
MAX_HUNG_SHARE = 0.01
MAX_POLYPHONY = 10.0
MAX_TOP_RUN = 12
FINAL_BEATS = 0.5  # what ends so much before the last note belongs to the last chord
MAX_EMPTY_SHARE = 0.2
MAX_SAME_BARS = 0.6
FEELS = ("backbeat", "four", "swing", "walking", "offbeat")


class _Notes:
    """Notes in quarter notes from the start, sorted by start; bars are those of the metre that lasts longest."""

    def __init__(self, midi: MidiData):
        notes = midi.notes
        self.start = notes.start_ticks / midi.ticks_per_beat
        self.end = notes.end_ticks / midi.ticks_per_beat
        self.pitch = notes.pitch.astype(int)
        self.program = np.where(notes.is_drum, DRUMS, notes.program)
        self.is_pitched = ~notes.is_drum
        self.beats = float(self.end.max(initial=0.0))
        last_tick = int(notes.end_ticks.max(initial=0))
        self.seconds = float(ticks_to_seconds(last_tick, midi.tempos, midi.ticks_per_beat))
        signature = longest(midi.time_signatures, last_tick, TimeSignature(0, 4, 4))
        self.bar = 4.0 * signature.numerator / signature.denominator

    def bar_contents(self) -> list[frozenset[tuple[int, int, int]]]:
        """For each bar its (twelfth of a beat, pitch, program)."""
        bars: dict[int, set[tuple[int, int, int]]] = {}
        place = np.rint(self.start % self.bar * 12).astype(int)
        for bar, *content in zip(
            (self.start // self.bar).astype(int).tolist(),
            place.tolist(),
            self.pitch.tolist(),
            self.program.tolist(),
            strict=True,
        ):
            bars.setdefault(bar, set()).add((content[0], content[1], content[2]))
        count = max(1, int(np.ceil(self.beats / self.bar)))
        return [frozenset(bars.get(bar, ())) for bar in range(count)]


def bar_contents(midi: MidiData) -> list[frozenset[tuple[int, int, int]]]:
    """What each bar holds: (twelfth of a quarter note, pitch, program); lengths and loudness do not count."""
    return _Notes(midi).bar_contents()


def top_run(midi: MidiData) -> int:
    """How often in a row the highest pitch that begins is the same; drums do not count."""
    notes = _Notes(midi)
    return max(_top_runs(notes.start[notes.is_pitched], notes.pitch[notes.is_pitched])[0].tolist(), default=0)


def _top_runs(start: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How long each run of one highest pitch is, and where its last notes begin; notes are in order."""
    if not len(start):
        return np.zeros(0, int), start
    places = np.flatnonzero(np.append(True, np.diff(start) > 0))
    ends = np.flatnonzero(np.append(np.diff(np.maximum.reduceat(pitch, places)) != 0, True))
    return np.diff(ends, prepend=-1), start[places[ends]]


def _polyphony(start: np.ndarray, end: np.ndarray, beats: float) -> float:
    """How many notes sound in a sixteenth, on average; a note sounds in every sixteenth that it touches."""
    cells = int(beats * 4) + 2
    first = (start * 4).astype(int)
    last = np.maximum(first + 1, np.ceil(end * 4).astype(int))
    changes = np.bincount(first, minlength=cells + 1) - np.bincount(last, minlength=cells + 1)
    return float(changes[: cells + 1].cumsum()[:cells].mean())


def sanity(midi: MidiData) -> list[str]:
    """What is wrong with a piece, in words; nothing if it is sane.

    At least 16 notes and 8 s up to the end of the last; at most 1 % of the pitched notes longer than 8 beats (16 for
    what sustains: organs, strings, choirs, pads); no top pitch more than 12 times in a row; at most 20 % of the bars
    empty; at most 10 pitched notes at once, by sixteenths; of 6 bars or more at most 60 % the same; at least 5 pitches;
    at the end no more than two bars of silence.
    """
    notes = _Notes(midi)
    problems = []
    if len(notes.start) < 16 or notes.seconds < 8:
        problems.append(f"too little: {len(notes.start)} notes, {notes.seconds:.0f} s")
    if not len(notes.start):
        return problems
    measured = _Measured(notes)
    pitch = notes.pitch[notes.is_pitched]
    if measured.num_hung > MAX_HUNG_SHARE * len(pitch):
        problems.append(f"{measured.num_hung} hanging notes")
    if len(pitch) > 8:
        if measured.polyphony > MAX_POLYPHONY:
            problems.append(f"{measured.polyphony:.0f} notes at once")
        if measured.top_run > MAX_TOP_RUN:
            problems.append(f"one top pitch {measured.top_run} times in a row")
        if len(np.unique(pitch)) < 5:
            problems.append("fewer than 5 pitches")
    if measured.empty_share > MAX_EMPTY_SHARE:
        problems.append("empty bars")
    if measured.num_bars >= 6 and measured.num_common > MAX_SAME_BARS * measured.num_bars:
        problems.append(f"one bar is {measured.num_common} of {measured.num_bars}")
    if midi.end_ticks / midi.ticks_per_beat > notes.beats + 2 * notes.bar:
        problems.append("silence behind the end")
    return problems


def strain(midi: MidiData, since_beats: float = 0.0) -> float:
    """How near music comes to being insane: the largest of its figures by what `sanity` allows; 0 without notes.

    Args:
        since_beats: what lies before so many quarter notes does not count; notes that still sound do, and so does the
            beginning of what goes on behind it with the same highest pitch.
    """
    notes = _Notes(midi)
    if not (notes.end > since_beats).any():
        return 0.0
    measured = _Measured(notes, since_beats)
    return max(
        measured.num_hung / max(1, measured.num_pitched) / MAX_HUNG_SHARE,
        measured.polyphony / MAX_POLYPHONY,
        measured.top_run / MAX_TOP_RUN,
        measured.empty_share / MAX_EMPTY_SHARE,
        measured.num_common / measured.num_bars / MAX_SAME_BARS if measured.num_bars >= 6 else 0.0,
    )


class _Measured:
    """What is counted of notes, of which one or more sound since a place."""

    def __init__(self, notes: _Notes, since: float = 0.0):
        pitched = notes.is_pitched & (notes.end > since)
        start, end = notes.start[pitched], notes.end[pitched]
        limit = np.where(_IS_SUSTAINED[notes.program[pitched]], 16, 8) + 0.01
        self.num_pitched = len(start)
        self.num_hung = int((end - start > limit).sum())
        runs, last_starts = _top_runs(notes.start[notes.is_pitched], notes.pitch[notes.is_pitched])
        self.top_run = int(runs[last_starts >= since].max(initial=0))
        self.polyphony = 0.0
        if len(start):
            self.polyphony = _polyphony(np.maximum(start - since, 0.0), end - since, notes.beats - since)
        bars = notes.bar_contents()[int(since // notes.bar) :]
        self.num_bars = len(bars)
        self.empty_share = sum(not bar for bar in bars) / len(bars)
        self.num_common = max(Counter(bar for bar in bars if bar).values(), default=0)


def _near(place: np.ndarray, target: float, bar: float) -> np.ndarray:
    away = np.abs(place - target)
    close: np.ndarray = np.minimum(away, bar - away) < 0.13
    return close


def _backbeat(notes: _Notes) -> bool:
    place = notes.start[np.isin(notes.pitch, (37, 38, 39, 40)) & ~notes.is_pitched] % notes.bar
    hits = _near(place, 1, notes.bar) | _near(place, 3, notes.bar)
    return bool(hits.sum() / (2 * max(1.0, notes.beats / notes.bar)) >= 0.5)


def _four(notes: _Notes) -> bool:
    place = notes.start[np.isin(notes.pitch, (35, 36)) & ~notes.is_pitched] % 1
    return bool((np.minimum(place, 1 - place) < 0.1).sum() / max(notes.beats, 1.0) >= 0.6)


def _swing(notes: _Notes) -> bool:
    place = notes.start % 1
    off = place[(place > 0.3) & (place < 0.9)]
    return bool(len(off) and ((off > 0.58) & (off < 0.75)).mean() >= 0.4)


def _walking(notes: _Notes) -> bool:
    start = notes.start[(notes.program >= 32) & (notes.program <= 39)]
    on_beat = start[np.abs(start - np.rint(start)) < 0.13]
    return len(np.unique(np.rint(on_beat))) / max(1.0, notes.beats) >= 0.6


def _offbeat(notes: _Notes) -> bool:
    place = notes.start % 1
    return bool(len(place) and ((place > 0.4) & (place < 0.6)).mean() >= 0.25)


_FEELS: dict[str, Callable[[_Notes], bool]] = {
    "backbeat": _backbeat,
    "four": _four,
    "swing": _swing,
    "walking": _walking,
    "offbeat": _offbeat,
}


def final_bass(midi: MidiData) -> int | None:
    """The pitch class of the lowest note that sounds at the end, drums apart; None without notes."""
    notes = midi.notes[~midi.notes.is_drum]
    if not len(notes):
        return None
    sounding = notes[notes.end_ticks > notes.end_ticks.max() - FINAL_BEATS * midi.ticks_per_beat]
    return int(sounding.pitch.min()) % 12


def has_feel(midi: MidiData, feel: str) -> bool:
    """Whether a piece has a feel.

    "backbeat": half of all second and fourth beats have a snare, rim or clap; "four": 60 % of the beats have a bass
    drum; "swing": 40 % of what is off the beat comes late, about two thirds into it; "walking": 60 % of the beats have
    a note of a bass; "offbeat": a quarter of all notes begins halfway between beats.

    Raises:
        ValueError: no such feel.
    """
    if feel not in _FEELS:
        raise ValueError(f"feel must be one of {', '.join(FEELS)}; got {feel!r}")
    return _FEELS[feel](_Notes(midi))
