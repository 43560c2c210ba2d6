"""The C++ attention against the reference in float64, with every instruction set that this processor runs.

"amx_emulated" is the code for AMX with the tile instructions written out, on any processor.
"""

import os

import pytest
import torch

import amt
from amt.errors import BackendUnavailableError
from amt.ops import attention, attention_backend, explain, fused, native, native_attention
from amt.ops.reference import attention as reference
from amt.testing import assert_within_bound

pytestmark = pytest.mark.skipif(not native.is_available(), reason=str(native.why_not()))

DTYPES = [torch.float32, torch.bfloat16]
DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)
SETS = [*native_attention.kernel_sets(), "amx_emulated"] if native.is_available() else []

# A tile is 64 queries by 64 keys, cut into parts of 16 or 32.
LENGTHS = [(5, 0), (0, 5), (1, 1), (1, 33), (7, 13), (63, 31), (64, 64), (65, 65), (13, 91), (70, 33), (129, 127)]
BATCH, HEADS = 2, 2


@pytest.fixture(params=SETS)
def isa(request, monkeypatch):
    """The instruction set that runs."""
    monkeypatch.setattr(native_attention, "chosen_kernel_set", lambda: request.param)
    return request.param


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def three(query_len, key_len, head_dim=32):
    return [draw(BATCH, HEADS, length, head_dim, seed=i) for i, length in enumerate((query_len, key_len, key_len))]


def options_for(names, query_len, key_len):
    """Arguments of `attention`."""
    options = {"is_causal": "causal" in names}
    if "mask" in names:
        mask = torch.rand(BATCH, key_len, generator=torch.Generator().manual_seed(1)) < 0.6
        mask[1, : key_len // 2] = False
        options["key_padding_mask"] = mask
    if "lengths" in names:
        options["key_lengths"] = torch.tensor([key_len - key_len // 3, 0])
    if "queries" in names:
        options["query_lengths"] = torch.tensor([query_len - query_len // 3, query_len])
    if "window" in names:
        options["window"] = 23
    if "narrow" in names:
        options["window"] = 1
    if "dropout" in names:
        options |= {"dropout_p": 0.3, "seed": 1 << 40 | 77}
    if "scale" in names:
        options["scale"] = 0.3
    if "negative" in names:
        options["scale"] = -0.3
    return options


def run(tensors, options, backend, dtype):
    """Output and gradients."""
    leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
    output = attention(*leaves, backend=backend, **options)
    grad = draw(*output.shape, seed=3).to(tensors[0].dtype).to(dtype)
    return [output.detach(), *torch.autograd.grad(output, leaves, grad)]


def check(tensors, options, dtype):
    given = [tensor.to(dtype) for tensor in tensors]
    got = run(given, options, "native", dtype)
    truth, own = (run(given, options, "reference", other) for other in (torch.float64, dtype))
    for one, exact, other in zip(got, truth, own, strict=True):
        assert one.dtype == dtype
        assert_within_bound(one, exact, other)


@DTYPE
@pytest.mark.parametrize("names", ["", "causal", "causal mask dropout scale", "causal window"], ids=str)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_lengths(lengths, names, dtype, isa):
    check(three(*lengths), options_for(names.split(), *lengths), dtype)


@DTYPE
@pytest.mark.parametrize(
    "names",
    [
        "mask", "causal mask", "lengths", "causal lengths", "queries", "causal queries lengths", "dropout",
        "causal window mask", "causal narrow", "causal window queries lengths dropout", "negative", "causal negative",
    ],
)  # fmt: skip
def test_options(names, dtype, isa):
    check(three(70, 91), options_for(names.split(), 70, 91), dtype)


@DTYPE
@pytest.mark.parametrize("head_dim", [8, 24, 40, 64, 128])
def test_head_dims(head_dim, dtype, isa):
    check(three(40, 70, head_dim), options_for(["causal", "dropout"], 40, 70), dtype)


@DTYPE
def test_long_sequences(dtype, isa):
    """More tiles of keys than one sum has, and windows that leave some of them out."""
    if isa in ("generic", "amx_emulated"):
        pytest.skip("slow, and other sets show the same")
    tensors = [tensor[:1, :1] for tensor in three(600, 600)]
    for options in ({"is_causal": True}, {"is_causal": True, "window": 100}):
        check(tensors, options, dtype)


@DTYPE
def test_strides(dtype, isa):
    """As the projections of a model leave them, and with a last stride that is not 1."""
    query, key, value = draw(BATCH, 40, 3, HEADS, 32).permute(2, 0, 3, 1, 4).unbind(0)
    check([query, key.contiguous().transpose(2, 3).contiguous().transpose(2, 3), value], {"is_causal": True}, dtype)


@DTYPE
@pytest.mark.parametrize("names", ["causal", "causal window dropout queries"])
def test_any_number_of_threads_gives_the_same_bits(names, dtype, isa, set_threads):
    query_len, key_len = (150, 1100) if isa not in ("generic", "amx_emulated") else (70, 600)
    tensors = [tensor.to(dtype) for tensor in three(query_len, key_len)]
    options = options_for(names.split(), query_len, key_len)
    results = []
    for num_threads in (1, 2, 3, 7):
        set_threads(num_threads)
        results.append(run(tensors, options, "native", dtype))
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


def test_sets_differ_in_bits_only():
    """That is, each of them was really another one: bfloat16 is computed in three ways."""
    tensors = [tensor.bfloat16() for tensor in three(70, 70)]
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name in SETS:
            patch.setattr(native_attention, "chosen_kernel_set", lambda name=name: name)
            found[name] = attention(*tensors, is_causal=True, backend="native").sum().item()
    assert found["generic"] != found["amx_emulated"]
    assert max(found.values()) - min(found.values()) < 1.0


def test_lse_and_its_gradient(isa):
    tensors = [draw(1, HEADS, length, 32, seed=i).float() for i, length in enumerate((20, 40, 40))]
    leaves = [tensor.requires_grad_() for tensor in tensors]
    arguments = (None, None, None, None, None, None, True, 0.0, 0.2, None, 7, "native")
    _, lse = fused.attention_forward(*leaves, *arguments)
    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    _, true_lse = reference.attention(*exact, reference.Call(is_causal=True, scale=0.2, window=7))
    assert_within_bound(lse.detach(), true_lse.detach())
    grad = draw(*lse.shape, seed=4)
    got = torch.autograd.grad(lse, leaves[:2], grad.float())
    for one, truth in zip(got, torch.autograd.grad(true_lse, exact[:2], grad), strict=True):
        assert_within_bound(one, truth)


def test_a_query_that_sees_nothing_gives_zeros_and_minus_infinity(isa):
    tensors = [tensor.float() for tensor in three(20, 20)]
    mask = torch.ones(BATCH, 20, dtype=torch.bool)
    mask[1] = False
    arguments = (mask, None, None, None, None, None, True, 0.0, 0.2, torch.tensor([5, 20]), 0, "native")
    output, lse = fused.attention_forward(*tensors, *arguments)
    for empty in (output[1], output[0, :, 5:]):
        assert torch.equal(empty, torch.zeros_like(empty))
    assert (lse[1] == -torch.inf).all() and (lse[0, :, 5:] == -torch.inf).all() and lse[0, :, :5].isfinite().all()


def test_nan_is_not_hidden(isa):
    tensors = [tensor.float() for tensor in three(20, 20)]
    tensors[0][0, 0, 3, 2] = torch.nan
    output = attention(*tensors, is_causal=True, backend="native")
    assert output[0, 0, 3].isnan().all() and output[0, 0, :3].isfinite().all() and output[0, 1].isfinite().all()


@pytest.mark.parametrize("names", ["", "causal window dropout queries lengths"], ids=lambda names: names or "plain")
def test_the_op_passes_opcheck(names):
    options = options_for(names.split(), 20, 20)
    tensors = [tensor.float().requires_grad_() for tensor in three(20, 20)]
    lengths = [options.get(name) for name in ("key_lengths", "query_lengths")]
    lengths = [None if each is None else each.int() for each in lengths]
    seed = torch.tensor(options.get("seed", 0))
    arguments = (
        *tensors, None, lengths[0], None, None, None, seed, options["is_causal"], options.get("dropout_p", 0.0), 0.3,
        lengths[1], options.get("window", 0), "native",
    )  # fmt: skip
    torch.library.opcheck(fused.attention_forward, arguments, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("is_training", [False, True], ids=["inference", "training"])
def test_it_compiles_in_one_graph(is_training):
    tensors = [tensor.float().requires_grad_(is_training) for tensor in three(70, 70)]
    graphs = []

    def run(query, key, value):
        return attention(query * 2, key, value, is_causal=True, window=9)

    def backend(graph, example_inputs):
        graphs.append(str(graph.graph))
        return graph.forward

    if os.environ.get("AMT_CPU_ISA") == "generic":
        pytest.skip("these kernels are not chosen")
    assert explain(*tensors, is_causal=True, window=9).startswith("native")
    expected = run(*tensors)
    assert torch.equal(torch.compile(run, backend=backend, fullgraph=True)(*tensors), expected)
    assert graphs[0].count("torch.ops.amt.attention_forward") == 1
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)(*tensors)
    assert torch.equal(compiled, expected)
    if is_training:
        both = (torch.autograd.grad(output.sum(), tensors) for output in (compiled, expected))
        for one, other in zip(*both, strict=True):
            assert torch.equal(one, other)


def losses_of_training(backend, precision):
    """Of 50 steps of a small model."""
    from amt.models import build_model
    from amt.nn.config import ModelConfig

    config = ModelConfig(
        vocab_size=20, d_model=32, nhead=1, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=64,
        dropout=0.1, max_sequence_length=16, text_embedding_dim=8, positions="rotary",
    )  # fmt: skip
    torch.manual_seed(0)
    model = build_model(config).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    with attention_backend(backend):
        for step in range(50):
            torch.manual_seed(step)
            text = torch.randn(2, 3, 8)
            tokens = torch.randint(3, 20, (2, 13))
            mask = torch.tensor([[True] * 3, [True, True, False]])
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                logits = model(text, tokens[:, :-1], text_mask=mask)
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return torch.tensor(found)


def test_fifty_steps_of_training():
    """A small model learns with the kernels what it learns with the reference: the same losses.

    In bfloat16 they are as near to those in float32 as the reference's are.
    """
    exact = losses_of_training("reference", "float32")
    assert (losses_of_training("native", "float32") - exact).abs().max() < 1e-4
    assert exact[-10:].mean() < exact[:10].mean() - 0.05
    errors = [(losses_of_training(name, "bfloat16") - exact).abs().max() for name in ("native", "reference")]
    assert errors[0] <= 2 * errors[1]


def test_the_instruction_set_is_chosen_by_the_environment(monkeypatch):
    monkeypatch.delenv("AMT_CPU_ISA", raising=False)
    fastest = native_attention.chosen_kernel_set()
    assert fastest == [name for name in native_attention.kernel_sets() if name != "avx512_amx"][-1]
    for name in native_attention.kernel_sets():
        monkeypatch.setenv("AMT_CPU_ISA", name)
        assert native_attention.chosen_kernel_set() == name
        assert native.chosen_kernel_set() in native.kernel_sets()  # the engine has not all of them
    for name in native.kernel_sets():
        monkeypatch.setenv("AMT_CPU_ISA", name)
        assert native_attention.chosen_kernel_set() in (name, name.partition("_")[0], "generic")
        assert native.chosen_kernel_set() == name
    monkeypatch.setenv("AMT_CPU_ISA", "abacus")
    with pytest.raises(BackendUnavailableError, match="AMT_CPU_ISA is 'abacus'; here there are generic"):
        attention(*[torch.zeros(1, 1, 4, 8)] * 3, backend="native")


def test_explain_says_why_not(monkeypatch):
    query = torch.zeros(2, 3, 64, 64)
    name = native_attention.chosen_kernel_set()
    assert explain(query, query, query, backend="native") == f"native: asked for ({name})"
    if name != "generic":
        assert explain(query, query, query) == f"native: C++ kernels ({name}), faster here"
        assert explain(query, query, query, dropout_p=0.1, seed=3).startswith("native")
        assert explain(query[:, :, :63], query, query).startswith("sdpa: with less than 64 queries")
        half = query.bfloat16()
        assert explain(half[:, :, :16], half, half).startswith("native")
        assert explain(half[:, :, :15], half, half).startswith("sdpa: with less than 16 queries")
    monkeypatch.setenv("AMT_CPU_ISA", "generic")
    assert explain(query, query, query) == "sdpa: the C++ kernels have nothing faster than generic here"
    assert f"C++ kernels ({native_attention.chosen_kernel_set()})" in amt.info()["attention"]
    bias = torch.zeros(3, 5)
    assert explain(query, query, query, relative_bias=bias) == "sdpa: no C++ kernels: a relative bias"
    for tensor, options, message in (
        (query, {"relative_bias": bias}, "a relative bias"),
        (query.half(), {}, "numbers must be float32 or bfloat16; got torch.float16"),
        (query[..., :12], {}, "a multiple of 8 up to 128; got 12 and 12"),
        (query[:1], {"cu_seqlens": torch.tensor([0, 40], dtype=torch.int32)}, "packed sequences"),
    ):
        with pytest.raises(ValueError, match=f"the C\\+\\+ kernels do not offer this: .*{message}"):
            attention(tensor, tensor, tensor, backend="native", **options)


def test_without_the_library_torch_takes_over(monkeypatch):
    query = torch.zeros(1, 1, 40, 64)
    monkeypatch.setattr(native, "_load", lambda: "the op library is not built")
    assert explain(query, query, query) == "sdpa: no C++ kernels: the op library is not built"
    with pytest.raises(BackendUnavailableError, match="the op library is not built"):
        attention(query, query, query, backend="native")
