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
