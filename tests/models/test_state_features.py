"""Models that are told what is true after each token: rows at once, step by step, saved, trained and in the engine."""

import random

import numpy as np
import pytest
import torch

from amt.decoding.backends.engine import Engine
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, features_of
from amt.midi.reference.grammar import GrammarState
from amt.midi.reference.random_pieces import random_walk
from amt.models import MusicTextTransformer, MusicTransformer, build_model
from amt.models.checkpoint import load_checkpoint, save_checkpoint
from amt.models.feature_inputs import collate, features_of_rows
from amt.nn.config import ModelConfig
from amt.ops.native import is_available
from amt.request.options import GenerationConfig
from amt.testing import assert_within_bound
from amt.text.encoder import TextEncoderSpec

CONFIG = TokenizerConfig(max_time_shift=7, num_velocities=4, tempos_bpm=(60, 120))
VOCAB_SIZE = 483
LAYOUT = FeatureLayout(CONFIG)
SIZES = {
    "vocab_size": VOCAB_SIZE, "d_model": 24, "nhead": 3, "num_encoder_layers": 1, "num_decoder_layers": 2,
    "dim_feedforward": 20, "dropout": 0.0, "max_sequence_length": 64, "text_embedding_dim": 384,
}  # fmt: skip
ALL = {"state_features": FeatureLayout.NAMES}
OPTIONS = {
    "all": ALL,
    "sinusoidal-bars": {"state_features": ("bar", "bars_left"), "norm_first": True},
    "rotary-all": {**ALL, "positions": "rotary", "rotary_time": True, "qk_norm": True, "norm_first": True},
    "time-alone": {"positions": "rotary", "rotary_time": True},
    "norm-alone": {"positions": "rotary", "qk_norm": True},
}


@pytest.fixture(params=OPTIONS.values(), ids=OPTIONS.keys())
def model(request):
    torch.manual_seed(0)
    model = MusicTransformer(**SIZES, **request.param, tokenizer_config=CONFIG).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def rows():
    rng = random.Random(4)
    walks = []
    while len(walks) < 3:
        walk = random_walk(GrammarState(CONFIG), rng, 50)
        walks += [walk[:30]] if len(walk) >= 30 else []
    return torch.tensor(walks)


@pytest.fixture(scope="module")
def text():
    return torch.randn(3, 2, 384, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_steps_equal_the_whole(model, rows, text):
    model.double()
    whole = model(text.double(), rows)
    cache = model.start_cache(model.encode(text.double()))
    parts = [model.decode_step(rows[:, :4], cache)]
    cache = cache.select(torch.tensor([2, 0, 2]))
    for position in range(4, rows.shape[1]):
        parts.append(model.decode_step(rows[[2, 0, 2], position : position + 1], cache))
    assert_within_bound(torch.cat(parts[1:], 1), whole[[2, 0, 2], 4:])
    assert_within_bound(parts[0], whole[:, :4])


@torch.no_grad()
def test_the_engine_equals_plain_pytorch(model, rows, text):
    if not is_available():
        pytest.skip("the compiled engine is not built")
    engine = Engine(model)
    ours = engine.start_cache(model.encode(text[:1]), None, 3)
    theirs = model.start_cache(model.encode(text[:1]), None, 3)
    reference = MusicTransformer.from_config(model.config, tokenizer_config=CONFIG).double().eval()
    reference.load_state_dict(model.state_dict())
    truth = reference.start_cache(reference.encode(text[:1].double()), None, 3)
    for part in (rows[:1, :7], rows[:1, 7:8], rows[:1, 8:]):
        expected = model.decode_step(part, theirs)
        assert_within_bound(ours.append(part), reference.decode_step(part, truth), expected)
    index = torch.zeros(2, dtype=torch.long)
    ours, theirs, truth = ours.select(index), theirs.select(index), truth.select(index)
    for position in range(4):
        part = rows[1:, position : position + 1]
        expected = model.decode_step(part, theirs)
        assert_within_bound(ours.append(part), reference.decode_step(part, truth), expected)
        swap = torch.tensor([1, 0])
        ours, theirs, truth = ours.select(swap), theirs.select(swap), truth.select(swap)


@torch.no_grad()
def test_features_matter_and_padding_does_not(rows, text):
    model, text = MusicTransformer(**SIZES, **ALL, tokenizer_config=CONFIG).double().eval(), text.double()
    logits = model(text, rows)
    told = features_of_rows(LAYOUT, rows, [9, 9, 9])
    assert not torch.equal(model(text, rows, features=told), logits)
    ragged = collate(LAYOUT, [features_of(LAYOUT, [row]) for row in (rows[0].numpy(), rows[1, :5].numpy())], 30)
    short = rows[:2].clone()
    short[1, 5:] = 0
    assert_within_bound(model(text[:2], short, features=ragged)[1, :5], logits[1, :5])
    assert_within_bound(model(text[:2], short)[1, :5], logits[1, :5])


def test_gradients_reach_the_columns_that_count(rows, text):
    model = MusicTransformer(**SIZES, **ALL, tokenizer_config=CONFIG)
    model(text, rows).square().mean().backward()
    used = np.unique(features_of(LAYOUT, list(rows.numpy())).columns)
    moved = model.state_features.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert set(moved) <= set(used.tolist()) and len(moved) > 20


def test_both_directions(rows, text):
    options = {name: value for name, value in SIZES.items() if not name.startswith("num_")}
    model = MusicTextTransformer(**options, num_layers=1, **ALL, tokenizer_config=CONFIG).eval()
    assert model.config.state_features == FeatureLayout.NAMES
    assert MusicTextTransformer.from_config(model.config, tokenizer_config=CONFIG).config == model.config
    assert model(text, rows).shape == (3, 30, VOCAB_SIZE)
    assert model(None, rows, mode="midi_to_text").shape == (3, 384)


@torch.no_grad()
def test_a_checkpoint_keeps_them(tmp_path, rows, text):
    model = build_model(ModelConfig(**SIZES, **OPTIONS["rotary-all"]), CONFIG).eval()
    save_checkpoint(tmp_path / "m", model, CONFIG, TextEncoderSpec(), GenerationConfig())
    again = load_checkpoint(tmp_path / "m").model
    assert again.config == model.config and again.feature_layout.config == CONFIG
    assert torch.equal(again(text, rows), model(text, rows))


def test_outputs_that_begin_at_zero(rows, text):
    plain = MusicTransformer(**SIZES, norm_first=True, zero_outputs=True).eval()
    hidden = plain.decoder.norm(
        plain.token_embedding(rows) * plain.embedding_scale + plain.decoder.positions.table[:30]
    )
    assert torch.equal(plain(text, rows), plain._logits(hidden))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state_features": ("bars",)}, "no state feature"),
        ({"state_features": ("bar",), "vocab_size": 99}, "vocab_size is 99, the tokenizer has 483"),
        ({"rotary_time": True}, 'rotary_time needs positions "rotary"'),
        ({"qk_norm": True, "positions": "relative"}, 'qk_norm needs positions "rotary"'),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        MusicTransformer(**SIZES | options, tokenizer_config=CONFIG)
