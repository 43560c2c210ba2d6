"""Where music is missing in an edit's context, in plain Python: what its `hole` tokens say. docs/tokens.md, "Edits".

Its twin is csrc/midi/holes.h.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

MAX_HOLE_TOKENS = 64  # what comes beyond is ignored, and the grammar refuses it
HOLE_BEGINS, HOLE_ENDS, ALL_BEGIN, ALL_END = range(4)  # the values of `hole`
ALL = -1  # in place of a program


class HoleChange(NamedTuple):
    """A `hole` token: its step, its value, and the program in force."""

    step: int
    place: int
    program: int


class HoleTrack:
    """The holes so far, and what is missing after the last token."""

    def __init__(self) -> None:
        self.changes: list[HoleChange] = []
        self.missing: set[int] = set()  # {ALL}, or programs

    def copy(self) -> HoleTrack:
        """A track that goes its own way."""
        other = copy.copy(self)
        other.changes, other.missing = list(self.changes), set(self.missing)
        return other

    def refusal(self, place: int, program: int) -> str | None:
        """Why a token says nothing here, or None if it does."""
        if len(self.changes) >= MAX_HOLE_TOKENS:
            return f"a context has at most {MAX_HOLE_TOKENS} hole tokens"
        if place == HOLE_BEGINS and is_missing(self.missing, program):
            return f"program {program} is missing already"
        if place == HOLE_ENDS and program not in self.missing:
            return f"program {program} is not missing"
        if place == ALL_BEGIN and ALL in self.missing:
            return "all programs are missing already"
        if place == ALL_END and ALL not in self.missing:
            return "not all programs are missing"
        return None

    def take(self, step: int, place: int, program: int) -> bool:
        """Take a token; returns whether it says something."""
        if self.refusal(place, program) is not None:
            return False
        self.changes.append(HoleChange(step, place, program))
        _change(self.missing, place, program)
        return True

    def missing_at(self, step: int) -> set[int]:
        """What is missing from a step on."""
        missing: set[int] = set()
        for change in self.changes:
            if change.step <= step:
                _change(missing, change.place, change.program)
        return missing

    def next_change(self, step: int) -> int | None:
        """The first step behind a step at which a hole begins or ends."""
        return min((change.step for change in self.changes if change.step > step), default=None)

    def next_interval(self, step: int) -> tuple[int, int] | None:
        """The first maximal time without a break in holes that begins at `step` or later."""
        start = None
        for change in self.changes:
            if change.step < step:
                continue
            is_any_missing = bool(self.missing_at(change.step))
            if start is None and is_any_missing:
                start = change.step
            elif start is not None and not is_any_missing:
                return start, change.step
        return None

    def intervals(self) -> list[tuple[int, int]]:
        """The maximal times without a break in holes."""
        found = []
        interval = self.next_interval(0)
        while interval is not None:
            found.append(interval)
            interval = self.next_interval(interval[1])
        return found

    def close(self, step: int) -> None:
        """End all holes, as ids that are no canonical sequence may need it. There is always room for it."""
        if self.missing:
            self.changes.append(HoleChange(step, ALL_END, 0))
            self.missing.clear()


def is_missing(missing: set[int], program: int) -> bool:
    """Whether a program is one of what is missing."""
    return ALL in missing or program in missing


def _change(missing: set[int], place: int, program: int) -> None:
    if place == HOLE_BEGINS:
        missing.add(program)
    elif place == HOLE_ENDS:
        missing.discard(program)
    else:  # that all are missing, or back, ends the holes of single programs
        missing.clear()
        if place == ALL_BEGIN:
            missing.add(ALL)
