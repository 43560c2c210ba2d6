import math

import pytest
import torch

from amt.ops.attention import BACKENDS, attention
from amt.reference import attention as reference
from amt.testing import assert_within_bound

LENGTHS = [(1, 1), (1, 7), (5, 5), (3, 7), (7, 3), (65, 64), (0, 3), (3, 0)]


def inputs(query_len, key_len, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    return draw(2, 3, query_len, 5), draw(2, 3, key_len, 5), draw(2, 3, key_len, 11)


def padding(key_len):
    """Row 0 lacks its last key, row 1 may attend to nothing."""
    mask = torch.ones(2, key_len, dtype=torch.bool)
    mask[0, key_len - 1 :] = False
    mask[1] = False
    return mask


def bias(query_len, key_len, dtype=torch.float64):
    values = torch.linspace(-2, 2, 3 * query_len * key_len, dtype=torch.float64).view(3, query_len, key_len).to(dtype)
    values[1, :1] = -math.inf  # one row of one head sees nothing
    return values


def attention_by_hand(query, key, value, is_causal, key_padding_mask, attn_bias):
    output = torch.zeros(*query.shape[:3], value.shape[3], dtype=torch.float64)
    lse = torch.full(query.shape[:3], -math.inf, dtype=torch.float64)
    query_len, key_len = query.shape[2], key.shape[2]
    for b, h, i in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        weights = {}
        for j in range(key_len):
            if is_causal and j > i + key_len - query_len:
                continue
            if key_padding_mask is not None and not key_padding_mask[b, j]:
                continue
            score = float(query[b, h, i] @ key[b, h, j]) / math.sqrt(query.shape[3])
            weights[j] = math.exp(score + (0.0 if attn_bias is None else float(attn_bias[h, i, j])))
        total = sum(weights.values())
        if total > 0.0:
            lse[b, h, i] = math.log(total)
            output[b, h, i] = sum(weight / total * value[b, h, j] for j, weight in weights.items())
    return output, lse


@pytest.mark.parametrize("is_causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("has_mask", [False, True], ids=["no_mask", "mask"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["no_bias", "bias"])
@pytest.mark.parametrize(("query_len", "key_len"), [(1, 4), (3, 3), (2, 5), (5, 2)])
def test_reference_is_the_formula(query_len, key_len, is_causal, has_mask, has_bias):
    query, key, value = inputs(query_len, key_len)
    mask = padding(key_len) if has_mask else None
    attn_bias = bias(query_len, key_len) if has_bias else None
    truth, true_lse = attention_by_hand(query, key, value, is_causal, mask, attn_bias)
    output, lse = reference.attention(
        query, key, value, is_causal=is_causal, key_padding_mask=mask, attn_bias=attn_bias
    )
    assert_within_bound(output, truth)
    is_empty = true_lse == -math.inf
    assert torch.equal(lse == -math.inf, is_empty)
    assert_within_bound(lse[~is_empty], true_lse[~is_empty])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("is_causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("has_mask", [False, True], ids=["no_mask", "mask"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["no_bias", "bias"])
@pytest.mark.parametrize(("query_len", "key_len"), LENGTHS)
def test_sdpa_is_the_reference_with_its_gradients(query_len, key_len, is_causal, has_mask, has_bias, dtype):
    mask = padding(key_len) if has_mask else None

    def run(backend, compute_dtype):
        tensors = [t.to(compute_dtype).requires_grad_() for t in inputs(query_len, key_len, dtype)]
        if has_bias:
            tensors.append(bias(query_len, key_len, dtype).to(compute_dtype).requires_grad_())
        output = attention(
            *tensors[:3],
            is_causal=is_causal,
            key_padding_mask=mask,
            attn_bias=tensors[3] if has_bias else None,
            backend=backend,
        )
        output.square().sum().backward()
        # Without queries torch leaves the bias no gradient at all.
        return [output.detach(), *(torch.zeros_like(t) if t.grad is None else t.grad for t in tensors)]

    results = run("sdpa", dtype), run("reference", torch.float64), run("reference", dtype)
    for result, truth, own in zip(*results, strict=True):
        assert result.dtype == dtype
        assert_within_bound(result, truth, own)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_row_with_nothing_to_attend_gives_zeros(backend):
    query, key, value = inputs(3, 7, torch.float32)
    output = attention(query, key, value, is_causal=False, key_padding_mask=padding(7), backend=backend)
    assert torch.equal(output[1], torch.zeros_like(output[1]))
    assert output[0].abs().min() > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_causal_is_aligned_bottom_right(backend):
    query, key, value = inputs(2, 5)
    output = attention(query, key, value, is_causal=True, backend=backend)
    alone = attention(query[:, :, :1], key[:, :, :4], value[:, :, :4], is_causal=False, backend=backend)
    assert_within_bound(output[:, :, :1], alone)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_strides(backend):
    query, key, value = inputs(5, 7)
    strided = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in (query, key, value)]
    mask = padding(7)
    output = attention(*strided, is_causal=True, key_padding_mask=mask, backend=backend)
    assert_within_bound(
        output, attention(query, key, value, is_causal=True, key_padding_mask=mask, backend="reference")
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_scale(backend):
    query, key, value = inputs(3, 4)
    output = attention(query, key, value, is_causal=False, scale=0.5, backend=backend)
    assert_within_bound(output, attention(query * (0.5 * 5**0.5), key, value, is_causal=False, backend="reference"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_dropout_keeps_the_mean(backend):
    torch.manual_seed(0)
    query, key = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1000, 4)
    value = torch.linspace(0.5, 1.5, 1000).view(1, 1, 1000, 1)  # which are dropped matters, not only how many
    output = attention(query, key, value, is_causal=False, dropout_p=0.5, backend=backend)
    assert 0.9 < float(output) < 1.1 and abs(float(output) - 1.0) > 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": torch.zeros(2, 3, 4)}, "must be"),
        ({"query": torch.zeros(2, 3, 4, 7)}, "agree"),
        ({"value": torch.zeros(2, 3, 6, 5)}, "agree"),
        ({"key_padding_mask": torch.ones(2, 7)}, "must be bool"),
        ({"key_padding_mask": torch.ones(7, 2, dtype=torch.bool)}, "batch, key_len"),
        ({"dropout_p": float("nan")}, "dropout_p"),
        ({"backend": "magic"}, "backend must be one of"),
    ],
    ids=["3d", "head_dim", "lengths", "mask_dtype", "mask_shape", "dropout", "backend"],
)
def test_wrong_arguments(change, message):
    query, key, value = inputs(4, 7)
    with pytest.raises(ValueError, match=message):
        attention(**{"query": query, "key": key, "value": value, "is_causal": False} | change)
