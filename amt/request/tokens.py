"""A text as words and signs, each with its place."""

from __future__ import annotations

import re
from typing import NamedTuple

# Hyphens between words and apostrophes are no tokens: "hip-hop" is two words, "don't" is one.
_TOKEN = re.compile(r"[^\W\d_]+n['’]t\b|[^\W\d_]+|\d+(?:[.,]\d+)?|[^\s\w'’‘]")
_JOINING = ("-", "‐", "‑")


class Token(NamedTuple):
    """A word in lower case, a number or a sign."""

    text: str
    start: int
    end: int


def tokenize(text: str) -> list[Token]:
    """The tokens of a text."""
    tokens = [Token(match[0].lower().replace("’", "'"), *match.span()) for match in _TOKEN.finditer(text)]
    return [token for token in tokens if not (token.text in _JOINING and _joins(text, token))]


def _joins(text: str, token: Token) -> bool:
    """Whether a hyphen stands between two words without a space."""
    before, after = text[token.start - 1 : token.start], text[token.end : token.end + 1]
    return before.isalnum() and after.isalnum()


def split_words(text: str) -> tuple[str, ...]:
    """The words of a phrase, as they are looked up."""
    return tuple(token.text for token in tokenize(text))
