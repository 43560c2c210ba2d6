"""Training goes down, goes on where it stopped to the bit, and never loads half a state."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from amt.config import ModelConfig, TokenizerConfig, TrainConfig
from amt.data.prepare import SEGMENT_DTYPE
from amt.models import build_model
from amt.training import train as train_module
from amt.training.optimizers import ADAMW_SHARE_BESIDE_MUON, make_optimizers, set_learning_rate
from amt.training.state import load_state, save_state
from amt.training.train import train

MODEL = ModelConfig(
    vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=32,
    max_sequence_length=64, text_embedding_dim=384, norm_first=True, activation="swiglu", positions="rotary",
    tie_output=True, dropout=0.1,
)  # fmt: skip
CONFIG = TrainConfig(
    max_steps=12, batch_size=3, max_len=33, learning_rate=1e-2, warmup_steps=2, decay_steps=3, save_every=4,
    eval_every=6, eval_batches=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Scales, up for one caption and down for the other."""
    folder = tmp_path_factory.mktemp("data")
    TokenizerConfig().save(folder / "tokenizer.json")
    for split in ("train", "valid", "test"):
        (folder / split).mkdir()
        rows, tokens, pieces = [], [], []
        for index in range(8):
            pitches = range(60, 72) if index % 2 else range(71, 59, -1)
            ids = [1, *(token for pitch in pitches for token in (3 + pitch, 270, 131 + pitch)), 2]
            rows.append((sum(map(len, tokens)), len(ids), index, True))
            tokens.append(ids)
            pieces.append({"source": "", "form": "", "captions": ["up" if index % 2 else "down"]})
        np.save(folder / split / "tokens.npy", np.concatenate(tokens).astype(np.uint16))
        np.save(folder / split / "segments.npy", np.array(rows, SEGMENT_DTYPE))
        (folder / split / "pieces.jsonl").write_text("".join(json.dumps(piece) + "\n" for piece in pieces))
    return folder


class FakeText:
    """Embeddings without an encoder: the test is about training."""

    def __init__(self, data, spec):
        pass

    def __call__(self, captions):
        rows = [torch.full((2, 384), 1.0 if caption == "up" else -1.0) for caption in captions]
        return torch.stack(rows), torch.ones(len(rows), 2, dtype=torch.bool)


@pytest.fixture(autouse=True)
def no_encoder(monkeypatch):
    monkeypatch.setattr(train_module, "TextSource", FakeText)
    monkeypatch.setattr(train_module, "save_checkpoint", lambda folder, *rest: Path(folder).mkdir(exist_ok=True))


def weights(run):
    (state,) = run.glob("state-*")
    return load_file(state / "model.safetensors")


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_loss_falls(data, tmp_path, optimizer):
    rows = []
    config = TrainConfig.from_dict(CONFIG.to_dict() | {"max_steps": 60, "decay_steps": 10, "optimizer": optimizer})
    train(data, tmp_path / "run", model_config=MODEL, config=config, progress=rows.append)
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["valid_loss"] < 0.5 * rows[0]["loss"]
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert logged == rows


@pytest.mark.parametrize(
    "options", [{}, {"optimizer": "muon", "precision": "bfloat16"}], ids=["adamw", "muon-bfloat16"]
)
@pytest.mark.parametrize("stop_at", [1, 4, 6, 11])
def test_resuming_gives_the_same_bits(data, tmp_path, stop_at, options):
    config = TrainConfig.from_dict(CONFIG.to_dict() | options)
    train(data, tmp_path / "whole", model_config=MODEL, config=config)

    def stop(row):
        if row["step"] == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "parts", model_config=MODEL, config=config, progress=stop)
    train(data, tmp_path / "parts")
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_muon_takes_the_matrices_of_the_layers_and_nothing_else():
    model = build_model(MODEL)
    muon, adamw = make_optimizers(model, TrainConfig(optimizer="muon"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    of_muon = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    of_adamw = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert of_muon | of_adamw == set(names.values()) and not of_muon & of_adamw
    assert "decoder.layers.0.feed_forward.linear1.weight" in of_muon
    assert {"token_embedding.weight", "text_projection.weight", "decoder.norm.weight"} <= of_adamw
    set_learning_rate([muon, adamw], 1e-2)
    assert [group["lr"] for group in muon.param_groups] == [1e-2]
    assert {group["lr"] for group in adamw.param_groups} == {1e-2 * ADAMW_SHARE_BESIDE_MUON}


def test_a_killed_run_resumes(data, tmp_path):
    """kill -9 at some moment, maybe inside a save, several times over."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_train
from amt.training import train as train_module
from pathlib import Path
train_module.TextSource = test_train.FakeText
train_module.save_checkpoint = lambda folder, *rest: Path(folder).mkdir(exist_ok=True)
config = test_train.TrainConfig.from_dict(test_train.CONFIG.to_dict() | {{"save_every": 1, "max_steps": 24}})
train_module.train({str(data)!r}, sys.argv[1], model_config=test_train.MODEL, config=config)
"""
    command = [sys.executable, "-c", code]
    subprocess.run([*command, str(tmp_path / "whole")], check=True)
    num_kills = 0
    for delay in (0.05, 0.11, 0.02):
        process = subprocess.Popen([*command, str(tmp_path / "parts")])
        deadline = time.monotonic() + 60
        metrics = tmp_path / "parts" / "metrics.jsonl"
        size = metrics.stat().st_size if metrics.exists() else 0
        while process.poll() is None and time.monotonic() < deadline:
            if metrics.exists() and metrics.stat().st_size > size:
                time.sleep(delay)
                break
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            num_kills += 1
        process.wait()
    assert num_kills >= 1
    subprocess.run([*command, str(tmp_path / "parts")], check=True)
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


def test_half_a_state_is_not_loaded(tmp_path):
    model = torch.nn.Linear(3, 2)
    optimizers = make_optimizers(model, CONFIG)
    model(torch.ones(1, 3)).sum().backward()
    optimizers[0].step()
    save_state(tmp_path, 5, model, optimizers, {"tokens": 70})
    (tmp_path / "state-0000000009").mkdir()
    (tmp_path / "state-0000000009" / "model.safetensors").write_bytes(b"half")
    other = torch.nn.Linear(3, 2)
    state = load_state(tmp_path, other, make_optimizers(other, CONFIG))
    assert state == {"step": 5, "tokens": 70}
    assert torch.equal(model.weight, other.weight)
    assert load_state(tmp_path / "nothing", other, optimizers) is None


def test_another_model_in_the_same_run_is_refused(data, tmp_path):
    config = TrainConfig.from_dict(CONFIG.to_dict() | {"max_steps": 3, "decay_steps": 0})
    train(data, tmp_path, model_config=MODEL, config=config)
    wider = ModelConfig.from_dict(MODEL.to_dict() | {"d_model": 32})
    with pytest.raises(ValueError, match="another model"):
        train(data, tmp_path, model_config=wider, config=config)


def test_segments_longer_than_the_model_are_refused(data, tmp_path):
    config = TrainConfig.from_dict(CONFIG.to_dict() | {"max_len": 66})
    with pytest.raises(ValueError, match="lower max_len"):
        train(data, tmp_path, model_config=MODEL, config=config)


def test_the_learning_rate_rises_stays_and_falls():
    config = TrainConfig(max_steps=10, warmup_steps=2, decay_steps=4, learning_rate=1.0)
    assert [config.learning_rate_at(step) for step in range(10)] == [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
