"""The fields of a TOML table, read one by one, each with a clear error."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class StyleError(ValueError):
    """A style file that cannot be used; the message says where, and what is wrong."""


def nearest_names(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names that look most like a word, or have a word that does."""

    def likeness(name: str) -> float:
        texts = [name.lower(), *name.lower().split()]
        return max(difflib.SequenceMatcher(None, word.lower(), text).ratio() for text in texts)

    scores = {name: likeness(name) for name in known}
    close = sorted((name for name in scores if scores[name] >= 0.6), key=lambda name: (-scores[name], name))
    return close[:count]


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """One line for a name that is not known, with the nearest that are."""
    names = list(known)
    close = nearest_names(word, names)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known are {', '.join(sorted(names)[:12])}"
    return f"there is no {what} {word!r}; {hint}"


class Fields:
    """A table whose fields are taken out one after the other; what is left at the end is an error.

    Args:
        place: the words for where the table stands, as "pop.toml: part 'bass'".
    """

    def __init__(self, table: Any, place: str):
        self.place = place
        if not isinstance(table, Mapping):
            raise StyleError(f"{place}: expected a table, got {table!r}")
        self._table = dict(table)
        self._known: list[str] = []

    def error(self, name: str, reason: str) -> StyleError:
        """An error about one field."""
        return StyleError(f"{self.place}: {name}: {reason}")

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        value = self._table.pop(name, default)
        if value is None:
            raise self.error(name, "is missing")
        return value

    def has(self, name: str) -> bool:
        """Whether the field is there and was not taken yet."""
        return name in self._table

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self.error(name, f"expected a text, got {value!r}")
        return value

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of several texts."""
        value, known = self.text(name, default), list(choices)
        if value not in known:
            raise self.error(name, unknown("choice", value, known))
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """A number from low to high."""
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.error(name, f"expected a number from {low:g} to {high:g}, got {value!r}")
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self.error(name, f"expected true or false, got {value!r}")
        return value

    def texts(self, name: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of texts, with at least one where there is no default."""
        value = self._take(name, default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(name, f"expected a list of texts, got {value!r}")
        if not value and default is None:
            raise self.error(name, "is empty")
        return tuple(value)

    def pair(self, name: str, low: float, high: float, default: list[float] | None = None) -> tuple[float, float]:
        """Two numbers, the smaller first."""
        value = self._take(name, default)
        is_pair = isinstance(value, list) and len(value) == 2 and all(isinstance(x, (int, float)) for x in value)
        if not is_pair or not low <= value[0] <= value[1] <= high:
            raise self.error(name, f"expected two numbers from {low:g} to {high:g}, the smaller first, got {value!r}")
        return float(value[0]), float(value[1])

    def weights(self, name: str, default: dict[str, float] | None = None) -> dict[str, float]:
        """A table of weights, each above 0."""
        value = self._take(name, default)
        if not isinstance(value, Mapping) or not value:
            raise self.error(name, f"expected a table of weights, got {value!r}")
        for key, weight in value.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= 1e6:
                raise self.error(name, f"the weight of {key!r} must be a number above 0, got {weight!r}")
        return {str(key): float(weight) for key, weight in value.items()}

    def pools(self, name: str, default: Any = None) -> dict[str, tuple[str, ...]]:
        """Patterns by section: a list (for all of them: "main") or a table of lists."""
        value = self._take(name, default)
        table = value if isinstance(value, Mapping) else {"main": value}
        for section, pool in table.items():
            if isinstance(pool, str):
                pool = [pool]
            if not isinstance(pool, list) or not pool or not all(isinstance(text, str) for text in pool):
                raise self.error(f"{name}.{section}", f"expected a list of patterns, got {pool!r}")
        return {section: (pool,) if isinstance(pool, str) else tuple(pool) for section, pool in table.items()}

    def tables(self, name: str) -> list[Any]:
        """A list of tables; none by default."""
        value = self._take(name, [])
        if not isinstance(value, list):
            raise self.error(name, f"expected [[{name}]] tables, got {value!r}")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """A table; empty by default."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise self.error(name, f"expected a table, got {value!r}")
        return dict(value)

    def done(self) -> None:
        """Refuse fields that nobody asked for."""
        for name in self._table:
            raise StyleError(f"{self.place}: {unknown('field', name, self._known)}")
