"""`amt eval`: how good a model is, or MIDI files with captions are."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amt.cli.errors import UsageError, checking_options
from amt.cli.progress import progress_bar
from amt.request.options import GenerationConfig

if TYPE_CHECKING:
    from amt.evaluation.rows import Row

PARTS = ("following", "music", "copying", "loss", "retrieval", "prompts", "asked", "edits")


def evaluate(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="A folder with MIDI files and a table of captions. For the part prompts a table of prompts, or "
            '"prompts": that of the package. The part asked reads none: write "asked".',
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="Write a piece for each caption with this model. Without: judge the files.")
    ] = None,
    parts: Annotated[
        str, typer.Option(help=f"What to look at, with commas between: {', '.join(PARTS)}.")
    ] = "following",
    split: Annotated[str, typer.Option(help="Choose models on valid; test is for the last figure.")] = "valid",
    num: Annotated[int, typer.Option(min=1, help="Pieces, in about equal numbers of each source.")] = 200,
    sources: Annotated[str | None, typer.Option(help="Only pieces of these sources of the table.")] = None,
    caption: Annotated[int, typer.Option(min=0, help="Which of a piece's captions, counted from 0.")] = 0,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Of a written piece; usually 400, and for prompts as long as asked for.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Of sampling; default: the model's own.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Of sampling; default: the model's own.")] = None,
    guidance_scale: Annotated[
        float | None, typer.Option(help="How far to lead towards the caption; default: the model's own.")
    ] = None,
    no_repeat_ngram_size: Annotated[
        int | None, typer.Option(help="Tokens in a row that may not come twice; default: the model's own.")
    ] = None,
    num_beams: Annotated[int, typer.Option("--beams", min=1, help="More than 1: beam search, not sampling.")] = 1,
    rerank: Annotated[
        int | None, typer.Option(min=1, help="Write so many pieces and keep the one that fits best; usually 2; 1: off.")
    ] = None,
    rerank_by: Annotated[str, typer.Option(help="facts or model; see amt.generation.candidates.")] = "facts",
    seed: Annotated[int, typer.Option(help="Of the first piece.")] = 0,
    dtype: Annotated[str | None, typer.Option(help="Of the engine: float32, bfloat16 or int8.")] = None,
    files: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Of the part prompts: 000.mid, 001.mid, … are a table's pieces; with a model they are written there.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a row a metric.")] = False,
) -> None:
    """Measure a model, or MIDI files with captions: each metric with a 95 % interval over pieces.

    docs/evaluation.md defines the metrics.
    """
    wanted = [part.strip() for part in parts.split(",")]
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        raise UsageError(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    if model is None and {"loss", "retrieval", "edits"} & set(wanted):
        raise UsageError("loss, retrieval and edits need a --model")
    chosen = None if sources is None else tuple(source.strip() for source in sources.split(","))
    choice = {
        "temperature": temperature,
        "top_p": top_p,
        "guidance_scale": guidance_scale,
        "no_repeat_ngram_size": no_repeat_ngram_size,
    }
    given: dict[str, Any] = {name: value for name, value in choice.items() if value is not None}
    with checking_options():
        GenerationConfig.from_dict(given)
    if num_beams > 1:
        given["num_beams"] = num_beams
    given |= {"rerank_by": rerank_by} | ({} if rerank is None else {"rerank": rerank})
    if dtype is not None:
        given["dtype"] = dtype
    if "prompts" in wanted:
        if len(wanted) > 1:
            raise UsageError("the part prompts has a table of its own; evaluate the other parts in another call")
        if model is None and files is None:
            raise UsageError("prompts need a --model that writes, or --files with pieces to judge")
        written = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
        rows = _evaluate_prompts(corpus, model, num, files, seed, {**given, **written})
    elif "asked" in wanted:
        if len(wanted) > 1:
            raise UsageError("the part asked has tables of its own; evaluate the other parts in another call")
        rows = _evaluate_asked(model, seed, given)
    else:
        given["max_new_tokens"] = 400 if max_new_tokens is None else max_new_tokens
        rows = _evaluate(corpus, model, wanted, split, num, chosen, caption, seed, dtype, given)
    if as_json:
        print(json.dumps([dataclasses.asdict(found) for found in rows], indent=1))
        return
    for found in rows:
        print(f"{found.metric:26} {found.value:10.4f}   {found.low:10.4f} to {found.high:10.4f}   n = {found.n}")


def _evaluate(
    corpus: str,
    model: str | None,
    parts: list[str],
    split: str,
    num: int,
    sources: tuple[str, ...] | None,
    caption: int,
    seed: int,
    dtype: Any,
    options: dict[str, Any],
) -> list[Row]:
    from amt.data.corpus import read_corpus
    from amt.evaluation import evaluate as work
    from amt.evaluation.edits import evaluate_edits
    from amt.evaluation.loss import evaluate_loss
    from amt.evaluation.music import evaluate_music
    from amt.evaluation.retrieval import evaluate_retrieval
    from amt.models.opened import load

    everything = list(read_corpus(corpus, sources))
    pieces = work.draw(everything, split, num)
    if not pieces:
        raise UsageError(f"{corpus} has no piece of the split {split}")
    name = model or Path(corpus).name
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(progress_bar("pieces"))

        def show(what: str, more: int) -> None:
            bar.update(more)

        opened = None if model is None else load(model)
        examples = []
        if {"following", "music", "copying"} & set(parts):
            if opened is None:
                examples = work.read_pieces(pieces, caption)
            else:
                examples = work.write_pieces(opened, pieces, caption, seed, show, **options)
        if "following" in parts:
            rows += work.evaluate_examples(examples, split, name)
        if "music" in parts:
            real = examples if opened is None else work.read_pieces(pieces, caption)
            rows += evaluate_music(real, None if opened is None else examples, split, name)
        if "copying" in parts:
            training = [e.midi for e in work.read_pieces((p for p in everything if p.split == "train"), 0) if e.midi]
            rows += work.evaluate_copying(examples, training, split, name)
            if opened is not None:
                rows += work.evaluate_copying(work.read_pieces(pieces, caption), training, split, "real music")
        if opened is not None and "edits" in parts:
            of_edits = {key: value for key, value in options.items() if key != "max_new_tokens"}  # as many as it needs
            rows += evaluate_edits(opened, pieces, caption, split, name, seed, show, **of_edits)
        if opened is not None and "loss" in parts:
            rows += evaluate_loss(opened, pieces, caption, split, name, dtype, show)
        if opened is not None and "retrieval" in parts:
            rows += evaluate_retrieval(opened, pieces, caption, split, name, show)
    return rows


def _evaluate_asked(model: str | None, seed: int, options: dict[str, Any]) -> list[Row]:
    from amt.evaluation.asked import evaluate_arranged, evaluate_asked
    from amt.models.opened import load

    with progress_bar("pieces") as bar:

        def show(_: str, more: int) -> None:
            bar.update(more)

        if model is None:
            return evaluate_arranged(seed, progress=show)
        return evaluate_asked(load(model), model, seed, show, **options)


def _evaluate_prompts(
    table: str, model: str | None, num: int, folder: str | None, seed: int, options: dict[str, Any]
) -> list[Row]:
    from amt.evaluation import prompts as work
    from amt.midi.reader import read_midi
    from amt.models.opened import load

    prompts = work.read_prompts(table)[:num]
    names = [] if folder is None else [Path(folder) / f"{place:03d}.mid" for place in range(len(prompts))]
    with progress_bar("pieces") as bar:
        if model is None:
            pieces = [read_midi(name) for name in names]
        else:
            pieces = work.write_for_prompts(load(model), prompts, seed, lambda what, more: bar.update(more), **options)
            for name, piece in zip(names, pieces, strict=False):
                name.parent.mkdir(parents=True, exist_ok=True)
                piece.save(name)
    return work.evaluate_prompts(prompts, pieces, Path(table).stem, model or str(folder))
