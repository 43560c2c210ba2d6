"""The command `amt`. It parses, calls the Python API, and prints; the commands import what is slow when they run."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from amt.cli.arrange import arrange
from amt.cli.bench import bench
from amt.cli.describe import describe
from amt.cli.edit import edit
from amt.cli.errors import FAILED, INTERRUPTED, exit_code, explain, tell
from amt.cli.eval import evaluate
from amt.cli.generate import generate
from amt.cli.generate_batch import generate_batch
from amt.cli.info import info
from amt.cli.inspect import inspect
from amt.cli.prepare import prepare
from amt.cli.read import read
from amt.cli.render import render
from amt.cli.search import search
from amt.cli.serve import serve, studio
from amt.cli.tokenize import tokenize
from amt.cli.train import train
from amt.version import __version__

app = typer.Typer(
    help="Text to MIDI with transformers: real MIDI files from a sentence, on a plain computer.",
    epilog='Start with: amt generate "a slow sad waltz in D minor for piano" -o waltz.mid',
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    generate, generate_batch, edit, studio, serve, arrange, render, read, describe, search, inspect, tokenize, prepare,
    train, info,
):  # fmt: skip
    app.command()(command)
app.command("eval")(evaluate)
app.add_typer(bench, name="bench")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        print(f"amt {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the words after `amt`; default: those of the process.

    Returns:
        the exit code: 0, 1 (the work failed), 2 (the command cannot be meant so) or 130 (Ctrl-C). An error is one line
        on stderr; with AMT_DEBUG=1 in the environment it is raised instead.
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show "♯" gets an escape, not an error
            stream.reconfigure(errors="backslashreplace")
    try:
        code = int(get_command(app).main(arguments, prog_name="amt", standalone_mode=False) or 0)
        sys.stdout.flush()
    except BrokenPipeError:  # as in: amt tokenize song.mid | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # the one place that takes everything: a user gets a line, AMT_DEBUG=1 the traceback
        if os.environ.get("AMT_DEBUG"):
            raise
        tell(explain(error))
        return exit_code(error)
    if code == INTERRUPTED:
        tell("stopped")
    return code
