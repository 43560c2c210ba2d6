"""`amt prepare`: a corpus for training."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer

from amt.cli.errors import UsageError, warn
from amt.cli.progress import progress_bar
from amt.cli.tokenize import Preset


def prepare(
    corpus: Annotated[
        list[str], typer.Argument(metavar="CORPUS...", help="Folders with MIDI files and a table of captions.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="The folder to make.")],
    preset: Annotated[
        Preset, typer.Option(help="score: several instruments, in beats. performance: one, in 10 ms.")
    ] = Preset.score,
    sources: Annotated[
        str | None, typer.Option(help='Only pieces of these sources of the table, like "chopin,quartets".')
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help='Of several corpora: the share of each in the draws, like "1,2".')
    ] = None,
    canonical_key: Annotated[
        bool,
        typer.Option("--canonical-key", help="Move all music to C major, A minor or another mode of the white keys."),
    ] = False,
    version: Annotated[int, typer.Option(min=1, max=2, help="Of the tokens: docs/tokens.md.")] = 1,
    max_len: Annotated[int, typer.Option(min=4, help="Tokens in a segment, at most.")] = 1025,
    embed: Annotated[
        bool, typer.Option("--embed/--no-embed", help="Read the captions with the text encoder now, or while training.")
    ] = True,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes that tokenize; default: one a core.")] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Tokenize by a Ray cluster, or by one on this machine if none is there.")
    ] = False,
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of the Ray cluster, like 10.0.0.1:6379.")
    ] = None,
) -> None:
    """Turn MIDI files with captions into a folder to train on."""
    from amt.cli import words
    from amt.data.prepare import SPLITS
    from amt.data.prepare import prepare as prepare_corpus
    from amt.midi.config import TokenizerConfig

    corpora: Any = corpus[0] if len(corpus) == 1 and weights is None else list(corpus)
    if weights is not None:
        corpora = dict(zip(corpus, _weights(weights, len(corpus)), strict=True))

    with contextlib.ExitStack() as stack:
        bars: dict[str, Any] = {}

        def show(what: str, more: int) -> None:
            if what not in bars:
                bars[what] = stack.enter_context(progress_bar(what))
            bars[what].update(more)

        summary = prepare_corpus(
            corpora,
            output,
            tokenizer_config=TokenizerConfig(preset.value, version, canonical_key),
            sources=None if sources is None else tuple(source.strip() for source in sources.split(",")),
            max_len=max_len,
            embed=embed,
            jobs=jobs,
            ray=ray_address or ray,
            progress=show,
        )
    for failure in summary["failures"]:
        warn(f"left out {failure['file']}: {failure['reason']}")
    for split in SPLITS:
        counts = [words.count(summary[split][f"{noun}s"], noun) for noun in ("piece", "segment", "token")]
        print(f"{output}: {split}: {', '.join(counts)}")
    if summary["failures"]:
        print(f"{output}: left out: {words.count(len(summary['failures']), 'file')}")


def _weights(text: str, count: int) -> list[float]:
    """One number for each corpus."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(0 < number < float("inf") for number in numbers):
        raise UsageError(f'--weights has a number above 0 for each of {count} corpora, like "1,2"; got {text!r}')
    return numbers
