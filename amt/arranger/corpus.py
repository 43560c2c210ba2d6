"""A corpus of composed pieces, as `amt prepare` reads it: MIDI files in an archive or a folder, and their table."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import io
import json
import lzma
import multiprocessing
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from amt.arranger.compose import compose
from amt.arranger.library import find_style, styles
from amt.files import new_folder

CHUNK = 64  # pieces that a process composes at a time
XZ_PRESET = 1


def write_corpus(
    out: str | os.PathLike[str],
    count: int,
    *,
    seed: int = 0,
    style_names: Sequence[str] | None = None,
    jobs: int = 1,
    as_files: bool = False,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Compose so many pieces, all styles in turn, into a new folder, which appears only when it is whole.

    The folder has `metadata.jsonl.xz` and `arranged.tar.xz`. The same seed gives the same files, with any number of
    processes.

    Args:
        seed: that of the first piece; the next have the next ones.
        style_names: only these, by name or by the path of a style file; None: all of the package.
        jobs: processes that compose.
        as_files: MIDI files in `arranged/` and `metadata.jsonl`, in place of the archives.
        progress: called with how many more pieces are done.

    Returns:
        counts: pieces, notes, seconds, captions (different ones), pieces by split.

    Raises:
        FileExistsError: `out` exists. ValueError: count or jobs below 1. DiskFullError: there is no room for
            it. OSError: it cannot be written.
    """
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder or remove it")
    if count < 1 or jobs < 1:
        raise ValueError(f"a corpus has at least one piece and takes at least one process, got {count} and {jobs}")
    names = list(style_names or styles())
    with new_folder(out) as part:
        return _write(part, names, count, seed, jobs, as_files, progress)


def _write(
    part: Path,
    names: list[str],
    count: int,
    seed: int,
    jobs: int,
    as_files: bool,
    progress: Callable[[int], object] | None,
) -> dict[str, Any]:
    summary: dict[str, Any] = {"pieces": 0, "notes": 0, "seconds": 0.0, "splits": {}}
    captions: set[str] = set()
    with contextlib.ExitStack() as stack:
        if as_files:
            table: Any = stack.enter_context(open(part / "metadata.jsonl", "w", encoding="utf-8"))
            archive = None
        else:
            table = stack.enter_context(lzma.open(part / "metadata.jsonl.xz", "wt", encoding="utf-8", preset=XZ_PRESET))
            packed = stack.enter_context(lzma.open(part / "arranged.tar.xz", "wb", preset=XZ_PRESET))
            archive = stack.enter_context(tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT))
        for block in _blocks(names, count, seed, jobs):
            for midi, row in block:
                if archive is None:
                    path = part / row["file"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(midi)
                else:
                    member = tarfile.TarInfo(row["file"])
                    member.size, member.mode = len(midi), 0o644
                    archive.addfile(member, io.BytesIO(midi))
                table.write(json.dumps(row, ensure_ascii=False) + "\n")
                summary["pieces"] += 1
                summary["notes"] += row["n_notes"]
                summary["seconds"] += row["duration_s"]
                summary["splits"][row["split"]] = summary["splits"].get(row["split"], 0) + 1
                captions.update(row["captions"])
            if progress is not None:
                progress(len(block))
    summary["captions"] = len(captions)
    return summary


def _blocks(names: list[str], count: int, seed: int, jobs: int) -> Iterator[list[tuple[bytes, dict[str, Any]]]]:
    pieces = [(names[index % len(names)], seed + index) for index in range(count)]
    chunks = [pieces[start : start + CHUNK] for start in range(0, count, CHUNK)]
    if jobs == 1 or len(chunks) == 1:
        yield from map(compose_all, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = []
        for chunk in chunks:
            waiting.append(pool.submit(compose_all, chunk))
            if len(waiting) > 2 * jobs:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def compose_all(pieces: Sequence[tuple[str, int]]) -> list[tuple[bytes, dict[str, Any]]]:
    """The bytes of each piece and its row."""
    known = styles()
    made = []
    for name, seed in pieces:
        style = known[name] if name in known else find_style(name)
        piece = compose(style, seed)
        slug = re.sub(r"[^a-z0-9]+", "-", style.name.lower()).strip("-")
        identity = f"ar-{slug}-{seed}"
        row = {
            "id": identity,
            "file": f"arranged/{slug}/{identity}.mid",
            "split": split_of(identity),
            "group": identity,
            **piece.row,
        }
        made.append((piece.to_bytes(), row))
    return made


def split_of(identity: str) -> str:
    """Train for 94 of 100 pieces, valid and test for 3 each, by a digest of the name."""
    number = int(hashlib.sha1(identity.encode()).hexdigest(), 16) % 100
    return "train" if number < 94 else "valid" if number < 97 else "test"
