"""How long the notes of a prepared folder are: what a model that is trained on it takes for long."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.programs import DRUMS, FAMILIES
from amt.midi.vocabulary import NUM_PITCHES, Vocabulary

SHARE = 0.999  # of the notes are no longer
FEWEST_NOTES = 2000  # of a family; with fewer it takes the quantile of all
PROGRAMS_OF_A_FAMILY = 8
SEGMENTS_PER_CHUNK = 2048


def longest_notes_of(data: str | Path) -> tuple[float, ...]:
    """The longest notes of a prepared folder's split `train`: as its summary says, else measured."""
    summary = Path(data) / "summary.json"
    known = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    return tuple(known["longest_notes"]) if "longest_notes" in known else measure_longest_notes(data)


def measure_longest_notes(data: str | Path) -> tuple[float, ...]:
    """The 99.9 % quantile of the lengths of notes in beats, for each of the 16 families of General MIDI.

    They are read from the tokens of the split `train`. A family of fewer than 2,000 notes takes the quantile of all.
    Empty if there is no pitched note, or no beats, as in the preset `performance`.

    Example:
        >>> measure_longest_notes("DATA")[5]  # of strings
        7.0
    """
    config = TokenizerConfig.load(Path(data) / "tokenizer.json")
    if config.preset != "score":
        return ()
    tokens = np.load(Path(data) / "train" / "tokens.npy", mmap_mode="r", allow_pickle=False)
    segments = np.load(Path(data) / "train" / "segments.npy", allow_pickle=False)
    counts: Counter[tuple[int, int]] = Counter()
    reader = _Reader(config)
    for first in range(0, len(segments), SEGMENTS_PER_CHUNK):
        chunk = segments[first : first + SEGMENTS_PER_CHUNK]
        rows = [tokens[row["start"] : row["start"] + row["length"]] for row in chunk]
        counts.update(reader.count(np.concatenate(rows).astype(np.int64)))
    return _quantiles(counts, config.steps_per_beat)


class _Reader:
    """Finds notes in tokens, many segments at once.

    A segment begins with `bos` and says its programs and all its ends itself, so nothing of the one before it matters.
    """

    def __init__(self, config: TokenizerConfig):
        events = Vocabulary(config).events
        self._values = np.array([event.value for event in events])
        self._is_kind = {
            kind: np.array([event.kind == kind for event in events])
            for kind in ("bos", "note_on", "note_off", "time_shift", "program")
        }

    def count(self, ids: np.ndarray) -> Counter[tuple[int, int]]:
        """How many notes there are of each (family, length in steps)."""
        values = self._values[ids]
        times = np.where(self._is_kind["time_shift"][ids], values, 0).cumsum()
        places = np.arange(len(ids))
        named_at = np.maximum.accumulate(np.where(self._is_kind["program"][ids], places, 0))
        segment = self._is_kind["bos"][ids].cumsum()
        is_on = self._is_kind["note_on"][ids]
        found = np.flatnonzero((is_on | self._is_kind["note_off"][ids]) & (values[named_at] != DRUMS))
        program = values[named_at[found]]
        voices = (segment[found] * DRUMS + program) * NUM_PITCHES + values[found]
        order = np.argsort(voices, kind="stable")  # of a voice, in order: on, off, on, off
        place = found[order]
        is_note = is_on[place[:-1]] & ~is_on[place[1:]] & (np.diff(voices[order]) == 0)
        lengths = (times[place[1:]] - times[place[:-1]])[is_note]
        families = program[order][:-1][is_note] // PROGRAMS_OF_A_FAMILY
        pairs, counts = np.unique(np.stack([families, lengths]), axis=1, return_counts=True)
        return Counter(dict(zip(zip(*pairs.tolist(), strict=True), counts.tolist(), strict=True)))


def _quantiles(counts: Counter[tuple[int, int]], steps_per_beat: int) -> tuple[float, ...]:
    if not counts:
        return ()
    of_all: Counter[int] = Counter()
    of_families: list[Counter[int]] = [Counter() for _ in FAMILIES]
    for (family, length), count in counts.items():
        of_all[length] += count
        of_families[family][length] += count
    chosen = [of_all if family.total() < FEWEST_NOTES else family for family in of_families]
    return tuple(round(_quantile(lengths) / steps_per_beat, 4) for lengths in chosen)


def _quantile(counts: Counter[int]) -> int:
    """The least length that such a share of the notes does not exceed."""
    lengths = sorted(counts)
    up_to = np.cumsum([counts[length] for length in lengths])
    return lengths[int(np.searchsorted(up_to, SHARE * up_to[-1]))]
