"""`amt serve` and `amt studio`: the HTTP service, without and with its page."""

from __future__ import annotations

import os
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from amt.cli.errors import UsageError, checking_options, tell

TOKEN = "AMT_TOKEN"  # in the environment: what --token is, where others may see a command line
HISTORY = "~/.local/share/amt/history.sqlite"

Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens; others than 127.0.0.1 need --token.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Token = Annotated[
    str | None,
    typer.Option(metavar="SECRET", help=f"What requests must show. Default: {TOKEN} of the environment."),
]
Model = Annotated[str | None, typer.Option(metavar="NAME|DIR", help="The model that writes.")]
Dtype = Annotated[str, typer.Option(metavar="TYPE", help="Of its weights: float32, bfloat16, int8.")]
SearchFolder = Annotated[str | None, typer.Option(metavar="DIR", help="MIDI files that can be searched.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the engine; default: one a core.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8731,
    token: Token = None,
    model: Model = None,
    dtype: Dtype = "float32",
    search_folder: SearchFolder = None,
    history: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Keep what is written in this SQLite file. Default: nothing."),
    ] = None,
    threads: Threads = None,
    max_running: Annotated[int, typer.Option(min=1, help="Requests that are worked on at once.")] = 32,
    max_queue: Annotated[int, typer.Option(min=0, help="Requests that wait; more are told to come again.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 120.0,
) -> None:
    """Serve music over HTTP: generate, edit, describe, search."""
    _serve(
        token,
        host=host,
        port=port,
        dtype=dtype,
        search_folder=_folder(search_folder),
        history=None if history is None else Path(history),
        num_threads=threads,
        max_running=max_running,
        max_queue=max_queue,
        timeout_s=timeout,
        model=model,
    )


def studio(
    host: Host = "127.0.0.1",
    port: Port = 8731,
    token: Token = None,
    model: Model = None,
    dtype: Dtype = "float32",
    search_folder: SearchFolder = None,
    history: Annotated[str, typer.Option(metavar="FILE", help="Where what is written is kept.")] = HISTORY,
    threads: Threads = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
) -> None:
    """Open the studio: a page to write music, see it, hear it and change it."""
    _serve(
        token,
        opens=not no_browser,
        host=host,
        port=port,
        dtype=dtype,
        search_folder=_folder(search_folder),
        history=Path(history).expanduser(),
        num_threads=threads,
        has_page=True,
        model=model,
    )


def _folder(name: str | None) -> Path | None:
    if name is not None and not Path(name).is_dir():
        raise UsageError(f"{name} is not a folder; give a folder with MIDI files")
    return None if name is None else Path(name)


def _serve(token: str | None, *, opens: bool = False, **settings: Any) -> None:
    from amt.studio.serve import serve as run
    from amt.studio.settings import ServerSettings

    if settings["model"] is None:
        del settings["model"]
    with checking_options():
        checked = ServerSettings(token=token or os.environ.get(TOKEN), **settings)

    def ready(address: str) -> None:
        tell(f"{address} (Ctrl-C stops it)")
        if opens:
            shown = f"{address}?token={checked.token}" if checked.token else address
            threading.Thread(target=webbrowser.open, args=(shown,), daemon=True).start()

    run(checked, ready)
