"""The styles of the package, and how they are found by name."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from amt.arranger.fields import StyleError, unknown
from amt.arranger.style import Style
from amt.arranger.style_file import parse_style
from amt.arranger.toml import read_toml

FOLDER = Path(__file__).parent / "styles"


@functools.lru_cache(maxsize=1)
def style_files() -> dict[str, Path]:
    """The styles of the package: their file names without ".toml"."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


@functools.lru_cache(maxsize=256)
def read_style(path: Path) -> Style:
    """The style of a file.

    Raises:
        StyleError: it cannot be used. OSError: it cannot be read.
    """
    try:
        table = read_toml(path)
    except ValueError as error:
        raise StyleError(str(error)) from error
    return parse_style(table, path.name)


def styles() -> dict[str, Style]:
    """All styles of the package, by name."""
    made = (read_style(path) for path in style_files().values())
    return {style.name: style for style in made}


def find_style(name: str) -> Style:
    """The style of a name: its own, one that its pieces are called by, that of its file, a substyle's; or of a path.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    if name.endswith(".toml"):
        return read_style(Path(name))
    wanted = _folded(name)
    known: dict[str, Style] = {}

    def add(words: Iterable[str], style: Style) -> None:
        for word in words:
            known.setdefault(_folded(word), style)

    everything = styles()
    passes: list[Callable[[Style], Iterable[str]]] = [lambda style: [style.name], lambda style: style.names]
    for words in passes:
        for style in everything.values():
            add(words(style), style)
    for stem, path in style_files().items():
        add([stem], read_style(path))
    for style in everything.values():
        for variant in style.substyles:
            add([variant.substyle, *variant.names], variant)
    if wanted not in known:
        raise ValueError(unknown("style", name, everything))
    return known[wanted]


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9&]+", "", name.lower())
