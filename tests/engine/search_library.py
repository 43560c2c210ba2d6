"""The compiled search for tests: csrc/engine/search_testing.cpp through ctypes."""

import ctypes
from pathlib import Path

import numpy as np

import amt
from amt.errors import DecodingError

PATH = next(Path(amt.__file__).parent.glob("*amt_search_testing*"), None)
MODES = {"greedy": 0, "sample": 1, "beams": 2}
EARLY_STOPPING = {False: 0, True: 1, "never": 2}
FINISH_REASONS = (None, "eos", "length")
LOG_SUM_EXP = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.POINTER(ctypes.c_float), ctypes.c_int64)


class SearchOptions(ctypes.Structure):
    """The C++ struct of that name."""

    _fields_ = (
        ("mode", ctypes.c_int32),
        ("num_rows", ctypes.c_int32),
        ("vocab_size", ctypes.c_int32),
        ("eos_token_id", ctypes.c_int32),
        ("min_new_tokens", ctypes.c_int32),
        ("no_repeat_ngram_size", ctypes.c_int32),
        ("top_k", ctypes.c_int32),
        ("early_stopping", ctypes.c_int32),
        ("temperature", ctypes.c_float),
        ("top_p", ctypes.c_double),
        ("min_p", ctypes.c_float),
        ("repetition_penalty", ctypes.c_float),
        ("length_penalty", ctypes.c_double),
        ("guidance_scale", ctypes.c_float),
        ("forced_bos_token_id", ctypes.c_int32),
        ("forced_eos_token_id", ctypes.c_int32),
        ("suppressed", ctypes.POINTER(ctypes.c_uint8)),
    )


def options_from(config, vocab_size, eos_token_id=2):
    """The C++ options of a GenerationConfig."""
    suppressed = [0] * vocab_size
    for bit, tokens in ((1, config.suppress_tokens), (2, config.begin_suppress_tokens)):
        for token in tokens:
            suppressed[token] |= bit
    forced = [-1 if token is None else token for token in (config.forced_bos_token_id, config.forced_eos_token_id)]
    mode = "sample" if config.do_sample else "beams" if config.num_beams > 1 else "greedy"
    return SearchOptions(
        MODES[mode],
        config.num_return_sequences if config.do_sample else config.num_beams,
        vocab_size,
        eos_token_id,
        config.min_new_tokens,
        config.no_repeat_ngram_size,
        config.top_k,
        EARLY_STOPPING[config.early_stopping],
        config.temperature,
        config.top_p,
        config.min_p,
        config.repetition_penalty,
        config.length_penalty,
        1.0,
        *forced,
        _array(suppressed, ctypes.c_uint8) if any(suppressed) else None,
    )


def load():
    """The library, with its signatures; None if it is not built."""
    if PATH is None:
        return None
    library = ctypes.CDLL(str(PATH))
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    ids = ctypes.POINTER(ctypes.c_int32)
    flags = ctypes.POINTER(ctypes.c_uint8)
    floats = ctypes.POINTER(ctypes.c_float)
    grammar_sizes = [ctypes.c_bool, int32, int32, int32, int32, int64, ids, int32, int64, int64]
    signatures = {
        "amt_grammar_new": (pointer, [*grammar_sizes, flags, flags, int32, int32]),
        "amt_grammar_delete": (None, [pointer]),
        "amt_search_new": (pointer, [ctypes.POINTER(SearchOptions), int64, pointer, LOG_SUM_EXP]),
        "amt_search_delete": (None, [pointer]),
        "amt_search_error": (ctypes.c_char_p, [pointer]),
        "amt_search_begin": (int32, [pointer, ids, int64, int64, ctypes.c_uint64]),
        "amt_search_step": (int32, [pointer, floats, int64]),
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
        def flags(values, size):
            return _array([values is None or i in values for i in range(size)], ctypes.c_uint8)

        def number(value):
            return -1 if value is None else value

        self._library = library
        self.pointer = library.amt_grammar_new(
            config.preset == "score",
            config.step_ms,
            config.steps_per_beat,
            config.max_time_shift,
            config.num_velocities,
            config.max_gap_steps,
            _array(config.tempos_bpm, ctypes.c_int32),
            len(config.tempos_bpm),
            number(constraints.max_polyphony),
            number(constraints.max_steps),
            flags(constraints.programs, 129),
            flags(constraints.pitch_classes, 12),
            number(constraints.tempo_index),
            number(constraints.time_signature_index),
        )
        assert self.pointer

    def __del__(self):
        self._library.amt_grammar_delete(self.pointer)


class Search:
    """One C++ search over a block of memory of its own.

    Args:
        options: SearchOptions.
        max_len: the most tokens of a sequence.
        grammar: a Grammar, or None.
        log_sum_exp: a Python function (ctypes pointer, count) -> float in place of the plain C++ one.
    """

    def __init__(self, library, options, max_len, grammar=None, log_sum_exp=None):
        self._library, self._options = library, options  # C++ reads the suppressed tokens where they lie
        self._log_sum_exp = LOG_SUM_EXP(log_sum_exp) if log_sum_exp else LOG_SUM_EXP(0)
        pointer = library.amt_search_new(
            ctypes.byref(options), max_len, grammar.pointer if grammar else None, self._log_sum_exp
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

    def step(self, logits):
        """logits: (rows, vocab_size), float32."""
        logits = np.ascontiguousarray(logits, np.float32)
        pointer = logits.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        self._check(self._library.amt_search_step(self._pointer, pointer, logits.shape[1]))

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
