"""Grammars, states and features as the bytes that a GPU gets, by csrc/engine/search_testing.cpp through ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from cuda_library import Arrays, GrammarStep, run

import amt
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, layout_text
from amt.midi.limits import Constraints

PATH = next(Path(amt.__file__).parent.glob("*amt_search_testing*"), None)
ENTRY = np.dtype([("column", np.int16), ("number", np.int16)])


def load() -> ctypes.CDLL | None:
    """The library, with its signatures; None if it is not built."""
    if PATH is None:
        return None
    library = ctypes.CDLL(str(PATH))
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    signatures = {
        "amt_grammar_new": (pointer, [ctypes.c_char_p, ctypes.c_char_p]),
        "amt_grammar_delete": (None, [pointer]),
        "amt_grammar_rules": (pointer, [pointer]),
        "amt_grammar_start": (None, [pointer, pointer]),
        "amt_features_new": (pointer, [ctypes.c_char_p]),
        "amt_features_delete": (None, [pointer]),
        "amt_features_rules": (pointer, [pointer]),
        "amt_features_max_entries": (ctypes.c_int32, [pointer]),
        "amt_features_table": (int64, [pointer, pointer]),
        "amt_features_start": (None, [pointer, int64, pointer]),
        "amt_device_bytes": (None, [int64, pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class GrammarRows:
    """Rows of the kernel `grammar_step`, each with constraints of its own.

    Args:
        kernel: the compiled kernel.
        library: from `load`.
        config: the vocabulary of all rows.
        constraints: of each row.
        layout: which features; None: none.
        num_bars: of each row, for its features.
        capacity: how many tokens a row can take.
    """

    def __init__(
        self,
        kernel: ctypes.CDLL,
        library: ctypes.CDLL,
        config: TokenizerConfig,
        constraints: list[Constraints],
        layout: FeatureLayout | None,
        num_bars: list[int],
        capacity: int,
    ):
        self._kernel, self._num_rows = kernel, len(constraints)
        self._arrays = Arrays()
        num_bytes = np.zeros(5, np.int64)
        library.amt_device_bytes(capacity, num_bytes.ctypes.data)
        rules_bytes, state_bytes, feature_bytes, track_bytes, list_bytes = num_bytes.tolist()
        rules = np.zeros((self._num_rows, rules_bytes // 8), np.uint64)
        states = np.zeros((self._num_rows, state_bytes // 8), np.uint64)
        for row, given in enumerate(constraints):
            grammar = library.amt_grammar_new(config.to_text().encode(), given.to_text().encode())
            assert grammar
            ctypes.memmove(rules[row].ctypes.data, library.amt_grammar_rules(grammar), rules_bytes)
            library.amt_grammar_start(grammar, states[row].ctypes.data)
            library.amt_grammar_delete(grammar)
        self._rules, self.states = self._arrays.put(rules), self._arrays.view(states)
        self._tracks = self._feature_rules = self._lists = self._table = None
        self._max_entries = 1
        if layout is not None:
            features = library.amt_features_new(layout_text(layout).encode())
            assert features
            of_features = np.zeros(feature_bytes // 4, np.int32)
            ctypes.memmove(of_features.ctypes.data, library.amt_features_rules(features), feature_bytes)
            self._feature_rules = self._arrays.put(of_features)
            tracks = np.zeros((self._num_rows, track_bytes // 8), np.uint64)
            for row, bars in enumerate(num_bars):
                library.amt_features_start(features, bars, tracks[row].ctypes.data)
            self._tracks = self._arrays.put(tracks)
            table = np.zeros(library.amt_features_table(features, None), np.float32)
            library.amt_features_table(features, table.ctypes.data)
            self._table = self._arrays.put(table)
            self._max_entries = library.amt_features_max_entries(features)
            self._lists = self._arrays.put(np.zeros((self._num_rows, list_bytes // 8), np.uint64))
            library.amt_features_delete(features)
        self._capacity, self._list_words = capacity, list_bytes // 8
        self._vocab_size = len(amt.midi.vocabulary.vocabulary_of(config))

    def step(
        self, token_ids: list[int], remaining: list[int | None], order: int
    ) -> tuple[list[bool], np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Start the kernel.

        Args:
            token_ids: of each row; -1: none.
            remaining: of each row: tokens that are left.
            order: of blocks and threads.

        Returns:
            Whether each token was taken, the masks (num_rows, vocab_size), and for each row its entries and values.
        """
        arrays = self._arrays
        budgets = np.array([-1 if left is None else left for left in remaining], np.int64)
        taken = arrays.view(np.full(self._num_rows, 9, np.uint8))
        masks = arrays.view(np.full((self._num_rows, self._vocab_size), 9, np.uint8))
        entries = arrays.view(np.zeros((self._num_rows, self._max_entries), np.int32))
        values = arrays.view(np.zeros((self._num_rows, self._max_entries), np.float32))
        counts = arrays.view(np.zeros(self._num_rows, np.int32))
        call = GrammarStep(
            self._rules, self.states.ctypes.data, arrays.put(np.array(token_ids, np.int32)), arrays.put(budgets),
            taken.ctypes.data, masks.ctypes.data, self._feature_rules, self._tracks, self._lists, self._table,
            entries.ctypes.data, values.ctypes.data, counts.ctypes.data,
            self._capacity, self._list_words, self._num_rows,
        )  # fmt: skip
        run(self._kernel, "grammar_step", call, arrays, is_bfloat=False, order=order)
        found = [
            (entries[row, :count].view(ENTRY).reshape(-1), values[row, :count]) for row, count in enumerate(counts)
        ]
        return [bool(each) for each in taken], masks, found
