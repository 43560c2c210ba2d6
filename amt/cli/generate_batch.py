"""`amt generate-batch`: a MIDI file for each row of a table of prompts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from amt.cli.errors import FAILED, checking_options, tell
from amt.cli.progress import progress_bar
from amt.cli.tables import CHOICE, given_values, with_tables

WORKERS = "Who works"


@with_tables
def generate_batch(
    table: Annotated[
        str,
        typer.Argument(
            metavar="PROMPTS",
            help='JSON lines, like {"text": "a slow waltz", "seed": 7, "bars": 16}; also "id", "prompt_midi" and any'
            " option or limit.",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DIR", help="The folder of the pieces, and of results.jsonl.")
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="A model of the package, a folder, or OWNER/NAME on the hub.")
    ] = None,
    allow_download: Annotated[
        bool, typer.Option("--allow-download", help="Use the network if the model or its text encoder is not here.")
    ] = False,
    redo: Annotated[
        bool, typer.Option("--redo", help="Write pieces anew whose row, options or model have changed since.")
    ] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many work; default: one; with Ray as many as it has room for.", rich_help_panel=WORKERS
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of each; default: the cores shared out; with Ray one.", rich_help_panel=WORKERS),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Rows that a process writes at once; usually 8.", rich_help_panel=WORKERS)
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray", help="Processes of a Ray cluster, or of this machine if none is there.", rich_help_panel=WORKERS
        ),
    ] = False,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Of the Ray cluster, like 10.0.0.1:6379.", rich_help_panel=WORKERS),
    ] = None,
    rerank: Annotated[
        int | None,
        typer.Option(
            help="Write so many candidates of each piece and keep what fits best; usually 2; 1: off.",
            rich_help_panel=CHOICE,
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda or cuda:N; default: cpu.", rich_help_panel=WORKERS)
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="NAME", help="engine, plain or auto; see amt generate.", rich_help_panel=WORKERS)
    ] = "auto",
    dtype: Annotated[
        str, typer.Option(metavar="TYPE", help="float32, bfloat16 or int8; see amt generate.", rich_help_panel=WORKERS)
    ] = "float32",
    **table_options: Any,
) -> None:
    """Write a MIDI file for each row of a table of prompts.

    After a stop the same command goes on. Options here are for all rows; those of a row go before them.
    """
    options: dict[str, Any] = given_values(table_options)
    options |= {name: value for name, value in (("rerank", rerank), ("batch_size", batch_size)) if value is not None}

    from amt.batch.run import generate_batch as write_batch
    from amt.cli import words

    with checking_options(), progress_bar("rows") as bar:

        def show(done: int, num_rows: int) -> None:
            bar.total = num_rows
            bar.update(done - bar.n)

        found = write_batch(
            table,
            output,
            model=model,
            device=device,
            backend=backend,  # type: ignore[arg-type]
            dtype=dtype,  # type: ignore[arg-type]
            allow_download=allow_download,
            processes=processes,
            threads=threads,
            ray=ray_address or ray,
            redo=redo,
            progress=show,
            **options,
        )
    for failure in found.failures:
        tell(f"{table}, line {failure.line}: {failure.reason}")
    new = f", {found.num_written} of them now" if found.num_before else ""
    failed = f"; no piece of {words.count(len(found.failures), 'row')}" if found.failures else ""
    print(f"{output}: {words.count(found.num_before + found.num_written, 'piece')}{new}{failed}")
    if found.failures:
        raise typer.Exit(FAILED)
