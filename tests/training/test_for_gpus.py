"""What makes training ready for a GPU, as far as it shows without one."""

import concurrent.futures
import threading

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from amt.data.dataset import PreparedSplit
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.ops.orthogonalize import in_batches
from amt.ops.reference import newton_schulz
from amt.testing import assert_within_bound
from amt.text.encoder import TextEncoder
from amt.training import train as train_module
from amt.training.ahead import Ahead
from amt.training.config import TrainConfig
from amt.training.objective import Objective, Rows, in_buckets
from amt.training.optimizers import make_average
from amt.training.train import TextSource, train

MODEL = ModelConfig(
    vocab_size=659, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=32,
    max_sequence_length=64, text_embedding_dim=384, state_features=FeatureLayout.NAMES, rotary_time=True,
    attributes=("form", "bars"), positions="rotary", dropout=0.0, architecture="music_text",
)  # fmt: skip


def text(captions):
    rows = [torch.full((2, 384), 1.0 if caption == "up" else -1.0) for caption in captions]
    return torch.stack(rows), torch.ones(len(rows), 2, dtype=torch.bool)


def some_rows(data, bucket, longest=None):
    split = PreparedSplit(data, "train")
    model = build_model(MODEL, split.tokenizer_config)
    batch = split.batch(0, 0, 4, 33, layout=model.feature_layout, bars_dropout=0.0, attributes=MODEL.attributes)
    rows = Rows.of(batch, np.arange(4), text, torch.device("cpu"), model.feature_layout, bucket, longest)
    return model, batch, rows


def test_buckets():
    assert [in_buckets(length, 64) for length in (0, 1, 64, 65)] == [0, 64, 64, 128]


def test_padding_to_buckets_changes_nothing_that_is_learned(data):
    losses, grads = [], []
    for bucket in (1, 8):
        torch.manual_seed(0)
        model, batch, rows = some_rows(data, bucket)
        objective = Objective(model.double(), TrainConfig(), TokenizerConfig())
        rows = Rows(rows.token_ids, rows.text_embeddings.double(), *list(vars(rows).values())[2:])
        loss, _ = objective(rows, batch.num_tokens, len(rows.with_caption))
        loss.backward()
        losses.append(loss.detach())
        grads.append(model.token_embedding.weight.grad)
    assert rows.token_ids.shape[1] - 1 == in_buckets(rows.token_ids.shape[1] - 2, 8)
    assert rows.text_mask.shape[1] == 8 and len(rows.features.columns) % 32 == 0
    assert_within_bound(losses[1].float(), losses[0])
    assert_within_bound(grads[1].float(), grads[0])
    assert some_rows(data, 64, 32)[2].token_ids.shape[1] == 33 < some_rows(data, 64)[2].token_ids.shape[1]


class Waits(TorchDispatchMode):
    """Notes the operations that would make the processor wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = str(function)
        by_mask = "index" in name and any(
            isinstance(each, torch.Tensor) and each.dtype == torch.bool
            for each in (arguments[1] if isinstance(arguments[1], (list, tuple)) else ())
        )
        if "_local_scalar_dense" in name or "nonzero" in name or "masked_select" in name or by_mask:
            self.found.append(name)
        return function(*arguments, **(options or {}))


def test_the_check_finds_what_waits():
    for wait in (
        lambda x: x.sum().item(), lambda x: bool((x > 0).any()), lambda x: x[x > 0], lambda x: x.nonzero(),
    ):  # fmt: skip
        with Waits() as waits:
            wait(torch.ones(3))
        assert waits.found
    with Waits() as waits:
        torch.ones(3)[torch.tensor([1])] = 2.0
    assert not waits.found


def test_nobody_waits_for_the_gpu_in_a_step(data):
    model, batch, rows = some_rows(data, 64)
    config = TrainConfig(header_weight=2.0, lead_weight=2.0, contrastive_weight=0.1)
    objective, average = Objective(model, config, TokenizerConfig()), make_average(model, 0.9)
    assert average.n_averaged.device.type == "cpu"
    with Waits() as waits:
        loss, _ = objective(rows, batch.num_tokens, len(rows.with_caption))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert len(rows.with_caption) > 0 and waits.found == []


def test_bfloat16_is_the_default_on_a_gpu():
    assert TrainConfig().is_bfloat16("cuda") and not TrainConfig().is_bfloat16("cpu")
    assert TrainConfig(precision="bfloat16").is_bfloat16("cpu")
    assert not TrainConfig(precision="float32").is_bfloat16("cuda")


def test_products_of_float32_are_fast_on_a_gpu_only():
    before = torch.get_float32_matmul_precision()
    for device, expected in (("cpu", before), ("cuda", "high")):
        with train_module.fast_products(torch.device(device)):
            assert torch.get_float32_matmul_precision() == expected
    assert torch.get_float32_matmul_precision() == before


def test_what_is_made_ahead_comes_in_order():
    threads = set()

    def make(number):
        threads.add(threading.current_thread())
        return number * number

    for num_ahead in (0, 1, 3):
        with Ahead(make, 2, 9, num_ahead) as ahead:
            assert list(ahead) == [number * number for number in range(2, 9)]
    assert len(threads) == 3 and threading.current_thread() in threads
    assert not any(thread.is_alive() for thread in threads - {threading.current_thread()})


@pytest.mark.parametrize("num_ahead", [0, 2])
def test_an_error_comes_where_its_item_would(num_ahead):
    def make(number):
        if number == 3:
            raise KeyError(number)
        return number

    found = []
    with pytest.raises(KeyError), Ahead(make, 0, 9, num_ahead) as ahead:
        for number in ahead:
            found.append(number)
    assert found == [0, 1, 2]


def test_it_stops_where_nobody_asks_any_more():
    with Ahead(lambda number: number, 0, 1 << 30, 2) as ahead:
        assert next(iter(ahead)) == 0
    assert not ahead._thread.is_alive()


def test_captions_are_encoded_together_and_once(data, monkeypatch):
    asked = []
    encode = TextEncoder.encode_batch
    monkeypatch.setattr(
        TextEncoder, "encode_batch", lambda self, texts, *rest: asked.append(list(texts)) or encode(self, texts, *rest)
    )
    try:
        source = TextSource(data, train_module.TextEncoderSpec())
    except amt_error() as error:
        pytest.skip(str(error))
    before = source(["a waltz", "fast bebop"])
    source.on(torch.device("cpu")).keep(["a waltz", "fast bebop", "a waltz"])
    asked.clear()
    after = source(["a waltz", "fast bebop"])
    assert asked == [] and torch.equal(after[0], before[0]) and torch.equal(after[1], before[1])
    source(["a march", "a waltz"])
    assert asked == [["a march"]]
    # What has to make room is still there for those who asked for it.
    monkeypatch.setattr(train_module, "MAX_KEPT", 2)
    expected = source(["fast bebop", "a hymn", "a waltz"])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wanted = [["fast bebop", "a hymn", "a waltz"] if number % 2 else ["a march", "a reel"] for number in range(12)]
        found = list(pool.map(source, wanted))
    assert all(torch.equal(rows[0], expected[0]) for rows in found[1::2])


def amt_error():
    from amt.errors import TextEncoderError

    return TextEncoderError


def test_matrices_of_one_shape_are_made_orthogonal_together():
    matrices = [torch.randn(shape, generator=torch.Generator().manual_seed(place)) for place, shape in enumerate(
        [(24, 40), (70, 33), (24, 40), (8, 8), (70, 33)]
    )]  # fmt: skip
    for matrix, one in zip(matrices, in_batches(matrices), strict=True):
        assert one.dtype == torch.bfloat16
        truth = newton_schulz.orthogonalize(matrix.bfloat16().double())
        assert_within_bound(one, truth, newton_schulz.orthogonalize(matrix.bfloat16()))


def test_a_model_is_compiled_if_asked_for(data, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    monkeypatch.setattr(train_module, "TextSource", lambda data, spec: text)
    monkeypatch.setattr(train_module, "save_checkpoint", lambda folder, *rest: folder.mkdir())
    options = {"max_steps": 1, "batch_size": 1, "max_len": 33, "warmup_steps": 0, "decay_steps": 0, "eval_batches": 1}
    for name, flag in (("plain", False), ("fast", True)):
        train(data, tmp_path / name, model_config=MODEL, config=TrainConfig(**options, compile=flag))
    assert compiled == ["MusicTextTransformer"]
