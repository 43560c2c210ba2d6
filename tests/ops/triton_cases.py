"""The Triton kernels against the reference in float64, for a process with TRITON_INTERPRET=1 or a GPU.

test_triton.py runs this file in the interpreter. bfloat16 is left to a GPU: the interpreter of Triton 3.9 computes it
wrongly (triton-lang/triton#11584).
"""

import pytest
import torch

from amt._triton import launch
from amt.ops import attention, explain, fused
from amt.ops.reference import attention as reference
from amt.testing import assert_within_bound

DEVICE = "cpu" if launch.IS_INTERPRETED else "cuda"
DTYPES = [torch.float32, torch.float16] + ([torch.bfloat16] if DEVICE == "cuda" else [])
DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)

# Tiles are 16 to 128 queries by 16 to 64 keys.
LENGTHS = [(5, 0), (0, 5), (1, 1), (1, 33), (7, 13), (63, 31), (64, 64), (65, 65), (13, 91), (70, 33)]
LARGE_LENGTHS = [(127, 63), (128, 128), (129, 65)]
BATCH, HEADS = 2, 2


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def options_for(names, key_len, dtype):
    """Arguments of `attention`; tensors are made on the CPU."""
    options = {"is_causal": "causal" in names}
    if "mask" in names:
        mask = torch.rand(BATCH, key_len, generator=torch.Generator().manual_seed(1)) < 0.6
        mask[1, : key_len // 2] = False
        options["key_padding_mask"] = mask
    if "lengths" in names:
        options["key_lengths"] = torch.tensor([key_len - key_len // 3, 0])
    if "bias" in names:
        options["relative_bias"] = draw(HEADS, 2 * 9 + 1, seed=2).to(dtype)
    if "dropout" in names:
        options |= {"dropout_p": 0.3, "seed": 1 << 40 | 77}
    if "scale" in names:
        options["scale"] = 0.3
    if "negative" in names:
        options["scale"] = -0.3
    if "zero" in names:
        options["scale"] = 0.0
    if "prefix" in names:
        options["key_padding_mask"] = torch.arange(key_len) < torch.tensor([[key_len - key_len // 4], [key_len // 2]])
    return options


def run(tensors, options, backend, dtype, device):
    """Output and gradients of everything that has one."""
    leaves = [t.to(dtype).to(device).requires_grad_() for t in tensors]
    options = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    if isinstance(options.get("cu_seqlens"), tuple):
        options["cu_seqlens"] = tuple(cu.to(device) for cu in options["cu_seqlens"])
    if "relative_bias" in options:
        options["relative_bias"] = options["relative_bias"].to(dtype).detach().requires_grad_()
        leaves.append(options["relative_bias"])
    output = attention(*leaves[:3], backend=backend, **options)
    grad = draw(*output.shape, seed=3).to(tensors[0].dtype).to(dtype).to(device)
    return [t.detach().cpu() for t in (output, *torch.autograd.grad(output, leaves, grad))]


def check(tensors, options, dtype):
    """The kernels' results are within the project's bound, and the same each time."""
    given = [tensor.to(dtype) for tensor in tensors]
    got = run(given, options, "triton", dtype, DEVICE)
    truth = run(given, options, "reference", torch.float64, "cpu")
    own = run(given, options, "reference", dtype, "cpu")
    for one, exact, other in zip(got, truth, own, strict=True):
        assert one.dtype == dtype
        assert_within_bound(one, exact, other)
    if DEVICE == "cuda":
        for one, again in zip(got, run(given, options, "triton", dtype, DEVICE), strict=True):
            assert torch.equal(one, again)


@DTYPE
@pytest.mark.parametrize("names", ["", "causal", "causal mask bias dropout scale"], ids=lambda names: names or "plain")
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_lengths(lengths, names, dtype):
    query_len, key_len = lengths
    tensors = [draw(BATCH, HEADS, length, 32, seed=i) for i, length in enumerate((query_len, key_len, key_len))]
    check(tensors, options_for(names.split(), key_len, dtype), dtype)


@DTYPE
@pytest.mark.parametrize("lengths", LARGE_LENGTHS, ids=str)
def test_large_lengths(lengths, dtype):
    query_len, key_len = lengths
    tensors = [draw(1, 1, length, 32, seed=i) for i, length in enumerate((query_len, key_len, key_len))]
    options = options_for(["causal", "dropout"], key_len, dtype) | {"relative_bias": draw(1, 19, seed=2).to(dtype)}
    check(tensors, options, dtype)
    check(tensors, {"is_causal": True}, dtype)


@DTYPE
@pytest.mark.parametrize(
    "names",
    [
        "mask",
        "causal mask",
        "lengths",
        "causal lengths bias",
        "bias",
        "causal bias",
        "dropout",
        "bias dropout",
        "causal negative",
        "zero bias",
        "prefix",
        "causal prefix",
    ],
)
def test_options(names, dtype):
    tensors = [draw(BATCH, HEADS, length, 32, seed=i) for i, length in enumerate((70, 91, 91))]
    check(tensors, options_for(names.split(), 91, dtype), dtype)


@DTYPE
@pytest.mark.parametrize("head_dim", launch.HEAD_DIMS)
@pytest.mark.parametrize("names", ["causal", "causal bias dropout"])
def test_head_dims(head_dim, names, dtype):
    tensors = [draw(1, HEADS, length, head_dim, seed=i) for i, length in enumerate((40, 70, 70))]
    check(tensors, options_for(names.split(), 70, dtype), dtype)


SEQUENCES = torch.tensor([0, 40, 40, 41, 120, 150], dtype=torch.int32)


@DTYPE
@pytest.mark.parametrize("names", ["", "causal", "causal bias dropout"], ids=lambda names: names or "plain")
def test_packed(names, dtype):
    tensors = [draw(1, HEADS, 160, 32, seed=i) for i in range(3)]
    check(tensors, options_for(names.split(), 160, dtype) | {"cu_seqlens": SEQUENCES}, dtype)


@DTYPE
@pytest.mark.parametrize("names", ["", "causal bias dropout"], ids=lambda names: names or "plain")
def test_packed_cross_attention(names, dtype):
    tensors = [draw(1, HEADS, length, 32, seed=i) for i, length in enumerate((160, 50, 50))]
    cu_key = torch.tensor([0, 16, 16, 17, 49, 50], dtype=torch.int32)
    check(tensors, options_for(names.split(), 50, dtype) | {"cu_seqlens": (SEQUENCES, cu_key)}, dtype)


@DTYPE
def test_strides(dtype):
    """As the projections of a model leave them, and with a last stride that is not 1."""
    query, key, value = draw(BATCH, 40, 3, HEADS, 32).permute(2, 0, 3, 1, 4).unbind(0)
    check([query, key.contiguous().transpose(2, 3).contiguous().transpose(2, 3), value], {"is_causal": True}, dtype)


def test_a_tile_table_has_every_tile_once():
    for block in (16, 64):
        table = launch.tile_table(SEQUENCES, 160, block).tolist()
        lengths = SEQUENCES.diff().tolist()
        expected = [[s, first] for s, length in enumerate(lengths) for first in range(0, length, block)]
        assert [row for row in table if row[0] >= 0] == expected


def test_it_is_the_kernels_that_run(monkeypatch):
    tensors = [draw(1, 1, 8, 32).float().to(DEVICE) for _ in range(3)]
    assert explain(*tensors, backend="triton") == "triton: asked for"
    started = []

    class Recorder:
        def __getitem__(self, grid):
            return lambda *args, **kwargs: started.append((grid, kwargs["BLOCK_Q"]))

    monkeypatch.setattr(launch.kernels, "forward_kernel", Recorder())
    attention(*tensors, backend="triton")
    assert started == [((1,), launch.config_for("forward", 32, 4, False, False, 90).block_q)]


def test_the_op_passes_opcheck():
    tensors = [draw(1, HEADS, 20, 32, seed=i).float().to(DEVICE).requires_grad_() for i in range(3)]
    bias, seed = draw(HEADS, 7).float().to(DEVICE).requires_grad_(), torch.tensor(5, device=DEVICE)
    arguments = (*tensors, None, None, None, None, bias, seed, True, 0.2, 0.3)
    torch.library.opcheck(fused.attention_forward, arguments, rtol=0, atol=0)  # the same kernels give the same bits


def test_it_compiles_in_one_graph():
    tensors = [draw(1, HEADS, 20, 32, seed=i).float().to(DEVICE) for i in range(3)]

    def run(query, key, value):
        return attention(query * 2, key, value, is_causal=True, backend="triton")

    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    leaves = [t.requires_grad_() for t in tensors]
    assert torch.equal(compiled(*leaves), run(*leaves))
    for one, other in zip(*(torch.autograd.grad(f(*leaves).sum(), leaves) for f in (compiled, run)), strict=True):
        assert torch.equal(one, other)


def test_lse_and_its_gradient():
    tensors = [draw(1, HEADS, length, 32, seed=i).float().to(DEVICE) for i, length in enumerate((20, 40, 40))]
    leaves = [t.requires_grad_() for t in tensors]
    _, lse = fused.attention_forward(*leaves, None, None, None, None, None, None, True, 0.0, 0.2)
    exact = [t.detach().double().cpu().requires_grad_() for t in tensors]
    _, true_lse = reference.attention(*exact, reference.Call(is_causal=True, scale=0.2))
    assert_within_bound(lse.detach().cpu(), true_lse.detach())
    grad = draw(*lse.shape, seed=4)
    got = torch.autograd.grad(lse, leaves[:2], grad.float().to(DEVICE))
    for one, truth in zip(got, torch.autograd.grad(true_lse, exact[:2], grad), strict=True):
        assert_within_bound(one.cpu(), truth)


def test_fifty_steps_of_training():
    """A small model learns with the kernels what it learns with the reference: the same losses, in float32."""
    from amt.models import build_model
    from amt.nn.config import ModelConfig
    from amt.ops import attention_backend

    config = ModelConfig(
        vocab_size=20, d_model=32, nhead=1, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=64,
        dropout=0.1, max_sequence_length=16, text_embedding_dim=8, positions="relative",
    )  # fmt: skip

    def losses(backend, dtype):
        torch.manual_seed(0)
        model = build_model(config).to(DEVICE, dtype).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        found = []
        with attention_backend(backend):
            for step in range(50):
                torch.manual_seed(step)
                text = torch.randn(2, 3, 8).to(DEVICE, dtype)
                tokens = torch.randint(3, 20, (2, 13)).to(DEVICE)
                mask = torch.tensor([[True] * 3, [True, True, False]], device=DEVICE)
                loss = model(text, tokens[:, :-1], text_mask=mask)
                loss = torch.nn.functional.cross_entropy(loss.flatten(0, 1), tokens[:, 1:].flatten())
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(loss.item())
        return torch.tensor(found, dtype=dtype)

    truth = losses("reference", torch.float64)
    with_kernels, without = losses("triton", torch.float32), losses("reference", torch.float32)
    assert_within_bound(with_kernels, truth, without)
    assert without[-10:].mean() < without[:10].mean() - 0.05
