"""The table of prompts: JSON lines, each a text with the options and limits that `amt.generate` takes for it.

A row that cannot be meant so is a `BadRow`, with its line and the reason; the others do not depend on it. Nothing that
a row says becomes a path of the folder of results but its id, which is checked.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import posixpath
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from amt.config import check_range, fits, shown
from amt.files import encoding_of, read_regular
from amt.generation.candidates import RerankBy
from amt.midi.reader import read_midi
from amt.request.limits import LimitOptions
from amt.request.obey import Obey
from amt.request.options import GenerationOptions
from amt.request.plans import PlanBy
from amt.request.reading import check_text

MAX_LINE = 1 << 16  # letters
MAX_ROWS = 1_000_000
MAX_MIDI_BYTES = 1 << 26  # of a file to continue
# It becomes the name of a file, on any system.
ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
SEED_BITS = 53  # of a seed that is made here: JSON's numbers are exact so far in all languages


@dataclasses.dataclass(frozen=True)
class Row:
    """A prompt.

    Attributes:
        line: where it stands, from 1.
        id: names it and its file; without one in the table the number of its line.
        seed: its own, or made of its id.
        text: as a person types it.
        options: what `amt.generate` takes for it.
        prompt_midi: a file to continue, by its name from the folder of the table.
    """

    line: int
    id: str
    seed: int
    text: str
    options: Mapping[str, Any]
    prompt_midi: str | None = None


@dataclasses.dataclass(frozen=True)
class BadRow:
    """A row of which no piece came: its line, its id where it has one, and why."""

    line: int
    id: str | None
    reason: str


@functools.cache
def option_kinds() -> Mapping[str, Any]:
    """What a row may say beside text, id and prompt_midi, and of which type that is."""
    kinds = typing.get_type_hints(LimitOptions) | typing.get_type_hints(GenerationOptions)
    return kinds | {"negative_prompt": str, "obey": Obey, "plan": PlanBy, "rerank": int, "rerank_by": RerankBy}


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as Python has them, where JSON has lists.

    Raises:
        ValueError: one is unknown, or of another type. Ranges are checked when the piece is written.
    """
    kinds, found = option_kinds(), {}
    for name, value in options.items():
        if name not in kinds:
            known = ", ".join(sorted(("id", "text", "prompt_midi", *kinds)))
            raise ValueError(f"there is no option {shown(name)}; a row may have {known}")
        found[name] = tuple(value) if isinstance(value, list) else value
        if not fits(found[name], kinds[name]):
            kind = getattr(kinds[name], "__name__", None) if isinstance(kinds[name], type) else str(kinds[name])
            words = re.sub(r"(collections\.abc|typing)\.", "", str(kind))
            raise ValueError(f"{name} must be {words}, got {shown(value)}")
    return found


def read_table(path: Path, seed: int, usual: Mapping[str, Any]) -> Iterator[Row | BadRow]:
    """The rows of a table, in order. Empty lines are none.

    Args:
        seed: what the seeds of rows without one are made of, together with their ids.
        usual: options of all rows; those of a row go before them.

    Raises:
        OSError: it cannot be read. ValueError: it is no text, or has too many rows.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; give a table of prompts, JSON lines with a text each")
    first: dict[str, int] = {}
    with path.open("rb") as stream:
        encoding = encoding_of(stream.read(2))
    with path.open("r", encoding=encoding, newline="\n") as lines:
        number = 0
        try:
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE + 1), ""), 1):
                if len(line) > MAX_LINE:
                    yield BadRow(number, None, f"the line is longer than {MAX_LINE} letters")
                    while line and not line.endswith("\n"):
                        line = lines.readline(MAX_LINE + 1)
                    continue
                if not line.strip():
                    continue
                if number > MAX_ROWS:
                    raise ValueError(f"{path} has more than {MAX_ROWS} lines; divide it into several tables")
                row = _row(number, line, seed, usual)
                if isinstance(row, Row):
                    before = first.setdefault(row.id.lower(), number)  # as some file systems see it
                    if before != number:
                        row = BadRow(number, row.id, f"its id {row.id!r} is that of line {before}, too; give another")
                yield row
        except UnicodeError as error:
            reason = getattr(error, "reason", error)
            raise ValueError(f"{path}, behind line {number}: not UTF-8 ({reason}); save the table as UTF-8") from error


def _row(number: int, line: str, seed: int, usual: Mapping[str, Any]) -> Row | BadRow:
    name: str | None = None
    try:
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError(f'expected an object like {{"text": "a slow waltz"}}, got {shown(values)}')
        name = _id(values.pop("id", str(number)))
        if "text" not in values:
            raise ValueError('it has no text; write one, like {"text": "a slow waltz"}')
        text = values.pop("text")
        check_text(text)
        prompt_midi = values.pop("prompt_midi", None)
        if prompt_midi is not None and not isinstance(prompt_midi, str):
            raise ValueError(f"prompt_midi must be the name of a MIDI file, got {shown(prompt_midi)}")
        options = {**usual, **check_options(values)}
        own_seed = options.pop("seed", None)
        if own_seed is None:
            own_seed = seed_of(name, seed)
        check_range("seed", own_seed, 0, 2**64 - 1)
        json.dumps(options, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return BadRow(number, None, f"not JSON ({error.msg} at column {error.colno})")
    except RecursionError:
        return BadRow(number, None, "not JSON that can be read: it is nested too deeply")
    except UnicodeEncodeError:
        return BadRow(number, name, "a text in it is damaged: it is not UTF-8; type it again")
    except ValueError as error:
        return BadRow(number, name, str(error))
    return Row(number, name, own_seed, text, options, prompt_midi)


def _id(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not ID.fullmatch(text):
        raise ValueError(
            f"an id has 1 to 100 letters a-z, digits and . _ -, and does not begin with . or -; got {shown(value)}"
        )
    return text


def seed_of(name: str, seed: int) -> int:
    """The seed of a row that has none."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> (64 - SEED_BITS)


def read_prompt_midi(row: Row, folder: Path) -> bytes | None:
    """The file that a row continues; None: it continues none.

    Raises:
        ValueError: its name leads out of the folder of the table, or it cannot be read, or is no MIDI file.
    """
    if row.prompt_midi is None:
        return None
    name = posixpath.normpath(row.prompt_midi)
    if posixpath.isabs(name) or name.split("/")[0] == ".." or os.path.isabs(name):
        raise ValueError(f"prompt_midi leads out of the folder of the table: {shown(row.prompt_midi)}")
    try:
        contents, _ = read_regular(folder / name, MAX_MIDI_BYTES)
        read_midi(contents)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"prompt_midi {shown(row.prompt_midi)} cannot be read: {reason}") from error
    return contents
