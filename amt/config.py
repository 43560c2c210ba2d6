"""Strict dataclasses for every setting, and their JSON.

A config file is hostile until it is checked: unknown keys, wrong types and numbers out of range are refused before
anything is allocated.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from amt.files import new_file

C = TypeVar("C", bound="Config")

MAX_VOCAB_SIZE = 1 << 20
MAX_WIDTH = 1 << 16
MAX_LAYERS = 1 << 10


def shown(value: object, most: int = 80) -> str:
    """A value as an error shows it: on one line, without control characters, and of about so many at most."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high (NaN fails)."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be between {low:g} and {high:g}, got {shown(value)}")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ValueError unless value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}; got {shown(value)}")


def plain(value: Any) -> Any:
    """A number of NumPy as Python's own, an array as a tuple of them, also inside of tuples, lists and dicts."""
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
        return tuple(value) if isinstance(value, list) else value
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    return {plain(key): plain(item) for key, item in value.items()} if type(value) is dict else value


def make_plain(settings: Any) -> None:
    """Make the fields of a frozen dataclass plain."""
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, plain(getattr(settings, field.name)))


def _check_setting(field: dataclasses.Field[Any], value: object) -> None:
    low, high = field.metadata.get("low"), field.metadata.get("high")
    if low is None or high is None or value is None:
        return
    for member in value if isinstance(value, tuple) else (value,):
        name = f"each of {field.name}" if isinstance(value, tuple) else field.name
        if isinstance(member, (int, float)) and not isinstance(member, bool):
            check_range(name, member, low, high)


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind of type, as the fields of tables have them."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin is tuple and Ellipsis not in parts:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(fits, value, parts))
    if origin in (tuple, collections.abc.Sequence):
        is_list = isinstance(value, origin) and not isinstance(value, str)
        return is_list and all(fits(item, parts[0]) for item in value)
    if origin is collections.abc.Mapping:
        return isinstance(value, Mapping) and all(fits(k, parts[0]) and fits(v, parts[1]) for k, v in value.items())
    if parts:  # a union
        return any(fits(value, option) for option in parts)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def setting(default: Any, help: str, low: float | None = None, high: float | None = None, **more: object) -> Any:
    """A field of a config: its default, what it says in one line, and its range, both ends included.

    Of a tuple each member must be in the range; None always may be.

    Args:
        more: what else belongs into the row of the table, under names that its readers know.
    """
    return dataclasses.field(default=default, metadata={"help": help, "low": low, "high": high, **more})


@functools.cache
def _kinds(table: type[Config]) -> dict[str, Any]:
    return typing.get_type_hints(table)


class Config:
    """A frozen dataclass that loads from and saves to JSON, refusing what it does not know."""

    def __post_init__(self) -> None:
        make_plain(self)
        for name, kind in _kinds(typing.cast(Any, type(self))).items():
            if not fits(getattr(self, name), kind):
                raise ValueError(f"{name} must be {kind}, got {shown(getattr(self, name))}")
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            _check_setting(field, getattr(self, field.name))
        self.check()

    def check(self) -> None:
        """Raise ValueError for values out of range; overridden by each config."""

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON knows them."""
        return dataclasses.asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def from_dict(cls: type[C], values: dict[str, Any]) -> C:
        """The config with these values; unknown keys and wrong types raise ValueError."""
        if not isinstance(values, dict):
            raise ValueError(f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
        names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - names)
        if unknown:
            first = ", ".join(name if name.isidentifier() and len(name) < 60 else shown(name) for name in unknown[:5])
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise ValueError(f"{cls.__name__} does not know {first}{more}; it knows {', '.join(sorted(names))}")
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def save(self, path: str | Path) -> None:
        """Write JSON; `path` becomes the whole new file or stays what it was."""
        with new_file(Path(path)) as stream:
            stream.write((json.dumps(self.to_dict(), indent=1) + "\n").encode())

    @classmethod
    def load(cls: type[C], path: str | Path) -> C:
        """Read JSON; the file's name stands in every error."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error
