"""How much of a piece stands note for note in the training music."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amt.midi.data import MidiData

STEPS_PER_BEAT = 24
# Lengths of runs that are looked for: all up to 16 notes, then in steps of about an eighth.
LENGTHS = (*range(1, 17), *(round(16 * 1.125**step) for step in range(1, 31)))
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse
_END = 1 << 40


def note_codes(midi: MidiData) -> np.ndarray:
    """(num_notes,) uint64, one number for each pitched note in order: its pitch, and the way from the note before.

    The way is in 24ths of a beat. So tempo, loudness, length and instrument may differ in what counts as equal.
    """
    pitched = ~midi.notes.is_drum
    starts, pitches = midi.notes.start_ticks[pitched].astype(np.int64), midi.notes.pitch[pitched].astype(np.int64)
    order = np.lexsort((pitches, starts))
    steps = (2 * starts[order] * STEPS_PER_BEAT + midi.ticks_per_beat) // (2 * midi.ticks_per_beat)
    ways = np.minimum(np.diff(steps, prepend=steps[:1]), 4095)
    codes: np.ndarray = (ways * 128 + pitches[order] + 1).astype(np.uint64)
    return codes


def longest_copies(pieces: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> np.ndarray:
    """For each piece the length of its longest run of notes that stands in a training piece, too.

    Args:
        pieces, training: of each piece its `note_codes`. The way before a run does not count.

    Returns:
        (len(pieces),) int64: the largest of `LENGTHS` that is not longer than the run; 0 if there is none.
    """
    longest = np.zeros(len(pieces), np.int64)
    if not training:
        return longest
    known, own = _Runs(training), [_Runs([piece]) for piece in pieces]
    left = list(range(len(pieces)))  # those that have a run of the length before
    for length in LENGTHS:
        hashes = {index: own[index].hashes(length) for index in left}
        wanted = np.unique(np.concatenate([np.zeros(0, np.uint64), *hashes.values()]))
        if not len(wanted):
            break
        found = known.hashes(length)
        places = np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)
        seen = np.zeros(len(wanted), bool)
        seen[places[wanted[places] == found]] = True
        left = [index for index in left if seen[np.searchsorted(wanted, hashes[index])].any()]
        longest[left] = length
    return longest


class _Runs:
    """A number for each run of notes of some pieces, equal for equal runs (for others by a chance of 2**-64).

    sum(mix(code[i]) * base**i) over a run, from prefix sums, in arithmetic modulo 2**64.
    """

    def __init__(self, pieces: Sequence[np.ndarray]):
        ends = [np.array([_END + index], np.uint64) for index in range(len(pieces))]  # no run goes over one
        self._codes = np.concatenate([part for pair in zip(pieces, ends, strict=True) for part in pair])
        powers, self._inverse = (
            np.cumprod(np.concatenate([np.ones(1, np.uint64), np.full(len(self._codes), base, np.uint64)]))
            for base in (_BASE, pow(_BASE, -1, 1 << 64))
        )
        self._prefix = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(self._codes) * powers[:-1])])
        # The way before the first note does not count.
        self._first = _mix(self._codes & np.uint64(127)) - _mix(self._codes)
        self._next_end = np.flatnonzero(self._codes >= _END)

    def hashes(self, length: int) -> np.ndarray:
        """Of all runs of `length` notes."""
        num = max(0, len(self._codes) - length + 1)
        sums = (self._prefix[length:] - self._prefix[:num]) * self._inverse[:num] + self._first[:num]
        starts = np.arange(num)
        inside = self._next_end[np.searchsorted(self._next_end, starts)] >= starts + length
        return _mix(sums[inside])


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread the bits (the finalizer of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    values ^= values >> np.uint64(33)
    return values
