"""Options of a command that are made from the tables of options and limits."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Annotated, Any, TypeVar

import typer

from amt.request.limits import Limits
from amt.request.options import GenerationConfig

LIMITS, CHOICE = "Limits that the music keeps to", "How the model chooses"
V = TypeVar("V")
NONE = "none"  # takes away a limit that there usually is


def table_parameters(without: Collection[str] = ()) -> Iterator[inspect.Parameter]:
    """A parameter of a command for each limit, and for each option that has a name on the command line."""
    for field, panel in _rows():
        if field.name in without:
            continue
        name = field.metadata.get("command") or f"--{field.name.replace('_', '-')}"
        kinds = typing.get_type_hints(Limits if panel == LIMITS else GenerationConfig)[field.name]
        is_text = "written" in field.metadata or "usual" in field.metadata
        kind: Any = str if is_text else next(k for k in (*typing.get_args(kinds), kinds) if k is not type(None))
        option = typer.Option(
            name, metavar=field.metadata.get("metavar"), help=field.metadata["help"], rich_help_panel=panel
        )
        annotation = Annotated[typing.Optional[kind], option]  # noqa: UP045 (made while it runs)
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given_values(values: dict[str, Any]) -> dict[str, Any]:
    """Of the values of all parameters those that were given, as the Python API takes them."""
    given = {name: value for name, value in values.items() if value is not None}
    for field, _ in _rows():
        read = READ.get(field.metadata.get("written") or ("usual" in field.metadata and type(field.metadata["usual"])))
        if field.name not in given or read is None:
            continue
        try:
            given[field.name] = read(given[field.name])
        except ValueError as error:
            raise typer.BadParameter(f"{command_names()[field.name]}: cannot read {given[field.name]!r}") from error
    return given


def _list(text: str) -> list[str | int] | None:
    return None if text.strip().lower() == NONE else [_name_or_number(part) for part in text.split(",") if part.strip()]


def _range(text: str) -> float | tuple[float, ...]:
    numbers = tuple(map(float, text.split("-")))
    return numbers[0] if len(numbers) == 1 else numbers


def _pitches(text: str) -> str | int | dict[str | int, str | int]:
    return _of_instruments(text, _name_or_number) if ":" in text else _name_or_number(text)


def _beats(text: str) -> float | dict[str | int, float] | None:
    return _of_instruments(text, float) if ":" in text else _number_or_none(float)(text)


def _of_instruments(text: str, read: Callable[[str], V]) -> dict[str | int, V]:
    """Like "violin:G3,40:C2"."""
    values: dict[str | int, V] = {}
    for part in text.split(","):
        instrument, _, value = part.rpartition(":")
        if not instrument.strip() or not value.strip():
            raise ValueError("an instrument stands without its value, or a value without its instrument")
        values[_name_or_number(instrument)] = read(value)
    return values


def _name_or_number(text: str) -> str | int:
    return int(text) if text.strip().isdecimal() else text.strip()


def _voices(text: str) -> int | dict[str | int, int] | None:
    return _of_instruments(text, int) if ":" in text else _number_or_none(int)(text)


def _number_or_none(kind: type) -> Callable[[str], Any]:
    return lambda text: None if text.strip().lower() == NONE else kind(text)


# How what is written on the command line is read: by the row's `written`, or by the kind of its usual value.
READ: dict[Any, Callable[[str], Any]] = {
    "list": _list,
    "range": _range,
    "pitches": _pitches,
    "beats": _beats,
    "voices": _voices,
    float: _number_or_none(float),
    int: _number_or_none(int),
}


def with_tables(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """The command, whose last parameter `**table` becomes the parameters of the tables, but for some rows."""
    return with_parameters(command, table_parameters(without))


def with_parameters(
    command: Callable[..., None], added: Iterable[inspect.Parameter], *, first: bool = False
) -> Callable[..., None]:
    """The command, whose last parameter, which takes any, becomes these; with `first` they stand before its own."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    both = [*added, *own] if first else [*own, *added]
    command.__signature__ = signature.replace(parameters=both)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in both} | {"return": None}
    return command


def command_names() -> dict[str, str]:
    """What the Python API calls differently than the command line: the name of each field, and its option."""
    names = {}
    for field, _ in _rows():
        names[field.name] = field.metadata.get("command") or f"--{field.name.replace('_', '-')}"
    return names


def _rows() -> Iterator[tuple[dataclasses.Field[Any], str]]:
    for field in dataclasses.fields(Limits):
        yield field, LIMITS
    for field in dataclasses.fields(GenerationConfig):
        if "command" in field.metadata:
            yield field, CHOICE
