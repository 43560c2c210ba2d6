"""What an evaluation prints: one row a metric, with a 95 % interval over pieces."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

NUM_DRAWS = 2000


@dataclasses.dataclass(frozen=True)
class Row:
    """One metric.

    Attributes:
        metric: its name; docs/evaluation.md has the definition.
        value: the mean over pieces.
        low, high: 95 % of the means of `NUM_DRAWS` samples drawn with replacement lie between them (percentile
            bootstrap, Efron 1979).
        n: pieces that have it.
        split, model: of what.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    split: str
    model: str


def row(
    metric: str, values: Sequence[float] | np.ndarray, split: str, model: str, weights: object = None
) -> Row | None:
    """The mean of one value a piece with its interval; None without values.

    Args:
        weights: one a piece, for a mean such as nats a token; None: all alike.
    """
    numbers = np.asarray(values, np.float64)
    if not len(numbers):
        return None
    shares = np.ones(len(numbers)) if weights is None else np.asarray(weights, np.float64)
    draws = np.random.default_rng(0).integers(0, len(numbers), (NUM_DRAWS, len(numbers)))
    means = (numbers * shares)[draws].sum(1) / shares[draws].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    value, low, high = (round(float(x), 4) for x in ((numbers * shares).sum() / shares.sum(), low, high))
    return Row(metric, value, low, high, len(numbers), split, model)
