"""Pieces of music with captions, from folders and archives on disk."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import lzma
import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from amt.files import encoding_of, read_regular

ARCHIVES = ("*.tar", "*.tar.gz", "*.tar.xz")
TABLES = ("*.jsonl", "*.jsonl.xz", "*.parquet")
MAX_MIDI_BYTES = 1 << 26
MAX_LINE_LETTERS = 1 << 24  # of a table
OnSkip = Callable[[str, str], object]


@dataclasses.dataclass(frozen=True)
class CorpusPiece:
    """One MIDI file and what is known of it."""

    name: str
    midi: bytes
    captions: tuple[str, ...]
    split: str
    source: str
    form: str
    row: dict[str, Any]
    corpus: str = ""  # which one of several


def read_corpus(
    folder: str | os.PathLike[str], sources: tuple[str, ...] | None = None, on_skip: OnSkip | None = None
) -> Iterator[CorpusPiece]:
    """Yield the pieces of a folder: its tables name MIDI files, in the folder or in its archives (`*.tar(.gz|.xz)`).

    A table is `*.jsonl(.xz)`, one object a line, or `*.parquet` (with the package pyarrow). Its columns: `file` or
    `location`; `captions` (a list) or `caption`; optional `split` (train, valid or test) or MidiCaps' `test_set`,
    `source`, `form`; anything else is kept in `CorpusPiece.row`. Rows that name the same file are one piece with the
    captions of all; the rest is the first row's.

    Only regular files in the folder are read, through links or not: a row whose name leads out of it, or to a pipe, a
    device or more than 64 MiB, gives no piece.

    Args:
        folder: where the tables and files are.
        sources: only pieces whose "source" is one of these.
        on_skip: called with (name, reason) for each row that gives no piece.

    Raises:
        FileNotFoundError: no table. ValueError: a table cannot be read, one of its rows has no file, or two rows of a
            file give it different splits.
        ImportError: a Parquet table without pyarrow.
    """
    folder = Path(folder)
    sources = (sources,) if isinstance(sources, str) else sources
    skip = on_skip or (lambda name, reason: None)
    rows = _rows(folder)
    wanted = {name: row for name, row in rows.items() if sources is None or row.get("source", "") in sources}
    for archive in _files(folder, ARCHIVES):
        if sources is not None and archive.name.split(".tar")[0] in _all_sources(rows) - set(sources):
            continue
        with tarfile.open(archive) as members:
            for member in members:
                name = posixpath.normpath(member.name)  # "./a.mid" of `tar c .` is a.mid
                row = wanted.pop(name, None)
                stream = members.extractfile(member) if row is not None and member.isfile() else None
                if row is not None and stream is not None:
                    yield from _piece(name, functools.partial(_read_member, member, stream), row, skip)
    for name, row in wanted.items():
        yield from _piece(name, functools.partial(_read_file, folder, name), row, skip)


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Regular files, sorted."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    for path in found:
        if not path.is_file():
            raise ValueError(f"{path} is no regular file; take it out of the corpus")
    return found


def _read_member(member: tarfile.TarInfo, stream: IO[bytes]) -> bytes:
    if member.size > MAX_MIDI_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_MIDI_BYTES} bytes")
    return stream.read()


def _read_file(folder: Path, name: str) -> bytes:
    if posixpath.isabs(name) or name.split("/")[0] == ".." or os.path.isabs(name):
        raise OSError(errno.EINVAL, "its name leads out of the corpus")
    return read_regular(folder / name, MAX_MIDI_BYTES)[0]


def _all_sources(rows: dict[str, dict[str, Any]]) -> set[str]:
    return {str(row.get("source", "")) for row in rows.values()}


def _rows(folder: Path) -> dict[str, dict[str, Any]]:
    tables = _files(folder, TABLES)
    if not tables:
        raise FileNotFoundError(
            f"{folder} has no table of captions: put a file like captions.jsonl there, one JSON object a line with "
            '"file" (or "location"), "captions" (or "caption") and, if you like, "split"'
        )
    rows: dict[str, dict[str, Any]] = {}
    for table in tables:
        for place, row in _table(table):
            name = row.get("file") or row.get("location") if isinstance(row, dict) else None
            if not isinstance(name, str):
                raise ValueError(f"{place}: expected an object with a file, got {str(row)[:60]!r}")
            name = posixpath.normpath(name)
            first = rows.get(name)
            if first is None:
                rows[name] = row
            elif _split(first) != _split(row):
                raise ValueError(
                    f"{place}: {name} is {_split(row)} here and {_split(first)} in a row before; put it into one split"
                )
            else:
                rows[name] = first | {"captions": [*_listed(first), *_listed(row)]}
    return rows


def _split(row: dict[str, Any]) -> str:
    return str(row.get("split") or ("test" if row.get("test_set") is True else "train"))


def _listed(row: dict[str, Any]) -> list[Any]:
    captions = row.get("captions") or row.get("caption")
    return captions if isinstance(captions, list) else [] if captions is None else [captions]


def _table(path: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a table, each with the words for where it stands."""
    if path.suffix == ".parquet":
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise ImportError(f'{path} needs pyarrow: pip install "amt-midi[train]"') from error
        try:
            batches = parquet.ParquetFile(path).iter_batches(batch_size=4096)
            rows = (row for batch in batches for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                yield f"{path}, row {number}", row
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise ValueError(f"{path} is not a Parquet file that can be read: {error}") from error
        return
    open_file = lzma.open if path.suffix == ".xz" else open
    with open_file(path, "rb") as stream:
        encoding = encoding_of(stream.read(2))
    with open_file(path, "rt", encoding=encoding) as lines:
        number = 0
        try:
            for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_LETTERS), ""), 1):
                if len(line) == MAX_LINE_LETTERS:
                    raise ValueError(f"{path}, line {number}: longer than {MAX_LINE_LETTERS} letters")
                if line.strip():
                    yield f"{path}, line {number}", json.loads(line)
        except UnicodeError as error:
            reason = f"not UTF-8 ({getattr(error, 'reason', error)}); save the table as UTF-8"
            raise ValueError(f"{path}, behind line {number}: {reason}") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error


def _piece(name: str, read: Callable[[], bytes], row: dict[str, Any], skip: OnSkip) -> Iterator[CorpusPiece]:
    captions = row.get("captions") or row.get("caption")
    captions = [captions] if isinstance(captions, str) else captions
    if not isinstance(captions, list) or not captions or not all(isinstance(text, str) for text in captions):
        skip(name, f"its caption must be a text or a list of texts, got {str(captions)[:60]!r}")
        return
    captions = [text for text in captions if text.strip()]
    if not captions:
        skip(name, "its captions are empty")
        return
    try:
        midi = read()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        skip(name, f"the file cannot be read: {getattr(error, 'strerror', None) or error}")
        return
    yield CorpusPiece(
        name=name,
        midi=midi,
        captions=tuple(captions),
        split=_split(row),
        source=str(row.get("source", "")),
        form=str(row.get("form", "")),
        row=row,
    )
