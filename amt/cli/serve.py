"""`amt serve` and `amt studio`: the HTTP service, without and with its page."""

from __future__ import annotations

import functools
import inspect
import os
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from amt.cli.errors import UsageError, checking_options, tell
from amt.cli.tables import with_parameters

TOKEN = "AMT_TOKEN"  # in the environment: what --token is, where others may see a command line
HISTORY = "~/.local/share/amt/history.sqlite"


def listening(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where it listens; others than 127.0.0.1 need --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8731,
    token: Annotated[
        str | None,
        typer.Option(metavar="SECRET", help=f"What requests must show. Default: {TOKEN} of the environment."),
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME|DIR", help="The model that writes.")] = None,
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="Of its weights: float32, bfloat16, int8.")] = "float32",
    search_folder: Annotated[str | None, typer.Option(metavar="DIR", help="MIDI files that can be searched.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the engine; default: one a core.")] = None,
) -> dict[str, Any]:
    """What both commands take, as settings."""
    folder = None if search_folder is None else _path(search_folder)
    if folder is not None and not folder.is_dir():
        raise UsageError(f"{search_folder} is not a folder; give a folder with MIDI files")
    return {
        "host": host,
        "port": port,
        "token": token or os.environ.get(TOKEN) or None,
        "dtype": dtype,
        "search_folder": folder,
        "num_threads": threads,
        **({} if model is None else {"model": model}),
    }


with_listening = functools.partial(
    with_parameters, added=inspect.signature(listening, eval_str=True).parameters.values(), first=True
)


@with_listening
def serve(
    history: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Keep what is written in this SQLite file. Default: nothing."),
    ] = None,
    max_running: Annotated[int, typer.Option(min=1, help="Requests that are worked on at once.")] = 32,
    max_queue: Annotated[int, typer.Option(min=0, help="Requests that wait; more are told to come again.")] = 64,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that a request may take.")] = 120.0,
    **shared: Any,
) -> None:
    """Serve music over HTTP: generate, edit, describe, search."""
    _run(
        history=None if history is None else _path(history),
        max_running=max_running,
        max_queue=max_queue,
        timeout_s=timeout,
        **listening(**shared),
    )


@with_listening
def studio(
    history: Annotated[str, typer.Option(metavar="FILE", help="Where what is written is kept.")] = HISTORY,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
    **shared: Any,
) -> None:
    """Open the studio: a page to write music, see it, hear it and change it."""
    _run(opens=not no_browser, history=_path(history), has_page=True, **listening(**shared))


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:  # ~somebody
        raise UsageError(f"{name}: {error}; write the whole path") from error


def page_address(address: str, token: str | None) -> str:
    """What the browser opens."""
    return address if token is None else f"{address}?token={quote(token, safe='')}"


def _run(*, opens: bool = False, **settings: Any) -> None:
    from amt.studio.serve import make_server
    from amt.studio.settings import ServerSettings

    def ready(address: str) -> None:
        tell(f"{address} (Ctrl-C stops it)")
        if opens:
            shown = page_address(address, checked.token)
            threading.Thread(target=webbrowser.open, args=(shown,), daemon=True).start()

    with checking_options():
        checked = ServerSettings(**settings)
        server = make_server(checked, ready)
    server.run()
