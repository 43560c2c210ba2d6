"""From tokens to what `amt.nn.features.StateFeatures` reads: for whole rows, and token by token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from amt.midi.features import FeatureLayout, FeatureState, TokenFeatures, features_of, values
from amt.nn.features import FeatureInputs


def collate(layout: FeatureLayout, rows: Sequence[TokenFeatures], seq_len: int) -> FeatureInputs:
    """The features of rows as one batch; what follows a shorter row has none.

    Args:
        rows: each of at most `seq_len` tokens.
    """
    ends = np.zeros((len(rows), seq_len), np.int64)
    times = np.zeros((len(rows), seq_len), np.int64)
    before = 0
    for row_ends, row_times, row in zip(ends, times, rows, strict=True):
        length = len(row.ends)
        row_ends[:length] = before + row.ends
        before += len(row.columns)
        row_ends[length:] = before
        row_times[:length] = row.times
    starts = np.concatenate([[0], ends.ravel()[:-1]])[: ends.size]
    columns = np.concatenate([row.columns for row in rows])
    numbers = np.concatenate([row.numbers for row in rows])
    return FeatureInputs(
        torch.from_numpy(starts),
        torch.from_numpy(columns.astype(np.int64)),
        torch.from_numpy(values(layout, columns, numbers)),
        torch.from_numpy(times),
    )


def features_of_rows(
    layout: FeatureLayout, token_ids: torch.Tensor, num_bars: Sequence[int] | None = None
) -> FeatureInputs:
    """The features of token_ids (batch, seq_len), each row from its beginning, on their device."""
    rows = list(token_ids.cpu().numpy())
    bars = [0] * len(rows) if num_bars is None else num_bars
    found = [features_of(layout, [row], [number]) for row, number in zip(rows, bars, strict=True)]
    return collate(layout, found, token_ids.shape[1]).to(token_ids.device)


def advance(states: Sequence[FeatureState], token_ids: torch.Tensor) -> FeatureInputs:
    """Let the state of each row take its tokens (batch, num_tokens); their features, on their device."""
    rows = []
    for state, ids in zip(states, token_ids.tolist(), strict=True):
        entries, times = [], []
        for token_id in ids:
            state.advance(token_id)
            entries.append(state.entries())
            times.append(state.now)
        flat = np.array([entry for token in entries for entry in token], np.int16).reshape(-1, 2)
        ends = np.cumsum([len(token) for token in entries], dtype=np.int64)
        rows.append(TokenFeatures(ends, flat[:, 0], flat[:, 1], np.array(times, np.int64)))
    return collate(states[0].layout, rows, token_ids.shape[1]).to(token_ids.device)
