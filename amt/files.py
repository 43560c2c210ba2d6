"""Files and folders that become whole or stay what they were, on a full disk and in a process that is killed.

What is new is written beside its place, as `.NAME.1a2b3c4d.tmp`, and takes the place by renaming. So it is written once
and whole, and what belongs together is one file or one folder.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import glob
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from amt.errors import DiskFullError

MAX_LINE_BYTES = 1 << 20  # of a `GrowingFile`
LEFTOVER_S = 3600.0  # so old a temporary folder has no owner that still writes
LOCK = ".lock"  # in a folder that one process holds

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_SAFETENSORS_ERRNO = re.compile(r"\(os error (\d+)\)")


def write_atomically(path: Path, contents: bytes) -> None:
    """Write a file by renaming, so that nobody ever sees half of it.

    Raises:
        DiskFullError: there is no room for it.
        OSError: of the kind that the system raised, with one line that says what to do.
    """
    with _new_file(path, len(contents)) as stream:
        stream.write(contents)


@contextlib.contextmanager
def new_file(path: Path, size: int | None = None) -> Iterator[BinaryIO]:
    """Open a new file; at the end of the `with` it is safe on the disk and takes the place of `path`.

    If the `with` ends by an error, `path` stays what it was.

    Args:
        size: how many bytes it will have, for the message of a full disk.

    Raises:
        DiskFullError, OSError: as `write_atomically`.
    """
    with _new_file(path, size) as stream:
        yield stream
        stream.flush()
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            os.fsync(stream.fileno())


@contextlib.contextmanager
def new_folder(path: Path, size: int | None = None) -> Iterator[Path]:
    """Make a new folder to fill; at the end of the `with` it is safe on the disk and takes the place of `path`.

    If the `with` ends by an error, `path` stays what it was. A process that is killed leaves the old folder or the new
    one, too, for readers who ask `standing` where it is.

    Args:
        size: how many bytes will be in it, for the message of a full disk.

    Raises:
        DiskFullError, OSError: as `write_atomically`.
    """
    target = Path(os.path.realpath(path))  # what a link leads to is replaced, not the link
    temporary = _beside(target)
    with explaining_errors(path, size):
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(_temporary_name(target.name, "????????", glob.escape)):
            _remove_leftover(leftover, time.time() - LEFTOVER_S)
        try:
            temporary.mkdir()
            yield temporary
            for part in (*temporary.rglob("*"), temporary):
                _sync(part)
            _take_place(target, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def why_no_name(path: Path) -> str | None:
    """Why no file can have this name: it is too long, or has a zero byte; None if one can."""
    try:
        path.lstat()
    except OSError as error:
        return error.strerror if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else None
    except ValueError as error:
        return str(error)
    return None


def standing(path: Path) -> Path:
    """Where the folder `path` is: there, or where `new_folder` put it if a process was killed while it replaced it."""
    if why_no_name(path) or path.exists():
        return path
    old = _old(Path(os.path.realpath(path)))
    return old if old.is_dir() and not path.exists() else path


def remove_folder(path: Path) -> None:
    """Remove a folder in one step: what a killed process leaves of it has another name. It need not be there."""
    doomed = _beside(path)
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path, min_age_s: float = 0.0) -> None:
    """Remove what killed processes left of new files and folders in `folder`.

    Args:
        min_age_s: younger ones stay. 0 is for a folder that nobody else writes to.
    """
    latest = time.time() - min_age_s
    for path in folder.glob(".*.tmp"):
        _remove_leftover(path, latest)


def _remove_leftover(path: Path, latest: float) -> None:
    with contextlib.suppress(FileNotFoundError):  # its owner lives and has just renamed it
        if not _LEFTOVER.fullmatch(path.name) or path.lstat().st_mtime > latest:
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def read_regular(path: str | os.PathLike[str], most: int) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file, and the state it had then. A pipe or a device, which might never end, is no such.

    Raises:
        OSError: it is something else, has more than `most` bytes, or cannot be read.
    """
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it is larger than {most} bytes")
        with open(number, "rb", closefd=False) as stream:
            return stream.read(most), status
    finally:
        os.close(number)


def encoding_of(start: bytes) -> str:
    """How a text file is encoded, by its first bytes: UTF-16 if it says so, else UTF-8, with a mark of that or not."""
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder, which is made if it is missing, for this process. A process that dies lets go of it.

    Where the system has no such locks nothing is held.

    Raises:
        BlockingIOError: another process holds it. OSError: it cannot be written.
    """
    with explaining_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(lock, folder)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if os.listdir(folder) == [LOCK]:  # nothing came of it
                    shutil.rmtree(folder)
    finally:
        os.close(lock)


def _lock(number: int, folder: Path) -> None:
    try:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"another process is writing to {folder}; wait until it has ended, or name another folder"
        ) from None
    except (ImportError, OSError):  # Windows, or a network's file system
        pass


def empty_folder(folder: Path) -> None:
    """Remove what is in a folder, but for the lock of `alone_in`."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink()


class GrowingFile:
    """A file that grows by whole lines: what a killed process or a full disk leaves of a line is cut off.

    Raises:
        DiskFullError, OSError: as `write_atomically`.
    """

    def __init__(self, path: Path):
        self._path = path
        with explaining_errors(path):
            self._stream = path.open("ab+", buffering=0)
            size = self._stream.seek(0, os.SEEK_END)
            self._stream.seek(max(0, size - MAX_LINE_BYTES))
            end = self._stream.read()
            self._stream.truncate(size - len(end) + end.rfind(b"\n") + 1)

    def add(self, line: str) -> None:
        """Add a line, given without its end."""
        rest = memoryview(f"{line}\n".encode())
        with explaining_errors(self._path, len(rest)):
            size = self._stream.seek(0, os.SEEK_END)
            try:
                while rest:
                    rest = rest[self._stream.write(rest) :]
            except OSError:
                self._stream.truncate(size)
                raise

    def close(self) -> None:
        self._stream.close()


@contextlib.contextmanager
def explaining_errors(path: Path, size: int | None = None) -> Iterator[None]:
    """Say of an error in writing `path` what was wrong and what to do, in one line.

    Args:
        size: how many bytes were to be written, in all.

    Raises:
        DiskFullError: there is no room for them.
        OSError: of the kind that the system raised. Errors of files that are not beside `path` pass as they are.
    """
    try:
        yield
    except DiskFullError as error:  # of a part of it
        if size is None:
            raise
        raise _explained(error, path, size) from error
    except OSError as error:
        is_explained = isinstance(error.__cause__, OSError)
        if is_explained or (isinstance(error.filename, str) and not _is_beside(error.filename, path)):
            raise
        raise _explained(error, path, size) from error


@contextlib.contextmanager
def writing_tensors() -> Iterator[None]:
    """Make errors of the system, which safetensors raises as errors of its own, what they are: OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        found = _SAFETENSORS_ERRNO.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from error


def _explained(error: OSError, path: Path, size: int | None) -> OSError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(f"the disk is full: {_room(path, size)}; make room and do the same again")
    if error.errno == errno.EFBIG:
        remedy = "no file may be as large there, by the file system or by the limit of `ulimit -f`"
    else:
        remedy = "name a file in a folder that exists and that you may write to"
    explained = type(error)(f"cannot write {path}: {error.strerror or error}; {remedy}")
    explained.errno = error.errno
    return explained


def _is_beside(name: str, path: Path) -> bool:
    return Path(os.path.realpath(name)).is_relative_to(os.path.realpath(path.parent))


def _room(path: Path, size: int | None) -> str:
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    num_free = shutil.disk_usage(folder).free
    if size is None or size <= num_free:  # no room for one more file, or for one more of this user
        return f"{path} cannot be written"
    return f"{path} needs {size} bytes, {num_free} are free"


@contextlib.contextmanager
def _new_file(path: Path, size: int | None) -> Iterator[BinaryIO]:
    with explaining_errors(path, size):
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if path.exists() and not path.is_file():  # a device or a pipe must not be replaced
            with open(path, "wb") as stream:
                yield stream
            return
        target = Path(os.path.realpath(path))
        temporary = _beside(target)
        try:
            with open(temporary, "wb") as stream:
                yield stream
            if target.exists():
                os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _take_place(path: Path, new: Path) -> None:
    """Two renames, because no portable call swaps folders. Between them, `standing` finds the old folder.

    `.NAME.old` is there between the two renames, or after a kill; beside `path` itself it means nothing any more.
    """
    old = _old(path)
    if path.exists():
        remove_folder(old)
        os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise
    _sync(path.parent)
    remove_folder(old)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _beside(path: Path) -> Path:
    return path.with_name(_temporary_name(path.name, uuid.uuid4().hex[:8]))


def _temporary_name(name: str, mark: str, written: Callable[[str], str] = str) -> str:
    return f".{written(name.lstrip('.')[:200])}.{mark}.tmp"


def _sync(path: Path) -> None:
    """Have a file's contents, or a folder's names, written to the disk."""
    if path.is_dir() and os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
