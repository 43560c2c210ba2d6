"""An index on disk, safe against being killed while it is written and against whatever is found there.

One file, which arrives by renaming: first a line with the head (version, digest of the model, sha256 of all that
follows, bytes of the table), then the table, a line a file, sorted by path, then the embeddings, (num_pieces, dim)
float32, little-endian: the files with facts have a row each, in the same order. What does not fit counts as no index.
"""

from __future__ import annotations

import dataclasses
import hashlib
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

INDEX_FILE = "index.bin"
VERSION = 2
MAX_INDEX_BYTES = 1 << 32


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
        DiskFullError: there is no room. OSError: it cannot be written there.
    """
    table = "".join(_line(path, entry) for path, entry in sorted(entries.items())).encode()
    rows = [entry.embedding for _, entry in sorted(entries.items()) if entry.embedding is not None]
    contents = table + b"".join(row.astype("<f4").tobytes() for row in rows)
    head = {"version": VERSION, "model": model_digest, "sha256": _sha256(contents), "table_bytes": len(table)}
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / INDEX_FILE, json.dumps(head).encode() + b"\n" + contents)


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
    path = place / INDEX_FILE
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise ValueError("the index is too large")
    first, _, contents = path.read_bytes().partition(b"\n")
    head = json.loads(first)
    if (head["version"], head["model"]) != (VERSION, model_digest) or head["sha256"] != _sha256(contents):
        raise ValueError("the index is of another model or version, or damaged")
    table_bytes = _int(head["table_bytes"])
    rows = [json.loads(line) for line in contents[:table_bytes].splitlines()]
    num_pieces = sum(row["facts"] is not None for row in rows)
    embeddings = iter(_embeddings(contents[table_bytes:], num_pieces, dim))
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


def _embeddings(contents: bytes, num_pieces: int, dim: int) -> np.ndarray:
    if len(contents) != 4 * num_pieces * dim:
        raise ValueError("the embeddings are not those of the files")
    embeddings = np.frombuffer(contents, "<f4").reshape(num_pieces, dim).astype(np.float32, copy=False)
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
