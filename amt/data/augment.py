"""The same music in another key, tempo or loudness, with a caption that says so.

Everything works on token ids, so that no piece is tokenized twice.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import NamedTuple

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.plan import transposed_chord
from amt.midi.theory import Key, parse_pitch_class
from amt.midi.vocabulary import DRUMS, Vocabulary
from amt.text.encoder import UNCONDITIONAL

_MODES = "major|minor|dorian|phrygian dominant|phrygian|lydian|mixolydian|harmonic minor"
_KEY = re.compile(rf"\b([A-G])((?:-| )flat|(?:-| )sharp|b|#|♭|♯)?(?= ({_MODES})\b)")
_BPM = re.compile(
    r"\b(\d{2,3})(?:\.\d+)?(?= ?(?:BPM|bpm|beats per minute)\b)|(?<=\btempo )\d{2,3}\b|(?<=\btempo: )\d{2,3}\b"
)
# Keys in other languages, chords, "Dm": a caption with them stays, and so does the music.
_FIXED_KEY = re.compile(
    r"-(?:Dur|Moll)\b|\b(?:majeur|mineur|mayor|menor|maggiore|minore|chords|progression|starts with)\b|\b[A-G][b#]?m\b"
)


class Varied(NamedTuple):
    """A row as it is trained on: by how many semitones it was moved, and times what its tempo was taken."""

    ids: np.ndarray
    caption: str
    semitones: int = 0
    tempo_factor: float = 1.0


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How far a row of a batch may differ from the music it was drawn from; by default not at all.

    Args:
        transpose: semitones up or down, at most.
        tempo: the tempo is multiplied by a factor of 1 / (1 + tempo) to 1 + tempo.
        velocity: bins of loudness up or down, at most.
        caption_dropout: share of rows whose caption becomes `UNCONDITIONAL`.
    """

    transpose: int = 0
    tempo: float = 0.0
    velocity: int = 0
    caption_dropout: float = 0.0

    def apply(self, ids: np.ndarray, caption: str, draws: np.ndarray, config: TokenizerConfig) -> Varied:
        """A row as it is trained on.

        Args:
            draws: four numbers in [0, 1), one for each field.
        """
        wanted = 0 if _FIXED_KEY.search(caption) else int(draws[0] * (2 * self.transpose + 1)) - self.transpose
        ids, semitones = transpose(ids, wanted, config)
        ids, factor = change_tempo(ids, (1 + self.tempo) ** (2 * draws[1] - 1), config)
        ids = change_velocity(ids, int(draws[2] * (2 * self.velocity + 1)) - self.velocity, config)
        if draws[3] < self.caption_dropout:
            return Varied(ids, UNCONDITIONAL, semitones, factor)
        return Varied(ids, retimed_caption(transposed_caption(caption, semitones), factor), semitones, factor)


@dataclasses.dataclass(frozen=True)
class _Kinds:
    """What each id of a vocabulary is, as arrays over all ids."""

    is_pitch: np.ndarray  # note_on and note_off
    is_velocity: np.ndarray
    is_tempo: np.ndarray
    program: np.ndarray  # the program that a token chooses; -1: none
    value: np.ndarray
    tempos_bpm: np.ndarray
    first_tempo: int
    is_plan: np.ndarray
    is_chord: np.ndarray  # of a plan, with a root
    first_chord: int


def without_plan(ids: np.ndarray, config: TokenizerConfig) -> np.ndarray:
    """Token ids without the tokens of a plan."""
    is_plan = _kinds_of(config).is_plan[ids]
    return ids[~is_plan] if is_plan.any() else ids


@functools.lru_cache(maxsize=4)
def _kinds_of(config: TokenizerConfig) -> _Kinds:
    events = Vocabulary(config).events
    kinds = np.array([event.kind for event in events])
    values = np.array([event.value for event in events])
    is_tempo = kinds == "tempo"
    return _Kinds(
        is_pitch=np.isin(kinds, ("note_on", "note_off")),
        is_velocity=kinds == "velocity",
        is_tempo=is_tempo,
        program=np.where(kinds == "program", values, -1),
        value=values,
        tempos_bpm=np.array(config.tempos_bpm, np.float64),
        first_tempo=int(np.argmax(is_tempo)),
        is_plan=np.isin(kinds, ("section", "chord", "bars")),
        is_chord=(kinds == "chord") & (values > 0),
        first_chord=int(np.argmax(kinds == "chord")),
    )


def transpose(ids: np.ndarray, semitones: int, config: TokenizerConfig) -> tuple[np.ndarray, int]:
    """Token ids with all pitches but drums, and the plan's chords, moved, and by how much.

    That is 0 where a pitch would leave 0..127.
    """
    kinds = _kinds_of(config)
    chosen = kinds.program[ids]
    last = np.maximum.accumulate(np.where(chosen >= 0, np.arange(len(ids)), -1))
    is_drums = (last >= 0) & (chosen[last] == DRUMS)
    moves = kinds.is_pitch[ids] & ~is_drums
    pitches = kinds.value[ids[moves]] + semitones
    if semitones == 0 or not len(pitches) or pitches.min() < 0 or pitches.max() > 127:
        return ids, 0
    moved = ids.astype(np.int64)
    moved[moves] += semitones
    chords = kinds.is_chord[ids]
    moved[chords] = kinds.first_chord + transposed_chord(kinds.value[ids[chords]], semitones)
    return moved, semitones


def change_tempo(ids: np.ndarray, factor: float, config: TokenizerConfig) -> tuple[np.ndarray, float]:
    """Token ids with every tempo times about `factor`, in whole bins, and by how much the first one changed."""
    kinds = _kinds_of(config)
    places = np.flatnonzero(kinds.is_tempo[ids])
    if factor == 1.0 or not len(places):
        return ids, 1.0
    bpm = kinds.tempos_bpm[kinds.value[ids[places]]]
    bins = np.abs(np.log(bpm[:, None] * factor) - np.log(kinds.tempos_bpm)).argmin(1)
    if (bins[1:] == bins[:-1]).any():  # two tempos fell into one bin: a change to itself is none
        return ids, 1.0
    changed = ids.astype(np.int64)
    changed[places] = kinds.first_tempo + bins
    return changed, float(kinds.tempos_bpm[bins[0]] / bpm[0])


def change_velocity(ids: np.ndarray, bins: int, config: TokenizerConfig) -> np.ndarray:
    """Token ids with every velocity moved by `bins`; unchanged where one would leave its range."""
    is_velocity = _kinds_of(config).is_velocity[ids]
    values = _kinds_of(config).value[ids[is_velocity]] + bins
    if not len(values) or values.min() < 0 or values.max() >= config.num_velocities:
        return ids
    changed = ids.astype(np.int64)
    changed[is_velocity] += bins
    return changed


def transposed_caption(caption: str, semitones: int) -> str:
    """A caption with every key, like "D minor" or "B-flat major", moved by `semitones`.

    Accidentals stay in the caption's own way of writing them: words, or "#" and "b".
    """

    def moved(match: re.Match[str]) -> str:
        letter, accidental, mode = match.groups()
        tonic = parse_pitch_class(letter + (accidental or ""))
        assert tonic is not None, match[0]
        moved_tonic = (tonic + semitones) % 12
        name = Key(moved_tonic, mode).spell(moved_tonic)
        if accidental in ("#", "b", "♯", "♭"):
            return name
        return name.replace("#", "-sharp").replace("b", "-flat")

    return _KEY.sub(moved, caption) if semitones else caption


def retimed_caption(caption: str, factor: float) -> str:
    """A caption with every number of BPM times `factor`."""
    return _BPM.sub(lambda match: str(round(int(match[1] or match[0]) * factor)), caption) if factor != 1.0 else caption
