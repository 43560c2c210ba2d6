"""Names on the command line: where to read and where to write; "-" is standard input or output."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amt.cli.errors import UsageError, tell
from amt.errors import DiskFullError

if TYPE_CHECKING:
    from amt.midi.data import MidiData

STANDARD = "-"
MAX_NAME = 60


def shown(name: str) -> str:
    """What to call a file in a message."""
    return "standard input" if name == STANDARD else name


def read_text(name: str) -> str:
    """The text of a file or of standard input."""
    from amt.files import encoding_of

    contents = sys.stdin.buffer.read() if name == STANDARD else Path(name).read_bytes()
    try:
        return io.TextIOWrapper(io.BytesIO(contents), encoding=encoding_of(contents)).read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{shown(name)} is not text in UTF-8; give a text file") from error


def read_midi(name: str) -> MidiData:
    """The music of a file or of standard input."""
    from amt.midi.reader import read_midi as read

    return read(sys.stdin.buffer.read() if name == STANDARD else name)


def write(output: str | None, contents: bytes) -> None:
    """Write to a file, which becomes whole or stays what it was, or to standard output."""
    from amt.files import write_atomically

    if output is None or output == STANDARD:
        try:
            rest = memoryview(contents)
            while rest:  # with PYTHONUNBUFFERED a pipe may take only a part
                rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise DiskFullError(
                f"the disk is full: standard output needs {len(contents)} bytes; make room and do the same again"
            ) from error
    else:
        write_atomically(Path(output), contents)


def write_music(output: str, music: MidiData, *, sample_rate: int | None = None, soundfont: str | None = None) -> None:
    """Write a MIDI file, or its sound where the name means sound."""
    from amt.views.sound import SAMPLE_RATE, is_audio, render

    if output != STANDARD and is_audio(output):
        advice = render(music, output, sample_rate or SAMPLE_RATE, soundfont).advice
        if advice:
            tell(advice)
    else:
        write(output, music.to_bytes())


def check_output(output: str) -> None:
    """Refuse, before any work is done, what cannot be written after it."""
    from amt.views.sound import choose_renderer, is_audio

    path = Path(output)
    if is_audio(path):
        choose_renderer(path)
    if output == STANDARD:
        if sys.stdout.isatty():
            raise UsageError("a MIDI file is not for the screen; write to a file with -o FILE.mid, or into a pipe")
    elif path.is_dir():
        raise UsageError(f"{path} is a folder; name a file in it, as in: -o {path / 'music.mid'}")
    elif not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it, or name a file in another one")
    elif not os.access(path.parent, os.W_OK):
        raise PermissionError(f"you may not write to the folder {path.parent.absolute()}; name a file in another one")


def name_for(text: str) -> str:
    """A file's name from a text: "A slow, sad waltz" is a-slow-sad-waltz.mid."""
    name = ""
    for word in re.findall(r"\w+", text.lower()):
        if len(name) + len(word) > MAX_NAME:
            break
        name += f"-{word}" if name else word
    return f"{name or 'music'}.mid"


def numbered(output: str, number: int) -> list[str]:
    """waltz.mid, or waltz-1.mid, waltz-2.mid, … if there are several."""
    path = Path(output)
    if number == 1:
        return [output]
    return [str(path.with_name(f"{path.stem}-{index}{path.suffix}")) for index in range(1, number + 1)]
