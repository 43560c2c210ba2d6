import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import amt
from amt.errors import CheckpointError, DiskFullError
from amt.files import remove_leftovers
from amt.midi.config import TokenizerConfig
from amt.models import build_model, checkpoint
from amt.models.checkpoint import load_checkpoint, save_checkpoint
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.text.encoder import TextEncoderSpec

TOKENIZER = TokenizerConfig(preset="performance")
TEXT = TextEncoderSpec(max_text_tokens=7)
GENERATION = GenerationConfig(temperature=0.9, top_p=0.95, seed=7)
SMALL = ModelConfig(
    vocab_size=391,
    d_model=24,
    nhead=3,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dim_feedforward=40,
    max_sequence_length=11,
    text_embedding_dim=384,
)


def small_model(**changes):
    torch.manual_seed(7)
    return build_model(dataclasses.replace(SMALL, **changes)).eval()


def save(folder, model=None, **options):
    save_checkpoint(folder, model or small_model(), TOKENIZER, TEXT, GENERATION, **options)
    return folder


def change_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


def logits(model):
    generator = torch.Generator().manual_seed(3)
    embeddings = torch.randn(2, 5, 384, generator=generator)
    with torch.no_grad():
        return model(embeddings, torch.arange(14).view(2, 7))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def copied(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def refused(folder, match, **options):
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(folder, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", ["music", "music_text"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary", "relative"])
@pytest.mark.parametrize("tie_output", [False, True], ids=["untied", "tied"])
def test_a_model_comes_back_as_it_was(tmp_path, architecture, positions, tie_output):
    model = small_model(architecture=architecture, positions=positions, tie_output=tie_output)
    loaded = load_checkpoint(save(tmp_path / "model", model, metadata={"step": "12"}))
    assert loaded.model.config == model.config and type(loaded.model) is type(model)
    assert not loaded.model.training and all(p.requires_grad for p in loaded.model.parameters())
    assert torch.equal(logits(loaded.model), logits(model))
    assert (loaded.tokenizer_config, loaded.text_spec, loaded.generation_config) == (TOKENIZER, TEXT, GENERATION)
    assert loaded.metadata == {"format": "pt", "step": "12"}


def test_the_folder_has_the_files_it_should(saved):
    names = {"config.json", "tokenizer.json", "text_encoder.json", "generation_config.json", "model.safetensors"}
    assert {file.name for file in saved.iterdir()} == names
    assert len({file.stat().st_mode for file in saved.iterdir()}) == 1
    assert [file.name for file in saved.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_weights_are_widened(tmp_path, dtype):
    model = small_model()
    folder = save(tmp_path / "model", model, dtype=dtype)
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {dtype}
    for name, tensor in load_checkpoint(folder).model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].to(dtype).float())


def test_shards_are_read(tmp_path):
    model = small_model()
    folder = save(tmp_path / "model", model, max_shard_size=50_000)
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert torch.equal(logits(load_checkpoint(folder).model), logits(model))


def test_loading_does_not_import_what_it_does_not_need(saved):
    code = f"""
import sys
sys.path.insert(0, {str(Path(checkpoint.__file__).parents[2])!r})
from amt.models.checkpoint import load_checkpoint
load_checkpoint({str(saved)!r})
print({{"torch._dynamo", "sympy", "transformers", "huggingface_hub"}} & set(sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_the_loaded_weights_are_not_the_file(copied):
    model = load_checkpoint(copied).model
    before = logits(model)
    (copied / "model.safetensors").write_bytes(bytes((copied / "model.safetensors").stat().st_size))
    assert torch.equal(logits(model), before)


def test_a_checkpoint_is_replaced_and_its_readme_kept(copied):
    (copied / "README.md").write_text("A model.")
    torch.manual_seed(8)
    model = build_model(SMALL).eval()
    save(copied, model)
    assert torch.equal(logits(load_checkpoint(copied).model), logits(model))
    assert (copied / "README.md").read_text() == "A model."
    assert [file.name for file in copied.parent.iterdir()] == ["model"]


def test_a_folder_with_other_files_is_not_replaced(copied):
    (copied / "thesis.tex").write_text("dear")
    with pytest.raises(CheckpointError, match=r"more than a checkpoint \(thesis\.tex\)"):
        save(copied)
    with pytest.raises(CheckpointError, match="is a file; name a folder"):
        save(copied / "thesis.tex")
    assert (copied / "thesis.tex").read_text() == "dear"


@pytest.mark.parametrize("victim", ["save_torch_state_dict", "os.rename"])
def test_nothing_half_written_stays(copied, monkeypatch, victim):
    before = {file.name: file.read_bytes() for file in copied.iterdir()}

    def fail(*args, **kwargs):
        if victim == "os.rename" and ".tmp" not in str(args[0]):
            return rename(*args)
        raise OSError("the disk is full")

    rename = os.rename
    monkeypatch.setattr("huggingface_hub.save_torch_state_dict" if victim != "os.rename" else "os.rename", fail)
    for folder in (copied, copied.parent / "new"):
        with pytest.raises(OSError, match="the disk is full"):
            save(folder)
    assert {file.name: file.read_bytes() for file in copied.iterdir()} == before
    assert [file.name for file in copied.parent.iterdir()] == ["model"]


def test_being_killed_leaves_no_half_checkpoint(tmp_path):
    code = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(checkpoint.__file__).parents[2])!r})
import huggingface_hub
from amt.models.checkpoint import *
from amt.models import build_model
model = build_model(ModelConfig(vocab_size=391, d_model=8, nhead=2, text_embedding_dim=384))
huggingface_hub.save_torch_state_dict = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
save_checkpoint({str(tmp_path / "model")!r}, model, TokenizerConfig(preset="performance"), TextEncoderSpec(), None)
"""
    code = code.replace(", None)", ", GenerationConfig())")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert not (tmp_path / "model").exists()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".model.") and left.suffix == ".tmp"


def test_a_kill_while_a_checkpoint_is_replaced_leaves_the_old_or_the_new_one(tmp_path, killed):
    """At every operation on its files; the loader finds it also between the two renames that replace a folder."""
    folder, old, new = tmp_path / "model", small_model(), small_model(positions="rotary")
    notes = ("README.md", "captions.txt")
    save(folder, old)
    for name in notes:
        (folder / name).write_text(name)
    number, was_killed, seen = 0, True, set()
    while was_killed:
        number += 1
        was_killed = killed(lambda: save(folder, new), tmp_path, number)
        loaded = load_checkpoint(folder)
        assert torch.equal(logits(loaded.model), logits(old if loaded.model.config == old.config else new))
        assert loaded.captions.read_text() == "captions.txt"
        assert amt.load(folder).checkpoint.model.config == loaded.model.config
        assert amt.EventTokenizer.from_pretrained(folder).config == TOKENIZER
        seen.add((folder.exists(), loaded.model.config.positions))
        save(folder, old)
        assert {name: (folder / name).read_text() for name in notes} == {name: name for name in notes}
        remove_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert seen == {(True, "sinusoidal"), (False, "sinusoidal"), (True, "rotary")} and number > 20


def test_a_full_disk_leaves_the_checkpoint_that_was_there(small_disk, leave_room):
    disk, old, new = small_disk(1 << 20), small_model(), small_model(positions="rotary")
    save(disk / "model", old)
    num_full = 0
    for room in range(0, 1 << 20, 8192):
        leave_room(disk, room)
        try:
            save(disk / "model", new)
            break
        except DiskFullError as error:
            num_full += 1
            assert str(error).startswith(f"the disk is full: {disk}/model ")
            assert torch.equal(logits(load_checkpoint(disk / "model").model), logits(old))
            assert sorted(path.name for path in disk.iterdir()) == ["ballast", "model"]
    assert torch.equal(logits(load_checkpoint(disk / "model").model), logits(new)) and num_full > 5


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = small_model()
    with torch.no_grad():
        model.output_bias[3] = 1e5
    with pytest.raises(CheckpointError, match=r"output_bias has values that are not finite in torch\.float16"):
        save(tmp_path / "model", model, dtype=torch.float16)
    with pytest.raises(ValueError, match="dtype must be float32, float16 or bfloat16"):
        save(tmp_path / "model", model, dtype=torch.int8)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_refused(copied):
    change_weights(copied, lambda weights: weights["output_bias"].fill_(float("nan")))
    refused(copied, "output_bias has values that are not finite")


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "text_encoder.json", "generation_config.json", "model.safetensors"]
)
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    refused(copied, f"has no {name}; a model folder needs config.json")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "text_encoder.json", "generation_config.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"surprise": 1}', "{", "[" * 100_000, '"' * 3, "\x00", "1" * 9999])
def test_damaged_settings_are_refused(copied, name, text):
    (copied / name).write_text(text)
    refused(copied, name.replace(".", r"\."))


def test_settings_too_large_to_be_settings_are_refused(copied):
    with open(copied / "config.json", "wb") as stream:
        stream.truncate(1 << 40)  # sparse
    refused(copied, "this is no settings file")


@pytest.mark.parametrize(
    "changes",
    [
        {"d_model": 48},
        {"dim_feedforward": 41},
        {"num_decoder_layers": 1},
        {"num_decoder_layers": 3},
        {"num_encoder_layers": 1024},
        {"tie_output": True},
        {"activation": "swiglu"},
        {"positions": "relative"},
        {"architecture": "music_text"},
        {"vocab_size": 392},
        {"text_embedding_dim": 768},
        {"max_sequence_length": 1 << 22},
        {"max_sequence_length": 6},
        {"d_model": 1e9},
        {"nhead": float("nan")},
        {"dropout": float("inf")},
        {"architecture": "music_text", "num_encoder_layers": 3},
    ],
    ids=str,
)
def test_a_config_of_another_model_is_refused(copied, changes):
    change_json(copied / "config.json", **changes)
    refused(copied, "model")


def test_other_tokens_are_refused(copied):
    change_json(copied / "tokenizer.json", preset="score", max_time_shift=96)
    refused(copied, "the model has 391 tokens, its tokenizer 659")


def test_another_text_encoder_is_refused(copied):
    change_json(copied / "text_encoder.json", dim=768)
    refused(copied, "384 dimensions, its text encoder gives 768")
    change_json(copied / "text_encoder.json", dim=384, files={})
    refused(copied, "no sha256 digests")
    with pytest.raises(CheckpointError, match="no sha256 digests"):
        save_checkpoint(copied, small_model(), TOKENIZER, dataclasses.replace(TEXT, files=()), GENERATION)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda w: w.pop("output_bias"), "lack 'output_bias' \\(1 missing, 0 unknown\\)"),
        (lambda w: w.update(surprise=torch.zeros(1)), "have 'surprise', which the model has not"),
        (lambda w: w.update(output_bias=torch.zeros(392)), "output_bias has shape \\(392,\\), expected \\(391,\\)"),
        (lambda w: w.update(output_bias=torch.zeros(391, 1)), "output_bias has shape"),
        (lambda w: w.update(output_bias=torch.zeros(391, dtype=torch.int64)), "output_bias has dtype I64"),
        (lambda w: w.update(output_bias=torch.zeros(391, dtype=torch.float64)), "output_bias has dtype F64"),
    ],
    ids=["missing", "unknown", "size", "rank", "integers", "float64"],
)
def test_other_tensors_than_the_config_means_are_refused(copied, change, match):
    change_weights(copied, change)
    refused(copied, match)


def test_no_tensor_is_read_before_the_headers_fit(copied, monkeypatch):
    class Headers:
        def __init__(self, shard):
            self.keys, self.get_slice = shard.keys, shard.get_slice

    open_shard = checkpoint._open_shard
    monkeypatch.setattr(checkpoint, "_open_shard", lambda stack, path: Headers(open_shard(stack, path)))
    with pytest.raises(AttributeError, match="get_tensor"):
        load_checkpoint(copied)
    change_json(copied / "config.json", dim_feedforward=41)
    refused(copied, "linear1.weight has shape \\(40, 24\\), expected \\(41, 24\\)")


def test_tables_that_no_tensor_accounts_for_are_limited(copied, monkeypatch):
    change_json(copied / "config.json", max_sequence_length=1 << 20)
    most = checkpoint.MIN_POSITION_VALUES
    refused(copied, rf"max_sequence_length \* d_model of config.json must be at most {most} .*, got 1048576 \* 24")
    monkeypatch.setattr(checkpoint, "MIN_POSITION_VALUES", 24)  # then it goes by what is stored
    stored = sum(tensor.numel() for tensor in small_model().state_dict().values())
    change_json(copied / "config.json", max_sequence_length=stored // 24 + 1)
    refused(copied, rf"must be at most {stored} beside so few weights, got {stored // 24 + 1} \* 24")
    change_json(copied / "config.json", max_sequence_length=stored // 24)
    assert load_checkpoint(copied).model.config.max_sequence_length == stored // 24


def test_what_could_not_be_read_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match=r"must be at most 4194304 beside so few weights, got 262144 \* 24"):
        save(tmp_path / "model", small_model(max_sequence_length=262144))
    assert not os.listdir(tmp_path)


def test_what_else_lies_in_the_folder_is_not_looked_at(copied):
    (copied / ".#config.json").symlink_to("/nowhere/someone@host.1234")  # of an editor that has it open
    os.mkfifo(copied / "pipe.json")
    (copied / "notes").mkdir()
    opened = amt.load(copied)
    (copied / "draft.md").write_text("new")
    assert amt.load(copied) is opened
    change_json(copied / "generation_config.json", temperature=0.5)
    assert amt.load(copied).checkpoint.generation_config.temperature == 0.5


@pytest.mark.parametrize(
    "name", ["x" * 300, "x" * 300 + "/y", "a\0b", "a\0b/c", "/".join(["y" * 200] * 30)], ids=range(5)
)
def test_a_name_that_no_file_can_have_is_one_short_line(name):
    for load in (amt.load, load_checkpoint):
        with pytest.raises(CheckpointError, match=r"there is no (model|folder)") as caught:
            load(name)
        assert len(str(caught.value)) < 250 and str(caught.value).isprintable()


def test_settings_put_no_control_characters_and_no_floods_into_errors(copied):
    paint = "\x1b[31m\x1b]0;title\x07\r\n"
    floods = [{paint: 1}, {"activation": paint}, {"d_model": paint * 999}, {f"key{i}" * 99: 1 for i in range(99)}]
    before = (copied / "config.json").read_text()
    for change in floods:
        (copied / "config.json").write_text(before)
        change_json(copied / "config.json", **change)
        with pytest.raises(CheckpointError) as caught:
            amt.load(copied)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 1200


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt"])
def test_pickles_are_refused_unread(copied, name):
    class Bomb:
        def __reduce__(self):
            return (os.abort, ())

    (copied / "model.safetensors").rename(copied / "weights")
    (copied / name).write_bytes(pickle.dumps(Bomb()))
    refused(copied, f"{name} holds pickled weights.*safetensors only")
    refused(copied / name, f"{name} holds pickled weights.*safetensors only")
    (copied / "model.safetensors").write_bytes((copied / name).read_bytes())
    refused(copied, "no intact safetensors file")


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin", "", 3])
def test_a_shard_elsewhere_is_refused(copied, shard):
    (copied / "model.safetensors").rename(copied.parent / "outside.safetensors")
    (copied / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"output_bias": shard}}))
    refused(copied, "is no name of a safetensors file|must map tensors to files")


@pytest.mark.parametrize("index", ["{}", "[]", "{", '{"weight_map": {}}', '{"weight_map": []}'])
def test_a_damaged_index_is_refused(copied, index):
    (copied / "model.safetensors").unlink()
    (copied / "model.safetensors.index.json").write_text(index)
    refused(copied, r"index\.json")


def test_a_tensor_in_two_shards_is_refused(copied):
    (copied / "model.safetensors").rename(copied / "a.safetensors")
    shutil.copy(copied / "a.safetensors", copied / "b.safetensors")
    weight_map = {"output_bias": "a.safetensors", "output_weight": "b.safetensors"}
    (copied / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    refused(copied, "two files hold the tensor")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_link_out_of_the_folder_is_refused(copied, name):
    (copied / name).rename(copied.parent / name)
    (copied / name).symlink_to(copied.parent / name)
    refused(copied, "leads out of its folder")


def test_the_links_of_the_hub_cache_are_followed(copied):
    snapshot = copied.parent / "cache" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    blobs = copied.parent / "cache" / "blobs"
    blobs.mkdir()
    for file in copied.iterdir():
        file.rename(blobs / file.name)
        (snapshot / file.name).symlink_to(blobs / file.name)
    assert load_checkpoint(snapshot).model.config == SMALL


def test_a_model_of_the_hub_is_downloaded_only_when_allowed(saved, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refused("amt/none", r"no folder amt/none.*allow_download=True")
    refused("no-such-folder", "no OWNER/NAME")
    refused("../none", "no OWNER/NAME")
    calls = []

    def snapshot_download(name, **options):
        calls.append((name, options["revision"], options["local_files_only"]))
        assert not any(pattern.endswith(checkpoint.PICKLE_SUFFIXES) for pattern in options["allow_patterns"])
        return str(saved)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    load_checkpoint("amt/some", revision="v1", allow_download=True)
    load_checkpoint(saved, allow_download=True)
    assert calls == [("amt/some", "v1", False)]


def test_a_file_in_place_of_a_folder_is_refused(saved):
    refused(saved / "config.json", "is a file; give the folder")


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damaged_weights_never_load_as_something_else(saved, tmp_path_factory, data):
    original = (saved / "model.safetensors").read_bytes()
    header_len = 8 + int.from_bytes(original[:8], "little")
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, header_len - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp() / "damaged"
    if not folder.exists():
        shutil.copytree(saved, folder)
    (folder / "model.safetensors").write_bytes(damaged[: data.draw(st.sampled_from([len(damaged), len(damaged) - 1]))])
    try:
        model = load_checkpoint(folder).model
    except CheckpointError:
        return
    assert model.config == SMALL  # damage that changes no tensor's name, shape or place
