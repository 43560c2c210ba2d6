"""Pieces of music with captions, from folders and archives on disk."""

from __future__ import annotations

import dataclasses
import json
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@dataclasses.dataclass(frozen=True)
class Piece:
    """One MIDI file and what is known of it."""

    name: str
    midi: bytes
    captions: tuple[str, ...]
    split: str
    source: str
    form: str
    row: dict[str, Any]


def _open_text(path: Path) -> IO[str]:
    return lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else open(path, encoding="utf-8")


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    tables = sorted(folder.glob("*.jsonl")) + sorted(folder.glob("*.jsonl.xz"))
    if not tables:
        raise FileNotFoundError(
            f"{folder} has no table of captions: put a file like captions.jsonl there, one JSON object a line with "
            '"file" (or "location"), "captions" (or "caption") and, if you like, "split"'
        )
    rows: dict[str, dict[str, Any]] = {}
    for table in tables:
        with _open_text(table) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    rows[str(row.get("file") or row["location"])] = row
                except (ValueError, KeyError, AttributeError) as error:
                    raise ValueError(
                        f"{table}, line {number}: expected a JSON object with a file ({error!r})"
                    ) from error
    return rows


def _piece(name: str, midi: bytes, row: dict[str, Any]) -> Piece:
    captions = row.get("captions") or [row["caption"]]
    return Piece(
        name=name,
        midi=midi,
        captions=tuple(map(str, captions)),
        split=str(row.get("split", "train")),
        source=str(row.get("source", "")),
        form=str(row.get("form", "")),
        row=row,
    )


def read_corpus(folder: str | os.PathLike[str], sources: tuple[str, ...] | None = None) -> Iterator[Piece]:
    """Yield the pieces of a folder: its tables `*.jsonl(.xz)` name MIDI files, in the folder or in its `*.tar.xz`.

    Args:
        folder: where the tables and files are.
        sources: only pieces whose "source" is one of these.

    Raises:
        FileNotFoundError: no table. ValueError: a table's line is not as expected.
    """
    folder = Path(folder)
    rows = _rows(folder)
    wanted = {name: row for name, row in rows.items() if sources is None or row.get("source", "") in sources}
    for archive in sorted(folder.glob("*.tar.xz")):
        if sources is not None and archive.name.removesuffix(".tar.xz") not in sources:
            continue
        with tarfile.open(archive) as members:
            for member in members:
                row = wanted.pop(member.name, None)
                stream = members.extractfile(member) if row is not None and member.isfile() else None
                if row is not None and stream is not None:
                    yield _piece(member.name, stream.read(), row)
    for name, row in wanted.items():
        path = folder / name
        if path.is_file():
            yield _piece(name, path.read_bytes(), row)
