"""`amt train`: a model from a prepared folder."""

from __future__ import annotations

import enum
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amt.cli import files
from amt.cli.errors import UsageError, checking_options
from amt.cli.progress import progress_bar

if TYPE_CHECKING:
    from amt.nn.config import ModelConfig
    from amt.training.config import TrainConfig


class Parallel(enum.Enum):
    ddp = "ddp"
    fsdp = "fsdp"


MANY_STEPS = 10**9  # where the time ends a run
SCHEDULE = "Training (defaults: those of the run, else of amt.TrainConfig)"


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder made by amt prepare.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="RUN", help="The run's folder; the model will be RUN/checkpoint.")
    ],
    config: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON with fields of amt.TrainConfig; options go before it.")
    ] = None,
    model_config: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON with fields of amt.ModelConfig, for a new run.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; default: one a core.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all.", rich_help_panel=SCHEDULE)] = None,
    max_time: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Train so long in all; the learning rate falls in time.", rich_help_panel=SCHEDULE
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Segments a step.", rich_help_panel=SCHEDULE)] = None,
    max_len: Annotated[int | None, typer.Option(help="Tokens of a segment, at most.", rich_help_panel=SCHEDULE)] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its highest.", rich_help_panel=SCHEDULE)] = None,
    warmup_steps: Annotated[int | None, typer.Option(help="Steps in which it rises.", rich_help_panel=SCHEDULE)] = None,
    decay_steps: Annotated[
        int | None, typer.Option(help="Last steps, in which it falls.", rich_help_panel=SCHEDULE)
    ] = None,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between two saves to go on from.", rich_help_panel=SCHEDULE)
    ] = None,
    eval_every: Annotated[
        int | None, typer.Option(help="Steps between two looks at the validation loss.", rich_help_panel=SCHEDULE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, batches, dropout.", rich_help_panel=SCHEDULE)] = None,
    init: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A new run begins with the weights of this model.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: a GPU if there is one.")] = None,
    compile_model: Annotated[
        bool, typer.Option("--compile", help="Let torch.compile make kernels of the model; for GPUs.")
    ] = False,
    parallel: Annotated[
        Parallel, typer.Option(help="Under torchrun: every process has all weights (ddp), or a part (fsdp).")
    ] = Parallel.ddp,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Also write events for TensorBoard.")] = False,
) -> None:
    """Train a model. After a stop the same command goes on from the last save.

    Several processes train one model: torchrun --nproc-per-node 2 -m amt train DATA -o RUN
    """
    options = {
        "max_steps": steps,
        "max_time": max_time,
        "batch_size": batch_size,
        "max_len": max_len,
        "learning_rate": learning_rate,
        "warmup_steps": warmup_steps,
        "decay_steps": decay_steps,
        "save_every": save_every,
        "eval_every": eval_every,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    given |= {"compile": True} if compile_model else {}
    training = _training(Path(output), config, given)
    architecture = None if model_config is None else _architecture(Path(data), model_config)

    import torch

    from amt.models.opened import packaged_models
    from amt.training.train import train as train_model

    if threads is not None:
        torch.set_num_threads(threads)
    with progress_bar("steps", total=None if training.max_time else training.max_steps) as bar:

        def show(row: dict[str, Any]) -> None:
            if not bar.n:  # a run that goes on does not begin at 0
                bar.initial = bar.n = bar.last_print_n = row["step"] - 1
            bar.set_postfix_str(f"loss {row['loss']:.3f}, {row['tokens_per_s']:,} tokens/s", refresh=False)
            bar.update(row["step"] - bar.n)
            if "valid_loss" in row:
                line = f"step {row['step']}: loss {row['loss']:.3f}, validation loss {row['valid_loss']:.3f}"
                bar.write(line, file=sys.stderr)

        checkpoint = train_model(
            data,
            output,
            model_config=architecture,
            config=training,
            init=None if init is None else packaged_models().get(init, Path(init)),
            device=device,
            parallel=parallel.value,
            tensorboard=tensorboard,
            progress=show,
        )
    if os.environ.get("RANK", "0") == "0":
        print(f'{checkpoint}: a model; hear it with: amt generate "a waltz for piano" --model {checkpoint}')


def _training(run: Path, config: str | None, given: dict[str, Any]) -> TrainConfig:
    """The run's own settings, over them the file's, over them the options'."""
    from amt.training.config import TrainConfig

    known = run / "train.json"
    values = TrainConfig.load(known).to_dict() if known.is_file() else TrainConfig().to_dict()
    chosen = given if config is None else _json(config) | given
    if chosen.get("max_time") and "max_steps" not in chosen:
        chosen = chosen | {"max_steps": MANY_STEPS}
    for name in ("warmup_steps", "decay_steps"):  # a short try is not all rise and fall
        if name not in chosen and isinstance(chosen.get("max_steps"), int):
            values[name] = min(values[name], chosen["max_steps"] // 4)
    with checking_options():
        return TrainConfig.from_dict(values | chosen)


def _architecture(data: Path, model_config: str) -> ModelConfig:
    """The file's settings; the sizes that the data and the text encoder decide need not be in it."""
    from amt.midi.tokenizer import EventTokenizer
    from amt.nn.config import ModelConfig
    from amt.text.encoder import TextEncoderSpec

    values = _json(model_config)
    decided = {"text_embedding_dim": TextEncoderSpec().dim}
    if (data / "tokenizer.json").is_file():
        decided["vocab_size"] = EventTokenizer.from_pretrained(data).vocab_size
    with checking_options():
        return ModelConfig.from_dict(decided | values)


def _json(name: str) -> dict[str, Any]:
    try:
        values = json.loads(files.read_text(name))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{files.shown(name)} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f'{name} must hold a JSON object, like {{"max_steps": 1000}}')
    return values
