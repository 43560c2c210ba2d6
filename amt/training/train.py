"""The training loop: text -> MIDI with teacher forcing, resumable at any moment."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amt.checkpoint import save_checkpoint
from amt.config import GenerationConfig, ModelConfig, TrainConfig
from amt.data.dataset import Batch, PreparedSplit
from amt.midi.vocabulary import Vocabulary
from amt.models import build_model
from amt.text import EmbeddingCache, TextEncoder, TextEncoderSpec, pad_embeddings
from amt.training.losses import token_loss
from amt.training.optimizers import make_optimizers, set_learning_rate
from amt.training.state import load_state, save_state


class TextSource:
    """Embeddings of captions: from the prepared folder where they are there, else encoded as they come."""

    def __init__(self, data: Path, spec: TextEncoderSpec):
        self._encoder = TextEncoder(spec)
        self._cache = (
            EmbeddingCache(data / "embeddings", encoder=self._encoder) if (data / "embeddings").is_dir() else None
        )

    def __call__(self, captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings (batch, text_len, dim) float32 and their mask (batch, text_len)."""
        if self._cache is not None and all(caption in self._cache for caption in captions):
            return pad_embeddings(self._cache.get_many(captions))
        return pad_embeddings([row.half() for row in self._encoder.encode_batch(captions)])


def batch_loss(model: torch.nn.Module, batch: Batch, text: TextSource, precision: str = "float32") -> torch.Tensor:
    """Mean cross-entropy in nats of each next token, padding left out.

    With precision "bfloat16" matrix products and attention run in it; weights, norms and the loss stay float32.
    """
    token_ids = torch.from_numpy(batch.token_ids)
    embeddings, mask = text(batch.captions)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits = model(embeddings, token_ids[:, :-1], text_mask=mask)
    return token_loss(logits, token_ids[:, 1:])


@torch.no_grad()
def evaluate_loss(model: torch.nn.Module, split: PreparedSplit, text: TextSource, config: TrainConfig) -> float:
    """Mean cross-entropy over fixed batches of a split."""
    model.eval()
    total, count = 0.0, 0
    for step in range(config.eval_batches):
        batch = split.batch(0, step, config.batch_size, config.max_len)
        num_tokens = int((batch.token_ids[:, 1:] != 0).sum())
        total += float(batch_loss(model, batch, text, config.precision)) * num_tokens
        count += num_tokens
    model.train()
    return total / count


def train(
    data: str | os.PathLike[str],
    run: str | os.PathLike[str],
    *,
    model_config: ModelConfig | None = None,
    config: TrainConfig | None = None,
    text_spec: TextEncoderSpec | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
) -> Path:
    """Train a model on a prepared folder, from the start or from where the run stopped.

    Args:
        data: a folder made by `amt.data.prepare.prepare`.
        run: the run's folder: `metrics.jsonl`, the states to resume from and, at the end, `checkpoint`.
        model_config: default: that of the run; for a new run the default model.
        config: likewise.
        progress: called with each row of metrics.

    Returns:
        the folder of the trained model.

    Raises:
        FileNotFoundError: `data` is not a prepared folder. ValueError: the run was begun with another model.
        FloatingPointError: the loss became NaN or infinite.
    """
    data, run = Path(data), Path(run)
    spec = text_spec or TextEncoderSpec()
    train_split, valid_split = PreparedSplit(data, "train"), _valid_split(data)
    vocab_size = len(Vocabulary(train_split.tokenizer_config))
    default = ModelConfig(vocab_size=vocab_size, text_embedding_dim=spec.dim)
    model_config, config = _settings(run, model_config, config, default)
    for name in ("vocab_size", "text_embedding_dim"):
        wanted, given = getattr(default, name), getattr(model_config, name)
        if given != wanted:
            raise ValueError(
                f"{name} must be {wanted} for {data}, got {given}; use another run's folder or ModelConfig"
            )
    torch.manual_seed(config.seed)
    model = build_model(model_config)
    optimizers = make_optimizers(model, config)
    text = TextSource(data, spec)
    state = load_state(run, model, optimizers) or {"step": 0, "tokens": 0}
    num_tokens = int(state["tokens"])
    model.train()
    with open(run / "metrics.jsonl", "a", encoding="utf-8") as metrics:

        def log(row: dict[str, Any]) -> None:
            metrics.write(json.dumps(row) + "\n")
            metrics.flush()
            if progress is not None:
                progress(row)

        began, began_tokens = time.perf_counter(), num_tokens
        for step in range(int(state["step"]), config.max_steps):
            set_learning_rate(optimizers, config.learning_rate_at(step))
            torch.manual_seed(config.seed * 1_000_003 + step)  # dropout, too, depends on (seed, step) alone
            batch = train_split.batch(config.seed, step, config.batch_size, config.max_len)
            loss = batch_loss(model, batch, text, config.precision)
            if not math.isfinite(loss.item()):
                raise FloatingPointError(f"the loss is {loss.item()} at step {step}; resume with a lower learning_rate")
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
            for optimizer in optimizers:
                optimizer.step()
            num_tokens += int((batch.token_ids[:, 1:] != 0).sum())
            done = step + 1
            row: dict[str, Any] = {
                "step": done,
                "loss": round(loss.item(), 5),
                "grad_norm": round(float(norm), 4),
                "learning_rate": config.learning_rate_at(step),
                "tokens": num_tokens,
                "tokens_per_s": round((num_tokens - began_tokens) / (time.perf_counter() - began)),
            }
            if valid_split is not None and (done % config.eval_every == 0 or done == config.max_steps):
                row["valid_loss"] = round(evaluate_loss(model, valid_split, text, config), 5)
            log(row)
            if done % config.save_every == 0 or done == config.max_steps:
                save_state(run, done, model, optimizers, {"tokens": num_tokens})
    checkpoint = run / "checkpoint"
    save_checkpoint(checkpoint, model, train_split.tokenizer_config, spec, GenerationConfig())
    return checkpoint


def _valid_split(data: Path) -> PreparedSplit | None:
    """The validation split; None if the corpus has none."""
    num_segments = len(np.load(data / "valid" / "segments.npy", allow_pickle=False))
    return PreparedSplit(data, "valid") if num_segments else None


def _settings(
    run: Path, model_config: ModelConfig | None, config: TrainConfig | None, default: ModelConfig
) -> tuple[ModelConfig, TrainConfig]:
    """The run's settings, written at its beginning; the training settings may change when it is resumed."""
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
    model_config.save(model_path)
    config.save(train_path)
    return model_config, config
