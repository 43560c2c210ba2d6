"""A prompt while it is read: its words, its phrases, and which of its words are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amt.request.phrases import Hit, find_phrases
from amt.request.refusals import refused_hits
from amt.request.said import Said, Value
from amt.request.words import Words


class Scan:
    """Rules read the same text one after the other; what one has understood, the next leaves alone.

    Places are in `english`; what is said has its place in the text.
    """

    def __init__(self, words: Words):
        self.words = words
        self.english = words.english
        self.tokens = words.tokens
        self.hits = find_phrases(words.tokens, words.english)
        self.refused = refused_hits(words.tokens, self.hits, words.english)
        self._taken = bytearray(len(words.english))
        for hit in self.hits:
            if _is_closed(hit):
                self.take(hit.start, hit.end)

    def take(self, start: int, end: int) -> None:
        """Mark a part as understood."""
        self._taken[start:end] = b"\1" * (end - start)

    def is_free(self, start: int, end: int) -> bool:
        """Whether nobody has taken any of it."""
        return not any(self._taken[start:end])

    def is_own(self, hit: Hit) -> bool:
        """Whether no rule has taken a phrase for something else."""
        return _is_closed(hit) or self.is_free(hit.start, hit.end)

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """The matches that lie in free text."""
        for match in pattern.finditer(self.english):
            if self.is_free(*match.span()):
                yield match

    def hit_before(self, hit: Hit) -> Hit | None:
        """The phrase that ends where another begins."""
        return next((other for other in self.hits if other.after == hit.first), None)

    def said(self, value: Value, start: int, end: int) -> Said[Value]:
        """A value with the place of its words in the text."""
        return Said(value, *self.words.span(start, end))

    def of_kind(self, kind: str) -> tuple[Said[str], ...]:
        """What the phrases of a kind say, each value once, without what is refused."""
        found: dict[str, Said[str]] = {}
        for hit in self.hits:
            for value in hit.values(kind):
                if hit not in self.refused and value not in found:
                    found[value] = self.said(value, hit.start, hit.end)
        return tuple(found.values())


def _is_closed(hit: Hit) -> bool:
    """Whether no rule may look into a phrase: those that say nothing, and those that begin with a number."""
    return hit.has_number or any(
        meaning.kind in ("nothing", "form", "feel", "section", "metre") for meaning in hit.meanings
    )
