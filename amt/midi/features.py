"""What can be measured of notes alone."""

from __future__ import annotations

import numpy as np

from amt.midi.data import NoteTable

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

# Krumhansl & Kessler 1982: how well each pitch class fits a key on C.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


def estimate_key(notes: NoteTable) -> tuple[int, bool] | None:
    """The key whose profile correlates best with the durations of the pitch classes.

    Returns:
        (tonic as a pitch class 0..11, whether it is minor); None without pitched notes or with all classes equal.

    Source: Krumhansl 1990, "Cognitive Foundations of Musical Pitch", with the profiles of Krumhansl & Kessler 1982.
    """
    pitched = ~notes.is_drum
    durations = (notes.end_ticks - notes.start_ticks)[pitched].astype(np.float64)
    histogram = np.bincount(notes.pitch[pitched] % 12, durations, 12)
    if histogram.std() == 0:
        return None
    fits = {
        (tonic, is_minor): float(np.corrcoef(np.roll(profile, tonic), histogram)[0, 1])
        for is_minor, profile in ((False, _MAJOR), (True, _MINOR))
        for tonic in range(12)
    }
    return max(fits, key=fits.__getitem__)


def key_name(key: tuple[int, bool]) -> str:
    """Like "D minor"."""
    return f"{NAMES[key[0]]} {'minor' if key[1] else 'major'}"
