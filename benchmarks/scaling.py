"""Which size of model to train: the loss of several after equal CPU time, each from scratch.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py DATA --seconds 100,300        DATA: made by `amt prepare`
    OMP_NUM_THREADS=1 python benchmarks/scaling.py DATA --widths 128 --ema-decay 0.99 --fall 0

Rows of at most 513 tokens, batch 16, Muon at 8e-3 that falls over the last 35 % of the time, bfloat16 products, seed 1.
Prints a JSON object for each model; `valid_loss` is over 12 fixed batches of `valid`. With --ema-decay also that of the
average of the weights.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from amt.data.dataset import PreparedSplit
from amt.midi.vocabulary import Vocabulary
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.text.encoder import TextEncoderSpec
from amt.training.config import TrainConfig
from amt.training.objective import Objective, Rows
from amt.training.optimizers import make_average, make_optimizers, set_learning_rate
from amt.training.train import TextSource, evaluate_loss

SIZES = ((128, 3, 2), (256, 4, 4), (384, 6, 6))  # width, layers of each stack, heads
CONFIG = TrainConfig(
    optimizer="muon", precision="bfloat16", batch_size=16, max_len=513, learning_rate=8e-3, eval_batches=12, seed=1
)
WARMUP_STEPS = 60
CPU = torch.device("cpu")


def train_for(
    seconds: float, size: tuple[int, int, int], data: Path, fall_share: float, ema_decay: float
) -> dict[str, object]:
    width, layers, heads = size
    split, text = PreparedSplit(data, "train"), TextSource(data, TextEncoderSpec())
    torch.manual_seed(CONFIG.seed)
    model = build_model(
        ModelConfig(
            vocab_size=len(Vocabulary(split.tokenizer_config)), d_model=width, nhead=heads, num_encoder_layers=layers,
            num_decoder_layers=layers, dim_feedforward=4 * width, dropout=0.0, text_embedding_dim=TextEncoderSpec().dim,
            norm_first=True, activation="swiglu", positions="rotary", tie_output=True,
        )
    )  # fmt: skip
    objective = Objective(model, CONFIG, split.tokenizer_config).train()
    optimizers = make_optimizers(model, CONFIG)
    average = make_average(model, ema_decay) if ema_decay else None
    began, steps, tokens = time.process_time(), 0, 0
    while (passed := time.process_time() - began) < seconds:
        fall = min(1.0, (1 - passed / seconds) / fall_share) if fall_share else 1.0
        set_learning_rate(optimizers, CONFIG.learning_rate * min(1.0, (steps + 1) / WARMUP_STEPS) * fall)
        batch = split.batch(CONFIG.seed, steps, CONFIG.batch_size, CONFIG.max_len)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        rows = Rows.of(batch, np.arange(CONFIG.batch_size), text, CPU)
        objective(rows, batch.num_tokens, CONFIG.batch_size)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CONFIG.max_grad_norm)
        for optimizer in optimizers:
            optimizer.step()
        if average is not None:
            average.update_parameters(model)
        steps, tokens = steps + 1, tokens + batch.num_tokens
    valid = PreparedSplit(data, "valid")
    result = {
        "cpu_seconds": seconds,
        "d_model": width,
        "layers": layers,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "steps": steps,
        "tokens": tokens,
        "fall": fall_share,
        **evaluate_loss(objective, valid, text, CONFIG, CPU),
    }
    if average is not None:
        averaged = Objective(average.module, CONFIG, split.tokenizer_config)
        result |= {"ema_decay": ema_decay} | {
            f"average_{name}": value for name, value in evaluate_loss(averaged, valid, text, CONFIG, CPU).items()
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", default="100,300")
    parser.add_argument("--widths", default="128,256,384")
    parser.add_argument("--fall", type=float, default=0.35, help="share of the time in which the learning rate falls")
    parser.add_argument("--ema-decay", type=float, default=0.0)
    args = parser.parse_args()
    widths = [int(width) for width in args.widths.split(",")]
    for seconds in map(float, args.seconds.split(",")):
        for size in SIZES:
            if size[0] in widths:
                print(json.dumps(train_for(seconds, size, args.data, args.fall, args.ema_decay)), flush=True)


if __name__ == "__main__":
    main()
