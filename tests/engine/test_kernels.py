"""Every set of kernels of the decode engine against float64 numpy, against the other sets and against itself."""

import math

import numpy as np
import pytest
import torch

from amt.testing import assert_within_bound

TYPES = ["float32", "bfloat16", "int8"]
IN_SIZES = [1, 3, 5, 15, 16, 17, 31, 64, 680]
OUT_SIZES = [1, 7, 16, 17, 33, 659]
ROWS = [1, 2, 3, 5, 8, 13, 33]


def numbers(*shape, seed=0, scale=1.0):
    return (np.random.default_rng([seed, *shape]).standard_normal(shape) * scale).astype(np.float32)


def check(result, truth, reference=None):
    """`reference` is the same in float32 numpy: what the bound is made of."""
    as_torch = [None if array is None else torch.from_numpy(np.asarray(array)) for array in (result, truth, reference)]
    assert_within_bound(*as_torch)


def same(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def bfloat16_bits(values):
    return torch.from_numpy(values).bfloat16().view(torch.int16).numpy().view(np.uint16)


def from_bits(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def weights_of(number_type, weight):
    """The weights that a packed matrix stands for, and for int8 their bytes and scales."""
    if number_type == "bfloat16":
        return from_bits(bfloat16_bits(weight))
    if number_type == "float32":
        return weight
    largest = np.abs(weight).max(1, keepdims=True).astype(np.float64)
    return np.rint(weight * np.divide(127.0, largest, where=largest > 0, out=np.zeros_like(largest)))


def expected_product(matrix, x, weight, bias, quantized):
    """In float64; for int8 with the 8-bit numbers that the kernel saw."""
    weight = weights_of(matrix.number_type, weight).astype(np.float64)
    if matrix.number_type == "int8":
        integers = quantized.values[:, : x.shape[1]].astype(np.float64) @ weight.T
        scales = quantized.scales[:, None].astype(np.float64) * matrix.scales[: weight.shape[0]].astype(np.float64)
        return integers * scales + bias.astype(np.float64)
    return x.astype(np.float64) @ weight.T + bias.astype(np.float64)


# The table of sets


def test_sets_are_listed_and_found_by_name(engine):
    assert next(iter(engine.sets)) == "generic"
    assert [engine.find(name) for name in engine.sets] == list(engine.sets)
    assert engine.find(None) == engine.find("") == list(engine.sets)[-1]
    with pytest.raises(ValueError, match=r'kernels generic.*got "sse9"'):
        engine.find("sse9")


def test_this_processor_has_the_set_of_its_kind(engine):
    flags = torch.backends.cpu.get_cpu_capability()
    if flags in ("AVX2", "AVX512"):
        assert "avx2" in engine.sets
    if flags == "AVX512":
        assert "avx512" in engine.sets


# Packing


def test_packed_sizes(engine):
    assert engine.packed_bytes("float32", 5, 17) == 32 * 5 * 4
    assert engine.packed_bytes("bfloat16", 5, 17) == 32 * 6 * 2
    assert engine.packed_bytes("int8", 5, 17) == 32 * 8


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-1, 4), (131073, 1)], ids=str)
def test_sizes_out_of_range_are_refused(engine, sizes):
    with pytest.raises(ValueError, match="inputs"):
        engine.packed_bytes("int8", *sizes)


def test_bytes_scales_and_sums_of_packed_weights(engine):
    weight = numbers(17, 5)
    weight[3] = 0.0
    matrix = engine.pack("int8", weight, numbers(17))
    bytes_ = matrix.packed.view(np.int8).reshape(2, 2, 16, 4).transpose(0, 2, 1, 3).reshape(32, 8)
    truth = weights_of("int8", weight)
    assert np.array_equal(bytes_[:17, :5], truth)
    assert not bytes_[17:].any() and not bytes_[:, 5:].any()
    assert np.array_equal(matrix.row_sums[:17], truth.sum(1))
    assert np.array_equal(matrix.scales[:17], np.abs(weight).max(1) / np.float32(127))
    assert not matrix.row_sums[17:].any() and not matrix.scales[17:].any()


def test_weights_of_8_bits_must_be_finite(engine):
    weight = numbers(3, 5)
    weight[1, 2] = np.inf
    with pytest.raises(ValueError, match="finite"):
        engine.pack("int8", weight, numbers(3))


# Products


@pytest.mark.parametrize("in_features", IN_SIZES)
@pytest.mark.parametrize("number_type", TYPES)
def test_matmul(kernels, engine, number_type, in_features):
    for out_features in OUT_SIZES:
        weight, bias = numbers(out_features, in_features), numbers(out_features)
        matrix = engine.pack(number_type, weight, bias)
        for num_rows in ROWS:
            x = numbers(num_rows, in_features)
            quantized = kernels.quantize(x)
            out = kernels.matmul(matrix, x, quantized=quantized)
            truth = expected_product(matrix, x, weight, bias, quantized)
            reference = None if number_type == "int8" else x @ weights_of(number_type, weight).T + bias
            check(out[:, :out_features], truth, reference)
            assert not out[:, out_features:].any()
            residual = numbers(*out.shape)
            added = kernels.matmul(matrix, x, quantized=quantized, add_to=residual)
            assert same(added, residual + out)


@pytest.mark.parametrize("number_type", TYPES)
def test_a_row_alone_and_a_range_of_panels_change_no_bit(kernels, engine, number_type):
    weight, bias = numbers(7 * 16 + 3, 680), numbers(7 * 16 + 3)
    matrix = engine.pack(number_type, weight, bias)
    for num_rows in range(1, 34):
        x = numbers(33, 680)[:num_rows]
        whole = kernels.matmul(matrix, x)
        assert same(whole, np.concatenate([kernels.matmul(matrix, x[i : i + 1]) for i in range(num_rows)]))
        assert same(whole, kernels.matmul(matrix, x, panels=[(5, 8), (0, 1), (1, 5), (3, 3)]))


@pytest.mark.parametrize("rows", [1, 5, 9])
def test_float32_equals_bfloat16_weights_that_fit(kernels, engine, rows):
    weight = from_bits(bfloat16_bits(numbers(33, 531)))
    x = numbers(rows, 531)
    results = [kernels.matmul(engine.pack(kind, weight, numbers(33)), x) for kind in ("float32", "bfloat16")]
    assert same(*results)


@pytest.mark.parametrize("number_type", TYPES)
def test_sets_agree_to_the_bit(engine, number_type):
    """All sets for int8 (integers are exact), all that fuse multiply-add for floats."""
    matrix = engine.pack(number_type, numbers(83, 680), numbers(83))
    x = numbers(13, 680)
    sets = [kernels for name, kernels in engine.sets.items() if name != "generic" or number_type == "int8"]
    results = [kernels.matmul(matrix, x) for kernels in sets]
    assert all(same(results[0], result) for result in results)


@pytest.mark.parametrize("signs", ["same", "opposite", "alternating"])
def test_largest_bytes_do_not_saturate(kernels, engine, signs):
    weight = np.full((20, 4096), 3.0, np.float32)
    x = np.full((9, 4096), -5.0 if signs == "opposite" else 5.0, np.float32)
    if signs == "alternating":
        weight[:, ::2] *= -1
        x[:, 1::2] *= -1
    matrix = engine.pack("int8", weight, np.zeros(20))
    quantized = kernels.quantize(x)
    assert np.array_equal(np.abs(quantized.values), np.full((9, 4096), 127))
    assert np.array_equal(np.abs(matrix.packed[: 16 * 4096].view(np.int8)), np.full(16 * 4096, 127))
    truth = expected_product(matrix, x, weight, np.zeros(20), quantized)
    check(kernels.matmul(matrix, x, quantized=quantized)[:, :20], truth)


@pytest.mark.parametrize("in_features", [1, 15, 16, 64, 65, 680])
def test_quantize_rows(kernels, in_features):
    x = numbers(5, in_features, scale=3.0)
    x[2] = 0.0
    x[3] *= 1e-30
    quantized = kernels.quantize(x)
    largest = np.abs(x).max(1)
    inverse = np.divide(np.float32(127), largest, where=largest > 0, out=np.zeros_like(largest))
    assert np.array_equal(quantized.values[:, :in_features], np.rint(x * inverse[:, None]))
    assert np.array_equal(quantized.scales, largest / np.float32(127))
    assert not quantized.values[:, in_features:].any()


def test_quantizing_what_is_not_finite_is_no_fault(kernels):
    x = numbers(3, 40)
    x[0, 7], x[1, 8] = np.nan, np.inf
    alone = kernels.quantize(x[2:])
    assert same(kernels.quantize(x).values[2:], alone.values)


# Rows


@pytest.mark.parametrize("in_place", [False, True], ids=["apart", "in_place"])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 512, 680])
def test_layer_norm(kernels, size, in_place):
    x, weight, bias = numbers(5, size) + 3, numbers(size, seed=1), numbers(size, seed=2)
    out = kernels.layer_norm(x, weight, bias, 1e-5, in_place=in_place)

    def norm(dtype):
        arrays = [torch.from_numpy(array.astype(dtype)) for array in (x, weight, bias)]
        return torch.nn.functional.layer_norm(arrays[0], (size,), *arrays[1:], eps=1e-5).numpy()

    check(out[:, :size], norm(np.float64), norm(np.float32))
    assert not out[:, size:].any()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 4096])
def test_relu_and_gelu(kernels, size):
    x = numbers(size, scale=3.0)
    assert np.array_equal(kernels.activate("relu", x), np.maximum(x, 0))
    gelu = torch.nn.functional.gelu
    check(kernels.activate("gelu", x), gelu(torch.from_numpy(x).double()).numpy(), gelu(torch.from_numpy(x)).numpy())


def test_gelu_everywhere(kernels):
    x = np.linspace(-14, 14, 200001).astype(np.float32)
    truth = torch.nn.functional.gelu(torch.from_numpy(x).double()).numpy()
    for part in np.array_split(np.arange(x.size), 200):  # each with its own scale, so that small results count
        check(kernels.activate("gelu", x)[part], truth[part])
    extremes = np.array([-np.inf, -1e30, -20.0, -0.0, 0.0, 1e30, np.inf], np.float32)
    # gelu(-inf) is nan in torch, too.
    assert np.array_equal(kernels.activate("gelu", extremes)[1:6], [0, 0, 0, 0, np.float32(1e30)])
    assert np.isnan(kernels.activate("gelu", np.array([np.nan], np.float32))).all()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 680])
def test_swiglu(kernels, size):
    gate, x = numbers(size, scale=5.0), numbers(size, seed=1)

    def swiglu(dtype):
        silu = torch.nn.functional.silu(torch.from_numpy(gate.astype(dtype)))
        return (silu * torch.from_numpy(x.astype(dtype))).numpy()

    check(kernels.swiglu(gate, x), swiglu(np.float64), swiglu(np.float32))


def test_swiglu_of_large_gates(kernels):
    gate = np.array([-1e30, -100.0, -88.0, 88.0, 100.0, 1e30], np.float32)
    truth = torch.nn.functional.silu(torch.from_numpy(gate[:5]).double()).numpy()
    result = kernels.swiglu(gate, np.ones(6))
    check(result[:5], truth)
    assert result[5] == np.float32(1e30)


@pytest.mark.parametrize("head_dim", [2, 6, 32, 40, 64])
def test_rotate(kernels, head_dim):
    x, cosine, sine = numbers(3, head_dim), numbers(head_dim, seed=1), numbers(head_dim, seed=2)
    rolled = np.roll(x, head_dim // 2, axis=1)
    truth = x.astype(np.float64) * cosine + rolled.astype(np.float64) * sine
    check(kernels.rotate(x, cosine, sine), truth, x * cosine + rolled * sine)


@pytest.mark.parametrize("size", [1, 6, 16, 17, 64])
def test_rms_norm(kernels, size):
    x = numbers(7, size)
    x[3] = 0.0

    def normed(x):
        return x / np.sqrt((x * x).mean(1, keepdims=True) + x.dtype.type(1e-6)) * x.dtype.type(np.float32(1.2))

    check(kernels.rms_norm(x, 1e-6, 1.2), normed(x.astype(np.float64)), normed(x))


@pytest.mark.parametrize("size", [16, 48, 64, 80, 256, 272])
@pytest.mark.parametrize("num_rows", [0, 1, 2, 45])
def test_add_rows(kernels, size, num_rows):
    table, x, weights = numbers(53, size), numbers(size, seed=1), numbers(num_rows, seed=2)
    rows = np.random.default_rng(3).integers(0, 53, num_rows)
    reference = x.copy()
    for row, weight in zip(rows, weights, strict=True):
        reference = reference + weight * table[row]
    truth = x.astype(np.float64) + weights.astype(np.float64) @ table[rows].astype(np.float64)
    check(kernels.add_rows(table, rows, weights, x), truth, reference)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 680])
def test_store(kernels, size):
    values = numbers(size)
    assert same(kernels.store(values, "float32"), values)
    assert same(kernels.store(values, "bfloat16"), bfloat16_bits(values))


def test_store_of_what_is_not_finite(kernels):
    bits = np.array([0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7F800001, 0xFFFFFFFF, 0x3F808000, 0x3F818000], np.uint32)
    stored = from_bits(kernels.store(bits.view(np.float32), "bfloat16"))
    assert np.array_equal(stored[[0, 1, 2]], [np.inf, np.inf, -np.inf])
    assert np.isnan(stored[[3, 4]]).all()
    assert np.array_equal(stored[[5, 6]], [1.0, 1.015625])  # ties go to even


@pytest.mark.parametrize("head_dim", [1, 3, 16, 30, 64])
def test_store_bytes(kernels, head_dim):
    """Each vector as `quantize_rows` gives a row, then zeros, then its scale; nothing else is touched."""
    values = numbers(7, 2, head_dim)
    values[3, 1] = 0.0
    stored = kernels.store(values, "int8")
    rows = kernels.quantize(values.reshape(14, head_dim))
    width = -(-head_dim // 4) * 4
    assert np.array_equal(stored[..., :head_dim].reshape(14, head_dim), rows.values[:, :head_dim])
    assert not stored[..., head_dim:width].any()
    assert same(np.ascontiguousarray(stored[..., width:]).view(np.float32).reshape(14), rows.scales)
    assert not from_cache(stored, head_dim)[3, 1].any()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 659])
def test_log_sum_exp(kernels, size):
    x = numbers(size, scale=10.0)
    x[1::3] = -np.inf
    truth = torch.logsumexp(torch.from_numpy(x).double(), 0)
    reference = torch.logsumexp(torch.from_numpy(x), 0)
    assert_within_bound(torch.tensor(kernels.log_sum_exp(x)), truth, reference)


def test_log_sum_exp_of_extremes(kernels):
    infinity = np.float32(np.inf)
    assert kernels.log_sum_exp(np.full(19, -infinity)) == -infinity
    assert kernels.log_sum_exp(np.array([1.0, infinity])) == infinity
    assert math.isnan(kernels.log_sum_exp(np.array([1.0, np.nan, 2.0])))
    assert kernels.log_sum_exp(np.array([-3e38, 3e38])) == np.float32(3e38)


# Attention


def expected_attention(query, keys, values, scale, ancestry=None, bias=None, mask=None, dtype=np.float64):
    rows, positions = np.arange(query.shape[0])[:, None], np.arange(keys.shape[0])[None]
    slots = (
        np.zeros((rows.size, positions.size), int) if ancestry is None else ancestry[:, : positions.size].astype(int)
    )
    query, keys, values = (torch.from_numpy(array.astype(dtype)) for array in (query, keys, values))
    scores = torch.einsum("rd,rpd->rp", query, keys[positions, slots]) * scale
    if bias is not None:
        scores = scores + torch.from_numpy(bias.astype(dtype))
    if mask is not None:
        scores = scores.masked_fill(torch.from_numpy(~mask), -torch.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)
    return torch.einsum("rp,rpd->rd", weights, values[positions, slots]).numpy()


def from_cache(stored, head_dim):
    """The numbers that a cache of any type holds."""
    if stored.dtype == np.float32:
        return stored
    if stored.dtype == np.uint16:
        return from_bits(stored)
    scales = np.ascontiguousarray(stored[..., -4:]).view(np.float32)
    return stored[..., :head_dim].astype(np.float32) * scales


def beams(num_rows, length, trunk_len, seed=0):
    """An ancestry with other numbers behind the length, as in a cache that is longer."""
    ancestry = np.random.default_rng(seed).integers(0, 5, (num_rows, length + 9)).astype(np.uint8)
    ancestry[:, :trunk_len] = ancestry[0, :trunk_len]
    return ancestry


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 31, 33, 100])
@pytest.mark.parametrize("head_dim", [1, 2, 6, 16, 30, 32, 40, 64, 80, 128])
@pytest.mark.parametrize("cache_type", ["float32", "bfloat16", "int8"])
def test_attend(kernels, cache_type, head_dim, length):
    for num_rows in (1, 2, 3, 5, 8):
        query, cache = numbers(num_rows, head_dim), numbers(2, length, 5, head_dim)
        stored = kernels.store(cache, cache_type)
        seen = from_cache(stored, head_dim)
        trunk_len = length // 2
        bias, mask = numbers(length, seed=4), numbers(length, seed=5) > -1
        for options in ({}, {"bias": bias}, {"mask": mask}, {"bias": bias, "mask": mask}):
            call = {"scale": head_dim**-0.5, "ancestry": beams(num_rows, length, trunk_len), **options}
            result = kernels.attend(query, *stored, trunk_len=trunk_len, **call)
            truth = expected_attention(query, *seen, **call)
            check(result, truth, expected_attention(query, *seen, **call, dtype=np.float32))


def test_attend_without_ancestry_reads_slot_0(kernels):
    query, cache = numbers(3, 64), numbers(2, 48, 1, 64)
    truth = expected_attention(query, *cache, scale=0.125)
    check(kernels.attend(query, *cache, scale=0.125), truth)


@pytest.mark.parametrize("head_dim", [40, 64])
@pytest.mark.parametrize("cache_type", ["float32", "bfloat16", "int8"])
def test_neither_the_trunk_nor_other_rows_change_a_bit(kernels, cache_type, head_dim):
    length = 70
    stored = kernels.store(numbers(2, length, 5, head_dim), cache_type)
    for num_rows in (1, 2, 3, 4, 5, 7, 8, 9):
        query, ancestry = numbers(num_rows, head_dim), beams(num_rows, length, length)
        results = [
            kernels.attend(query, *stored, scale=0.2, ancestry=ancestry, trunk_len=trunk_len)
            for trunk_len in range(length + 1)
        ]
        assert all(same(results[0], result) for result in results)
        forked = beams(num_rows, length, 35)
        whole = kernels.attend(query, *stored, scale=0.2, ancestry=forked, trunk_len=35)
        alone = [
            kernels.attend(query[i : i + 1], *stored, scale=0.2, ancestry=forked[i : i + 1]) for i in range(num_rows)
        ]
        assert same(whole, np.concatenate(alone))


@pytest.mark.parametrize("cache_type", ["float32", "int8"])
def test_fused_sets_attend_to_the_bit(engine, cache_type):
    query, cache, ancestry = numbers(5, 72), numbers(2, 53, 5, 72), beams(5, 53, 20)
    results = [
        kernels.attend(query, *kernels.store(cache, cache_type), scale=0.3, ancestry=ancestry, trunk_len=20)
        for name, kernels in engine.sets.items()
        if name != "generic"
    ]
    assert all(same(results[0], result) for result in results)


def test_trunk_reads_the_slots_of_row_0(kernels):
    query, cache, ancestry = numbers(3, 16), numbers(2, 40, 5, 16), beams(3, 40, 0)
    seen = ancestry.copy()
    seen[:, :23] = ancestry[0, :23]
    result = kernels.attend(query, *cache, scale=0.3, ancestry=ancestry, trunk_len=23)
    check(result, expected_attention(query, *cache, scale=0.3, ancestry=seen))


def test_attend_to_nothing_gives_zeros(kernels):
    query, cache = numbers(3, 24), numbers(2, 20, 1, 24)
    assert not kernels.attend(query, *cache, scale=1.0, mask=np.zeros(20, bool)).any()
    assert not kernels.attend(query, *cache[:, :0], scale=1.0).any()


def test_scores_of_any_size(kernels):
    """Scores up to 1e6 apart: one position gets all the weight; a position at -inf gets none."""
    query, cache = np.ones((1, 16), np.float32), numbers(2, 20, 1, 16)
    bias = np.full(20, -1e6, np.float32)
    bias[13], bias[4] = 1e6, -np.inf
    assert np.array_equal(kernels.attend(query, *cache, scale=1.0, bias=bias)[0], cache[1, 13, 0])


@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_weights_are_a_softmax(kernels, spread):
    """Values that are unit vectors show the weights: exp over all its range, each weight with its own bound."""
    length = 64
    scores = (np.linspace(-3, 0, length) * spread).astype(np.float32)
    values = np.eye(length, dtype=np.float32)[:, None]
    result = kernels.attend(np.zeros((1, length)), np.zeros_like(values), values, scale=1.0, bias=scores)[0]
    truth = torch.from_numpy(scores).double().softmax(0)
    check(result, truth.numpy())
    large = truth.numpy() > 2.0**-120
    check((result[large] / truth.numpy()[large]).astype(np.float32), np.ones(large.sum()))
