"""An index on disk, safe against being killed while it is written and against whatever is found there.

Two files: `embeddings.npy`, (num_pieces, dim) float32, and `files.jsonl`: first a head (version, digest of the model,
sha256 of the embeddings and of the lines that follow), then a line a file, sorted by path. The files with facts have a
row of the embeddings each, in the same order. Each of the two arrives by renaming, and the head holds them together:
what does not fit counts as no index.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import types
import typing
from pathlib import Path
from typing import Any

import numpy as np

from amt.files import write_atomically
from amt.midi.facts import Facts
from amt.midi.programs import DRUMS

TABLE, EMBEDDINGS = "files.jsonl", "embeddings.npy"
VERSION = 1
MAX_TABLE_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a file: facts and embedding, (dim,), or the reason why it has none."""

    size: int
    mtime_ns: int
    sha256: str
    facts: Facts | None
    embedding: np.ndarray | None
    reason: str | None


def save_index(place: Path, model_digest: str, entries: dict[str, Entry]) -> None:
    """Write an index.

    Raises:
        OSError: it cannot be written there.
    """
    rows = [entry.embedding for _, entry in sorted(entries.items()) if entry.embedding is not None]
    stream = io.BytesIO()
    np.save(stream, np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), np.float32))
    lines = "".join(_line(path, entry) for path, entry in sorted(entries.items())).encode()
    head = {
        "version": VERSION,
        "model": model_digest,
        "embeddings": hashlib.sha256(stream.getvalue()).hexdigest(),
        "files": hashlib.sha256(lines).hexdigest(),
    }
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / EMBEDDINGS, stream.getvalue())
    write_atomically(place / TABLE, json.dumps(head).encode() + b"\n" + lines)


def load_index(place: Path, model_digest: str, dim: int) -> dict[str, Entry]:
    """The entries of an index by path; none if there is none, it is of another model or version, or it is damaged."""
    try:
        return _load(place, model_digest, dim)
    except (OSError, ValueError, TypeError, KeyError, EOFError, ArithmeticError, RecursionError):
        return {}


def _line(path: str, entry: Entry) -> str:
    row = {
        "path": path,
        "size": entry.size,
        "mtime_ns": entry.mtime_ns,
        "sha256": entry.sha256,
        "facts": None if entry.facts is None else dataclasses.asdict(entry.facts),
        "reason": entry.reason,
    }
    return json.dumps(row) + "\n"  # in ASCII: names of files that are not UTF-8 have lone surrogates


def _load(place: Path, model_digest: str, dim: int) -> dict[str, Entry]:
    for path in (place / TABLE, place / EMBEDDINGS):
        if not path.is_file():
            return {}
    if (place / TABLE).stat().st_size > MAX_TABLE_BYTES:
        raise ValueError("the table is too large")
    first, _, lines = (place / TABLE).read_bytes().partition(b"\n")
    head = json.loads(first)
    if (head["version"], head["model"]) != (VERSION, model_digest) or head["files"] != _sha256(lines):
        raise ValueError("the index is of another model or version, or damaged")
    rows = [json.loads(line) for line in lines.splitlines()]
    num_pieces = sum(row["facts"] is not None for row in rows)
    embeddings = iter(_embeddings(place / EMBEDDINGS, head["embeddings"], num_pieces, dim))
    return {
        _text(row["path"]): Entry(
            size=_int(row["size"]),
            mtime_ns=_int(row["mtime_ns"]),
            sha256=_text(row["sha256"]),
            facts=None if row["facts"] is None else _facts(row["facts"]),
            embedding=None if row["facts"] is None else next(embeddings),
            reason=_text(row["reason"]) if row["facts"] is None else None,
        )
        for row in rows
    }


def _embeddings(path: Path, sha256: str, num_pieces: int, dim: int) -> np.ndarray:
    shape = (num_pieces, dim if num_pieces else 0)
    if path.stat().st_size > 4 * shape[0] * shape[1] + 4096:
        raise ValueError("the embeddings are too large")
    contents = path.read_bytes()
    stream = io.BytesIO(contents)
    if _sha256(contents) != sha256 or np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("the embeddings are damaged")
    # Checked before NumPy makes room for what the file says that it holds.
    if np.lib.format.read_array_header_1_0(stream) != (shape, False, np.dtype(np.float32)):
        raise ValueError("the embeddings are not those of the files")
    stream.seek(0)
    embeddings: np.ndarray = np.load(stream, allow_pickle=False)
    if not np.isfinite(embeddings).all():
        raise ValueError("an embedding is not finite")
    return embeddings


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {value!r}")
    return value


def _int(value: Any) -> int:
    if not _fits(value, int):
        raise ValueError(f"expected an integer, got {value!r}")
    return int(value)


def _facts(values: Any) -> Facts:
    """The facts of a row, so checked that all that is said of facts can be said of them."""
    if not isinstance(values, dict):
        raise ValueError(f"expected facts, got {values!r}")
    row: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    facts = Facts(**row)
    for name, kind in _FACTS.items():
        if not _fits(getattr(facts, name), kind):
            raise ValueError(f"{name} cannot be {getattr(facts, name)!r}")
    if not all(0 <= program <= DRUMS for program in facts.programs) or not (
        facts.key is None or 0 <= facts.key[0] < 12
    ):
        raise ValueError("there is no such instrument or key")
    if bool(facts.num_notes) != bool(facts.programs):
        raise ValueError("notes need instruments")
    return facts


def _fits(value: Any, kind: Any) -> bool:
    options = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return any(_fits(value, option) for option in options)
    if typing.get_origin(kind) is tuple and isinstance(value, tuple):
        kinds = options[:1] * len(value) if options[-1] is Ellipsis else options
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind)


_FACTS = typing.get_type_hints(Facts)
