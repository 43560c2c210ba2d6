import math
import sys

import pytest
import torch

import amt
from amt.errors import BackendUnavailableError
from amt.ops import attention, attention_backend, explain, fused
from amt.ops.reference import attention as reference
from amt.ops.reference.attention import Call
from amt.testing import assert_within_bound

LENGTHS = [(1, 1), (1, 7), (5, 5), (3, 7), (7, 3), (65, 64), (0, 3), (3, 0)]
PLAIN = ("auto", "reference", "sdpa")


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


def bias(dtype=torch.float64):
    """Of distances up to 2, for three heads; one of them forbids what lies far ahead."""
    values = torch.linspace(-2, 2, 15, dtype=torch.float64).view(3, 5).to(dtype)
    values[1, 4] = -math.inf
    return values


def attention_by_hand(query, key, value, call):
    output = torch.zeros(*query.shape[:3], value.shape[3], dtype=torch.float64)
    lse = torch.full(query.shape[:3], -math.inf, dtype=torch.float64)
    query_len, key_len = query.shape[2], key.shape[2]
    for b, h, i in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[:3])).tolist():
        weights = {}
        if call.query_lengths is not None and i >= call.query_lengths[b]:
            continue
        for j in range(key_len):
            distance = j - (i + key_len - query_len)
            if call.is_causal and distance > 0:
                continue
            if call.window is not None and distance <= -call.window:
                continue
            if call.key_padding_mask is not None and not call.key_padding_mask[b, j]:
                continue
            score = float(query[b, h, i] @ key[b, h, j]) / math.sqrt(query.shape[3])
            if call.relative_bias is not None:
                score += float(call.relative_bias[h, max(-2, min(2, distance)) + 2])
            weights[j] = math.exp(score)
        total = sum(weights.values())
        if total > 0.0:
            lse[b, h, i] = math.log(total)
            output[b, h, i] = sum(weight / total * value[b, h, j] for j, weight in weights.items())
    return output, lse


def assert_is_the_formula(query, key, value, call):
    truth, true_lse = attention_by_hand(query, key, value, call)
    output, lse = reference.attention(query, key, value, call)
    assert_within_bound(output, truth)
    is_empty = true_lse == -math.inf
    assert torch.equal(lse == -math.inf, is_empty)
    assert_within_bound(lse[~is_empty], true_lse[~is_empty])


@pytest.mark.parametrize("is_causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("has_mask", [False, True], ids=["no_mask", "mask"])
@pytest.mark.parametrize("has_bias", [False, True], ids=["no_bias", "bias"])
@pytest.mark.parametrize(("query_len", "key_len"), [(1, 4), (3, 3), (2, 5), (5, 2)])
def test_reference_is_the_formula(query_len, key_len, is_causal, has_mask, has_bias):
    query, key, value = inputs(query_len, key_len)
    call = Call(is_causal, padding(key_len) if has_mask else None, relative_bias=bias() if has_bias else None)
    assert_is_the_formula(query, key, value, call)


@pytest.mark.parametrize("window", [1, 2, 4, 9])
@pytest.mark.parametrize("has_mask", [False, True], ids=["no_mask", "mask"])
@pytest.mark.parametrize(("query_len", "key_len"), [(1, 4), (5, 5), (2, 7), (7, 2)])
def test_a_window_is_the_last_keys(query_len, key_len, has_mask, window):
    call = Call(is_causal=True, key_padding_mask=padding(key_len) if has_mask else None, window=window)
    assert_is_the_formula(*inputs(query_len, key_len), call)


@pytest.mark.parametrize("is_causal", [False, True], ids=["full", "causal"])
def test_queries_behind_their_length_attend_to_nothing(is_causal):
    call = Call(is_causal=is_causal, query_lengths=torch.tensor([2, 0], dtype=torch.int32))
    assert_is_the_formula(*inputs(4, 5), call)


@pytest.mark.parametrize("dropout_p", [0.0, 1e-20])
@pytest.mark.parametrize(
    "options",
    [
        {"is_causal": True, "window": 3},
        {"is_causal": True, "window": 3, "key_padding_mask": padding(12)},
        {"query_lengths": torch.tensor([7, 0])},
        {"is_causal": True, "window": 5, "query_lengths": torch.tensor([8, 2]), "key_lengths": torch.tensor([12, 9])},
    ],
    ids=lambda options: "-".join(options),
)
def test_sdpa_has_windows_and_lengths_of_queries(options, dropout_p, monkeypatch):
    """The dropout is too small to drop anything, but takes the queries in parts."""
    monkeypatch.setattr(sys.modules["amt.ops.attention"], "QUERIES_AT_ONCE", 4)
    query, key, value = inputs(9, 12)
    expected = attention(query, key, value, backend="reference", **options)
    assert_within_bound(attention(query, key, value, backend="sdpa", dropout_p=dropout_p, **options), expected)


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
            tensors.append(bias(dtype).to(compute_dtype).requires_grad_())
        output = attention(
            *tensors[:3],
            is_causal=is_causal,
            key_padding_mask=mask,
            relative_bias=tensors[3] if has_bias else None,
            backend=backend,
        )
        output.square().sum().backward()
        # Without queries torch leaves the bias no gradient at all.
        return [output.detach(), *(torch.zeros_like(t) if t.grad is None else t.grad for t in tensors)]

    in_own_dtype = torch.float32 if dtype == torch.float64 else dtype
    results = run("sdpa", dtype), run("reference", torch.float64), run("reference", in_own_dtype)
    for result, truth, own in zip(*results, strict=True):
        assert result.dtype == dtype
        assert_within_bound(result, truth, own)


@pytest.mark.parametrize("backend", PLAIN)
def test_a_row_with_nothing_to_attend_gives_zeros(backend):
    query, key, value = inputs(3, 7, torch.float32)
    output = attention(query, key, value, key_padding_mask=padding(7), backend=backend)
    assert torch.equal(output[1], torch.zeros_like(output[1]))
    assert output[0].abs().min() > 0


@pytest.mark.parametrize("backend", PLAIN)
def test_causal_is_aligned_bottom_right(backend):
    query, key, value = inputs(2, 5)
    output = attention(query, key, value, is_causal=True, backend=backend)
    alone = attention(query[:, :, :1], key[:, :, :4], value[:, :, :4], backend=backend)
    assert_within_bound(output[:, :, :1], alone)


@pytest.mark.parametrize("backend", PLAIN)
def test_any_strides(backend):
    query, key, value = inputs(5, 7)
    strided = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in (query, key, value)]
    mask = padding(7)
    output = attention(*strided, is_causal=True, key_padding_mask=mask, backend=backend)
    assert_within_bound(
        output, attention(query, key, value, is_causal=True, key_padding_mask=mask, backend="reference")
    )


@pytest.mark.parametrize("backend", PLAIN)
def test_scale(backend):
    query, key, value = inputs(3, 4)
    output = attention(query, key, value, scale=0.5, backend=backend)
    assert_within_bound(output, attention(query * (0.5 * 5**0.5), key, value, backend="reference"))


@pytest.mark.parametrize("backend", PLAIN)
def test_lengths_are_a_mask(backend):
    query, key, value = inputs(3, 7)
    mask = torch.arange(7) < torch.tensor([[5], [0]])
    expected = attention(query, key, value, is_causal=True, key_padding_mask=mask, backend=backend)
    lengths = torch.tensor([5, 0])
    assert torch.equal(attention(query, key, value, is_causal=True, key_lengths=lengths, backend=backend), expected)


@pytest.mark.parametrize("backend", PLAIN)
def test_dropout_keeps_the_mean(backend):
    torch.manual_seed(0)
    query, key = torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1000, 4)
    value = torch.linspace(0.5, 1.5, 1000).view(1, 1, 1000, 1)  # which are dropped matters, not only how many
    output = float(attention(query, key, value, dropout_p=0.5, backend=backend))
    deviation = float(value.square().sum()) ** 0.5 / 1000  # each key counts twice or not at all
    assert deviation / 100 < abs(output - 1.0) < 5 * deviation


@pytest.mark.parametrize(("query_len", "key_len"), [(9, 9), (9, 14), (9, 4), (8, 8)])
@pytest.mark.parametrize("names", ["", "causal", "causal mask", "mask", "causal lengths", "causal bias", "bias"])
def test_parts_of_the_queries_are_the_whole(query_len, key_len, names, monkeypatch):
    """With so little dropout that nothing is dropped: torch then still takes the path that has it."""
    monkeypatch.setattr(sys.modules["amt.ops.attention"], "QUERIES_AT_ONCE", 4)
    query, key, value = inputs(query_len, key_len)
    options = {"is_causal": "causal" in names}
    if "mask" in names:
        options["key_padding_mask"] = padding(key_len)
    if "lengths" in names:
        options["key_lengths"] = torch.tensor([key_len - 1, 0])
    if "bias" in names:
        options["relative_bias"] = bias()
    whole = attention(query, key, value, backend="reference", **options)
    assert_within_bound(attention(query, key, value, backend="sdpa", dropout_p=1e-20, **options), whole)


def test_dropout_from_a_seed():
    query, key, value = inputs(6, 21)
    options = {"dropout_p": 0.4, "is_causal": True}
    torch.manual_seed(0)
    first = attention(query, key, value, seed=5, **options)
    assert torch.equal(first, attention(query, key, value, seed=torch.tensor(5), **options))
    assert not torch.equal(first, attention(query, key, value, seed=6, **options))
    assert attention(query, key, value, seed=5, dropout_p=1.0).abs().max() == 0
    drawn = [attention(query, key, value, backend="reference", **options) for _ in range(2)]
    torch.manual_seed(0)
    assert torch.equal(drawn[0], attention(query, key, value, backend="reference", **options))
    assert not torch.equal(*drawn)


def test_dropped_weights_are_those_of_philox():
    """Word by word, as docs and kernels count them."""
    seed, head, row = 0x1234567890ABCDEF, 5, 3
    kept = reference.kept_weights(torch.tensor(seed), torch.tensor([0, head]), 4, 21, 0.3)
    assert kept.shape == (2, 4, 21)
    for column in range(21):
        words = reference.philox4x32((row, column // 16, head, reference.DROPOUT), (seed & 0xFFFFFFFF, seed >> 32))
        draw = words[column % 8 // 2] >> 8 * (column % 2 + 2 * (column % 16 // 8)) & 0xFF
        assert bool(kept[1, row, column]) == (draw >= round(0.3 * 256))
    assert 0.6 < reference.kept_weights(torch.tensor(seed), torch.arange(8), 64, 64, 0.3).float().mean() < 0.8


SEQUENCES = torch.tensor([0, 3, 3, 10, 11], dtype=torch.int32)  # one of them is empty; two positions behind them


def packed(dtype=torch.float64, total_len=13):
    return tuple(torch.randn(1, 3, total_len, 5, dtype=dtype) for _ in range(3))


@pytest.mark.parametrize("dropout_p", [0.0, 0.5])
@pytest.mark.parametrize("is_causal", [False, True], ids=["full", "causal"])
def test_packed_sequences_are_the_padded_ones(is_causal, dropout_p):
    torch.manual_seed(0)
    tensors = packed()
    options = {"is_causal": is_causal, "relative_bias": bias(), "dropout_p": dropout_p, "seed": 7}
    output = attention(*tensors, cu_seqlens=SEQUENCES, **options)
    assert output[:, :, 11:].abs().max() == 0
    # A batch of the same sequences, each padded behind its end: bottom-right alignment wants them cut to length.
    for index, (start, end) in enumerate(zip(SEQUENCES.tolist(), SEQUENCES.tolist()[1:], strict=False)):
        batch = [t[:, :, start:end].expand(index + 1, -1, -1, -1) for t in tensors]
        assert_within_bound(output[0, :, start:end], attention(*batch, **options)[index])


def test_packed_cross_attention():
    torch.manual_seed(0)
    query, (key, value) = packed()[0], packed(total_len=6)[1:]
    cu_key = torch.tensor([0, 1, 2, 5, 6], dtype=torch.int32)
    output = attention(query, key, value, cu_seqlens=(SEQUENCES, cu_key))
    assert_within_bound(output[:, :, 3:10], attention(query[:, :, 3:10], key[:, :, 2:5], value[:, :, 2:5]))


def random_call(options):
    """Inputs and Call in float64 for some of: causal, window, mask, lengths, queries, packed, bias, dropout."""
    torch.manual_seed(1)
    is_packed = "packed" in options
    tensors = packed() if is_packed else tuple(torch.randn(2, 3, n, 5, dtype=torch.float64) for n in (4, 6, 6))
    return tensors, Call(
        is_causal="causal" in options,
        key_padding_mask=torch.rand(2, 6) < 0.5 if "mask" in options else None,
        key_lengths=torch.tensor([5, 0], dtype=torch.int32) if "lengths" in options else None,
        cu_seqlens=(SEQUENCES, SEQUENCES) if is_packed else None,
        relative_bias=torch.randn(3, 5, dtype=torch.float64) if "bias" in options else None,
        dropout_p=0.3 if "dropout" in options else 0.0,
        seed=torch.tensor(9) if "dropout" in options else None,
        query_lengths=torch.tensor([3, 4], dtype=torch.int32) if "queries" in options else None,
        window=3 if "window" in options else None,
    )


OPTIONS = [
    {"causal"},
    {"mask", "bias"},
    {"lengths", "causal", "dropout"},
    {"packed", "causal", "bias", "dropout"},
    {"mask", "causal", "bias", "dropout"},
    {"window", "causal", "lengths", "queries", "dropout"},
]
OPTION_SETS = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(sorted(options)))


@OPTION_SETS
def test_gradients_by_hand_are_those_of_autograd(options):
    tensors, call = random_call(options)
    tensors = [tensor.requires_grad_() for tensor in tensors]
    if call.relative_bias is not None:
        tensors.append(call.relative_bias.requires_grad_())
    output, lse = reference.attention(*tensors[:3], call)
    lse = lse.masked_fill(lse == -math.inf, 0.0)
    grads = torch.randn_like(output), torch.randn_like(lse)
    expected = torch.autograd.grad((output, lse), tensors, grads)
    with torch.no_grad():
        got = [t for t in reference.attention_gradients(*grads, *tensors[:3], call) if t is not None]
    for one, other in zip(got, expected, strict=True):
        assert_within_bound(one, other)


@OPTION_SETS
def test_the_op_passes_opcheck_and_gradcheck(options):
    tensors, call = random_call(options)
    bias_of = call.relative_bias
    cu_query, cu_key = call.cu_seqlens or (None, None)

    def arguments(query, key, value, relative_bias):
        return (
            query, key, value, call.key_padding_mask, call.key_lengths, cu_query, cu_key, relative_bias, call.seed,
            call.is_causal, call.dropout_p, 0.4, call.query_lengths, call.window or 0,
        )  # fmt: skip

    leaves = [t.requires_grad_() for t in (*tensors, *([] if bias_of is None else [bias_of]))]
    torch.library.opcheck(fused.attention_forward, arguments(*leaves[:3], leaves[3] if bias_of is not None else None))
    output, lse = fused.attention_forward(*arguments(*tensors, bias_of))
    backward = (
        torch.randn_like(output),
        torch.randn_like(lse),
        *tensors,
        output.detach(),
        lse,
        *arguments(*tensors, bias_of)[3:],
    )
    torch.library.opcheck(
        fused.attention_backward, backward, test_utils=("test_schema", "test_autograd_registration", "test_faketensor")
    )
    assert torch.autograd.gradcheck(
        lambda q, k, v, *b: fused.attention_forward(*arguments(q, k, v, b[0] if b else None))[0], leaves
    )


def test_the_op_is_one_node_of_a_compiled_graph():
    tensors, call = random_call({"mask", "bias", "dropout", "causal"})
    leaves = [t.requires_grad_() for t in (*tensors, call.relative_bias)]
    graphs = []

    def run(query, key, value, relative_bias):
        return fused.attention(query * 2, key, value, call._replace(relative_bias=relative_bias)).sum()

    def backend(graph, example_inputs):
        graphs.append(str(graph.graph))
        return graph.forward

    expected = torch.autograd.grad(run(*leaves), leaves)
    assert torch.equal(torch.compile(run, backend=backend, fullgraph=True)(*leaves), run(*leaves))
    assert graphs[0].count("torch.ops.amt.attention_forward") == 1
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)(*leaves)
    for one, other in zip(torch.autograd.grad(compiled, leaves), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("backend", PLAIN)
def test_it_compiles_in_one_graph(backend):
    query, key, value = inputs(4, 7)
    mask = padding(7)

    def run(query, key, value):
        return attention(query, key, value, is_causal=True, key_padding_mask=mask, backend=backend)

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(query, key, value), run(query, key, value))


def test_explain_says_what_runs_and_why():
    query, key, value = inputs(4, 7)
    no_kernels = "no C++ kernels: numbers must be float32 or bfloat16; got torch.float64"
    assert explain(query, key, value) == f"sdpa: {no_kernels}"
    reason = explain(query, key, value, dropout_p=0.1, seed=3)
    assert reason == f"reference: {no_kernels}; not sdpa: dropout from a seed"
    assert explain(query, key, value, backend="reference", is_causal=True) == "reference: asked for"
    with attention_backend("reference"):
        assert explain(query, key, value).startswith("reference")
    assert explain(query, key, value).startswith("sdpa")
    assert "attention" in amt.info()


def test_triton_by_name_runs_or_says_why_not():
    query, key, value = inputs(4, 7, torch.float32)
    with pytest.raises(ValueError, match="head_dim and value_dim must be the same, 32, 64 or 128; got 5 and 11"):
        attention(query, key, value, backend="triton")
    query = torch.zeros(1, 1, 4, 64)
    with pytest.raises(BackendUnavailableError, match="use backend='auto'"):
        attention(query, query, query, backend="triton")
    with pytest.raises(ValueError, match="float32, float16 or bfloat16; got torch"):
        attention(*[query.double()] * 3, backend="triton")
    with pytest.raises(ValueError, match="the Triton kernels do not offer this: a window, or lengths of queries"):
        attention(query, query, query, is_causal=True, window=2, backend="triton")
    with pytest.raises(ValueError, match="torch's attention does not offer this: dropout from a seed"):
        attention(query, query, query, dropout_p=0.1, seed=1, backend="sdpa")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": torch.zeros(2, 3, 4)}, "must be"),
        ({"query": torch.zeros(2, 3, 4, 7)}, "agree"),
        ({"value": torch.zeros(2, 3, 6, 5)}, "agree"),
        ({"value": torch.zeros(2, 3, 7, 5)}, "one floating dtype, got torch.float64, torch.float64 and torch.float32"),
        ({"key_padding_mask": torch.ones(2, 7)}, "must be bool"),
        ({"key_padding_mask": torch.ones(7, 2, dtype=torch.bool)}, "batch, key_len"),
        ({"key_lengths": torch.ones(2)}, "key_lengths must be integers"),
        ({"key_lengths": torch.ones(3, dtype=torch.int64)}, "key_lengths must be integers"),
        ({"key_lengths": torch.ones(2, dtype=torch.int64), "key_padding_mask": padding(7)}, "only one of"),
        ({"query_lengths": torch.ones(3, dtype=torch.int64)}, "query_lengths must be integers"),
        ({"query_lengths": torch.ones(2, dtype=torch.int64), "cu_seqlens": SEQUENCES}, "leave query_lengths out"),
        ({"window": 3}, "window must be at least 1, and needs is_causal=True; got window=3"),
        ({"window": 0, "is_causal": True}, "window must be at least 1"),
        ({"cu_seqlens": SEQUENCES}, "in a batch of 1, got 2"),
        ({"relative_bias": torch.zeros(3, 4)}, "relative_bias must be"),
        ({"relative_bias": torch.zeros(2, 5)}, "relative_bias must be"),
        ({"dropout_p": float("nan")}, "dropout_p"),
        ({"seed": -1}, "seed must be between"),
        ({"seed": torch.zeros(2)}, "seed must be one int64"),
        ({"backend": "magic"}, "backend must be one of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_arguments(change, message):
    query, key, value = inputs(4, 7)
    with pytest.raises(ValueError, match=message):
        attention(**{"query": query, "key": key, "value": value} | change)


@pytest.mark.parametrize("ends", [[1, 3], [0, 5, 3], [0, 14]])
def test_wrong_sequences(ends):
    with pytest.raises(RuntimeError, match="cu_seqlens must ascend from 0 to at most 13"):
        attention(*packed(), cu_seqlens=torch.tensor(ends, dtype=torch.int32))
    with pytest.raises(ValueError, match="cu_seqlens must be int32"):
        attention(*packed(), cu_seqlens=torch.tensor(ends))
