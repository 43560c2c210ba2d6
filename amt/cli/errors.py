"""Every failure as one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import re
import sys
from collections.abc import Iterator
from typing import Any

import typer

from amt.errors import AmtError, MidiError

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# The base of all that typer says about options and arguments; newer versions bring a click of their own and export only
# what is derived from it.
_TyperUsageError: Any = typer.BadParameter.__mro__[1]

# What the Python API calls differently than the command, beside the names of the tables.
_OPTIONS = {
    "allow_download=True": "--allow-download",
    "backend='engine'": "--backend engine",
    "backend='plain'": "--backend plain",
    "batch_size": "--batch-size",
    "device='cpu'": "--device cpu",
    "decay_steps": "--decay-steps",
    "max_time": "--max-time",
    "do_sample": "sampling",
    "eval_every": "--eval-every",
    "index=FOLDER": "--index FOLDER",
    "learning_rate": "--learning-rate",
    "max_len": "--max-len",
    "max_steps": "--steps",
    "negative_prompt": "--negative-prompt",
    "num_return_sequences": "--num",
    "redo=True": "--redo",
    "save_every": "--save-every",
    "tempo=": "--tempo",
    "time_signature=": "--time-signature",
    "warmup_steps": "--warmup-steps",
}
# Names that are words of a sentence, too.
_WORDS = ("seed", "key", "tempo", "bars", "duration", "instruments", "temperature")


@functools.cache
def _options() -> tuple[re.Pattern[str], dict[str, str]]:
    from amt.cli.tables import command_names

    names = {name: option for name, option in command_names().items() if name not in _WORDS} | _OPTIONS
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)({'|'.join(longest_first)})(?!\w)"), names


_NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full for this user",
    errno.EFBIG: "no file may be as large there",
}


class UsageError(Exception):
    """A command that cannot be meant so: the message says what to write instead."""


@contextlib.contextmanager
def checking_options() -> Iterator[None]:
    """What the API says of a value is what the command says of an option."""
    try:
        yield
    except AmtError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def tell(message: str) -> None:
    """One line on stderr, whatever a file's name or a library's message holds."""
    printable = "".join(character if character.isprintable() else " " for character in message)
    print("amt:", " ".join(printable.split()), file=sys.stderr)


def warn(message: str) -> None:
    """What the user should know although it worked."""
    tell(f"warning: {message}")


def exit_code(error: Exception) -> int:
    """2 if the command was wrong, 1 if the work failed."""
    return USAGE if isinstance(error, (UsageError, _TyperUsageError)) else FAILED


def explain(error: Exception) -> str:
    """What was wrong and what to do, in one line."""
    if isinstance(error, _TyperUsageError):
        context = getattr(error, "ctx", None)
        return f"{error.format_message().rstrip('.')} (see: {context.command_path if context else 'amt'} --help)"
    if isinstance(error, OSError) and not isinstance(error, AmtError) and error.errno in _NO_ROOM:
        place = "the output" if error.filename is None else error.filename
        return f"{_NO_ROOM[error.errno]}: {place} cannot be written; make room and do the same again"
    if isinstance(error, OSError) and error.filename is not None:
        if isinstance(error, FileNotFoundError):
            return f"there is no {error.filename}; check the name and the folder"
        return f"{error.filename}: {error.strerror}; choose another place, or ask for the right to use it"
    if isinstance(error, MidiError):
        return f"{error}; give a Standard MIDI File"
    if isinstance(error, (UsageError, AmtError, ValueError, OSError, FloatingPointError)):
        pattern, names = _options()
        return pattern.sub(lambda match: names[match[0]], str(error))
    kind = type(error).__name__
    return f"something broke inside AMT ({kind}: {error}); run it again with AMT_DEBUG=1 and report what it prints"
