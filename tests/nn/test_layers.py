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
