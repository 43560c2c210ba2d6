"""Counts and times of a server, in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Histogram:
    """How often a time was at most each of `BUCKETS_S`."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[sum(seconds > bound for bound in BUCKETS_S)] += 1
        self.total_s += seconds

    def lines(self, name: str, labels: str) -> list[str]:
        """As Prometheus reads it."""
        lines, running = [], 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            running += count
            lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {running}')
        return [*lines, f"{name}_sum{{{labels}}} {self.total_s:.6f}", f"{name}_count{{{labels}}} {running}"]


class Metrics:
    """What a server counts; any thread may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, Histogram] = {}
        self._first_events: dict[str, Histogram] = {}
        self._num_pieces = self._num_rejected = 0

    def finished(self, endpoint: str, status: int, seconds: float) -> None:
        """A request has got its answer."""
        with self._lock:
            self._requests[endpoint, status] += 1
            self._times.setdefault(endpoint, Histogram()).add(seconds)
            self._num_rejected += status == 429

    def first_event(self, endpoint: str, seconds: float) -> None:
        """The first event of a stream is on its way."""
        with self._lock:
            self._first_events.setdefault(endpoint, Histogram()).add(seconds)

    def wrote(self, num_pieces: int) -> None:
        """So many pieces are finished."""
        with self._lock:
            self._num_pieces += num_pieces

    def text(self, gauges: Mapping[str, tuple[float, str]], counters: Mapping[str, tuple[float, str]]) -> str:
        """All of it, with values of the moment (name: value, meaning)."""
        with self._lock:
            lines = ["# HELP amt_requests_total Requests by endpoint and status.", "# TYPE amt_requests_total counter"]
            lines += [
                f'amt_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
                for (endpoint, status), count in sorted(self._requests.items())
            ]
            for name, meaning, times in (
                ("amt_request_seconds", "From a request to the end of its answer.", self._times),
                ("amt_first_event_seconds", "From a request to the first event of its stream.", self._first_events),
            ):
                lines += [f"# HELP {name} {meaning}", f"# TYPE {name} histogram"]
                for endpoint, histogram in sorted(times.items()):
                    lines += histogram.lines(name, f'endpoint="{endpoint}"')
            own = {
                "amt_pieces_total": (self._num_pieces, "Pieces that were written."),
                "amt_rejected_total": (self._num_rejected, "Requests that were told to come again."),
            }
        for kind, values in (("counter", own | dict(counters)), ("gauge", dict(gauges))):
            for name, (value, meaning) in values.items():
                lines += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", f"{name} {value!r}"]  # all digits
        return "\n".join(lines) + "\n"
