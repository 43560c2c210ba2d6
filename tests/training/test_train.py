"""Training goes down, goes on where it stopped to the bit, and never loads half a state."""

import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from amt.data.note_lengths import measure_longest_notes
from amt.errors import DiskFullError
from amt.files import LOCK
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.testing import assert_within_bound
from amt.text.encoder import TextEncoderSpec
from amt.training import train as train_module
from amt.training.config import TrainConfig
from amt.training.objective import Objective, Rows
from amt.training.optimizers import ADAMW_SHARE_BESIDE_MUON, make_optimizers, set_learning_rate
from amt.training.ranks import Ranks
from amt.training.train import train

MODEL = ModelConfig(
    vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=32,
    max_sequence_length=64, text_embedding_dim=384, norm_first=True, activation="swiglu", positions="rotary",
    tie_output=True, dropout=0.1,
)  # fmt: skip
BOTH = ModelConfig.from_dict(MODEL.to_dict() | {"architecture": "music_text"})
CONFIG = TrainConfig(
    max_steps=12, batch_size=3, max_len=33, learning_rate=1e-2, warmup_steps=2, decay_steps=3, save_every=4,
    eval_every=6, eval_batches=1,
)  # fmt: skip


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


def weights(run, name="model"):
    (state,) = run.glob("state-*")
    return load_file(state / f"{name}.safetensors")


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_features_and_attributes_are_trained(data, tmp_path):
    """Two halves of a run give the weights of a whole one, and every new table moves."""
    options = {
        "state_features": FeatureLayout.NAMES, "rotary_time": True, "qk_norm": True, "attributes": ("form", "bars"),
    }  # fmt: skip
    model_config = ModelConfig.from_dict(MODEL.to_dict() | options)
    config = TrainConfig.from_dict(CONFIG.to_dict() | {"max_steps": 4, "save_every": 2, "eval_every": 4})
    data = shutil.copytree(data, tmp_path / "data")
    for split in ("train", "valid"):
        path = data / split / "pieces.jsonl"
        pieces = [json.loads(row) | {"form": "scale", "n_bars": 2} for row in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(piece) + "\n" for piece in pieces))
    train(data, tmp_path / "whole", model_config=model_config, config=config)
    for steps in (2, 4):
        half = TrainConfig.from_dict(config.to_dict() | {"max_steps": steps, "warmup_steps": 2, "decay_steps": 0})
        train(data, tmp_path / "parts", model_config=model_config, config=half)
    whole = TrainConfig.from_dict(config.to_dict() | {"decay_steps": 0})
    train(data, tmp_path / "again", model_config=model_config, config=whole)
    assert_same(weights(tmp_path / "parts"), weights(tmp_path / "again"))
    torch.manual_seed(config.seed)
    fresh = build_model(model_config).state_dict()
    trained = weights(tmp_path / "whole")
    for name in ("state_features.weight", "attribute_embedding.weight"):
        assert not torch.equal(fresh[name], trained[name])


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


EVERYTHING = {
    "ema_decay": 0.8, "accumulation_steps": 2, "header_weight": 3.0, "contrastive_weight": 0.1, "transpose": 5,
    "tempo_change": 0.2, "velocity_change": 1, "caption_dropout": 0.3, "schedule": "cosine",
}  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"optimizer": "muon", "precision": "bfloat16"}, EVERYTHING], ids=["adamw", "muon-bfloat16", "all"]
)
@pytest.mark.parametrize("stop_at", [1, 4, 6, 11])
def test_resuming_gives_the_same_bits(data, tmp_path, stop_at, options):
    config = TrainConfig.from_dict(CONFIG.to_dict() | options)
    model = BOTH if options is EVERYTHING else MODEL
    train(data, tmp_path / "whole", model_config=model, config=config)

    def stop(row):
        if row["step"] == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path / "parts", model_config=model, config=config, progress=stop)
    train(data, tmp_path / "parts")
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    if options is EVERYTHING:
        assert_same(weights(tmp_path / "whole", "average"), weights(tmp_path / "parts", "average"))


def changed(**options):
    return TrainConfig.from_dict(CONFIG.to_dict() | options)


def test_a_model_knows_how_long_the_notes_are_that_it_learned_from(data, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(train_module, "save_checkpoint", lambda folder, model, *rest: saved.append(model.config))
    config = changed(max_steps=1, decay_steps=0, warmup_steps=0)
    train(data, tmp_path / "run", model_config=MODEL, config=config)
    train(data, tmp_path / "run", model_config=MODEL)  # the model is the same as before
    own = dataclasses.replace(MODEL, longest_notes=(3.0,) * 16)
    train(data, tmp_path / "own", model_config=own, config=config)
    measured = measure_longest_notes(data)
    assert measured == (0.5,) * 16
    assert [config.longest_notes for config in saved] == [measured, measured, own.longest_notes]


def test_both_directions_are_learned(data, tmp_path):
    rows = []
    config = changed(max_steps=80, decay_steps=10, midi_to_text_weight=30.0, contrastive_weight=0.1)
    train(data, tmp_path / "run", model_config=BOTH, config=config, progress=rows.append)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert rows[-1]["text_mse"] < 0.2 * rows[0]["text_mse"]
    assert rows[-1]["valid_text_mse"] < 0.2 * rows[0]["text_mse"]
    assert all("text_mse" in row for row in rows)


@pytest.fixture
def unrounded(monkeypatch):
    """Rows of metrics with all digits."""
    monkeypatch.setattr(train_module, "round", lambda value, digits=None: value, raising=False)


@contextlib.contextmanager
def in_float64():
    """New models and numbers are float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("unrounded")
@pytest.mark.parametrize("model", ["music", "music_text"])
def test_parts_of_a_batch_add_up_to_the_batch(data, tmp_path, model):
    """In float64, since AdamW turns the rounding of gradients near 0 into whole steps; all digits of float32 are equal.

    Dropout is off: its draws depend on the shape of the part.
    """
    model_config = ModelConfig.from_dict((MODEL if model == "music" else BOTH).to_dict() | {"dropout": 0.0})
    rows = {}
    for parts in (1, 2, 3):
        rows[parts] = []
        config = changed(accumulation_steps=parts, header_weight=2.0)
        with in_float64():
            train(data, tmp_path / str(parts), model_config=model_config, config=config, progress=rows[parts].append)
        for first, other in zip(rows[1], rows[parts], strict=True):
            assert other["tokens"] == first["tokens"]
            for name in ("loss", "grad_norm"):
                assert_within_bound(torch.tensor(other[name]), torch.tensor(first[name], dtype=torch.float64))
        for name, truth in weights(tmp_path / "1").items():
            assert_within_bound(weights(tmp_path / str(parts))[name].float(), truth)


def test_the_average_is_that_of_the_weights(data, tmp_path):
    averages = {torch.float64: None, torch.float32: None}
    for step in range(1, 6):
        config = changed(ema_decay=0.8, max_steps=step, warmup_steps=1, decay_steps=0)
        train(data, tmp_path / str(step), model_config=MODEL, config=config)
        for dtype, average in averages.items():
            now = {name: value.to(dtype) for name, value in weights(tmp_path / str(step)).items()}
            averages[dtype] = now if average is None else {name: 0.8 * average[name] + 0.2 * now[name] for name in now}
    found = weights(tmp_path / "5", "average")
    truth, reference = averages.values()
    for name in truth:
        assert_within_bound(found[f"module.{name}"], truth[name], reference[name])


def test_the_largest_seed_is_one(data, tmp_path):
    config = changed(max_steps=1, warmup_steps=0, decay_steps=0, seed=(1 << 64) - 1)
    train(data, tmp_path, model_config=MODEL, config=config)


def test_the_first_tokens_may_weigh_more():
    torch.manual_seed(0)
    model = build_model(MODEL).double().eval()
    tokenizer = TokenizerConfig()
    rows = Rows(
        torch.tensor([[1, 583, 540, 63, 300, 2]]), torch.randn(1, 2, 384, dtype=torch.float64),
        torch.ones(1, 2, dtype=torch.bool), torch.tensor([0]),
    )  # fmt: skip
    plain, sums = Objective(model, TrainConfig(), tokenizer)(rows, 5, 1)
    heavy, same_sums = Objective(model, TrainConfig(header_weight=4.0), tokenizer)(rows, 5, 1)
    logits = model(rows.text_embeddings, rows.token_ids[:, :-1], rows.text_mask).log_softmax(-1)[0]
    header = -(logits[0, 583] + logits[1, 540])
    assert torch.equal(sums, same_sums)
    assert_within_bound((heavy - plain).detach().float(), (3 * header / 5).detach())
    lead, _ = Objective(model, TrainConfig(lead_weight=2.0, lead_len=1), tokenizer)(rows, 5, 1)
    assert_within_bound((lead - plain).detach().float(), (-logits[2, 63] / 5).detach())


def test_midi_to_text_reads_as_much_as_the_model_says():
    torch.manual_seed(0)
    model = build_model(ModelConfig.from_dict(BOTH.to_dict() | {"midi_to_text_len": 4})).eval()
    text, mask, with_caption = torch.randn(1, 2, 384), torch.ones(1, 2, dtype=torch.bool), torch.tensor([0])
    errors = []
    for token_ids in ([[1, 583, 540, 63, 300, 2]], [[1, 583, 540, 63, 301, 2]], [[1, 583, 540, 64, 300, 2]]):
        rows = Rows(torch.tensor(token_ids), text, mask, with_caption)
        errors.append(float(Objective(model, TrainConfig(), TokenizerConfig())(rows, 5, 1)[1][1]))
    assert errors[0] == errors[1] != errors[2]


def test_a_run_may_begin_with_a_trained_model(data, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(train_module, "TextSource", FakeText)
    first = train(data, tmp_path / "first", model_config=MODEL, config=changed(max_steps=3, decay_steps=0))
    both = train(data, tmp_path / "both", model_config=BOTH, init=first, config=changed(max_steps=3, decay_steps=0,
                 learning_rate=0.0))  # fmt: skip
    old, new = load_file(first / "model.safetensors"), load_file(both / "model.safetensors")
    assert any(name.startswith("midi_encoder.") for name in new)
    assert all(torch.equal(old[name], new[name]) for name in old)
    wide = ModelConfig.from_dict(MODEL.to_dict() | {"d_model": 32})
    with pytest.raises(ValueError, match="has shape"):
        train(data, tmp_path / "wide", model_config=wide, init=first, config=CONFIG)
    other = dataclasses.replace(TextEncoderSpec(), max_text_tokens=32)
    with pytest.raises(ValueError, match="another text encoder"):
        train(data, tmp_path / "other", model_config=MODEL, init=first, config=CONFIG, text_spec=other)


def test_a_model_may_get_more_state_features(data, tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(train_module, "TextSource", FakeText)
    config = changed(max_steps=2, decay_steps=0, warmup_steps=0)
    few = ModelConfig.from_dict(MODEL.to_dict() | {"state_features": FeatureLayout.NAMES[:3]})
    more = ModelConfig.from_dict(MODEL.to_dict() | {"state_features": FeatureLayout.NAMES[:5]})
    other = ModelConfig.from_dict(MODEL.to_dict() | {"state_features": FeatureLayout.NAMES[1:5]})
    first = train(data, tmp_path / "first", model_config=few, config=config)
    grown = train(data, tmp_path / "grown", model_config=more, init=first, config=changed(
        max_steps=2, decay_steps=0, warmup_steps=0, learning_rate=0.0))  # fmt: skip
    old, new = load_file(first / "model.safetensors"), load_file(grown / "model.safetensors")
    known = len(old["state_features.weight"])
    assert torch.equal(new["state_features.weight"][:known], old["state_features.weight"])
    assert len(new["state_features.weight"]) > known and not new["state_features.weight"][known:].any()
    with pytest.raises(ValueError, match="has shape"):
        train(data, tmp_path / "other", model_config=other, init=first, config=config)


def test_a_device_that_is_not_there(data, tmp_path):
    with pytest.raises(ValueError, match="cpu, cuda or cuda:N"):
        train(data, tmp_path, model_config=MODEL, config=CONFIG, device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="there is no cuda here"):
            train(data, tmp_path, model_config=MODEL, config=CONFIG, device="cuda")


def test_tensorboard_that_is_not_there(data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install .*train"):
        train(data, tmp_path, model_config=MODEL, config=CONFIG, tensorboard=True)


def test_tensorboard_gets_every_row(data, tmp_path, monkeypatch):
    written = []

    class Writer:
        def __init__(self, folder):
            written.append(Path(folder))

        def add_scalar(self, name, value, step):
            written.append((name, value, step))

        def close(self):
            written.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    rows = []
    config = changed(max_steps=2, warmup_steps=0, decay_steps=0)
    train(data, tmp_path, model_config=MODEL, config=config, tensorboard=True, progress=rows.append)
    assert written[0] == tmp_path and written[-1] == "closed"
    assert ("loss", rows[1]["loss"], 2) in written


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


KILLED_INSIDE_A_SAVE = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import test_train
from amt.text.encoder import TextEncoderSpec
from amt.training import state as state_module

from amt.training import train as train_module
from pathlib import Path

data, run, step_of_kill, num_operations = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
train_module.TextSource = test_train.FakeText
train_module.save_checkpoint = lambda folder, *rest: Path(folder).mkdir(exist_ok=True)
save_state, left = train_module.save_state, 0

def watch(event, arguments):
    global left
    changes = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
    if left and (event in changes or event == "open" and str(arguments[0]).startswith(str(run))):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

def save(run, step, *rest, **more):
    global left
    left = num_operations if step == step_of_kill else 0
    save_state(run, step, *rest, **more)
    left = 0
    assert test_train.steps_of_states(run) == [step]

sys.addaudithook(watch)
train_module.save_state = save
config = test_train.changed(save_every=1, max_steps=12)
train_module.train(data, run, model_config=test_train.MODEL, config=config)
"""


def steps_of_states(run):
    """The steps of the whole states."""
    return sorted(json.loads(path.read_text())["step"] for path in run.glob("state-*/state.json"))


def test_a_run_that_is_killed_inside_its_saves_goes_on(data, tmp_path):
    """kill -9 in a save, in the next one, and once more in the same one; between them nothing is lost."""
    code = KILLED_INSIDE_A_SAVE.format(tests=str(Path(__file__).parent))
    run = tmp_path / "parts"

    def go(out, step_of_kill=0, num_operations=0):
        command = [sys.executable, "-c", code, str(data), str(out), str(step_of_kill), str(num_operations)]
        return subprocess.run(command).returncode

    assert go(tmp_path / "whole") == 0
    began = []
    for step, num_operations in ((4, 3), (5, 1), (5, 7), (9, 12)):
        rows = (run / "metrics.jsonl").read_text().splitlines() if run.exists() else []
        assert go(run, step, num_operations) == -signal.SIGKILL
        began.append(json.loads((run / "metrics.jsonl").read_text().splitlines()[len(rows)])["step"])
        assert set(steps_of_states(run)) in ({step - 1}, {step}, {step - 1, step})
    assert began == [1, 4, 5, 5]
    assert go(run) == 0
    assert_same(weights(tmp_path / "whole"), weights(run))
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [LOCK]


def test_what_a_killed_process_left_goes_at_the_next_start(data, tmp_path):
    train(data, tmp_path, model_config=MODEL, config=changed(max_steps=3, decay_steps=0))
    (tmp_path / ".checkpoint.1a2b3c4d.tmp").mkdir()
    (tmp_path / ".checkpoint.1a2b3c4d.tmp" / "config.json").write_text("{}")
    (tmp_path / ".train.json.1a2b3c4d.tmp").write_text("{")
    (tmp_path / "state-0000000001").mkdir()
    (tmp_path / ".mine").write_text("a note")
    train(data, tmp_path, config=changed(max_steps=4, decay_steps=0))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != LOCK) == [
        ".mine", "checkpoint", "config.json", "metrics.jsonl", "state-0000000004", "train.json"
    ]  # fmt: skip


def test_half_a_row_of_metrics_is_cut_off(data, tmp_path):
    train(data, tmp_path, model_config=MODEL, config=changed(max_steps=3, decay_steps=0))
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 4, "lo')
    train(data, tmp_path, config=changed(max_steps=5, decay_steps=0))
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]


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
    cosine = dataclasses.replace(config, schedule="cosine")
    assert [round(cosine.learning_rate_at(step), 6) for step in (0, 5, 6, 7, 8, 9)] == [
        0.5, 1, 1, 0.853553, 0.5, 0.146447
    ]  # fmt: skip


def test_the_learning_rate_falls_in_time():
    config = TrainConfig(max_time=100.0, warmup_steps=2, decay_share=0.4, learning_rate=1.0)
    assert [config.learning_rate_at(0, 0.0), config.learning_rate_at(1, 10.0)] == [0.5, 1.0]
    found = [config.learning_rate_at(50, seconds) for seconds in (50.0, 60.0, 70.0, 90.0, 100.0, 130.0)]
    assert found == pytest.approx([1.0, 1.0, 0.75, 0.25, 0.0, 0.0])
    assert dataclasses.replace(config, decay_share=0.0).learning_rate_at(50, 99.0) == 1.0


def test_a_run_ends_with_its_time_and_stops_do_not_count(data, tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 10))  # whoever looks finds that ten seconds have passed
    monkeypatch.setattr(train_module.time, "perf_counter", lambda: next(clock))
    config = changed(max_steps=1000, max_time=130.0, save_every=2, warmup_steps=0)
    rows = []

    def stop(row):
        rows.append(row)
        if row["step"] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path, model_config=MODEL, config=config, progress=stop)
    train(data, tmp_path, progress=rows.append)
    state = json.loads(next(tmp_path.glob("state-*/state.json")).read_text())
    assert 130.0 <= state["seconds"] <= 150.0 and state["step"] == rows[-1]["step"] < 20
    assert [row["step"] for row in rows] == [1, 2, 3, *range(3, state["step"] + 1)]
    rates = [row["learning_rate"] for row in rows[3:]]
    assert rates == sorted(rates, reverse=True) and rates[0] == config.learning_rate and rates[-1] < rates[0] / 2
    train(data, tmp_path, progress=rows.append)  # the time is up
    assert rows[-1]["step"] == state["step"]
    assert (tmp_path / "checkpoint").is_dir()


def test_fewer_rows_than_processes(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Ranks, "join", classmethod(lambda cls, device: cls(0, 8, torch.device("cpu"))))
    monkeypatch.setattr(Ranks, "wait", lambda self: None)
    with pytest.raises(ValueError, match="too small for 1 accumulation_steps in 8 processes"):
        train(data, tmp_path, model_config=MODEL, config=CONFIG)


def test_a_full_disk_stops_a_run_which_then_goes_on(data, tmp_path, small_disk, leave_room):
    """Wherever the room ends: one error that says so, no half file, and the same bits once there is room."""
    train(data, tmp_path / "whole", model_config=MODEL, config=CONFIG)
    disk = small_disk(4 << 20)
    stopped_at = set()
    for room in (0, 4 << 10, 8 << 10, 100 << 10, 200 << 10, 300 << 10, 400 << 10, 500 << 10):
        run, rows = disk / f"run-{room}", []
        leave_room(disk, room)
        with pytest.raises(DiskFullError, match=r"^the disk is full: .*; make room and do the same again$") as caught:
            train(data, run, model_config=MODEL, config=CONFIG, progress=rows.append)
        assert str(run) in str(caught.value)
        assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]
        stopped_at.add(len(rows))
        leave_room(disk, 4 << 20)
        train(data, run, model_config=MODEL, config=CONFIG)
        assert_same(weights(tmp_path / "whole"), weights(run))
        shutil.rmtree(run)
    assert {0, 4} < stopped_at


def test_settings_are_whole_whenever_a_run_is_resumed(data, tmp_path, small_disk, leave_room):
    """A disk that is full when other settings are to be written leaves those that were there."""
    run = small_disk(4 << 20) / "run"
    train(data, run, model_config=MODEL, config=changed(max_steps=4))
    before = (run / "train.json").read_bytes(), (run / "config.json").read_bytes()
    leave_room(run.parent, 0)
    with pytest.raises(DiskFullError, match=r"train\.json needs \d+ bytes, 0 are free|train\.json cannot be written"):
        train(data, run, config=changed(max_steps=5))
    assert ((run / "train.json").read_bytes(), (run / "config.json").read_bytes()) == before
    assert sorted(path.name for path in run.iterdir() if path.name.startswith(".")) == [LOCK]
    leave_room(run.parent, 4 << 20)
    train(data, run, config=changed(max_steps=5))
    assert steps_of_states(run) == [5]


def test_damaged_training_settings_are_replaced_by_given_ones(data, tmp_path):
    train(data, tmp_path, model_config=MODEL, config=changed(max_steps=4))
    (tmp_path / "train.json").write_text("")  # by an AMT that wrote it in place
    with pytest.raises(ValueError, match=r"train\.json: "):
        train(data, tmp_path)
    train(data, tmp_path, config=changed(max_steps=5))
    assert steps_of_states(tmp_path) == [5]
    assert TrainConfig.load(tmp_path / "train.json") == changed(max_steps=5)


def test_a_file_that_may_not_be_that_large_is_told(data, tmp_path):
    """The same without a small disk: a limit of the process."""
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_train
from amt.training import train as train_module
train_module.TextSource = test_train.FakeText
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    train_module.train({str(data)!r}, sys.argv[1], model_config=test_train.MODEL, config=test_train.CONFIG)
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True)
    assert done.stdout.startswith(f"cannot write {tmp_path}/run/state-0000000004: File too large; "), done.stderr
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == [LOCK, "config.json", "metrics.jsonl", "train.json"]
