"""`amt search`: the MIDI files of a folder that fit a text or are like a piece."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from amt.cli import files
from amt.cli.errors import warn
from amt.cli.progress import progress_bar

MAX_WARNINGS = 5


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The music in words, or with --midi a MIDI file.")],
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where the MIDI files are, also in folders below it.")
    ],
    is_midi: Annotated[bool, typer.Option("--midi", help="QUERY is a MIDI file; - is stdin.")] = False,
    num_results: Annotated[
        int, typer.Option("--num-results", "-n", min=1, max=1 << 20, help="How many files, at most.")
    ] = 10,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="A model that reads MIDI: one of the package, or a folder with one."),
    ] = None,
    index: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where to keep what was read. Default: .amt-index in FOLDER.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that read files; default: one a core.")] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let it use the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find MIDI files by what they sound like."""
    from amt.models.opened import DEFAULT_READER, load
    from amt.retrieval.search import search as search_folder

    wanted = files.read_midi(query) if is_midi else query
    with progress_bar("files") as bar:

        def show(done: int, at_most: int) -> None:
            bar.total = at_most
            bar.update(done - bar.n)

        found = search_folder(
            wanted,
            folder,
            model=load(model or DEFAULT_READER, allow_download=allow_download),
            num_results=num_results,
            index=index,
            jobs=jobs,
            progress=show,
        )
    if as_json:
        skipped = [{"path": path, "reason": reason} for path, reason in found.skipped.items()]
        row = {"matches": [match.to_dict() for match in found], "num_files": found.num_files, "skipped": skipped}
        print(json.dumps(row, ensure_ascii=False, indent=1))
        return
    for match in found:
        print(f"{match.score:5.2f}  {match.path}: {match.sentence}")
    for path, reason in list(found.skipped.items())[:MAX_WARNINGS]:
        warn(f"left out {path}: {reason}")
    if len(found.skipped) > MAX_WARNINGS:
        warn(f"left out {len(found.skipped) - MAX_WARNINGS} more files; all of them: --json")
