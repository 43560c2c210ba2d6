"""The compiled search for tests: csrc/engine/search_testing.cpp through ctypes."""

import ctypes
from pathlib import Path

import numpy as np

import amt
from amt.decoding.backends.engine import engine_options
from amt.errors import DecodingError
from amt.named_values import named_values

PATH = next(Path(amt.__file__).parent.glob("*amt_search_testing*"), None)
FINISH_REASONS = (None, "eos", "length")
LOG_SUM_EXP = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.POINTER(ctypes.c_float), ctypes.c_int64)


def options_from(config, vocab_size, eos_token_id=2):
    """What a C++ search is made of: its settings by name, and the number of tokens."""
    mode = "sample" if config.do_sample else "beams" if config.num_beams > 1 else "greedy"
    unread = ("prompt_lookup_num_tokens", "max_matching_ngram_size")
    return {
        "mode": mode,
        "num_rows": config.num_return_sequences if config.do_sample else config.num_beams,
        "eos_token_id": eos_token_id,
        **{name: value for name, value in engine_options(config).items() if name not in unread},
        "vocab_size": vocab_size,
    }


def load(path=PATH):
    """The library, with its signatures; None if it is not built."""
    if path is None:
        return None
    library = ctypes.CDLL(str(path))
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    ids = ctypes.POINTER(ctypes.c_int32)
    floats = ctypes.POINTER(ctypes.c_float)
    signatures = {
        "amt_grammar_new": (pointer, [ctypes.c_char_p, ctypes.c_char_p]),
        "amt_grammar_delete": (None, [pointer]),
        "amt_search_new": (pointer, [ctypes.c_char_p, int64, int64, pointer, LOG_SUM_EXP]),
        "amt_search_delete": (None, [pointer]),
        "amt_search_error": (ctypes.c_char_p, [pointer]),
        "amt_search_begin": (int32, [pointer, ids, int64, int64, ctypes.c_uint64]),
        "amt_search_step": (int32, [pointer, floats, floats, int64]),
        "amt_search_move": (None, [pointer]),
        "amt_search_is_done": (ctypes.c_bool, [pointer]),
        "amt_search_length": (int64, [pointer]),
        "amt_search_is_active": (ctypes.c_bool, [pointer, int64]),
        "amt_search_last_token": (int32, [pointer, int64]),
        "amt_search_parent": (int32, [pointer, int64]),
        "amt_search_num_results": (int64, [pointer]),
        "amt_result_length": (int64, [pointer, int64]),
        "amt_result_tokens": (ids, [pointer, int64]),
        "amt_result_log_probs": (floats, [pointer, int64]),
        "amt_result_score": (ctypes.c_double, [pointer, int64]),
        "amt_result_reason": (int32, [pointer, int64]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _array(values, ctype):
    return (ctype * len(values))(*values)


class Grammar:
    """A C++ grammar of its own."""

    def __init__(self, library, config, constraints):
        self._library = library
        self.pointer = library.amt_grammar_new(config.to_text().encode(), constraints.to_text().encode())
        assert self.pointer

    def __del__(self):
        self._library.amt_grammar_delete(self.pointer)


class Search:
    """One C++ search over a block of memory of its own.

    Args:
        options: from `options_from`.
        max_len: the most tokens of a sequence.
        grammar: a Grammar, or None.
        log_sum_exp: a Python function (ctypes pointer, count) -> float in place of the plain C++ one.
    """

    def __init__(self, library, options, max_len, grammar=None, log_sum_exp=None):
        self._library = library
        self._log_sum_exp = LOG_SUM_EXP(log_sum_exp) if log_sum_exp else LOG_SUM_EXP(0)
        settings = {name: value for name, value in options.items() if name != "vocab_size"}
        pointer = library.amt_search_new(
            named_values(settings).encode(),
            options["vocab_size"],
            max_len,
            grammar.pointer if grammar else None,
            self._log_sum_exp,
        )
        if not pointer:
            raise ValueError("there is no such search")
        self._pointer = pointer

    def __del__(self):
        if hasattr(self, "_pointer"):
            self._library.amt_search_delete(self._pointer)

    def _check(self, result):
        if result:
            raise {1: ValueError, 2: DecodingError}[result](self._library.amt_search_error(self._pointer).decode())

    def begin(self, prefix, max_new_tokens, seed=0):
        self._check(
            self._library.amt_search_begin(
                self._pointer, _array(prefix, ctypes.c_int32), len(prefix), max_new_tokens, seed
            )
        )

    def step(self, logits, negative=None):
        """logits, and those under a negative text: (rows, vocab_size), float32."""
        rows = [None if each is None else np.ascontiguousarray(each, np.float32) for each in (logits, negative)]
        floats = ctypes.POINTER(ctypes.c_float)
        pointers = [None if each is None else each.ctypes.data_as(floats) for each in rows]
        self._check(self._library.amt_search_step(self._pointer, *pointers, rows[0].shape[1]))

    def move(self):
        """Go on in other memory."""
        self._library.amt_search_move(self._pointer)

    @property
    def is_done(self):
        return self._library.amt_search_is_done(self._pointer)

    @property
    def length(self):
        return self._library.amt_search_length(self._pointer)

    def is_active(self, row):
        return self._library.amt_search_is_active(self._pointer, row)

    def last_token(self, row):
        return self._library.amt_search_last_token(self._pointer, row)

    def parent(self, row):
        return self._library.amt_search_parent(self._pointer, row)

    def results(self, prefix_len):
        """[(token_ids, score, log_probs, finish_reason)], the best first."""
        found = []
        for index in range(self._library.amt_search_num_results(self._pointer)):
            length = self._library.amt_result_length(self._pointer, index)
            token_ids = tuple(self._library.amt_result_tokens(self._pointer, index)[:length])
            log_probs = tuple(self._library.amt_result_log_probs(self._pointer, index)[: max(length - prefix_len, 0)])
            score = self._library.amt_result_score(self._pointer, index)
            reason = FINISH_REASONS[self._library.amt_result_reason(self._pointer, index)]
            found.append((token_ids, score, log_probs, reason))
        return found
