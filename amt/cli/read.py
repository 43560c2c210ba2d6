"""`amt read`: what a prompt is understood to ask for, with the words that say it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from amt.cli.errors import warn


def read(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A prompt, as for `amt generate`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what a prompt asks for, each thing with the words that say it."""
    from amt.midi.programs import program_name
    from amt.request.reading import read as read_text

    reading = read_text(text)
    if as_json:
        print(json.dumps(reading.to_dict(), ensure_ascii=False, indent=1))
        return
    if reading.language != "English":
        print(f"read as {reading.language}: {reading.english.strip()}")
    for kind, said in reading.facts():
        value = said.value
        if kind == "tempo" and reading.tempo is not None and reading.tempo.value.word:
            value += f" ({reading.tempo.value.low:g}-{reading.tempo.value.high:g} BPM)"
        print(f"{kind:11} {value:24} {reading.words(said)!r}")
    for kind, value in reading.implied().items():
        print(f"{kind:11} {value:24} (implied)")
    if reading.allowed_programs is not None:
        print(f"{'only':11} {', '.join(map(program_name, sorted(reading.allowed_programs)))}")
    for warning in reading.warnings:
        warn(warning)
