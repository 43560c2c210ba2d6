"""`amt describe`: what pieces are, in facts and in words."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from amt.cli import files
from amt.cli.errors import FAILED, explain, tell, warn
from amt.errors import MidiError


def describe(
    names: Annotated[list[str], typer.Argument(metavar="FILES", help="MIDI files; - is stdin.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME|DIR", help="A model of the package, or a folder with one.")
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Captions to choose from, one a line. Default: those of the model, if any."),
    ] = None,
    allow_download: Annotated[bool, typer.Option("--allow-download", help="Let it use the network.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each file.")] = False,
) -> None:
    """Say what MIDI files are: a sentence of measured facts, and the captions that a model finds nearest."""
    from amt.models.opened import DEFAULT_READER, load
    from amt.retrieval.description import describe as describe_piece
    from amt.retrieval.description import read_bank

    opened = load(model or DEFAULT_READER, allow_download=allow_download)
    texts = None if bank is None else read_bank(bank)
    num_failed = 0
    has_embedding = True
    for name in names:
        try:
            data = files.read_midi(name)
        except (MidiError, OSError) as error:  # one bad file does not stop the others
            tell(explain(error))
            num_failed += 1
            continue
        description = describe_piece(data, model=opened, bank=texts)
        has_embedding = has_embedding and (description.embedding is not None or not description.facts.num_notes)
        if as_json:
            print(json.dumps({"file": files.shown(name)} | description.to_dict(), ensure_ascii=False))
            continue
        print(f"{files.shown(name)}: {description.sentence}")
        if description.plan is not None:
            print(f"  plan: {description.plan}")
        for caption, cosine in description.captions:
            print(f"  {cosine:5.2f}  {caption}")
    if bank is not None and not has_embedding:
        warn("this model only writes MIDI, so it finds no captions; give one that reads it: --model")
    if num_failed:
        raise typer.Exit(FAILED)
