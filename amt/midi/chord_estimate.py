"""Which chord a piece has, half bar by half bar, from its notes alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from amt.midi.chords import NO_CHORD, QUALITIES, Chord
from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.metres import bar_length, beat_length, beats_in_bar

# The common chord of two that fit equally well comes first.
ESTIMATED_QUALITIES = ("maj", "min", "dom7", "min7", "maj7", "sus4", "dim", "m7b5", "dim7", "aug", "sus2", "6", "m6")
# How much a chord tone counts in a template: sevenths and sixths come and go, roots and thirds make the chord.
_TONE_WEIGHTS = {0: 1.0, 2: 0.8, 3: 0.9, 4: 0.9, 5: 0.8, 6: 0.8, 7: 0.8, 8: 0.8, 9: 0.6, 10: 0.6, 11: 0.6}
# All chords that can be estimated; NO_CHORD comes last.
CHORDS = tuple(Chord(root, quality) for quality in ESTIMATED_QUALITIES for root in range(12))

ROOT_IN_BASS = 0.25  # what the share of the bass that is the root adds to the fit
TONE_IN_BASS = 0.08  # the same for the bass's other chord tones
RARE = 0.04  # what all qualities but major and minor cost
CHANGE = 0.1  # what a change costs between two windows
MAX_WINDOWS = 1 << 14  # four hours of half bars at 120 BPM; what follows is not looked at


def estimate_chords(data: MidiData, *, beats_per_window: int | None = None) -> list[tuple[int, Chord]]:
    """The chord of each window of a piece, from its first bar to the end of its last note.

    A window is half a bar where the bar's beats can be halved (4/4, 2/4, 6/8), else a bar (3/4, 7/8). In a window each
    pitch class weighs the square root of the time for which it sounds, so that a tone that is doubled or held hides no
    other; the bass is the lowest pitch at each moment. A chord fits by the cosine of these weights and a template, plus
    what its root and its other tones have of the bass, less a little for rare qualities. Of all ways through the
    windows that with the best sum of fits, less a price for each change, is taken (Viterbi); of equal ones that with
    the more common chord. Windows without a pitched note have `NO_CHORD`.

    Args:
        beats_per_window: beats (dotted quarters in 6/8) in a window instead; the last of a bar may be shorter.

    Returns:
        (start_tick, chord) for each window; at most `MAX_WINDOWS`.

    Example:
        >>> estimate_chords(MidiData([Note(0, 960, pitch, 80) for pitch in (57, 60, 64)]))[0][1].name
        'Am'
    """
    notes = data.notes[~data.notes.is_drum]
    if beats_per_window is not None and beats_per_window < 1:
        raise ValueError(f"beats_per_window must be at least 1, got {beats_per_window}")
    every = _edges(data, int(notes.end_ticks.max(initial=0)), beats_per_window)
    edges = np.unique(np.fromiter(itertools.islice(every, MAX_WINDOWS + 1), np.int64))
    if len(edges) < 2:
        return []
    weights, bass = _weights(notes.start_ticks, notes.end_ticks, notes.pitch, edges)
    fits = _fits(weights, bass)
    is_silent = weights.sum(1) == 0
    path = _best_path(fits, is_silent)
    chords = [NO_CHORD if silent else CHORDS[state] for state, silent in zip(path, is_silent.tolist(), strict=True)]
    return list(zip(edges[:-1].tolist(), chords, strict=True))


def _edges(data: MidiData, end_ticks: int, beats_per_window: int | None) -> Iterator[int]:
    """The ticks at which windows begin, and where the last ends."""
    signatures = list(data.time_signatures)
    if not signatures or signatures[0].tick > 0:
        signatures.insert(0, TimeSignature(0, 4, 4))
    for number, signature in enumerate(signatures):
        metre = (signature.numerator, signature.denominator)
        after = signatures[number + 1].tick if number + 1 < len(signatures) else end_ticks
        end = min(after, end_ticks)
        bar = bar_length(metre) * data.ticks_per_beat
        if beats_per_window is not None:
            window = min(bar, beat_length(metre) * beats_per_window * data.ticks_per_beat)
        else:
            window = bar / 2 if beats_in_bar(metre) % 2 == 0 else bar
        bar, window = max(bar, Fraction(1)), max(window, Fraction(1))
        start = Fraction(signature.tick)
        while start < end:
            at = start
            while at < min(start + bar, Fraction(end)):
                yield round(at)
                at += window
            start += bar
    if end_ticks:
        yield end_ticks


def _weights(starts: np.ndarray, ends: np.ndarray, pitches: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    """How long each pitch class sounds in each window, and how long it is the lowest: two (num_windows, 12)."""
    num_windows = len(edges) - 1
    weights, bass = np.zeros((num_windows, 12)), np.zeros((num_windows, 12))
    # Between two of these moments nothing begins or ends.
    moments = np.unique(np.concatenate([edges, starts, ends]))
    moments = moments[(moments >= edges[0]) & (moments <= edges[-1])]
    sounding = np.zeros(128, np.int64)
    changes: dict[int, list[tuple[int, int]]] = {}
    for start, end, pitch in zip(starts.tolist(), ends.tolist(), pitches.tolist(), strict=True):
        changes.setdefault(start, []).append((pitch, 1))
        changes.setdefault(end, []).append((pitch, -1))
    for tick in sorted(tick for tick in changes if tick < edges[0]):
        for pitch, change in changes[tick]:
            sounding[pitch] += change
    window_of = np.searchsorted(edges, moments, side="right") - 1
    for moment, after, window in zip(moments[:-1].tolist(), moments[1:].tolist(), window_of.tolist(), strict=False):
        for pitch, change in changes.get(moment, ()):
            sounding[pitch] += change
        playing = np.flatnonzero(sounding)
        if len(playing):
            np.add.at(weights[window], playing % 12, after - moment)
            bass[window, playing[0] % 12] += after - moment
    return weights, bass


def _fits(weights: np.ndarray, bass: np.ndarray) -> np.ndarray:
    """How well each of `CHORDS` fits each window: (num_windows, num_chords)."""
    templates = np.zeros((len(CHORDS), 12))
    tones_in_bass = np.zeros((len(CHORDS), 12))
    costs = np.zeros(len(CHORDS))
    for row, chord in enumerate(CHORDS):
        for step in QUALITIES[chord.quality]:
            templates[row, (chord.root + step) % 12] = _TONE_WEIGHTS[step]
            tones_in_bass[row, (chord.root + step) % 12] = TONE_IN_BASS
        tones_in_bass[row, chord.root] = ROOT_IN_BASS
        costs[row] = 0.0 if chord.quality in ("maj", "min") else RARE
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    loud = np.sqrt(weights)
    cosines = (loud / np.maximum(np.linalg.norm(loud, axis=1, keepdims=True), 1e-12)) @ templates.T
    shares = bass / np.maximum(bass.sum(1, keepdims=True), 1e-12)
    # Rounded, so that two chords that fit equally well do so on every processor.
    return np.round(cosines + shares @ tones_in_bass.T - costs, 9)  # type: ignore[no-any-return]


def _best_path(fits: np.ndarray, is_silent: np.ndarray) -> list[int]:
    """The chord of each window that makes the sum of fits less changes largest. Silence keeps any chord for nothing."""
    total = fits[0] * (not is_silent[0])
    previous: list[np.ndarray] = []
    for fit, silent in zip(fits[1:], is_silent[1:], strict=True):
        best = int(total.argmax())
        changes = total[best] - CHANGE > total
        previous.append(np.where(changes, best, np.arange(len(total))).astype(np.uint8))
        total = np.where(changes, total[best] - CHANGE, total) + fit * (not silent)
        total = np.round(total - total.max(), 9)
    path = [int(total.argmax())]
    for chosen in reversed(previous):
        path.append(int(chosen[path[-1]]))
    return path[::-1]
