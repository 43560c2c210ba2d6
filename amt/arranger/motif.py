"""Motifs: a short rhythm and a contour in steps of a scale."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Motif:
    """Where the notes of one or two bars are, and how they rise and fall.

    Attributes:
        rhythm: (start, length) in steps.
        contour: for each note how many steps of the scale it is above the first.
    """

    rhythm: tuple[tuple[int, int], ...]
    contour: tuple[int, ...]

    @property
    def span(self) -> tuple[int, int]:
        """The lowest and the highest of its contour."""
        return min(self.contour), max(self.contour)


def make_rhythm(pool: Sequence[str], grid: int, steps: int, rng: random.Random) -> tuple[tuple[int, int], ...]:
    """Notes that fill so many steps, from rhythms of a bar, half a bar or two."""
    width = 96 // grid
    text = ""
    while len(text) * width < steps:
        piece = rng.choice(pool)
        if not text and "x" not in piece:
            continue
        text += piece
    text = text[: steps // width]
    rhythm: list[tuple[int, int]] = []
    for place, symbol in enumerate(text):
        if symbol == "x":
            end = place + 1
            while end < len(text) and text[end] == "-":
                end += 1
            rhythm.append((place * width, (end - place) * width))
    return tuple(rhythm) or ((0, steps // 2),)


def make_contour(count: int, rng: random.Random, reach: int = 5) -> tuple[int, ...]:
    """A line of steps with few leaps; a leap is followed by a step back."""
    bias = rng.choice((-0.12, 0.0, 0.12, 0.06))
    line, step = [0], 0
    for _ in range(count - 1):
        if abs(step) >= 2 and rng.random() < 0.75:
            step = -1 if step > 0 else 1
        else:
            draw = rng.random() - bias
            if draw < 0.10:
                step = 0
            elif draw < 0.36:
                step = 1
            elif draw < 0.62:
                step = -1
            elif draw < 0.74:
                step = 2
            elif draw < 0.86:
                step = -2
            elif draw < 0.93:
                step = 3
            else:
                step = 4 if rng.random() < 0.4 else -3
        if abs(line[-1] + step) > reach:
            step = -step
        line.append(line[-1] + step)
    return tuple(line)


def make_motif(pool: Sequence[str], grid: int, steps: int, rng: random.Random) -> Motif:
    """A new motif."""
    rhythm = make_rhythm(pool, grid, steps, rng)
    return Motif(rhythm, make_contour(len(rhythm), rng))


def derived(motif: Motif, pool: Sequence[str], grid: int, steps: int, rng: random.Random) -> Motif:
    """A motif akin to another: its rhythm with a new line, its line upside down, or its head with a new tail."""
    kind = rng.random()
    if kind < 0.35:
        return Motif(motif.rhythm, make_contour(len(motif.rhythm), rng))
    if kind < 0.55:
        return Motif(motif.rhythm, tuple(-each for each in motif.contour))
    fresh = make_motif(pool, grid, steps, rng)
    if kind < 0.85 and steps >= 96:
        half = steps // 2
        head = tuple(each for each in motif.rhythm if each[0] + each[1] <= half)
        tail = tuple(each for each in fresh.rhythm if each[0] >= half)
        if head and tail:
            contour = make_contour(len(tail) + 1, rng)[1:]
            base = motif.contour[len(head) - 1]
            return Motif(head + tail, motif.contour[: len(head)] + tuple(base + each for each in contour))
    return fresh


def cadence(motif: Motif, steps: int, bar: int, beat: int, rng: random.Random) -> Motif:
    """A motif that comes to rest: its beginning, then one long note on a strong beat."""
    last = steps - bar + (rng.choice((0, 0, bar // 2 // beat * beat)) if bar >= 4 * beat else 0)
    last = max(last, beat) if steps > beat else 0
    head = [(start, min(length, last - start)) for start, length in motif.rhythm if start < last]
    contour = list(motif.contour[: len(head)])
    end = (last, max(beat, steps - last - beat))
    return Motif((*head, end), (*contour, contour[-1] - 1 if contour else 0))
