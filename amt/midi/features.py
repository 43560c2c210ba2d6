"""State features of whole rows of tokens: the face of the C++ state machine, or of its plain-Python twin.

docs/features.md is the definition.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.native import native
from amt.midi.reference import features as reference
from amt.midi.reference.features import LARGEST_NUMBER, FeatureLayout, FeatureState
from amt.midi.vocabulary import vocabulary_of
from amt.named_values import named_values

__all__ = ["FeatureLayout", "FeatureState", "TokenFeatures", "features_of", "layout_text", "num_bars_of", "values"]


@dataclasses.dataclass(frozen=True, eq=False)
class TokenFeatures:
    """The features of some tokens, as lists of entries.

    Attributes:
        ends: (num_tokens,) int64: where the entries of each token end; they begin where those of the one before end.
        columns, numbers: (num_entries,) int16.
        times: (num_tokens,) int64: the step after each token.
    """

    ends: np.ndarray
    columns: np.ndarray
    numbers: np.ndarray
    times: np.ndarray

    @property
    def tokens(self) -> np.ndarray:
        """Of each entry the token that it belongs to, (num_entries,) int64."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))


def layout_text(layout: FeatureLayout) -> str:
    """What `FeatureConfig` of csrc/midi/state_features.h reads; see `amt.named_values`."""
    numbers = [FeatureLayout.NAMES.index(name) for name in layout.features]
    return layout.config.to_text() + named_values({"features": numbers})


def features_of(
    layout: FeatureLayout, rows: Sequence[np.ndarray], num_bars: Sequence[int] | None = None
) -> TokenFeatures:
    """The features of rows of ids, one row after the other. A pad has no entries.

    Args:
        layout: which features.
        rows: ids, each row from its beginning.
        num_bars: of each row how many bars it is to have; 0: unknown, as for all if it is None.

    Raises:
        ValueError: an id is not in the vocabulary.
    """
    bars = np.zeros(len(rows), np.int64) if num_bars is None else np.asarray(num_bars, np.int64)
    lengths = np.array([len(row) for row in rows], np.int64)
    ids = np.concatenate([np.asarray(row, np.int32) for row in rows]) if len(rows) else np.zeros(0, np.int32)
    if native is not None:
        return TokenFeatures(*_native_layout(layout).rows(ids, lengths, bars))
    size = len(vocabulary_of(layout.config))
    if len(ids) and not 0 <= ids.min() <= ids.max() < size:
        raise ValueError(f"token ids are 0 to {size - 1}, got {ids.min()} to {ids.max()}")
    found = reference.feature_rows(layout, [np.asarray(row).tolist() for row in rows], bars.tolist())
    tokens = [entries for row, _ in found for entries in row]
    entries = np.array([entry for token in tokens for entry in token], np.int16).reshape(-1, 2)
    ends = np.cumsum([len(token) for token in tokens], dtype=np.int64)
    times = np.array([time for _, row in found for time in row], np.int64)
    return TokenFeatures(ends, entries[:, 0].copy(), entries[:, 1].copy(), times)


def num_bars_of(layout: FeatureLayout, ids: np.ndarray) -> int:
    """How many bars a row of ids has."""
    if native is not None:
        return int(_native_layout(layout).num_bars(np.asarray(ids, np.int32)))
    state = FeatureState(layout)
    for token_id in np.asarray(ids).tolist():
        state.advance(token_id)
    return state.num_bars_begun


def values(layout: FeatureLayout, columns: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """What a model reads for entries, float32: `FeatureLayout.value` of each."""
    rows, table = _tables(layout.config, layout.features)
    found: np.ndarray = table.take(rows.take(columns) + numbers)
    return found


@functools.lru_cache(maxsize=8)
def _native_layout_of(text: str) -> Any:
    assert native is not None
    return native.FeatureLayout(text)


def _native_layout(layout: FeatureLayout) -> Any:
    return _native_layout_of(layout_text(layout))


@functools.lru_cache(maxsize=8)
def _tables(config: TokenizerConfig, features: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The values of all numbers by each of the three rules, and for each column where those of its rule begin."""
    layout = FeatureLayout(config, features)
    names = np.array([layout.feature(column) for column in range(layout.num_columns)])
    rules = np.isin(names, FeatureLayout.AGES) + 2 * np.isin(names, FeatureLayout.RECENCIES)
    numbers = np.arange(LARGEST_NUMBER + 1, dtype=np.float64)
    ages = np.log2(1 + 2 * numbers / config.steps_per_beat) / 2
    table = np.concatenate([numbers, ages, 1 / (1 + ages)]).astype(np.float32)
    return (rules * len(numbers)).astype(np.int32), table
