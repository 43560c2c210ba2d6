import pytest
import torch
from torch.nn import functional as F

from amt.nn.config import ModelConfig
from amt.nn.layers import Decoder, Encoder, FeedForward, drop, swiglu_hidden_size
from amt.testing import assert_within_bound


@pytest.mark.parametrize("dim_feedforward", [1, 8, 100, 1024, 2048, 3072])
def test_swiglu_has_the_parameters_of_two_matrices(dim_feedforward):
    hidden = swiglu_hidden_size(dim_feedforward)
    assert hidden % 8 == 0 and hidden >= 8
    assert abs(3 * hidden - 2 * dim_feedforward) <= 3 * 4 or hidden == 8


@torch.no_grad()
@pytest.mark.parametrize("activation", ["relu", "gelu", "swiglu"])
def test_feed_forward_is_the_formula(activation):
    torch.manual_seed(0)
    network = FeedForward(ModelConfig(d_model=6, nhead=3, dim_feedforward=24, activation=activation)).double().eval()
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    hidden = network.linear1(x)
    if activation == "swiglu":
        gate, value = hidden[..., :16], hidden[..., 16:]
        hidden = gate * torch.sigmoid(gate) * value
    else:
        hidden = getattr(F, activation)(hidden)
    assert_within_bound(network(x), network.linear2(hidden).detach())


def test_drop_is_no_operation_where_it_would_do_nothing():
    module = torch.nn.Identity()
    module.dropout = 0.0
    x = torch.randn(3)
    assert drop(x, module) is x
    module.dropout = 0.5
    assert drop(x, module) is not x
    assert drop(x, module.eval()) is x


@pytest.mark.parametrize("norm_first", [False, True])
def test_norm_at_the_end_only_if_norms_come_first(norm_first):
    config = ModelConfig(d_model=6, nhead=3, num_decoder_layers=2, norm_first=norm_first)
    for stack in (Encoder(config, 3), Decoder(config)):
        assert (stack.norm is not None) == norm_first
    assert len(Encoder(config, 3).layers) == 3 and len(Decoder(config).layers) == 2


@pytest.mark.parametrize(
    ("num_layers", "num", "layers"),
    [(4, 0, (0, 1, 2, 3)), (4, 4, (0, 1, 2, 3)), (4, 2, (0, 2)), (4, 1, (0,)), (5, 3, (0, 1, 3)), (6, 4, (0, 1, 3, 4))],
)
def test_the_layers_that_read_the_text_are_evenly_spread(num_layers, num, layers):
    config = ModelConfig(d_model=8, nhead=2, num_decoder_layers=num_layers, cross_attention_layers=num)
    assert config.layers_with_cross_attention() == layers
    decoder = Decoder(config)
    names = {name for name, _ in decoder.named_parameters()}
    for layer in range(num_layers):
        for part in ("cross_attention.query.weight", "norm2.weight"):
            assert (f"layers.{layer}.{part}" in names) == (layer in layers)
    memory_kv = decoder.project_memory(torch.randn(3, 5, 8))
    assert [tuple(each.shape) for each in memory_kv] == [(2, 3, 2, 5, 4)] * len(layers)


def test_all_layers_but_the_last_have_a_window():
    config = ModelConfig(d_model=8, nhead=2, num_decoder_layers=3, attention_window=5)
    assert [layer.self_attention.window for layer in Decoder(config).layers] == [5, 5, 0]
    assert [layer.self_attention.window for layer in Encoder(config, 2).layers] == [0, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention_window": -1}, "attention_window must be between 0 and"),
        ({"cross_attention_layers": 4}, "cross_attention_layers must be between 0 and 3, got 4"),
    ],
)
def test_windows_and_layers_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(num_decoder_layers=3, **options)
