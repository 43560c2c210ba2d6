import pytest
import torch

from amt.nn.attention import CrossAttention, SelfAttention
from amt.testing import assert_within_bound


def test_self_attention_is_torchs():
    torch.manual_seed(0)
    ours = SelfAttention(12, 3, 0.0).double()
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    assert_within_bound(
        ours(x, is_causal=False, key_padding_mask=mask).detach(), theirs(x, x, x, key_padding_mask=~mask)[0].detach()
    )


@torch.no_grad()
@pytest.mark.parametrize("window", [1, 3, 9])
def test_a_window_hides_what_is_further_back(window):
    torch.manual_seed(0)
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    layer = SelfAttention(12, 3, 0.0, window=window).double()
    mixed = layer(x, is_causal=True)
    for position in range(7):
        seen = x[:, max(0, position + 1 - window) : position + 1]
        layer.window = 0
        assert_within_bound(mixed[:, position], layer(seen, is_causal=True)[:, -1])
        layer.window = window


@torch.no_grad()
@pytest.mark.parametrize("window", [1, 3, 9])
@pytest.mark.parametrize("num_new", [1, 2, 4])
def test_a_window_over_a_cache(window, num_new):
    """Queries at the end of a cache see what they see in the whole."""
    torch.manual_seed(0)
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    layer = SelfAttention(12, 3, 0.0, window=window).double()
    past = torch.full((2, 2, 3, 7, 4), torch.nan, dtype=torch.float64)  # (key and value, batch, num_heads, ...)
    for start in range(0, 7, num_new):
        end = min(7, start + num_new)
        new = layer(x[:, start:end], is_causal=True, cache=(past[..., start:end, :], past[..., :end, :]))
        assert_within_bound(new, layer(x, is_causal=True)[:, start:end])


@pytest.mark.parametrize("is_masked", [False, True], ids=["real", "masked"])
def test_one_key_is_answered_once_for_all_queries(is_masked):
    torch.manual_seed(0)
    cross = CrossAttention(12, 3, 0.0).double()
    x, memory = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 2, 12, dtype=torch.float64)
    mask = torch.tensor([[True, False], [not is_masked, False]])
    one = cross(x, cross.project(memory[:, :1]), mask[:, :1])
    assert one.shape == (2, 1, 12)
    assert_within_bound(one.detach().expand(2, 5, 12), cross(x, cross.project(memory), mask).detach())


def test_one_key_with_dropout_is_dropped_per_position():
    torch.manual_seed(0)
    cross = CrossAttention(12, 3, 0.5)
    assert cross(torch.randn(2, 5, 12), cross.project(torch.randn(2, 1, 12)), None).shape == (2, 5, 12)


def test_dropout_only_in_training():
    torch.manual_seed(0)
    layer = SelfAttention(12, 3, 0.5)
    x = torch.randn(2, 5, 12)
    assert not torch.equal(layer(x, is_causal=True), layer(x, is_causal=True))
    layer.eval()
    assert torch.equal(layer(x, is_causal=True), layer(x, is_causal=True))
