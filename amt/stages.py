"""Where the time of a call goes: the code names its stages, and whoever wants to know gets their seconds.

A stage without a listener costs nothing. A part that has timers of its own gives what they say to `add`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from time import perf_counter

_seconds: ContextVar[dict[str, float] | None] = ContextVar("seconds", default=None)


def add(name: str, seconds: float) -> None:
    """Tell how long a stage took; its parts have names like "decode/attention"."""
    known = _seconds.get()
    if known is not None:
        known[name] = known.get(name, 0.0) + seconds


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """What happens within belongs to this stage. Stages do not overlap."""
    began = perf_counter()
    try:
        yield
    finally:
        add(name, perf_counter() - began)


@contextlib.contextmanager
def recorded() -> Iterator[dict[str, float]]:
    """Gather the seconds of all stages within, by name."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)
