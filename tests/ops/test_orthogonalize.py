import pytest
import torch

from amt.ops import native, native_attention
from amt.ops.orthogonalize import orthogonalize, orthogonalize_
from amt.ops.reference import newton_schulz as reference
from amt.testing import assert_within_bound

needs_library = pytest.mark.skipif(not native.is_available(), reason=str(native.why_not()))
SETS = [*native_attention.kernel_sets(), "amx_emulated"] if native.is_available() else []
SHAPES = [(1, 1), (8, 3), (24, 40), (64, 64), (65, 130), (200, 96), (33, 31), (300, 70)]


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.3


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_come_near_to_1(shape):
    matrix = draw(*shape).double()
    before, result = torch.linalg.svd(matrix, full_matrices=False), reference.orthogonalize(matrix)
    singular = torch.diag(before.U.T @ result @ before.Vh.T)
    large = 0.05 * before.S.norm() < before.S  # smaller ones take more steps
    assert large.any() and (singular[large] > 0.5).all() and (singular[large] < 1.5).all()


@needs_library
@pytest.mark.parametrize("isa", SETS)
def test_the_kernels_are_the_reference(isa, monkeypatch):
    monkeypatch.setattr(native_attention, "chosen_kernel_set", lambda: isa)
    matrices = [draw(*shape) for shape in SHAPES]
    results = [matrix.clone() for matrix in matrices]
    orthogonalize_(results)
    for matrix, result in zip(matrices, results, strict=True):
        truth, own = reference.orthogonalize(matrix.double()), reference.orthogonalize(matrix.bfloat16())
        # In bfloat16 or better: the sets without its products compute in float32.
        assert_within_bound(result.bfloat16(), truth, own)


@needs_library
def test_any_number_of_threads_gives_the_same_bits():
    before = torch.get_num_threads()
    results = []
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            results.append(orthogonalize([draw(*shape) for shape in SHAPES]))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


def test_the_arguments_stay_as_they_are():
    matrix = draw(20, 30)
    turned = draw(30, 20).T
    kept = matrix.clone(), turned.clone()
    results = orthogonalize([matrix, turned])
    assert torch.equal(matrix, kept[0]) and torch.equal(turned, kept[1])
    for given, result in zip(kept, results, strict=True):
        own = reference.orthogonalize(given.bfloat16())
        assert_within_bound(result.bfloat16(), reference.orthogonalize(given.double()), own)


@needs_library
def test_zeros_stay_zeros_and_nan_is_not_hidden():
    zeros, broken = torch.zeros(20, 30), draw(20, 30)
    broken[3, 4] = torch.nan
    zero, nan = orthogonalize([zeros, broken])
    assert torch.equal(zero, zeros) and nan.isnan().any()
