"""What was written, kept in one SQLite file: a piece is there when it was acknowledged, whatever happens then."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import threading
import uuid
from pathlib import Path
from time import time
from typing import Any

MAX_LISTED = 500
COLUMNS = "number, parent, created_s, kind, title, seed, asked, facts, midi"


@dataclasses.dataclass(frozen=True)
class Kept:
    """A piece of the history.

    Attributes:
        number: its name; random.
        parent: the piece that it was made of.
        created_s: when, in seconds since 1970.
        kind: "generate", "edit", "continue" or "open".
        title: its words.
        seed: what it was seeded with, as text: JavaScript has no such whole numbers.
        asked: the request.
        facts: report, warnings, instruments, length.
        midi: the file.
    """

    number: str
    parent: str | None
    created_s: float
    kind: str
    title: str
    seed: str | None
    asked: dict[str, Any]
    facts: dict[str, Any]
    midi: bytes


class History:
    """The pieces in a file; any thread may use it.

    Args:
        path: made if it is not there.

    Raises:
        ValueError: pieces cannot be kept there.
    """

    def __init__(self, path: Path):
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")  # a commit is on the disk when it returns
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS pieces (number TEXT PRIMARY KEY, parent TEXT, created_s REAL NOT NULL,"
                " kind TEXT NOT NULL, title TEXT NOT NULL, seed TEXT, asked TEXT NOT NULL, facts TEXT NOT NULL,"
                " midi BLOB NOT NULL)"
            )
            self._database.execute(f"SELECT {COLUMNS} FROM pieces LIMIT 0")  # a file of another program has others
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"the history cannot be kept in {path}: {error}; name another file") from error

    def add(
        self,
        kind: str,
        title: str,
        midi: bytes,
        *,
        parent: str | None = None,
        seed: int | None = None,
        asked: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> str:
        """Keep a piece; when this returns it is on the disk. Its number."""
        number = uuid.uuid4().hex
        row = (
            number, parent, time(), kind, title, None if seed is None else str(seed),
            json.dumps(asked or {}, default=str), json.dumps(facts or {}), midi,
        )  # fmt: skip
        with self._lock:
            self._database.execute(f"INSERT INTO pieces ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)", row)
        return number

    def get(self, number: str) -> Kept | None:
        """A piece, or None."""
        with self._lock:
            row = self._database.execute(f"SELECT {COLUMNS} FROM pieces WHERE number = ?", (number,)).fetchone()
        if row is None:
            return None
        number, parent, created_s, kind, title, seed, asked, facts, midi = row
        return Kept(number, parent, created_s, kind, title, seed, json.loads(asked), json.loads(facts), midi)

    def recent(self, limit: int = MAX_LISTED) -> list[dict[str, Any]]:
        """The last pieces, the newest first, without their notes."""
        with self._lock:
            rows = self._database.execute(
                "SELECT number, parent, created_s, kind, title, seed, facts FROM pieces ORDER BY created_s DESC, rowid"
                " DESC LIMIT ?",
                (limit,),
            ).fetchall()
        names = ("id", "parent", "created_s", "kind", "title", "seed")
        return [dict(zip(names, row[:6], strict=True)) | json.loads(row[6]) for row in rows]

    def remove(self, number: str) -> bool:
        """Forget a piece; whether it was there."""
        with self._lock:
            return self._database.execute("DELETE FROM pieces WHERE number = ?", (number,)).rowcount > 0

    def close(self) -> None:
        """End it."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.close()
