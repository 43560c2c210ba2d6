"""Ticks to seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from amt.midi.elements import Tempo

DEFAULT_US_PER_BEAT = 500_000  # 120 BPM


def ticks_to_seconds(ticks: np.ndarray | int, tempos: Sequence[Tempo], ticks_per_beat: int) -> np.ndarray:
    """The time of ticks under a tempo map: `sum over segments of ticks * us_per_beat / ticks_per_beat / 1e6`.

    Args:
        ticks: any shape, integers.
        tempos: in any order; the last of equal ticks counts; 120 BPM before the first.
        ticks_per_beat: of the file.

    Returns:
        float64 seconds, of the shape of `ticks`.
    """
    us_per_beat = {0: DEFAULT_US_PER_BEAT}
    us_per_beat.update((tempo.tick, tempo.us_per_beat) for tempo in sorted(tempos, key=lambda tempo: tempo.tick))
    starts = np.fromiter(us_per_beat, np.int64)
    speeds = np.fromiter(us_per_beat.values(), np.int64)
    lengths = np.diff(starts) * speeds[:-1]
    times = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])  # (num_tempos,), in us * ticks_per_beat
    exact = np.asarray(ticks, np.int64)
    segment = np.searchsorted(starts, exact, side="right") - 1
    return (times[segment] + (exact - starts[segment]) * speeds[segment]) / (1e6 * ticks_per_beat)  # type: ignore[no-any-return]
