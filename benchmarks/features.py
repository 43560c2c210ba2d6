"""What a small model learns in equal CPU time, with and without options of its input: nats a note on `valid`.

    python benchmarks/features.py DATA [--seconds 120] [--seeds 0 1] [--variants plain features ...]

DATA is a folder of `amt prepare`. One thread; each run stops after so many seconds of CPU time of its training steps,
the learning rate falls over the last two fifths of them. The loss is over the whole of what is said: all tokens of the
rows, divided by their notes. Prints a row of a table for each variant.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from amt.data.dataset import Batch, PreparedSplit
from amt.midi.features import FeatureLayout
from amt.midi.vocabulary import NUM_PITCHES, vocabulary_of
from amt.models import MusicTransformer, build_model
from amt.nn.config import ModelConfig
from amt.training.config import TrainConfig
from amt.training.losses import token_losses
from amt.training.objective import Objective, Rows
from amt.training.optimizers import make_optimizers, set_learning_rate

SIZES = {
    "d_model": 128, "nhead": 4, "num_encoder_layers": 1, "num_decoder_layers": 3, "dim_feedforward": 512,
    "dropout": 0.0, "max_sequence_length": 512, "norm_first": True, "activation": "swiglu", "positions": "rotary",
    "tie_output": True, "text_embedding_dim": 384,
}  # fmt: skip
ALL = FeatureLayout.NAMES
VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "features": {"state_features": ALL},
    "features+time": {"state_features": ALL, "rotary_time": True},
    "features+time+qk_norm": {"state_features": ALL, "rotary_time": True, "qk_norm": True},
    "features+time+zero": {"state_features": ALL, "rotary_time": True, "zero_outputs": True},
    "features+time+both": {"state_features": ALL, "rotary_time": True, "qk_norm": True, "zero_outputs": True},
    "metre": {"state_features": ("step_in_beat", "beat_in_bar", "metre", "bar")},
    "sounding": {"state_features": ("program", "own_pitches", "own_ages", "pitches")},
    "programs": {"state_features": ("program", "program_notes", "program_ages", "programs_heard")},
}
CONFIG = TrainConfig(
    batch_size=8, max_len=513, learning_rate=4e-3, optimizer="muon", precision="bfloat16", warmup_steps=0, decay_steps=0
)
WARMUP_STEPS, NUM_VALID = 10, 6


def no_text(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """The same empty text for all: what is compared is what the notes tell of each other."""
    return torch.zeros(len(captions), 1, 384), torch.ones(len(captions), 1, dtype=torch.bool)


def rows_of(batch: Batch, model: MusicTransformer) -> Rows:
    """A whole batch."""
    return Rows.of(batch, np.arange(len(batch.token_ids)), no_text, torch.device("cpu"), model.feature_layout)


@torch.no_grad()
def nats_per_note(model: MusicTransformer, valid: PreparedSplit) -> float:
    """Over fixed batches; how many bars are left is not told."""
    nats = notes = 0.0
    model.eval()
    for step in range(NUM_VALID):
        batch = valid.batch(0, step, CONFIG.batch_size, CONFIG.max_len, layout=model.feature_layout)
        rows = rows_of(batch, model)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(rows.text_embeddings, rows.token_ids[:, :-1], rows.text_mask, features=rows.features)
        nats += float(token_losses(logits, rows.token_ids[:, 1:]).sum())
        is_note = (rows.token_ids[:, 1:] >= 3) & (rows.token_ids[:, 1:] < 3 + NUM_PITCHES)
        notes += int(is_note.sum())
    return nats / notes


def train(data: Path, options: dict[str, object], seed: int, seconds: float) -> tuple[float, int, float]:
    """Nats a note after so much CPU time, the tokens trained on, and tokens a second."""
    split, valid = PreparedSplit(data, "train"), PreparedSplit(data, "valid")
    torch.manual_seed(seed)
    sizes = {"vocab_size": len(vocabulary_of(split.tokenizer_config)), **SIZES, **options}
    model = build_model(ModelConfig(**sizes), split.tokenizer_config).train()  # type: ignore[arg-type]
    objective, optimizers = Objective(model, CONFIG, split.tokenizer_config), make_optimizers(model, CONFIG)
    spent, step, tokens = 0.0, 0, 0
    while spent < seconds:
        began = time.process_time()
        fall = min(1.0, (1 - spent / seconds) / 0.4)
        set_learning_rate(optimizers, CONFIG.learning_rate * min(1.0, (step + 1) / WARMUP_STEPS) * fall)
        layout = model.feature_layout
        batch = split.batch(seed, step, CONFIG.batch_size, CONFIG.max_len, layout=layout, bars_dropout=0.5)
        loss, _ = objective(rows_of(batch, model), batch.num_tokens, 0)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        spent += time.process_time() - began
        tokens, step = tokens + batch.num_tokens, step + 1
    return nats_per_note(model, valid), tokens, tokens / spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| variant | nats a note | each seed | tokens seen | tokens/s |\n|---|---|---|---|---|", flush=True)
    for name in given.variants:
        runs = [train(given.data, VARIANTS[name], seed, given.seconds) for seed in given.seeds]
        nats = [run[0] for run in runs]
        tokens, speed = (statistics.mean(run[i] for run in runs) for i in (1, 2))
        each = ", ".join(f"{value:.3f}" for value in nats)
        print(f"| {name} | {statistics.mean(nats):.3f} | {each} | {tokens:,.0f} | {speed:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
