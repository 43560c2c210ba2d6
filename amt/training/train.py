"""The training loop: teacher forcing in both directions, resumable at any moment."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amt.data.augment import Augmentation
from amt.data.dataset import Batch, PreparedSplit
from amt.data.note_lengths import longest_notes_of
from amt.files import alone_in, explaining_errors
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.midi.vocabulary import Vocabulary
from amt.models import MusicTextTransformer, build_model
from amt.models.checkpoint import load_checkpoint, save_checkpoint
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.cache import EmbeddingCache
from amt.text.encoder import TextEncoder, TextEncoderSpec
from amt.text.pooling import pad_embeddings
from amt.training.ahead import NUM_AHEAD, Ahead
from amt.training.config import TrainConfig
from amt.training.metrics import Metrics
from amt.training.objective import Objective, Rows
from amt.training.optimizers import make_average, make_optimizers, set_learning_rate
from amt.training.ranks import Parallel, Ranks, whole
from amt.training.state import keep_newest_state, load_state, save_state

LOG_EVERY = 20  # steps between two looks at what a GPU has computed: each waits for it
BUCKET = 64  # on a GPU, numbers of columns are rounded up to a multiple of it
ENCODER_BATCH = 256  # captions
MAX_KEPT = 8192  # captions whose embeddings stay in memory; 50 KB each


class TextSource:
    """Embeddings of captions: from the prepared folder where they are there, else encoded as they come."""

    def __init__(self, data: Path, spec: TextEncoderSpec):
        self._encoder = TextEncoder(spec)
        self._cache = (
            EmbeddingCache(data / "embeddings", encoder=self._encoder) if (data / "embeddings").is_dir() else None
        )

        self._kept: dict[str, torch.Tensor] | None = None
        self._lock = threading.Lock()

    def on(self, device: torch.device) -> TextSource:
        """Encode on a GPU, many captions at once, and keep what was encoded."""
        self._encoder.to(device)
        self._kept = {}
        return self

    def keep(self, captions: Iterable[str]) -> dict[str, torch.Tensor]:
        """Encode those captions that are not known yet, all together; returns those that the folder does not have."""
        assert self._kept is not None, "see `on`"
        with self._lock:  # the thread that makes batches asks, and validation
            wanted = [each for each in dict.fromkeys(captions) if not self._is_cached(each)]
            new = [each for each in wanted if each not in self._kept]
            if new:
                rows = self._encoder.encode_batch(new, ENCODER_BATCH)
                self._kept.update(zip(new, (row.half() for row in rows), strict=True))
            found = {each: self._kept[each] for each in wanted}
            while len(self._kept) > MAX_KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    def _is_cached(self, caption: str) -> bool:
        return self._cache is not None and caption in self._cache

    def __call__(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (batch, text_len, dim) float32 and their mask (batch, text_len)."""
        if self._cache is not None and all(caption in self._cache for caption in captions):
            return pad_embeddings(self._cache.get_many(captions))
        if self._kept is None:
            return pad_embeddings([row.half() for row in self._encoder.encode_batch(captions)])
        known = self.keep(captions)
        rows: list[Any] = []
        for caption in captions:
            if self._cache is not None and caption in self._cache:
                rows += self._cache.get_many([caption])
            else:
                rows.append(known[caption])
        return pad_embeddings(rows)


@dataclasses.dataclass(frozen=True)
class Step:
    """What a step computes: the parts of its batch that are this process's, and the sizes of the whole batch."""

    parts: list[Rows]
    num_tokens: int
    num_captions: int


@dataclasses.dataclass
class _Pending:
    """A step that the device may not have computed yet."""

    row: dict[str, Any]
    num_tokens: int
    num_captions: int
    sums: torch.Tensor
    norm: torch.Tensor


@torch.no_grad()
def evaluate_loss(
    objective: Objective, split: PreparedSplit, text: TextSource, config: TrainConfig, device: torch.device
) -> dict[str, float]:
    """Mean cross-entropy a token over fixed batches of a split; for both directions the squared error, too."""
    objective.eval()
    sums, num_tokens, num_captions = torch.zeros(2, dtype=torch.float32, device="cpu"), 0, 0
    for step in range(config.eval_batches):
        batch = split.batch(
            0,
            step,
            config.batch_size,
            config.max_len,
            layout=objective.model.feature_layout,
            attributes=objective.model.config.attributes,
        )
        captions = int(batch.has_caption.sum())
        for part in np.array_split(np.arange(config.batch_size), config.accumulation_steps):
            rows = Rows.of(
                batch, part, text, device, objective.model.feature_layout, _bucket(device), config.max_len - 1
            )
            sums += objective(rows, batch.num_tokens, captions)[1].cpu()
        num_tokens += batch.num_tokens
        num_captions += captions
    objective.train()
    result = {"valid_loss": round(float(sums[0]) / num_tokens, 5)}
    if isinstance(objective.model, MusicTextTransformer):
        result["valid_text_mse"] = round(float(sums[1]) / max(1, num_captions), 7)
    return result


def train(
    data: str | os.PathLike[str],
    run: str | os.PathLike[str],
    *,
    model_config: ModelConfig | None = None,
    config: TrainConfig | None = None,
    text_spec: TextEncoderSpec | None = None,
    init: str | os.PathLike[str] | None = None,
    device: str | None = None,
    parallel: Parallel = "ddp",
    tensorboard: bool = False,
    progress: Callable[[dict[str, Any]], object] | None = None,
) -> Path:
    """Train a model on a prepared folder, from the start or from where the run stopped.

    Under `torchrun` the processes train one model together: each computes its rows of every batch, and the steps are
    those of one process.

    Args:
        data: a folder made by `amt.data.prepare.prepare`.
        run: the run's folder: `metrics.jsonl`, the states to resume from and, at the end, `checkpoint`.
        model_config: default: that of the run; for a new run the default model.
        config: likewise.
        init: a model's folder; a new run begins with its weights as far as the model has them.
        device: "cpu", "cuda" or "cuda:N"; default: a GPU if there is one.
        parallel: among several processes, "ddp" (each has all weights) or "fsdp" (each has a part; FSDP2).
        tensorboard: also write events for TensorBoard to `run` (the extra "train").
        progress: called with each row of metrics.

    Returns:
        the folder of the trained model.

    Raises:
        FileNotFoundError: `data` is not a prepared folder. ValueError: the run was begun with another model, or the
            model does not fit the data. FloatingPointError: the loss became NaN or infinite.
        DiskFullError: there is no room in `run` for what comes next; the states that it has stay.
        BlockingIOError: another process is training there.
    """
    ranks = Ranks.join(device)
    with alone_in(Path(run)) if ranks.is_first else contextlib.nullcontext():
        return _train(
            Path(data), Path(run), ranks, model_config, config, text_spec, init, parallel, tensorboard, progress
        )


def _train(
    data: Path,
    run: Path,
    ranks: Ranks,
    model_config: ModelConfig | None,
    config: TrainConfig | None,
    text_spec: TextEncoderSpec | None,
    init: str | os.PathLike[str] | None,
    parallel: Parallel,
    tensorboard: bool,
    progress: Callable[[dict[str, Any]], object] | None,
) -> Path:
    spec = text_spec or TextEncoderSpec()
    train_split, valid_split = PreparedSplit(data, "train"), _valid_split(data)
    vocab_size = len(Vocabulary(train_split.tokenizer_config))
    default = ModelConfig(vocab_size=vocab_size, text_embedding_dim=spec.dim)
    model_config, config = _settings(run, model_config, config, default, ranks)
    for name in ("vocab_size", "text_embedding_dim"):
        wanted, given = getattr(default, name), getattr(model_config, name)
        if given != wanted:
            raise ValueError(
                f"{name} must be {wanted} for {data}, got {given}; use another run's folder or ModelConfig"
            )
    if config.edit_share and not train_split.tokenizer_config.has_plans_and_edits:
        raise ValueError(f"edit_share needs tokens for edits; prepare {data} with version 2 of the tokenizer")
    if config.batch_size < config.accumulation_steps * ranks.world_size:
        raise ValueError(
            f"batch_size {config.batch_size} is too small for {config.accumulation_steps} accumulation_steps in"
            f" {ranks.world_size} processes; raise it to their product or more"
        )
    torch.manual_seed(config.seed)
    model = build_model(model_config, train_split.tokenizer_config)
    if init is not None:
        _load_common_weights(model, model_config, Path(init), train_split.tokenizer_config, spec)
    objective = Objective(model, config, train_split.tokenizer_config).to(ranks.device)
    is_sharded = parallel == "fsdp" and ranks.world_size > 1
    if is_sharded and config.ema_decay:
        raise ValueError("ema_decay needs parallel='ddp'; leave one of them out")
    if is_sharded and config.optimizer == "muon":
        raise ValueError("muon needs whole matrices: parallel='ddp'; or take adamw")
    if is_sharded:
        ranks.shard(objective)
    optimizers = make_optimizers(model, config)
    average = make_average(model, config.ema_decay) if config.ema_decay else None
    state = load_state(run, model, optimizers, average) or {"step": 0, "tokens": 0}
    if config.compile:
        model.compile()
    call = objective if is_sharded else ranks.replicate(objective)
    text = TextSource(data, spec)
    is_on_gpu = ranks.device.type == "cuda"
    if is_on_gpu:
        text.on(ranks.device).keep(_captions(train_split))
    num_tokens = int(state["tokens"])
    objective.train()
    augmentation = Augmentation(config.transpose, config.tempo_change, config.velocity_change, config.caption_dropout)
    side = torch.cuda.Stream(ranks.device) if is_on_gpu else None  # type: ignore[no-untyped-call]

    def make(step: int) -> Step:
        with torch.cuda.stream(side):
            batch = train_split.batch(
                config.seed,
                step,
                config.batch_size,
                config.max_len,
                augmentation,
                layout=model.feature_layout,
                bars_dropout=config.bars_dropout,
                plan_dropout=config.plan_dropout,
                edit_share=config.edit_share,
                attributes=model.config.attributes,
                attribute_dropout=config.attribute_dropout,
                no_attributes=config.no_attributes,
            )
            return _step_of(batch, text, config, ranks, model.feature_layout)

    first, end = int(state["step"]), config.max_steps
    seconds = seconds_before = float(state.get("seconds", 0.0))
    if 0 < config.max_time <= seconds:
        end = first
    log_every = LOG_EVERY if is_on_gpu else 1
    pending: list[_Pending] = []
    with (
        fast_products(ranks.device),
        Metrics(run if ranks.is_first else None, tensorboard, progress) as metrics,
        Ahead(make, first, end, NUM_AHEAD if is_on_gpu else 0) as steps,
    ):
        began, began_tokens = time.perf_counter(), num_tokens
        for done, step in enumerate(steps, first + 1):
            learning_rate = config.learning_rate_at(done - 1, seconds)
            set_learning_rate(optimizers, learning_rate)
            # Dropout, too, depends on (seed, step) and the process alone.
            torch.manual_seed(((config.seed * 1_000_003 + done - 1) * ranks.world_size + ranks.rank) % (1 << 64))
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            sums = _backward(call, step, ranks)
            if not is_on_gpu:  # there it is seen when the row is written, before anything is saved
                _check_loss(float(sums[0]) / step.num_tokens, done - 1)
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            for optimizer in optimizers:
                optimizer.step()
            if average is not None:
                average.update_parameters(model)
            num_tokens += step.num_tokens
            seconds = seconds_before + ranks.of_first(time.perf_counter() - began)
            is_last = done == config.max_steps or 0 < config.max_time <= seconds
            row = {"step": done, "learning_rate": learning_rate, "tokens": num_tokens}
            pending.append(_Pending(row, step.num_tokens, step.num_captions, sums, norm))
            looks = valid_split is not None and (done % config.eval_every == 0 or is_last)
            saves = done % config.save_every == 0 or is_last
            if not (done % log_every == 0 or looks or saves):
                continue
            tokens_per_s = round((num_tokens - began_tokens) / (time.perf_counter() - began))
            for finished in _rows_of(pending):
                finished["tokens_per_s"] = tokens_per_s
                if not isinstance(model, MusicTextTransformer):
                    del finished["text_mse"]
                if valid_split is not None and looks and finished["step"] == done:
                    finished |= evaluate_loss(objective, valid_split, text, config, ranks.device)
                metrics.write(finished)
            pending.clear()
            if saves:
                known = {"tokens": num_tokens, "seconds": round(seconds, 3)}
                save_state(run, done, model, optimizers, average, known, is_writer=ranks.is_first)
            if is_last:
                break
    checkpoint = run / "checkpoint"
    model_config = dataclasses.replace(
        model_config,
        edits=model_config.edits or config.edit_share > 0,
        longest_notes=model_config.longest_notes or (longest_notes_of(data) if ranks.is_first else ()),
    )
    trained = build_model(model_config, train_split.tokenizer_config)
    source = model if average is None else average.module
    trained.load_state_dict({name: whole(value) for name, value in source.state_dict().items()})
    if ranks.is_first:
        save_checkpoint(checkpoint, trained, train_split.tokenizer_config, spec, GenerationConfig())
    ranks.wait()
    return checkpoint


def _captions(split: PreparedSplit) -> Iterator[str]:
    """The captions of a split, as far as they can be kept."""
    return itertools.islice((caption for piece in split.pieces for caption in piece["captions"]), MAX_KEPT)


def _bucket(device: torch.device) -> int:
    """Numbers of columns are rounded up to multiples of it, so that a GPU sees few shapes."""
    return BUCKET if device.type == "cuda" else 1


def _step_of(batch: Batch, text: TextSource, config: TrainConfig, ranks: Ranks, layout: FeatureLayout | None) -> Step:
    """The batch, cut into parts that are computed one after the other; each process takes every world_size-th row."""
    is_on_gpu = ranks.device.type == "cuda"
    parts = []
    for part in np.array_split(np.arange(config.batch_size), config.accumulation_steps):
        own = part[ranks.rank :: ranks.world_size]
        rows = Rows.of(batch, own, text, torch.device("cpu"), layout, _bucket(ranks.device), config.max_len - 1)
        parts.append(rows.pinned() if is_on_gpu else rows)
    return Step(parts, batch.num_tokens, int(batch.has_caption.sum()))


def _backward(objective: torch.nn.Module, step: Step, ranks: Ranks) -> torch.Tensor:
    """Gradients of a step's loss; returns the sums of `Objective` over the whole batch, on the device.

    Gradients are averaged over processes, so each multiplies its loss by their number.
    """
    sums = torch.zeros(2, device=ranks.device, dtype=torch.float32)
    for place, rows in enumerate(step.parts):
        is_last = place == len(step.parts) - 1
        wait = not is_last and isinstance(objective, torch.nn.parallel.DistributedDataParallel)
        with objective.no_sync() if wait else contextlib.nullcontext():  # type: ignore[operator]
            loss, part_sums = objective(rows.to(ranks.device), step.num_tokens, step.num_captions)
            (loss * ranks.world_size).backward()
        sums += part_sums
    return ranks.sum(sums)


def _rows_of(pending: list[_Pending]) -> Iterator[dict[str, Any]]:
    """The rows of metrics of some steps, as far as the loss is a number; waits for the device."""
    all_sums = torch.stack([each.sums for each in pending]).cpu()
    for each, sums in zip(pending, all_sums, strict=True):
        loss = float(sums[0]) / each.num_tokens
        _check_loss(loss, each.row["step"] - 1)
        yield {
            "step": each.row["step"],
            "loss": round(loss, 5),
            "grad_norm": round(float(whole(each.norm)), 4),
            **each.row,
            "text_mse": round(float(sums[1]) / max(1, each.num_captions), 7),
        }


def _check_loss(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss} at step {step}; resume with a lower learning_rate")


@contextlib.contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """On a GPU, products of float32 in TF32, as long as it lasts."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _load_common_weights(
    model: torch.nn.Module,
    model_config: ModelConfig,
    folder: Path,
    tokenizer_config: TokenizerConfig,
    spec: TextEncoderSpec,
) -> None:
    """Begin with the weights of a trained model; stacks that it has not keep their fresh ones.

    State features may follow behind its own: their vectors begin at zero, so that at first nothing changes.
    """
    checkpoint = load_checkpoint(folder)
    for name, theirs, ours in (
        ("tokenizer", checkpoint.tokenizer_config, tokenizer_config),
        ("text encoder", checkpoint.text_spec, spec),
    ):
        if theirs != ours:
            raise ValueError(f"{folder} was trained with another {name} than the data; begin with another model")
    own = model.state_dict()
    common = {name: value for name, value in checkpoint.model.state_dict().items() if name in own}
    known, features = checkpoint.model.config.state_features, model_config.state_features
    if known and features[: len(known)] == known:
        table = "state_features.weight"
        fresh = torch.zeros_like(own[table][len(common[table]) :], device="cpu")
        common[table] = torch.cat((common[table], fresh))
    for name, value in common.items():
        if value.shape != own[name].shape:
            raise ValueError(
                f"{folder}: {name} has shape {tuple(value.shape)}, the model's has {tuple(own[name].shape)};"
                " begin with a model of the same size"
            )
    model.load_state_dict(common, strict=False)


def _valid_split(data: Path) -> PreparedSplit | None:
    """The validation split; None if the corpus has none."""
    num_segments = len(np.load(data / "valid" / "segments.npy", allow_pickle=False))
    return PreparedSplit(data, "valid") if num_segments else None


def _settings(
    run: Path, model_config: ModelConfig | None, config: TrainConfig | None, default: ModelConfig, ranks: Ranks
) -> tuple[ModelConfig, TrainConfig]:
    """The run's settings, written at its beginning; the training settings may change when it is resumed."""
    with explaining_errors(run):
        run.mkdir(parents=True, exist_ok=True)
    model_path, train_path = run / "config.json", run / "train.json"
    if model_path.exists():
        known = ModelConfig.load(model_path)
        if model_config is not None and model_config != known:
            raise ValueError(f"{run} was begun with another model ({model_path}); choose another folder for this one")
        model_config = known
    model_config = model_config or default
    if config is None:
        config = TrainConfig.load(train_path) if train_path.exists() else TrainConfig()
    if config.max_len > model_config.max_sequence_length + 1:
        raise ValueError(
            f"max_len {config.max_len} is longer than the model's max_sequence_length + 1 "
            f"({model_config.max_sequence_length + 1}); lower max_len"
        )
    ranks.wait()  # all have read them
    if ranks.is_first:
        keep_newest_state(run)
        if not model_path.exists():
            model_config.save(model_path)
        if not _is_in(train_path, config):
            config.save(train_path)
    ranks.wait()
    return model_config, config


def _is_in(path: Path, config: TrainConfig) -> bool:
    try:
        return path.exists() and TrainConfig.load(path) == config
    except ValueError:  # damaged
        return False
