"""Told apart: how well a classifier tells made music from real music, by what can be measured of its beginning.

The features are those of the first 128 beats, in 24ths of a beat, so that neither length nor fine timing gives a piece
away. 0.5: nobody can tell; 1: always.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from amt.evaluation.rows import NUM_DRAWS, Row
from amt.midi.data import MidiData, NoteTable
from amt.midi.facts import estimate_keys, measure
from amt.midi.sanity import bar_contents, top_run

BEATS = 128
STEPS_PER_BEAT = 24
FOLDS = 5
LAGS = (1, 2, 4, 8)
HANGING_BEATS = 8

_INTERVALS = (0, 1, 2, 3, 5, 6, 8, 13, 128)  # edges: unison, seconds, thirds, fourth, fifths, sixths to octave, more
_LENGTHS = (0.0, 0.2, 0.3, 0.45, 0.7, 1.1, 2.1, 4.1, HANGING_BEATS + 0.01, 1e9)
_CHORD_WAYS = {"seconds": (1, 2), "thirds": (3, 4), "fourths": (5, 7), "tritones": (6,), "octaves": (12,)}
_PLACES = (0, 6, 8, 12, 16, 18)  # of 24: on the beat, quarters, thirds, the half


def excerpt(midi: MidiData, beats: int = BEATS) -> MidiData:
    """The first beats of a piece, on the grid of 24ths; notes that go on behind are cut."""
    unit = midi.ticks_per_beat / STEPS_PER_BEAT

    def steps(ticks: np.ndarray) -> np.ndarray:
        return np.rint(ticks / unit).astype(np.int64)

    notes = midi.notes
    start, end = steps(notes.start_ticks), steps(notes.end_ticks)
    kept = start < beats * STEPS_PER_BEAT
    end = np.maximum(np.minimum(end, beats * STEPS_PER_BEAT), start + 1)
    table = NoteTable(
        start[kept], end[kept], notes.pitch[kept], notes.velocity[kept], notes.program[kept], notes.is_drum[kept]
    )

    def early(events: Sequence[Any]) -> list[Any]:
        moved = [dataclasses.replace(event, tick=round(event.tick / unit)) for event in events]
        return [event for event in moved if event.tick < beats * STEPS_PER_BEAT]

    return MidiData(
        table,
        tempos=early(midi.tempos),
        time_signatures=early(midi.time_signatures),
        ticks_per_beat=STEPS_PER_BEAT,
    )


def features(midi: MidiData) -> dict[str, float]:
    """What can be measured of the beginning of a piece; NaN where there is nothing to measure."""
    part = excerpt(midi)
    facts = measure(part)
    notes = part.notes
    pitched = notes[~notes.is_drum]
    found = {
        name: float("nan") if (value := getattr(facts, name)) is None else float(value)
        for name in (
            "polyphony", "lowest_pitch", "highest_pitch", "mean_pitch", "mean_velocity", "pitch_class_entropy",
            "scale_consistency", "groove_similarity", "repetition", "key_lead", "tempo_bpm",
        )
    }  # fmt: skip
    found["num_programs"] = len(facts.programs)
    found["drum_share"] = float(notes.is_drum.mean()) if len(notes) else float("nan")
    found["notes_per_beat"] = len(notes) / max(facts.num_beats, 1.0)
    found |= _pitch_features(pitched) | _time_features(notes, facts.num_beats) | _chord_features(pitched)
    found |= {f"velocity_{name}": value for name, value in _moments(notes.velocity).items()}
    velocity = notes.velocity.astype(float)
    found["velocity_steps"] = float(np.abs(np.diff(velocity)).mean()) if len(velocity) > 1 else float("nan")
    found["velocities"] = len(np.unique(notes.velocity // 4)) / max(1, min(32, len(notes)))
    return found | repeats(part) | {"hanging": hanging_share(part), "top_run": float(top_run(part))}


def hanging_share(midi: MidiData) -> float:
    """The share of pitched notes longer than 8 beats; NaN without any."""
    notes = midi.notes[~midi.notes.is_drum]
    beats = (notes.end_ticks - notes.start_ticks) / midi.ticks_per_beat
    return float((beats > HANGING_BEATS + 0.01).mean()) if len(beats) else float("nan")


def top_pitches(notes: NoteTable) -> np.ndarray:
    """The highest pitch of those that begin at each moment at which any does."""
    if not len(notes):
        return np.zeros(0, np.int64)
    first = np.flatnonzero(np.append(True, np.diff(notes.start_ticks) > 0))
    return np.maximum.reduceat(notes.pitch.astype(np.int64), first)


def repeats(midi: MidiData) -> dict[str, float]:
    """Of bars with notes the share equal to the one 1, 2, 4, 8 before, and that of the commonest; that of empty bars.

    NaN where there is no such bar.
    """
    bars = bar_contents(midi)
    found = {}
    for lag in LAGS:
        pairs = [(bar, bars[place]) for place, bar in enumerate(bars[lag:]) if bar]
        found[f"equal_{lag}"] = float(np.mean([a == b for a, b in pairs])) if pairs else float("nan")
    filled = [bar for bar in bars if bar]
    found["commonest_bar"] = Counter(filled).most_common(1)[0][1] / len(filled) if filled else float("nan")
    found["empty_bars"] = 1 - len(filled) / len(bars)
    return found


def told_apart(
    first: Sequence[MidiData],
    second: Sequence[MidiData],
    groups: tuple[Sequence[str], Sequence[str]],
    split: str,
    model: str,
) -> Row:
    """The area under the ROC curve of a random forest that tells the first from the second, with a 95 % interval.

    Each piece is judged by forests that have seen no piece of its group (5 folds). The interval is that of the areas of
    2,000 samples of groups, drawn with replacement.

    Args:
        groups: of each piece, such as its source or its caption.

    Raises:
        ImportError: scikit-learn is not installed. ValueError: fewer than 5 groups.
    """
    try:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import StratifiedGroupKFold
    except ImportError as error:
        raise ImportError('told-apart needs scikit-learn: pip install "amt-midi[eval]"') from error

    table = [features(midi) for midi in (*first, *second)]
    values = np.array([list(each.values()) for each in table])
    values = np.where(np.isnan(values), -1.0, values)
    labels = np.repeat([0, 1], [len(first), len(second)])
    names = np.array([*groups[0], *groups[1]])
    if len(np.unique(names)) < FOLDS:
        raise ValueError(f"told-apart needs at least {FOLDS} groups of pieces, got {len(np.unique(names))}")
    scores = np.zeros(len(labels))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(values, labels, names):
        forest = RandomForestClassifier(200, min_samples_leaf=2, random_state=0, n_jobs=1)
        scores[test] = forest.fit(values[train], labels[train]).predict_proba(values[test])[:, 1]
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    random = np.random.default_rng(0)
    areas = []
    for _ in range(NUM_DRAWS):
        drawn = np.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        if 0 < labels[drawn].sum() < len(drawn):
            areas.append(_area(labels[drawn], scores[drawn]))
    low, high = np.percentile(areas, [2.5, 97.5])
    value, low, high = (round(float(x), 4) for x in (_area(labels, scores), low, high))
    return Row("told_apart", value, low, high, len(labels), split, model)


def _area(labels: np.ndarray, scores: np.ndarray) -> float:
    """How often a piece of the second kind has the higher score than one of the first; equal scores count half."""
    first, second = np.sort(scores[labels == 0]), scores[labels == 1]
    below = np.searchsorted(first, second, "left") + np.searchsorted(first, second, "right")
    return float(below.mean() / (2 * len(first)))


def _moments(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("std", "low", "high"), float("nan"))
    low, high = np.percentile(values, [10, 90])
    return {"std": float(values.std()), "low": float(low), "high": float(high)}


def _shares(values: np.ndarray, edges: Sequence[float], name: str) -> dict[str, float]:
    counts = np.histogram(values, edges)[0]
    total = counts.sum()
    return {f"{name}_{i}": count / total if total else float("nan") for i, count in enumerate(counts.tolist())}


def _pitch_features(notes: NoteTable) -> dict[str, float]:
    keys = estimate_keys(notes)
    tonic, is_minor = keys[0][0] if keys else (0, False)
    counts = np.bincount((notes.pitch.astype(int) - tonic) % 12, minlength=12)
    found = {f"degree_{i}": count / max(1, len(notes)) for i, count in enumerate(counts.tolist())}
    found |= {f"pitch_{name}": value for name, value in _moments(notes.pitch).items()} | {"minor": float(is_minor)}
    way = np.diff(top_pitches(notes))
    found |= _shares(np.abs(way), _INTERVALS, "interval")
    found["rising"] = float((way > 0).sum() / max(1, (way != 0).sum()))
    turns = np.sign(way[way != 0])
    found["turns"] = float((turns[1:] != turns[:-1]).mean()) if len(turns) > 1 else float("nan")
    return found


def _time_features(notes: NoteTable, num_beats: float) -> dict[str, float]:
    pitched = notes[~notes.is_drum]
    lengths = (pitched.end_ticks - pitched.start_ticks) / STEPS_PER_BEAT
    found = _shares(lengths, _LENGTHS, "length")
    starts = np.unique(notes.start_ticks)
    place = starts % STEPS_PER_BEAT
    for each in _PLACES:
        found[f"place_{each}"] = float((place == each).mean()) if len(place) else float("nan")
    ways = np.diff(starts) / STEPS_PER_BEAT
    found |= {f"way_{name}": value for name, value in _moments(ways).items()}
    kinds = np.unique(np.diff(starts), return_counts=True)[1] if len(ways) else np.zeros(0)
    shares = kinds / max(1, kinds.sum())
    found["way_entropy"] = float(-(shares * np.log2(shares)).sum()) if len(shares) else float("nan")
    beats = np.bincount((notes.start_ticks // STEPS_PER_BEAT).astype(int), minlength=int(np.ceil(num_beats)) or 1)
    found["beat_std"] = float(beats.std() / max(beats.mean(), 1e-9)) if len(notes) else float("nan")
    found["empty_beats"] = float((beats == 0).mean())
    return found


def _chord_features(notes: NoteTable) -> dict[str, float]:
    """What begins together: how many notes, and the ways between neighbours."""
    starts, first = np.unique(notes.start_ticks, return_index=True)
    groups = np.split(notes.pitch.astype(int), first[1:]) if len(starts) else []
    sizes = np.array([len(group) for group in groups])
    ways = np.concatenate([np.diff(np.sort(group)) for group in groups]) if groups else np.zeros(0)
    spans = np.array([group.max() - group.min() for group in groups if len(group) > 1])
    found = {"chord_size": float(sizes.mean()) if len(sizes) else float("nan")}
    found["chords"] = float((sizes > 2).mean()) if len(sizes) else float("nan")
    found["chord_span"] = float(spans.mean()) if len(spans) else float("nan")
    for name, kinds in _CHORD_WAYS.items():
        found[f"chord_{name}"] = float(np.isin(ways, kinds).mean()) if len(ways) else float("nan")
    return found
