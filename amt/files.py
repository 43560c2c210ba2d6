"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_atomically(path: Path, contents: bytes) -> None:
    """Write a file by renaming, so that nobody ever sees half of it.

    Raises:
        OSError: of the kind that the system raised, with one line that says what to do.
    """
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if path.exists() and not path.is_file():  # a device or a pipe must not be replaced
            path.write_bytes(contents)
            return
        try:
            temporary.write_bytes(contents)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(
            f"cannot write {path}: {reason}; name a file in a folder that exists and that you may write to"
        ) from error
