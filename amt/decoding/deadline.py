"""The time that decoding may take."""

from __future__ import annotations

import math
from time import monotonic

FOREVER = 1 << 40  # steps or milliseconds: as many as it takes


class Deadline:
    """A moment after which no step begins.

    Args:
        max_time: seconds from now; None: there is no such moment.
    """

    def __init__(self, max_time: float | None = None):
        self._end = math.inf if max_time is None else monotonic() + max_time

    def is_over(self) -> bool:
        """Whether the moment has come."""
        return self._end < math.inf and monotonic() >= self._end

    def left_ms(self) -> int:
        """Whole milliseconds up to then, at least 0."""
        return FOREVER if self._end == math.inf else max(0, math.ceil(1000 * (self._end - monotonic())))
