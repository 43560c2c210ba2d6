"""The tables of generation.md, made from the tables in code: `python docs/tables.py` writes them anew.

Each stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from amt.models.opened import DEFAULT_MODEL, packaged_models
from amt.request.limits import Limits
from amt.request.options import GenerationConfig

PAGE = Path(__file__).with_name("generation.md")


def limits() -> Iterator[tuple[str, ...]]:
    """A row for each hard limit."""
    yield "limit", "command", "meaning"
    for field in dataclasses.fields(Limits):
        yield f"`{field.name}`", f"`{_command(field)}`", field.metadata["help"]


def options() -> Iterator[tuple[str, ...]]:
    """A row for each option: its default, and what the model in the package sets instead."""
    own = GenerationConfig.load(packaged_models()[DEFAULT_MODEL] / "generation_config.json")
    yield "option", "command", "default", f"`{DEFAULT_MODEL}`", "range", "meaning"
    for field in dataclasses.fields(GenerationConfig):
        low, high = field.metadata["low"], field.metadata["high"]
        set_by_model = getattr(own, field.name)
        yield (
            f"`{field.name}`",
            f"`{_command(field)}`" if "command" in field.metadata else "",
            _value(field.default),
            "" if set_by_model == field.default else _value(set_by_model),
            "" if low is None else f"{_value(low)} to {_value(high)}",
            field.metadata["help"],
        )


TABLES: dict[str, Callable[[], Iterator[tuple[str, ...]]]] = {"limits": limits, "options": options}


def table(name: str) -> str:
    """A table in Markdown."""
    head, *rows = TABLES[name]()
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def updated(page: str) -> str:
    """The page with its tables as they should be."""
    for name in TABLES:
        pattern = rf"(<!-- table: {name} -->\n)(?:\|.*\n)*(<!-- end -->)"
        page, found = re.subn(pattern, lambda match, name=name: match[1] + table(name) + "\n" + match[2], page)
        assert found == 1, f"the page has {found} places for the table {name}"
    return page


def _command(field: dataclasses.Field[object]) -> str:
    return field.metadata.get("command") or f"--{field.name.replace('_', '-')}"


def _value(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and not isinstance(value, bool) and value > 1 << 16:
        power = (value + 1).bit_length() - 1
        return f"2^{power}" if value == 1 << power else f"2^{power} - 1"
    return str(value)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
