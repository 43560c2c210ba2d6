"""What can be measured of notes alone. Each definition is fixed; docs/evaluation.md lists them.

Drums have no pitch: whatever is about pitch leaves them out.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Tempo, TimeSignature
from amt.midi.programs import DRUMS, program_name
from amt.midi.theory import PITCH_CLASS_NAMES, SCALES
from amt.midi.units import ticks_to_seconds

STEPS_PER_BEAT = 24
GROOVE_STEPS_PER_BEAT = 4

Profile = tuple[tuple[float, ...], tuple[float, ...]]

# How much there is of each pitch class in C major and in C minor. "kostka-payne": in the examples of the textbook of
# Kostka & Payne, Temperley 2007, "Music and Probability". "krumhansl": the ratings of listeners in Krumhansl & Kessler
# 1982. benchmarks/key_profiles.py says which finds the keys of real music.
KEY_PROFILES: dict[str, Profile] = {
    "kostka-payne": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "krumhansl": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
}

Key = tuple[int, bool]  # tonic as a pitch class 0..11, whether it is minor

_KEYS: tuple[Key, ...] = tuple((tonic, is_minor) for is_minor in (False, True) for tonic in range(12))
_SCALES = np.array(
    [[(pitch - tonic) % 12 in SCALES["natural minor" if is_minor else "major"] for pitch in range(12)]
     for tonic, is_minor in _KEYS]
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Facts:
    """Measurements of a piece; None where there is nothing to measure.

    Attributes:
        num_notes: all notes, drums too.
        duration_s, num_beats: to the end of the last note, in seconds and in quarter notes.
        tempo_bpm: quarter notes a minute of the tempo that lasts longest.
        time_signature: (numerator, denominator) that lasts longest.
        key, key_lead: see `best_keys`; the lead of its correlation over that of the second best key.
        programs: General MIDI programs that play, ascending; 128 = drums.
        notes_per_s: num_notes / duration_s.
        polyphony: notes that sound at once, on average over the time in which any sounds.
        lowest_pitch, highest_pitch, mean_pitch: of the notes.
        mean_velocity: of all notes.
        pitch_class_entropy: of the histogram of the notes' pitch classes, in bits, 0..3.58 (MusPy, Dong et al. 2020).
        scale_consistency: share of notes in the major or natural minor scale that holds most (MusPy).
        groove_similarity: 1 - the mean share of sixteenths at which two neighbouring bars differ in whether a note
            begins there (groove consistency of MusPy).
        repetition: bytes of the notes (way from the note before, pitch, length, in 24ths of a beat) / bytes after
            zlib's level 9. Not the compression ratio of Text2midi, which counts repeated point sets (COSIATEC).
    """

    num_notes: int
    duration_s: float
    num_beats: float
    tempo_bpm: float
    time_signature: tuple[int, int]
    key: Key | None
    key_lead: float | None
    programs: tuple[int, ...]
    notes_per_s: float | None
    polyphony: float | None
    lowest_pitch: int | None
    highest_pitch: int | None
    mean_pitch: float | None
    mean_velocity: float | None
    pitch_class_entropy: float | None
    scale_consistency: float | None
    groove_similarity: float | None
    repetition: float | None

    @property
    def instruments(self) -> list[str]:
        """The General MIDI names of `programs`."""
        return [program_name(program) for program in self.programs]

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it: the key and the metre in words, numbers rounded."""
        values = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(self).items()
        }
        values["time_signature"] = "{}/{}".format(*self.time_signature)
        values["key"] = None if self.key is None else key_name(self.key)
        return values | {"programs": list(self.programs), "instruments": self.instruments}


def measure(midi: MidiData) -> Facts:
    """All facts of a piece."""
    notes = midi.notes
    pitched = ~notes.is_drum
    pitches = notes.pitch[pitched].astype(np.int64)
    end_ticks = int(notes.end_ticks.max()) if len(notes) else 0
    duration_s = float(ticks_to_seconds(end_ticks, midi.tempos, midi.ticks_per_beat))
    keys = estimate_keys(notes)
    tempo = longest(midi.tempos, end_ticks, Tempo(0, 500_000))
    metre = longest(midi.time_signatures, end_ticks, TimeSignature(0, 4, 4))
    return Facts(
        num_notes=len(notes),
        duration_s=duration_s,
        num_beats=end_ticks / midi.ticks_per_beat,
        tempo_bpm=tempo.bpm,
        time_signature=(metre.numerator, metre.denominator),
        key=keys[0][0] if keys else None,
        key_lead=keys[0][1] - keys[1][1] if keys else None,
        programs=tuple(np.unique(np.where(notes.is_drum, DRUMS, notes.program)).tolist()),
        notes_per_s=len(notes) / duration_s if duration_s else None,
        polyphony=_polyphony(notes),
        lowest_pitch=int(pitches.min()) if len(pitches) else None,
        highest_pitch=int(pitches.max()) if len(pitches) else None,
        mean_pitch=float(pitches.mean()) if len(pitches) else None,
        mean_velocity=float(notes.velocity.mean()) if len(notes) else None,
        pitch_class_entropy=_entropy(np.bincount(pitches % 12, minlength=12)) if len(pitches) else None,
        scale_consistency=_scale_consistency(np.bincount(pitches % 12, minlength=12)) if len(pitches) else None,
        groove_similarity=_groove_similarity(midi, metre, end_ticks),
        repetition=_repetition(midi),
    )


def pitch_class_durations(notes: NoteTable) -> np.ndarray:
    """How long each pitch class sounds, in ticks, over all notes that have a pitch: (12,) float64."""
    pitched = ~notes.is_drum
    durations = (notes.end_ticks - notes.start_ticks)[pitched].astype(np.float64)
    return np.bincount(notes.pitch[pitched] % 12, durations, 12)


def best_keys(durations: np.ndarray, profile: Profile) -> list[tuple[Key, float]]:
    """All 24 keys with the correlation of their profile and the durations of the pitch classes, the best first.

    Of equal ones major comes first, then the lower tonic. Sums are rounded once, so that keys which fit equally well,
    as the two of a tritone may, are equal: else rounding would choose. Empty if all durations are equal.

    Source: Krumhansl 1990, "Cognitive Foundations of Musical Pitch".
    """
    if durations.min() == durations.max():
        return []
    twice = _centred(durations.tolist()) * 2  # so that every tonic has twelve in a row
    square = _product(twice, twice[:12])
    of_mode = [(own, _product(own, own)) for own in map(_centred, profile)]
    correlations = []
    for tonic, is_minor in _KEYS:
        own, own_square = of_mode[is_minor]
        correlations.append(_product(own, twice[tonic : tonic + 12]) / math.sqrt(own_square * square))
    return sorted(zip(_KEYS, correlations, strict=True), key=lambda fit: -fit[1])


def _centred(values: Sequence[float]) -> list[float]:
    mean = math.fsum(values) / 12
    return [value - mean for value in values]


def _product(first: Sequence[float], second: Sequence[float]) -> float:
    """The scalar product, rounded once whatever the order."""
    return math.fsum(map(operator.mul, first, second))


def estimate_keys(notes: NoteTable, profile: str = "kostka-payne") -> list[tuple[Key, float]]:
    """`best_keys` of the notes by one of `KEY_PROFILES`; empty without notes that have a pitch."""
    return best_keys(pitch_class_durations(notes), KEY_PROFILES[profile])


def estimate_key(notes: NoteTable, profile: str = "kostka-payne") -> Key | None:
    """The best of `estimate_keys`."""
    keys = estimate_keys(notes, profile)
    return keys[0][0] if keys else None


def key_name(key: Key) -> str:
    """Like "D minor"."""
    return f"{PITCH_CLASS_NAMES[key[0]]} {'minor' if key[1] else 'major'}"


def longest(changes: Sequence[Any], end_ticks: int, default: Any) -> Any:
    """The value that is in force for most ticks before `end_ticks`."""
    if not changes or changes[0].tick > 0:
        changes = [default, *changes]
    lengths: dict[Any, int] = {}
    for change, after in zip(changes, [*(c.tick for c in changes[1:]), end_ticks], strict=True):
        value = dataclasses.replace(change, tick=0)
        lengths[value] = lengths.get(value, 0) + max(0, min(after, end_ticks) - change.tick)
    return max(lengths, key=lengths.__getitem__)


def _polyphony(notes: NoteTable) -> float | None:
    pitched = ~notes.is_drum
    starts, ends = notes.start_ticks[pitched].astype(np.int64), notes.end_ticks[pitched].astype(np.int64)
    times = np.concatenate([starts, ends])
    if not len(times):
        return None
    order = np.argsort(times, kind="stable")
    sounding = np.cumsum(np.concatenate([np.ones(len(starts), np.int64), -np.ones(len(ends), np.int64)])[order])[:-1]
    ways = np.diff(times[order])
    total = int(ways[sounding > 0].sum())
    return float((ways * sounding).sum() / total) if total else None


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _scale_consistency(counts: np.ndarray) -> float:
    return float((_SCALES @ counts).max() / counts.sum())


def _groove_similarity(midi: MidiData, metre: TimeSignature, end_ticks: int) -> float | None:
    steps_per_bar = round(4 * GROOVE_STEPS_PER_BEAT * metre.numerator / metre.denominator)
    steps = (2 * midi.notes.start_ticks.astype(np.int64) * GROOVE_STEPS_PER_BEAT + midi.ticks_per_beat) // (
        2 * midi.ticks_per_beat
    )
    steps = np.unique(steps)
    if steps_per_bar < 1 or not len(steps) or steps[-1] < steps_per_bar:
        return None
    # Only steps with notes count, whatever the length: two neighbouring bars differ where one of them has a note.
    later = np.isin(steps, steps + steps_per_bar)
    earlier = np.isin(steps, steps - steps_per_bar)
    num_bars = int(steps[-1] // steps_per_bar) + 1
    last_bar = steps // steps_per_bar == num_bars - 1
    first_bar = steps < steps_per_bar
    differences = int((~later & ~first_bar).sum() + (~earlier & ~last_bar).sum())
    return 1.0 - differences / (steps_per_bar * (num_bars - 1))


def _repetition(midi: MidiData) -> float | None:
    notes = midi.notes
    if not len(notes):
        return None

    def steps(ticks: np.ndarray) -> np.ndarray:
        return (2 * ticks.astype(np.int64) * STEPS_PER_BEAT + midi.ticks_per_beat) // (2 * midi.ticks_per_beat)

    starts, ends = steps(notes.start_ticks), steps(notes.end_ticks)
    ways = np.diff(starts, prepend=starts[0])
    rows = np.stack([np.minimum(ways, 255), notes.pitch, np.minimum(ends - starts, 255)], 1).astype(np.uint8)
    return float(rows.size / len(zlib.compress(rows.tobytes(), 9)))
