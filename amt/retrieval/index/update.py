"""An index brought up to date: only new and changed files are read."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amt.files import LEFTOVER_S, read_regular, remove_leftovers
from amt.retrieval.embedding import embed_pieces, part_len
from amt.retrieval.index.pieces import Contents, Reading, read_pieces
from amt.retrieval.index.storage import INDEX_FILE, Entry, load_index, save_index

if TYPE_CHECKING:
    from amt.models import MusicTextTransformer
    from amt.models.opened import OpenedModel

SUFFIXES = (".mid", ".midi", ".kar", ".rmi")
MAX_FILE_BYTES = 1 << 26
PARALLEL_FILES = 512  # that are worth starting processes for
EMBED_PARTS = 1024  # that are embedded together
SAVE_EVERY_S = 30.0  # what a killed run loses at most

Progress = Callable[[int, int], object]


@dataclasses.dataclass(frozen=True)
class Index:
    """The files of a folder as they are now.

    Attributes:
        entries: by path, relative to the folder and with slashes; sorted.
        skipped: path and reason of each file that cannot be searched.
        num_read: files that were read from disk this time.
        num_embedded: pieces that were embedded this time.
    """

    entries: dict[str, Entry]
    skipped: dict[str, str]
    num_read: int
    num_embedded: int

    def embeddings(self) -> tuple[list[str], np.ndarray]:
        """The paths that have an embedding, and these, (num_paths, dim)."""
        rows = {path: entry.embedding for path, entry in self.entries.items() if entry.embedding is not None}
        return list(rows), np.stack(list(rows.values())) if rows else np.zeros((0, 0), np.float32)


class Update:
    """One run over a folder.

    A file counts as unchanged while its size and its time of change are the same. Of files with the same bytes one is
    embedded.

    Args:
        folder: with MIDI files, also in folders below it.
        place: the folder of the index.
        opened, model: what embeds; the model reads MIDI.
        jobs: processes that read files.
        progress: called with (files done, files to read).
    """

    def __init__(
        self,
        folder: Path,
        place: Path,
        opened: OpenedModel,
        model: MusicTextTransformer,
        jobs: int,
        progress: Progress | None,
    ):
        self._folder, self._place, self._jobs, self._progress = folder, place, jobs, progress
        self._generator, self._model = opened, model
        remove_leftovers(place, LEFTOVER_S)
        old = load_index(place, opened.digest, model.config.text_embedding_dim)
        found, self._skipped = _midi_files(folder)
        self._entries = {path: old[path] for path, state in found.items() if path in old and _state(old[path]) == state}
        self._new = [path for path in found if path not in self._entries]
        self._is_changed = self._entries.keys() != old.keys() or not (place / INDEX_FILE).is_file()
        self._known = {entry.sha256: entry for entry in old.values()}
        self._waiting: dict[str, list[tuple[str, int, int]]] = {}  # files by sha256, until that is embedded
        self._num_done = self._num_read = self._num_embedded = 0

    def run(self) -> Index:
        """Read, embed and save what has changed.

        Raises:
            OSError: the index cannot be written.
        """
        tokenizer_config = self._generator.tokenizer.config
        jobs = self._jobs if len(self._new) >= PARALLEL_FILES else 1
        saved_at, readings = time.monotonic(), list[Reading]()
        for reading in read_pieces(self._contents(), tokenizer_config, part_len(self._model), jobs):
            readings.append(reading)
            if sum(len(reading.parts) for reading in readings) >= EMBED_PARTS:
                self._embed(readings)
                readings = []
                if time.monotonic() - saved_at > SAVE_EVERY_S:
                    self._save()
                    saved_at = time.monotonic()
        self._embed(readings)
        if self._is_changed:
            self._save()
        entries = dict(sorted(self._entries.items()))
        skipped = self._skipped | {path: entry.reason for path, entry in entries.items() if entry.reason is not None}
        return Index(entries, dict(sorted(skipped.items())), self._num_read, self._num_embedded)

    def _contents(self) -> Iterator[Contents]:
        """What must be parsed: the bytes of new files, each once."""
        for path in self._new:
            try:
                contents, size, mtime_ns = _read(self._folder / path)
            except OSError as error:  # may be mended without a change of the file: asked again next time
                self._skipped[path] = error.strerror or str(error)
                self._report()
                continue
            self._num_read += 1
            sha256 = hashlib.sha256(contents).hexdigest()
            if sha256 in self._known:
                self._add(path, size, mtime_ns, self._known[sha256])
                continue
            self._waiting.setdefault(sha256, []).append((path, size, mtime_ns))
            if len(self._waiting[sha256]) == 1:
                yield sha256, contents

    def _embed(self, readings: list[Reading]) -> None:
        pieces = [reading.parts for reading in readings if reading.parts]
        embeddings = iter(embed_pieces(self._model, pieces))
        for reading in readings:
            embedding = next(embeddings) if reading.parts else None
            known = Entry(0, 0, reading.sha256, reading.facts, embedding, reading.reason)
            self._known[reading.sha256] = known
            for path, size, mtime_ns in self._waiting.pop(reading.sha256):
                self._add(path, size, mtime_ns, known)
        self._num_embedded += len(pieces)

    def _add(self, path: str, size: int, mtime_ns: int, known: Entry) -> None:
        self._entries[path] = dataclasses.replace(known, size=size, mtime_ns=mtime_ns)
        self._is_changed = True
        self._report()

    def _report(self) -> None:
        self._num_done += 1
        if self._progress is not None:
            self._progress(self._num_done, len(self._new))

    def _save(self) -> None:
        save_index(self._place, self._generator.digest, self._entries)


def _state(entry: Entry) -> tuple[int, int]:
    return entry.size, entry.mtime_ns


def _midi_files(folder: Path) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Size and time of change of each MIDI file by path, sorted; and the reasons for those that cannot be read."""
    found: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}

    def note(error: OSError) -> None:
        name = Path(error.filename or folder)
        if name == folder:
            raise error
        skipped[name.relative_to(folder).as_posix()] = error.strerror or str(error)

    for root, _, names in os.walk(folder, onerror=note):
        for name in names:
            if not name.lower().endswith(SUFFIXES):
                continue
            path = Path(root, name)
            relative = path.relative_to(folder).as_posix()
            try:
                status = path.stat()
            except OSError as error:
                skipped[relative] = error.strerror or str(error)
                continue
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
                skipped[relative] = "it is no regular file"
            elif status.st_size > MAX_FILE_BYTES:
                skipped[relative] = f"it is larger than {MAX_FILE_BYTES} bytes"
            else:
                found[relative] = (status.st_size, status.st_mtime_ns)
    return dict(sorted(found.items())), skipped


def _read(path: Path) -> tuple[bytes, int, int]:
    """A file's bytes, and the size and the time of change that they had."""
    contents, status = read_regular(path, MAX_FILE_BYTES)
    return contents, status.st_size, status.st_mtime_ns
