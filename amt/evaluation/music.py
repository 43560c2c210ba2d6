"""What music is like beside real music: is it sane, what hangs, sticks and returns, and can it be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amt.evaluation.evaluate import Example
from amt.evaluation.rows import Row, row
from amt.evaluation.told_apart import LAGS, hanging_share, repeats, told_apart
from amt.midi.data import MidiData
from amt.midi.facts import measure
from amt.midi.sanity import sanity, top_run

REAL = "real music"


def evaluate_music(real: Sequence[Example], made: Sequence[Example] | None, split: str, model: str) -> list[Row]:
    """The same figures of made and of real music; told-apart of made and real, and of two halves of what is real.

    Args:
        real, made: for the same captions, in the same order; None: only real music is there.
    """
    rows: list[Row] = []
    if made is not None:
        rows += _figures([example.midi for example in made if example.midi is not None], split, model)
    rows += _figures([example.midi for example in real if example.midi is not None], split, REAL)
    if made is not None:
        pairs = [(r.midi, m.midi, r.caption) for r, m in zip(real, made, strict=True) if r.midi and m.midi]
        names = [caption for _, _, caption in pairs]
        both = [real_midi for real_midi, _, _ in pairs], [made_midi for _, made_midi, _ in pairs]
        rows.append(told_apart(*both, (names, names), split, model))
    return [*rows, _halves(real, split)]


def _halves(real: Sequence[Example], split: str) -> Row:
    """Told-apart of two halves of real music, drawn by chance: what no difference looks like."""
    pieces = [example.midi for example in real if example.midi is not None]
    order = np.random.default_rng(0).permutation(len(pieces))
    half = len(order) // 2
    first, second = ([pieces[i] for i in part] for part in (order[:half], order[half:]))
    names = [str(i) for i in range(len(pieces))]
    return told_apart(first, second, (names[:half], names[half:]), split, REAL)


def _figures(pieces: Sequence[MidiData], split: str, model: str) -> list[Row]:
    of_bars = [repeats(midi) for midi in pieces]
    values: dict[str, list[float]] = {
        "sane": [float(not sanity(midi)) for midi in pieces],
        "hanging_share": [hanging_share(midi) for midi in pieces],
        "top_run": [float(top_run(midi)) for midi in pieces],
        "pitch_class_entropy": [
            float("nan") if (value := measure(midi).pitch_class_entropy) is None else value for midi in pieces
        ],
    }
    values |= {f"bars_equal_{lag}": [each[f"equal_{lag}"] for each in of_bars] for lag in LAGS}
    rows = [row(name, [v for v in each if not np.isnan(v)], split, model) for name, each in values.items()]
    return [found for found in rows if found is not None]
