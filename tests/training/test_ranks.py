"""Two processes train as one does: the same losses and, up to rounding, the same weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from amt.testing import assert_within_bound

CODE = """
import sys
sys.path.insert(0, {folder!r})
import test_train
from amt.training import train as train_module

train_module.round = lambda value, digits=None: value
train_module.TextSource = test_train.FakeText
model = test_train.ModelConfig.from_dict(
    getattr(test_train, sys.argv[3]).to_dict() | {{"dropout": 0.0}}
)
config = test_train.changed(batch_size=4, max_steps=6, **eval(sys.argv[4]))
with test_train.in_float64():
    train_module.train(sys.argv[1], sys.argv[2], model_config=model, config=config, device="cpu", parallel=sys.argv[5])
"""


def run(data, out, model, options, parallel, ranks):
    code = out.with_suffix(".py")
    code.write_text(CODE.format(folder=str(Path(__file__).parent)))
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    command = [sys.executable, *torchrun, str(code), str(data), str(out), model, repr(options), parallel]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return rows, load_file(out / "checkpoint" / "model.safetensors")


@pytest.mark.parametrize(
    ("model", "options", "parallel"),
    [
        ("MODEL", {}, "ddp"),
        ("BOTH", {"accumulation_steps": 2, "caption_dropout": 0.4, "ema_decay": 0.5, "optimizer": "muon"}, "ddp"),
        ("BOTH", {"accumulation_steps": 2}, "fsdp"),
    ],
    ids=["ddp", "ddp-all", "fsdp"],
)
def test_two_processes_equal_one(data, tmp_path, model, options, parallel):
    """In float64, since AdamW turns the rounding of gradients near 0 into whole steps; in float32 they are equal."""
    alone_rows, alone = run(data, tmp_path / "alone", model, options, parallel, 1)
    rows, together = run(data, tmp_path / "together", model, options, parallel, 2)
    assert [row["step"] for row in rows] == list(range(1, 7))
    for mine, other in zip(alone_rows, rows, strict=True):
        assert mine["tokens"] == other["tokens"]
        assert mine.keys() == other.keys()
        for name in {"loss", "grad_norm", "text_mse", "valid_loss"} & mine.keys():
            assert_within_bound(torch.tensor(other[name]), torch.tensor(mine[name], dtype=torch.float64))
    assert alone.keys() == together.keys()
    for name in alone:
        assert_within_bound(together[name].float(), alone[name])
