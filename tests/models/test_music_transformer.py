import inspect

import pytest
import torch

from amt.models import MusicTransformer
from amt.nn.config import ModelConfig
from amt.testing import assert_within_bound
from amt.training.losses import token_loss

SIZES = {
    "vocab_size": 23,
    "d_model": 24,
    "nhead": 3,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
    "dim_feedforward": 40,
    "max_sequence_length": 300,
    "text_embedding_dim": 7,
}


def new_model(options, **sizes):
    torch.manual_seed(0)
    model = MusicTransformer(**SIZES | sizes, **options).double().eval()
    with torch.no_grad():  # fresh biases are zeros, which would hide a wrong one
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.3)
    return model


def test_signature():
    parameters = inspect.signature(MusicTransformer).parameters.values()
    assert [(p.name, p.default) for p in parameters if p.kind is not p.KEYWORD_ONLY] == [
        ("vocab_size", inspect.Parameter.empty),
        ("d_model", 512),
        ("nhead", 8),
        ("num_encoder_layers", 6),
        ("num_decoder_layers", 6),
        ("dim_feedforward", 2048),
        ("dropout", 0.1),
        ("max_sequence_length", 1024),
        ("text_embedding_dim", 768),
    ]


@torch.no_grad()
def test_steps_give_what_the_full_pass_gives(every_options, draw, rounded):
    model = new_model(every_options)
    text, text_mask, tokens = draw(seq_len=13)
    truth = model(text, tokens, text_mask)
    cache = model.start_cache(model.encode(text, text_mask), text_mask)
    steps = [model.decode_step(part, cache) for part in tokens.split([1, 5, 1, 1, 2, 3], dim=1)]
    assert cache.length == 13
    assert_within_bound(torch.cat(steps, 1), truth, rounded(model, text, tokens, text_mask))


@torch.no_grad()
def test_steps_past_the_first_capacity(options, draw, rounded):
    model = new_model(options, num_decoder_layers=2)
    text, text_mask, tokens = draw(seq_len=140)
    truth = model(text, tokens, text_mask)
    cache = model.start_cache(model.encode(text, text_mask), text_mask)
    steps = [model.decode_step(tokens[:, :60], cache)]
    steps += [model.decode_step(tokens[:, i : i + 1], cache) for i in range(60, 140)]
    assert_within_bound(torch.cat(steps, 1), truth, rounded(model, text, tokens, text_mask))


@torch.no_grad()
def test_steps_after_select(options, draw, rounded):
    model = new_model(options)
    text, text_mask, tokens = draw()
    index = torch.tensor([2, 0, 0, 1, 2])
    chosen = text[index], tokens[index], text_mask[index]
    cache = model.start_cache(model.encode(text, text_mask), text_mask)
    model.decode_step(tokens[:, :4], cache)
    logits = model.decode_step(tokens[index, 4:], cache.select(index))
    assert_within_bound(logits, model(*chosen)[:, 4:], rounded(model, *chosen)[:, 4:])


@torch.no_grad()
@pytest.mark.parametrize("src_len", [1, 5])
def test_no_position_sees_the_future(options, draw, src_len):
    model = new_model(options)
    text, text_mask, tokens = draw(src_len=src_len)
    logits = model(text, tokens, text_mask)
    for position in range(11):
        later = tokens.clone()
        later[:, position + 1 :] = 1 + later[:, position + 1 :] % 22
        changed = model(text, later, text_mask)
        assert torch.equal(changed[:, : position + 1], logits[:, : position + 1])
        assert position == 10 or not torch.equal(changed[:, position + 1], logits[:, position + 1])


@torch.no_grad()
def test_text_padding_does_not_matter(options, draw, rounded):
    model = new_model(options)
    text, text_mask, tokens = draw()
    logits = model(text, tokens, text_mask)
    changed = torch.where(text_mask[:, :, None], text, text + 3.0)
    assert torch.equal(model(changed, tokens, text_mask), logits)
    for row, src_len in enumerate(text_mask.sum(1).tolist()):
        one = slice(row, row + 1)
        alone = text[one, :src_len], tokens[one]
        assert_within_bound(logits[one], model(*alone), rounded(model, *alone))


@torch.no_grad()
def test_padding_on_the_right_needs_no_mask(options, draw, rounded):
    model = new_model(options)
    text, text_mask, tokens = draw()
    tokens[1, 8:] = 0
    logits = model(text, tokens, text_mask)
    alone = text[1:2], tokens[1:2, :8], text_mask[1:2]
    truth, reference = model(*alone), rounded(model, *alone)
    assert_within_bound(logits[1:2, :8], truth, reference)
    assert_within_bound(model(text, tokens, text_mask, tokens != 0)[1:2, :8], truth, reference)


@torch.no_grad()
def test_padding_on_the_left_is_hidden_by_its_mask(options, draw):
    model = new_model(options)
    text, text_mask, tokens = draw()
    token_mask = torch.arange(11) >= torch.tensor([[0], [4], [10]])
    logits = model(text, tokens, text_mask, token_mask)
    changed = torch.where(token_mask, tokens, 1 + tokens % 22)
    assert torch.equal(model(text, changed, text_mask, token_mask)[token_mask], logits[token_mask])
    assert logits.isfinite().all()


@torch.no_grad()
def test_the_text_matters(options, draw):
    model = new_model(options)
    text, _, tokens = draw(src_len=1)
    assert not torch.equal(model(text, tokens), model(text.flip(0), tokens))
    assert model(text, tokens, torch.zeros(3, 1, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize("src_len", [1, 5])
def test_gradients_are_finite_and_reach_every_weight(every_options, draw, src_len):
    model = new_model(every_options, dropout=0.0).train()
    text, text_mask, tokens = draw(src_len=src_len)
    text_mask[2] = False  # a row without text
    tokens[1, 8:] = 0
    token_loss(model(text, tokens[:, :-1], text_mask), tokens[:, 1:]).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        if src_len > 1:
            assert weight.grad.abs().sum() > 0, name


def test_dropout_only_in_training(draw):
    text, text_mask, tokens = draw()
    model = new_model({}, dropout=0.3)
    assert torch.equal(model(text, tokens, text_mask), model(text, tokens, text_mask))
    model.train()
    assert not torch.equal(model(text, tokens, text_mask), model(text, tokens, text_mask))
    model = new_model({}, dropout=0.0)
    assert torch.equal(model(text, tokens, text_mask), model.train()(text, tokens, text_mask))


def test_state_dict_round_trip(every_options, draw):
    model = new_model(every_options)
    twin = MusicTransformer.from_config(model.config).double().eval()
    twin.load_state_dict(model.state_dict())
    text, text_mask, tokens = draw()
    assert torch.equal(twin(text, tokens, text_mask), model(text, tokens, text_mask))
    storages = [tensor.data_ptr() for tensor in model.state_dict().values()]
    assert len(set(storages)) == len(storages)  # safetensors refuses shared memory


def test_config_tells_all(every_options):
    model = new_model(every_options, dropout=0.25)
    assert model.config == ModelConfig(architecture="music", dropout=0.25, **SIZES, **every_options)
    assert MusicTransformer.from_config(model.config).config == model.config


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm_first": True, "activation": "swiglu", "positions": "rotary", "tie_output": True},
        {"norm_first": True, "activation": "gelu", "positions": "relative"},
    ],
    ids=["plain", "rotary", "relative"],
)
def test_it_learns(options):
    """Sequences whose second half repeats the first, four of them, one text each."""
    torch.manual_seed(0)
    model = MusicTransformer(**SIZES | {"d_model": 48, "dropout": 0.0}, **options)
    half = torch.randint(1, 23, (4, 8))
    tokens, text = torch.cat((half, half), 1), torch.randn(4, 2, 7)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = token_loss(model(text, tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] < 5.0
    assert losses[-1] < 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocab_size": 3}, "vocab_size"),
        ({"d_model": 25}, "multiple of 2"),
        ({"nhead": 5}, "multiple of 2"),
        ({"nhead": 0}, "nhead"),
        ({"num_encoder_layers": 0}, "num_encoder_layers"),
        ({"num_decoder_layers": -1}, "num_decoder_layers"),
        ({"dim_feedforward": 0}, "dim_feedforward"),
        ({"dropout": 1.5}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
        ({"max_sequence_length": 0}, "max_sequence_length"),
        ({"text_embedding_dim": 0}, "text_embedding_dim"),
        ({"activation": "tanh"}, "activation"),
        ({"positions": "learned"}, "positions"),
        ({"norm_first": 1}, "norm_first"),
        ({"pad_token_id": 23}, "pad_token_id"),
        ({"d_model": 1 << 40}, "d_model"),
    ],
    ids=str,
)
def test_options_out_of_range(change, message):
    with pytest.raises(ValueError, match=message):
        MusicTransformer(**SIZES | change)


def test_wrong_architecture():
    with pytest.raises(ValueError, match="music_text"):
        MusicTransformer.from_config(ModelConfig(architecture="music_text"))


def test_inputs_out_of_range(draw):
    model = new_model({}, max_sequence_length=6)
    text, text_mask, tokens = draw(seq_len=7)
    memory = model.encode(text, text_mask)
    with pytest.raises(ValueError, match="token_ids has 7 positions"):
        model.decode(tokens, memory)
    with pytest.raises(ValueError, match="text_embeddings has 7 positions"):
        model.encode(torch.zeros(3, 7, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="text_embeddings must be"):
        model.encode(torch.zeros(3, 5, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="token_ids must be"):
        model.decode(tokens[0, :5], memory)
    with pytest.raises(ValueError, match="key_padding_mask"):
        model.encode(text, text_mask.double())
    cache = model.start_cache(memory, text_mask)
    with pytest.raises(ValueError, match="2 rows"):
        model.decode_step(tokens[:2, :1], cache)
    model.decode_step(tokens[:, :6], cache)
    with pytest.raises(ValueError, match="max_sequence_length"):
        model.decode_step(tokens[:, 6:], cache)
