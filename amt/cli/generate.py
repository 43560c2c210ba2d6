"""`amt generate`: a MIDI file from a text."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from amt.cli import files
from amt.cli.errors import UsageError, checking_options
from amt.cli.pieces import names_of_pieces, warn_of, write_pieces
from amt.cli.progress import progress_bar
from amt.cli.tables import CHOICE, given_values, with_tables

SPEED = "What runs"


@with_tables
def generate(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help='The music in words, like "a slow sad waltz in D minor for piano"; - reads them from stdin.',
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The MIDI file (.wav, .flac: its sound); - is stdout. Without it: named after the text, and never"
            " written over another file.",
        ),
    ] = None,
    num: Annotated[
        int, typer.Option("--num", "-n", min=1, max=4096, help="How many pieces: FILE-1.mid, FILE-2.mid, …")
    ] = 1,
    prompt: Annotated[
        str | None,
        typer.Option("--continue", metavar="FILE", help="A MIDI file to go on from; the result begins with it."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A model of the package, a folder, or OWNER/NAME on the hub.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Use the network if the model or its text encoder is not here.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts of each piece as a line of JSON.")] = False,
    rerank: Annotated[
        int | None,
        typer.Option(
            help="Write so many candidates and keep what fits TEXT best; usually 2; 1: off.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    rerank_by: Annotated[
        str | None,
        typer.Option(
            help="facts: what does most of TEXT; model: what the model finds nearest.", rich_help_panel=CHOICE
        ),
    ] = None,
    obey: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="said: what TEXT states of instruments, tempo, metre and length holds; soft: it is left to the model.",
            rich_help_panel=CHOICE,
        ),
    ] = "said",
    plan: Annotated[
        str,
        typer.Option(
            metavar="WHO",
            help="Who decides form and chords: style, the rules of the style that TEXT names; or model.",
            rich_help_panel=CHOICE,
        ),
    ] = "style",
    negative_prompt: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="With guidance, what the music should not be like.", rich_help_panel=CHOICE),
    ] = None,
    greedy: Annotated[
        bool, typer.Option("--greedy", help="Always the likeliest token.", rich_help_panel=CHOICE)
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, cuda or cuda:N; default: cpu.", rich_help_panel=SPEED),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="engine (compiled), plain (PyTorch: slow), cuda (a GPU's kernels), or auto: the engine if it is here.",
            rich_help_panel=SPEED,
        ),
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="Of the engine: float32, or bfloat16 and int8, which are faster and differ a little.",
            rich_help_panel=SPEED,
        ),
    ] = "float32",
    show_profile: Annotated[
        bool,
        typer.Option("--profile", help="Print on stderr what took how long.", rich_help_panel=SPEED),
    ] = False,
    **table: Any,
) -> None:
    """Write a MIDI file that fits a text."""
    given = given_values(table)
    if greedy and (given.get("num_beams", 1) > 1 or num > 1):
        raise UsageError("--greedy has one result, without beams; leave out --greedy, or --beams and --num")
    if text == files.STANDARD:
        text = files.read_text(text).strip()
    if not text.strip():
        raise UsageError('the text is empty; describe the music, as in: amt generate "a slow sad waltz for piano"')
    names = names_of_pieces(output, files.name_for(text), num, as_json=as_json)
    choice = {"negative_prompt": negative_prompt, "rerank": rerank, "rerank_by": rerank_by}
    given |= {name: value for name, value in choice.items() if value is not None}
    if greedy:
        given |= {"num_beams": 1, "do_sample": False}

    from amt import api
    from amt.models.opened import load

    with checking_options(), progress_bar("tokens") as bar:

        def show(done: int, at_most: int) -> None:
            bar.total = at_most
            bar.update(done - bar.n)

        options: dict[str, Any] = {
            "num_return_sequences": num,
            "prompt_midi": prompt,
            "obey": obey,
            "plan": plan,
            "backend": backend,
            "dtype": dtype,
            "progress": show,
            **given,
        }
        opened = load(model, device=device, allow_download=allow_download)
        if show_profile:
            measured = api.profile(text, model=opened, **options)
            pieces = measured.pieces
        else:
            found: Any = api.generate(text, model=opened, **options)
            pieces = found if isinstance(found, list) else [found]
    write_pieces(names, pieces, as_json=as_json)
    if show_profile:
        print(measured, file=sys.stderr)
    warn_of(pieces)
