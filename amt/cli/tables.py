"""Options of a command that are made from the tables of options and limits."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from amt.request.limits import Limits
from amt.request.options import GenerationConfig

LIMITS, CHOICE = "Limits that the music keeps to", "How the model chooses"
LISTS = ("instruments",)  # written with commas


def table_parameters() -> Iterator[inspect.Parameter]:
    """A parameter of a command for each limit, and for each option that has a name on the command line."""
    for field, panel in _rows():
        name = field.metadata.get("command") or f"--{field.name.replace('_', '-')}"
        kinds = typing.get_type_hints(Limits if panel == LIMITS else GenerationConfig)[field.name]
        kind: Any = (
            str if field.name in LISTS else next(k for k in (*typing.get_args(kinds), kinds) if k is not type(None))
        )
        option = typer.Option(
            name, metavar=field.metadata.get("metavar"), help=field.metadata["help"], rich_help_panel=panel
        )
        annotation = Annotated[typing.Optional[kind], option]  # noqa: UP045 (made while it runs)
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def given_values(values: dict[str, Any]) -> dict[str, Any]:
    """Of the values of all parameters those that were given, as the Python API takes them."""
    given = {name: value for name, value in values.items() if value is not None}
    for name in LISTS:
        if name in given:
            given[name] = [int(v) if v.strip().isdecimal() else v.strip() for v in given[name].split(",")]
    return given


def with_tables(command: Callable[..., None]) -> Callable[..., None]:
    """The command, whose last parameter `**table` becomes the parameters of the tables."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    added = list(table_parameters())
    command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *added)} | {"return": None}
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
