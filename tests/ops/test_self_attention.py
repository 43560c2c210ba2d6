"""Self-attention of packed queries, keys and values: the C++ kernels against plain PyTorch."""

import pytest
import torch

from amt.nn.positions import rotary_tables
from amt.ops import native, native_attention
from amt.ops.self_attention import self_attention, self_attention_forward
from amt.testing import assert_within_bound

needs_library = pytest.mark.skipif(not native.is_available(), reason=str(native.why_not()))
SETS = [*native_attention.kernel_sets(), "amx_emulated"] if native.is_available() else []
BATCH, HEADS = 2, 3


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tables(seq_len, head_dim, kind):
    """No rotary positions, those of all rows, or each row its own."""
    if kind == "none":
        return None
    cosine, signed_sine = rotary_tables(seq_len + BATCH, head_dim)
    if kind == "one":
        return cosine[:seq_len], signed_sine[:seq_len]
    return tuple(torch.stack([table[row : row + seq_len] for row in range(BATCH)]) for table in (cosine, signed_sine))


def run(qkv, rotary, backend, dtype, options):
    """Output and gradient."""
    leaf = qkv.to(dtype).requires_grad_()
    if rotary is not None and dtype == torch.float64:
        rotary = tuple(table.double() for table in rotary)
    output = self_attention(leaf, rotary=rotary, backend=backend, **options)
    grad = draw(*output.shape, seed=3).to(dtype)
    return [output.detach(), *torch.autograd.grad(output, leaf, grad)]


@needs_library
@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("norm_scale", [0.0, 1.2])
@pytest.mark.parametrize("kind", ["none", "one", "own"])
@pytest.mark.parametrize(("seq_len", "head_dim"), [(1, 8), (40, 24), (65, 64)])
def test_the_kernels_are_the_reference(seq_len, head_dim, kind, norm_scale, dtype, isa, monkeypatch):
    monkeypatch.setattr(native_attention, "chosen_kernel_set", lambda: isa)
    qkv = draw(BATCH, seq_len, 3, HEADS, head_dim).to(dtype)
    rotary = tables(seq_len, head_dim, kind)
    options = {"is_causal": True, "dropout_p": 0.2, "seed": 9, "query_lengths": torch.tensor([seq_len, seq_len - 1])}
    options["norm_scale"] = norm_scale
    got = run(qkv, rotary, "native", dtype, options)
    truth, own = (run(qkv, rotary, "reference", other, options) for other in (torch.float64, dtype))
    for one, exact, other in zip(got, truth, own, strict=True):
        assert one.dtype == dtype
        assert_within_bound(one, exact, other)


@needs_library
def test_gradients_over_several_sums_are_turned_back():
    """Long enough that threads share a head."""
    before, options = torch.get_num_threads(), {"is_causal": True, "norm_scale": 0.7}
    qkv, rotary = draw(1, 600, 3, 1, 32).float(), tables(600, 32, "one")
    try:
        results = []
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            results.append(run(qkv, rotary, "native", torch.float32, options))
    finally:
        torch.set_num_threads(before)
    truth = run(qkv, rotary, "reference", torch.float64, options)
    own = run(qkv, rotary, "reference", torch.float32, options)
    for one, again, exact, other in zip(*results, truth, own, strict=True):
        assert torch.equal(one, again)
        assert_within_bound(one, exact, other)


@pytest.mark.parametrize("backend", ["auto", "reference", "sdpa"])
def test_every_backend_computes_the_same(backend):
    qkv, rotary = draw(BATCH, 40, 3, HEADS, 8).float(), tables(40, 8, "one")
    options = {"is_causal": True, "window": 5, "norm_scale": 1.2}
    got = run(qkv, rotary, backend, torch.float32, options)
    truth, own = (run(qkv, rotary, "reference", other, options) for other in (torch.float64, torch.float32))
    for one, exact, other in zip(got, truth, own, strict=True):
        assert_within_bound(one, exact, other)


@needs_library
@pytest.mark.parametrize("kind", ["none", "one"])
def test_the_op_passes_opcheck_and_compiles_in_one_graph(kind):
    qkv, rotary = draw(BATCH, 40, 3, HEADS, 8).float().requires_grad_(), tables(40, 8, kind)
    arguments = (qkv, *(rotary or (None, None)), None, None, None, torch.tensor(3), True, 7, 0.2, 0.3, 1.2)
    torch.library.opcheck(self_attention_forward, arguments, rtol=1e-4, atol=1e-4)

    def call(qkv):
        return self_attention(qkv * 2, rotary=rotary, norm_scale=1.2, is_causal=True, backend="native")

    expected = call(qkv)
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)(qkv)
    assert torch.equal(compiled, expected)
    assert torch.equal(*(torch.autograd.grad(output.sum(), qkv)[0] for output in (compiled, expected)))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="qkv must be"):
        self_attention(torch.zeros(2, 5, 2, 3, 8))
    with pytest.raises(ValueError, match="window must be at least 1"):
        self_attention(torch.zeros(2, 5, 3, 3, 8), window=2)
