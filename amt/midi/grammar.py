"""Which token may come next: the face of the C++ state machine, or of its plain-Python twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.native import native
from amt.midi.reference import grammar as reference
from amt.midi.vocabulary import vocabulary_of

__all__ = ["Constraints", "Grammar", "GrammarState"]

_Way: TypeAlias = "tuple[_Way, int] | None"


class GrammarState(Protocol):
    """A place in a token sequence."""

    @property
    def is_finished(self) -> bool: ...

    @property
    def now(self) -> int:
        """The step."""

    @property
    def tokens_to_close(self) -> int:
        """The length of one ending that always works, `eos` included."""

    def allowed(self, remaining: int | None = None) -> np.ndarray:
        """(vocab_size,) bool: which token may come next, if so many tokens are left, `eos` included."""

    def advance(self, token_id: int) -> None:
        """Go on by one token; ValueError if it is not allowed."""

    def copy(self) -> GrammarState:
        """A state of its own at the same place."""


class _NativeState:
    """The C++ state, and the tokens that led to it, so that it can be made again in another process.

    Args:
        grammar: what it is a state of.
        state: the compiled one.
        way: None at the start, or the way before the last token, and that token.
    """

    def __init__(self, grammar: Grammar, state: Any, way: _Way = None):
        self._grammar, self._state, self._way = grammar, state, way

    def __reduce__(self) -> tuple[Callable[[Grammar, list[int]], GrammarState], tuple[Grammar, list[int]]]:
        token_ids, way = [], self._way
        while way is not None:
            way, token_id = way
            token_ids.append(token_id)
        return _state_after, (self._grammar, token_ids[::-1])

    @property
    def is_finished(self) -> bool:
        return bool(self._state.is_finished)

    @property
    def now(self) -> int:
        return int(self._state.now)

    @property
    def tokens_to_close(self) -> int:
        return int(self._state.tokens_to_close)

    def allowed(self, remaining: int | None = None) -> np.ndarray:
        mask: np.ndarray = self._state.allowed(remaining)
        return mask

    def advance(self, token_id: int) -> None:
        self._state.advance(token_id)
        self._way = (self._way, int(token_id))

    def copy(self) -> _NativeState:
        return _NativeState(self._grammar, self._state.copy(), self._way)


class Grammar:
    """Canonical token sequences, under constraints; docs/tokens.md, "Grammar".

    Args:
        config: of the tokenizer.
        constraints: what the music may not do beyond that.

    Raises:
        ValueError: the constraints do not fit the preset, or leave nothing to play.

    Example:
        >>> state = amt.Grammar(amt.TokenizerConfig(), amt.Constraints(programs=(0,))).start()
        >>> state.advance(1)
    """

    def __init__(self, config: TokenizerConfig, constraints: Constraints | None = None):
        self.config = config
        self.constraints = constraints or Constraints()
        self.constraints.check_for(config)
        self._native: Any = None
        self.vocab_size = len(vocabulary_of(config))
        if native is not None:
            self._native = native.Grammar(config.to_text(), self.constraints.to_text())

    def __reduce__(self) -> tuple[type[Grammar], tuple[TokenizerConfig, Constraints]]:
        return Grammar, (self.config, self.constraints)  # the compiled part is made anew

    @property
    def is_native(self) -> bool:
        """Whether its states are the compiled ones."""
        return self._native is not None

    def start(self) -> GrammarState:
        """The state before `bos`."""
        if self._native is not None and native is not None:
            return _NativeState(self, native.GrammarState(self._native))
        return reference.GrammarState(self.config, self.constraints)


def _state_after(grammar: Grammar, token_ids: list[int]) -> GrammarState:
    state = grammar.start()
    for token_id in token_ids:
        state.advance(token_id)
    return state
