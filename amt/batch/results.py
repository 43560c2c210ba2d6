"""The folder of results: a MIDI file for each row, and `results.jsonl`, one line a row.

A row is done when its file and its line are whole: first the file takes its place by renaming, then the line is added.
So a kill at any moment leaves a row done or not begun. When all rows are through, the table is written anew in the
order of the prompts: it is the same whoever worked, and however often they were stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from amt.batch.table import BadRow
from amt.config import shown
from amt.files import LOCK, MAX_LINE_BYTES, GrowingFile, new_file, remove_leftovers, write_atomically

TABLE = "results.jsonl"


class Results:
    """A folder of results, held by this process (`amt.files.alone_in`).

    Args:
        folder: new, empty, or of a run before.

    Raises:
        FileExistsError: it has other files. ValueError: its table is damaged.
    """

    def __init__(self, folder: Path):
        self.folder, self._path = folder, folder / TABLE
        remove_leftovers(folder)
        if not self._path.exists():
            other = next((path for path in sorted(folder.iterdir()) if path.name != LOCK), None)
            if other is not None:
                raise FileExistsError(f"{folder} has other files ({other.name}); name a new folder for the results")
            write_atomically(self._path, b"")
        self._file = GrowingFile(self._path)  # without half a line
        self._places: dict[str, tuple[int, int]] = {}  # of the lines of rows that are done: where, and how long
        self.requests: dict[str, str] = {}  # of rows that are done: a digest of what was asked for
        self._read()

    def _read(self) -> None:
        place = 0
        with self._path.open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), b""), 1):
                try:
                    values = json.loads(line)
                    if "error" not in values:
                        self.requests[str(values["id"])] = str(values["request"])
                        self._places[str(values["id"])] = place, len(line)
                except (ValueError, TypeError, KeyError, RecursionError) as error:
                    found = shown(line[:40].decode(errors="replace"))
                    raise ValueError(
                        f"{self._path}, line {number}: no line of results ({found}); take it out, and its piece is"
                        " written anew"
                    ) from error
                place += len(line)

    def has(self, name: str) -> bool:
        """Whether a row is done."""
        return name in self.requests and (self.folder / file_of(name)).is_file()

    def add(self, name: str, midi: bytes, facts: Mapping[str, Any]) -> None:
        """A piece that was written."""
        with new_file(self.folder / file_of(name), len(midi)) as stream:
            stream.write(midi)
        place, line = self._path.stat().st_size, _line({"id": name, **facts})
        self._file.add(line.decode().removesuffix("\n"))
        self._places[name] = place, len(line)
        self.requests[name] = str(facts["request"])

    def rewrite(self, entries: Iterable[str | BadRow]) -> None:
        """Write the table anew with these lines in this order: rows that are done, by name, and what failed."""
        with self._path.open("rb") as old, new_file(self._path) as new:
            places, place = {}, 0
            for entry in entries:
                if isinstance(entry, BadRow):
                    failed = {"line": entry.line, "id": entry.id, "error": entry.reason}
                    line = _line(failed)
                else:
                    old.seek(self._places[entry][0])
                    line = old.read(self._places[entry][1])
                    places[entry] = place, len(line)
                place += len(line)
                new.write(line)
        self._file.close()
        self._file, self._places = GrowingFile(self._path), places
        self.requests = {name: self.requests[name] for name in places}

    def close(self) -> None:
        self._file.close()


def _line(values: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(values, ensure_ascii=False)}\n".encode()


def file_of(name: str) -> str:
    """The name of a row's file."""
    return f"{name}.mid"
