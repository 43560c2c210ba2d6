import pytest
import torch

from amt.ops import native, native_attention
from amt.ops.reference import swiglu as reference
from amt.ops.swiglu import MIN_NUMBERS, swiglu, swiglu_forward
from amt.testing import assert_within_bound

needs_library = pytest.mark.skipif(not native.is_available(), reason=str(native.why_not()))
SETS = native_attention.kernel_sets() if native.is_available() else []


def draw(*shape, seed=0):
    """Up to 50 and more, where the gate is open or shut."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * 20.0


def run(function, x, dtype):
    leaf = x.to(dtype).requires_grad_()
    output = function(leaf)
    return [output.detach(), *torch.autograd.grad(output, leaf, draw(*output.shape, seed=1).to(x.dtype).to(dtype))]


@needs_library
@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 2), (3, 30), (2, 5, 32), (7, 70), (34,)], ids=str)
def test_the_kernels_are_the_reference(shape, dtype, isa, monkeypatch):
    monkeypatch.setattr(native_attention, "chosen_kernel_set", lambda: isa)
    x = draw(*shape).to(dtype)
    got = run(swiglu_forward, x, dtype)
    truth, own = (run(reference.swiglu, x, other) for other in (torch.float64, dtype))
    for one, exact, other in zip(got, truth, own, strict=True):
        assert one.dtype == dtype and one.shape == exact.shape
        assert_within_bound(one, exact, other)


@needs_library
def test_any_strides_and_any_number_of_threads():
    before = torch.get_num_threads()
    x = draw(1024, 3, 512).float()[:, 1]
    try:
        results = []
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            results.append(run(swiglu_forward, x, torch.float32))
    finally:
        torch.set_num_threads(before)
    for one, other, plain in zip(*results, run(swiglu_forward, x.contiguous(), torch.float32), strict=True):
        assert torch.equal(one, other) and torch.equal(one, plain)


@needs_library
def test_the_op_passes_opcheck_and_compiles_in_one_graph():
    x = draw(64, MIN_NUMBERS // 64).float().requires_grad_()
    torch.library.opcheck(swiglu_forward, (x,), rtol=1e-4, atol=1e-4)
    expected = swiglu(x * 2)
    compiled = torch.compile(lambda x: swiglu(x * 2), backend="aot_eager", fullgraph=True)(x)
    assert torch.equal(compiled, expected)
    assert torch.equal(*(torch.autograd.grad(output.sum(), x)[0] for output in (compiled, expected)))


def test_small_or_strange_ones_are_plain_pytorch():
    for x in (draw(2, 8), draw(2, 8).float(), draw(64, MIN_NUMBERS // 64).half()):
        assert torch.equal(swiglu(x), reference.swiglu(x))
