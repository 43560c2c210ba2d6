"""Every CUDA kernel, run on this processor, against PyTorch in float64; in four orders of blocks and threads."""

import pytest
import torch
from cuda_library import ORDERS, KernelError, compiler, library
from kernel_cases import attention_case, embed_case, linear_case, prefix_case

from amt.testing import assert_within_bound

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
NUMBERS = pytest.mark.parametrize("is_bfloat", [False, True], ids=["float32", "bfloat16"])


def check(source, case):
    """Within the project's bound, and the same bits in every order."""
    start, truth, own = case
    loaded = library(source)
    results = [start(loaded, order) for order in ORDERS]
    assert_within_bound(results[0], truth, own)
    for result in results[1:]:
        assert torch.equal(result, results[0])
    return results[0]


@NUMBERS
@pytest.mark.parametrize("has_features", [False, True], ids=["plain", "features"])
@pytest.mark.parametrize(("num_rows", "d_model"), [(1, 31), (5, 128), (3, 300)])
def test_embed(num_rows, d_model, has_features, is_bfloat):
    check(
        "embed.cu",
        embed_case(
            num_rows, d_model, has_features=has_features, has_positions=d_model != 128, is_bfloat=is_bfloat
        ),
    )  # fmt: skip


@NUMBERS
@pytest.mark.parametrize("num_rows", [1, 7, 8, 9])
@pytest.mark.parametrize(("in_features", "out_features"), [(32, 16), (96, 5), (160, 33)])
def test_norm_linear(num_rows, in_features, out_features, is_bfloat):
    check("norm_linear.cu", linear_case(num_rows, in_features, out_features, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "swiglu"])
@pytest.mark.parametrize("has_norm", [False, True], ids=["as it is", "normed"])
def test_activation_and_residual(activation, has_norm, is_bfloat):
    options = {"has_norm": has_norm, "has_residual": activation != "relu", "is_bfloat": is_bfloat}
    check("norm_linear.cu", linear_case(3, 64, 21, activation, **options))


@NUMBERS
@pytest.mark.parametrize("num_beams", [1, 2, 4, 7, 9, 17])
@pytest.mark.parametrize("capacity", [1, 63, 64, 65, 150])
def test_decode_attention(capacity, num_beams, is_bfloat):
    check("decode_attention.cu", attention_case(num_beams, capacity, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("window", [1, 30, 64, 70, 500])
def test_windows(window, is_bfloat):
    check("decode_attention.cu", attention_case(3, 140, window=window, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("head_dim", [32, 128])
def test_narrow_and_wide_heads(head_dim, is_bfloat):
    check("decode_attention.cu", attention_case(5, 70, head_dim=head_dim, num_heads=1, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize(
    ("num_rows", "in_features", "out_features"), [(1, 32, 16), (63, 96, 5), (64, 64, 64), (65, 160, 130)]
)
def test_prefix_linear(num_rows, in_features, out_features, is_bfloat):
    check(
        "prefix_linear.cu",
        linear_case(num_rows, in_features, out_features, has_norm=False, is_bfloat=is_bfloat, kernel="prefix_linear"),
    )


@NUMBERS
@pytest.mark.parametrize("activation", ["none", "relu", "gelu", "swiglu"])
def test_activation_and_residual_of_a_prefix(activation, is_bfloat):
    options = {"has_norm": False, "has_residual": activation != "relu", "is_bfloat": is_bfloat}
    check("prefix_linear.cu", linear_case(5, 64, 21, activation, kernel="prefix_linear", **options))


@NUMBERS
@pytest.mark.parametrize("num_queries", [1, 15, 16, 17, 63, 64, 65, 130])
def test_prefix_attention(num_queries, is_bfloat):
    check("prefix_attention.cu", prefix_case(num_queries, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("window", [1, 7, 32, 64, 70, 500])
def test_windows_of_a_prefix(window, is_bfloat):
    check("prefix_attention.cu", prefix_case(100, window=window, num_heads=1, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("len_of_text", [2, 31, 64, 65])
def test_a_prefix_reads_the_text(len_of_text, is_bfloat):
    check("prefix_attention.cu", prefix_case(19, len_of_text=len_of_text, is_bfloat=is_bfloat))


@NUMBERS
@pytest.mark.parametrize("head_dim", [64, 128])
def test_wide_heads_and_biases_of_a_prefix(head_dim, is_bfloat):
    options = {"head_dim": head_dim, "num_heads": 3, "has_bias": True}
    check("prefix_attention.cu", prefix_case(35, window=20, is_bfloat=is_bfloat, **options))


def test_nothing_to_attend_to_gives_zeros():
    result = check("decode_attention.cu", attention_case(2, 66, lengths=(0, 66), is_bfloat=False))
    assert not result[0].any() and result[1].all()


def test_a_row_has_the_same_bits_alone_and_among_others():
    """The first row of a draw is the same, however many there are."""
    options = {"has_norm": True, "is_bfloat": True}
    alone, among = (check("norm_linear.cu", linear_case(rows, 96, 21, **options)) for rows in (1, 11))
    assert torch.equal(alone[0], among[0])


@pytest.mark.parametrize(
    ("source", "case"),
    [
        ("decode_attention.cu", lambda: attention_case(1, 10, head_dim=16, is_bfloat=False)),
        ("norm_linear.cu", lambda: linear_case(1, 40, 16, is_bfloat=True)),
        ("norm_linear.cu", lambda: linear_case(1, 3104, 16, is_bfloat=False)),
        ("prefix_linear.cu", lambda: linear_case(1, 40, 16, has_norm=False, is_bfloat=True, kernel="prefix_linear")),
        ("prefix_linear.cu", lambda: linear_case(1, 64, 16, is_bfloat=True, kernel="prefix_linear")),
        ("prefix_attention.cu", lambda: prefix_case(1, head_dim=16, is_bfloat=False)),
    ],
    ids=["head_dim", "in_features", "too wide", "in_features of a prefix", "norm of a prefix", "head_dim of a prefix"],
)
def test_sizes_without_a_kernel(source, case):
    with pytest.raises(KernelError, match="error -1"):
        case()[0](library(source), 0)
