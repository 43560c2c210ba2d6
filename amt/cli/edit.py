"""`amt edit`: some bars or parts of a MIDI file anew."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from amt.cli import files
from amt.cli.errors import checking_options
from amt.cli.pieces import names_of_pieces, warn_of, write_pieces
from amt.cli.progress import progress_bar
from amt.cli.tables import CHOICE, given_values, with_tables
from amt.request.limits import NOT_IN_EDITS

SPEED = "What runs"


@functools.partial(with_tables, without=NOT_IN_EDITS)
def edit(
    source: Annotated[str, typer.Argument(metavar="IN.mid", help="The MIDI file; - is stdin. It stays as it is.")],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help='What is new in words, like "a busier bass line".')
    ] = None,
    bars: Annotated[
        str | None, typer.Option(metavar="FIRST-LAST", help="Like 5-8, counted from 1, or 5-8,13-16; default: all.")
    ] = None,
    tracks: Annotated[
        str | None, typer.Option(metavar="NAMES", help='What is written anew, or added, like "bass"; default: all.')
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="NAMES", help="What stays, where all others are written anew.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The new MIDI file; - is stdout. Without it: IN-edited.mid, and never over another file.",
        ),
    ] = None,
    num: Annotated[
        int, typer.Option("--num", "-n", min=1, max=4096, help="How many results: FILE-1.mid, FILE-2.mid, …")
    ] = 1,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A model of the package, a folder, or OWNER/NAME on the hub.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Use the network if the model or its text encoder is not here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts of each result as a line of JSON.")] = False,
    rerank: Annotated[
        int | None,
        typer.Option(help="Write so many candidates and keep those that fit TEXT best.", rich_help_panel=CHOICE),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always the likeliest token.", rich_help_panel=CHOICE)
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, cuda or cuda:N; default: cpu.", rich_help_panel=SPEED),
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="engine, plain, cuda or auto; see amt generate.", rich_help_panel=SPEED)
    ] = "auto",
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="Of the engine: float32, bfloat16, int8.", rich_help_panel=SPEED)
    ] = "float32",
    **table: Any,
) -> None:
    """Write some bars or some parts of a MIDI file anew; all else stays as it is."""
    given = given_values(table)
    given |= {} if rerank is None else {"rerank": rerank}
    given |= {"num_beams": 1, "do_sample": False} if greedy else {}
    default = "edited.mid" if source == files.STANDARD else f"{Path(source).stem}-edited.mid"
    names = names_of_pieces(output, default, num, as_json=as_json)
    chosen_bars = None if bars is None else _bars(bars)

    from amt import api
    from amt.models.opened import load

    music = files.read_midi(source)
    with checking_options(), progress_bar("windows") as bar:

        def show(done: int, num_windows: int) -> None:
            bar.total = num_windows
            bar.update(done - bar.n)

        found: Any = api.edit(
            music,
            text,
            bars=chosen_bars,
            tracks=_names(tracks),
            keep=_names(keep),
            model=load(model, device=device, allow_download=allow_download),
            num_return_sequences=num,
            **{"backend": backend, "dtype": dtype, "progress": show, **given},
        )
    pieces = found if isinstance(found, list) else [found]
    write_pieces(names, pieces, as_json=as_json)
    warn_of(pieces)


def _bars(text: str) -> list[tuple[int, int]]:
    spans = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", part)
        if match is None:
            raise typer.BadParameter(f"--bars must be like 5-8 or 5-8,13-16, got {text!r}")
        spans.append((int(match[1]), int(match[2] or match[1])))
    return spans


def _names(text: str | None) -> list[str | int] | None:
    if text is None:
        return None
    return [int(part) if part.strip().isdecimal() else part.strip() for part in text.split(",") if part.strip()]
