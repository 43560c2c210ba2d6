"""The rows of a result, and the ratios between them."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """How one implementation did in one case; or, with `error`, why there is no number.

    Attributes:
        suite: "decode", "tokenizer" or "attention".
        case: the case's name.
        impl: the implementation.
        version: of the package that did the work.
        threads: how many it was allowed.
        dtype: what its weights were stored as; None where there are none.
        ms_per_step: median over the rounds of wall time / steps. A step of decoding gives each hypothesis one token; a
            step of the tokenizer is one file.
        ms_per_step_min: the fastest round.
        tokens_per_s: tokens of the returned sequences per second, from the median.
        ratio_to_best_peer: the best peer's ms_per_step / this one: above 1 this one is faster. None if no peer ran.
        fraction_of_limit: time that reading weights and caches once a step would take / ms_per_step. None if unknown.
        rounds: how many times were measured.
        setting: which of several settings this was; the fastest one's row is kept.
        shared_positions: the share of positions that all beams of a prompt have in common, averaged over the steps.
        error: what went wrong.
    """

    suite: str
    case: str
    impl: str
    version: str
    threads: int
    dtype: str | None
    ms_per_step: float | None = None
    ms_per_step_min: float | None = None
    tokens_per_s: float | None = None
    ratio_to_best_peer: float | None = None
    fraction_of_limit: float | None = None
    rounds: int = 0
    setting: str = ""
    shared_positions: float | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON knows them."""
        return dataclasses.asdict(self)


def with_times(row: Row, seconds: Sequence[float], *, num_steps: int, num_tokens: int) -> Row:
    """The row with what its rounds took.

    Args:
        row: without times.
        seconds: of each round; at least one.
        num_steps: steps in a round.
        num_tokens: tokens that a round gave.
    """
    median = statistics.median(seconds)
    return dataclasses.replace(
        row,
        ms_per_step=1000 * median / num_steps,
        ms_per_step_min=1000 * min(seconds) / num_steps,
        tokens_per_s=num_tokens / median,
        rounds=len(seconds),
    )


def best_settings(rows: Sequence[Row]) -> list[Row]:
    """Of each implementation the fastest of its settings; one that failed only if all of them did."""
    best: dict[tuple[str, str, int], Row] = {}
    for row in rows:
        key = (row.case, row.impl, row.threads)
        if key not in best or _milliseconds(row) < _milliseconds(best[key]):
            best[key] = row
    return list(best.values())


def with_ratios(rows: Sequence[Row], peers: Sequence[str], limit_ms: float | None = None) -> list[Row]:
    """The rows of one case and number of threads, beside the best of those whose `impl` is in `peers`.

    Args:
        rows: of one case.
        peers: names of what a user could take instead of AMT.
        limit_ms: the least a step can take, if known.
    """
    bar = min((_milliseconds(row) for row in rows if row.impl in peers), default=float("inf"))
    return [
        row
        if row.ms_per_step is None
        else dataclasses.replace(
            row,
            ratio_to_best_peer=None if bar == float("inf") else bar / row.ms_per_step,
            fraction_of_limit=None if limit_ms is None else limit_ms / row.ms_per_step,
        )
        for row in rows
    ]


def _milliseconds(row: Row) -> float:
    return float("inf") if row.ms_per_step is None else row.ms_per_step
