"""Whole generations by the CUDA kernels, run on this processor, against the CPU engine."""

import ctypes
import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from cuda_library import ORDERS, compiler
from generation_cases import all_differences, build, difference, load, long_case, outcome, random_models

from amt.decoding.backends.cuda import CudaEngine
from amt.decoding.backends.engine import Engine
from amt.errors import DecodingError
from amt.ops import native
from amt.ops.cuda import CudaDecoder, CudaGeneration
from amt.ops.decode import PromptRows

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import gpu_costs

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler"),
    pytest.mark.skipif(not native.is_available(), reason="the op library is not built"),
]
NUM_CASES = 150


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return build(tmp_path_factory.mktemp("generation"))


@pytest.fixture
def kernels(path):
    return load(path)


def test_random_models_and_options_give_the_tokens_of_the_engine(path):
    """Beams, samples, guidance, grammars, features, windows, long prefixes; alone and in batches."""
    assert all_differences(path, 0, NUM_CASES) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_prefixes_that_take_several_passes(kernels, seed):
    """A prompt whose prefix begins in one pass and ends in the next has the bits that it has alone."""
    case = long_case(seed, num_prompts=40)
    assert sum(map(len, case.prefixes)) > 2048 > max(map(len, case.prefixes))  # Prefixes::kMostRows
    assert difference(case, kernels) == ""


def small_case(**options):
    """Two prompts of a model with all parts."""
    case = next(
        found
        for seed in range(200)
        if (found := random_models.random_case(seed)).grammar is not None
        and found.model.feature_layout is not None
        and len(found.prefixes) == 2
        and found.stop_after is None
    )
    config = dataclasses.replace(case.config, **({"max_new_tokens": 5, "min_new_tokens": 0} | options))
    return dataclasses.replace(case, config=config)


def test_the_order_of_blocks_and_threads_changes_nothing(kernels):
    case = small_case(do_sample=False, num_beams=3, num_return_sequences=2)
    engine = CudaEngine(case.model, kernels=kernels)
    found = []
    for order in ORDERS:
        kernels.cuda_on_cpu_set_order(order)
        found.append(outcome(case, engine))
    kernels.cuda_on_cpu_set_order(0)
    assert all(each == found[0] for each in found)


def test_bfloat16_rounds_weights_and_caches(kernels):
    """Nearly the probabilities of float32, and not quite."""
    case = small_case(do_sample=False, num_beams=1, num_return_sequences=1)
    exact, rounded = (
        outcome(case, CudaEngine(case.model, dtype, kernels=kernels)) for dtype in ("float32", "bfloat16")
    )
    engine = outcome(case, Engine(case.model, "bfloat16"))
    assert exact != rounded
    for ours, theirs in zip(rounded, engine, strict=True):
        if ours[0].token_ids == theirs[0].token_ids:
            pairs = zip(ours[0].token_log_probs, theirs[0].token_log_probs, strict=True)
            assert all(abs(a - b) <= 0.3 for a, b in pairs)


def tiny(**options):
    torch.manual_seed(0)
    return random_models.MusicTransformer(
        17, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
        max_sequence_length=24, text_embedding_dim=6, **options,
    ).eval()  # fmt: skip


def start(model, kernels, prompts, *, may_loop=True, **options):
    shape, tensors = model.decoder_weights()
    decoder = CudaDecoder(shape, tensors, "float32", kernels=kernels)
    return CudaGeneration(
        decoder, {"mode": "greedy", "num_rows": 1} | options, prompts, [torch.zeros(1, 2, 2, 3, 8)], [None],
        may_loop=may_loop,
    )  # fmt: skip


def test_a_generation_goes_on_in_parts_and_can_be_read_meanwhile(kernels):
    model = tiny()
    whole = start(model, kernels, [PromptRows(0, [1, 5, 7], 9), PromptRows(0, [1], 12)], eos_token_id=16)
    whole.run()
    parts = start(model, kernels, [PromptRows(0, [1, 5, 7], 9), PromptRows(0, [1], 12)], eos_token_id=16)
    num_tokens, is_done, given = 0, False, []
    while not is_done:
        before = num_tokens
        num_tokens, is_done = parts.run(1)
        assert num_tokens - before <= 2
        given += parts.new_tokens(len(given))
        assert parts.read()[0][0].token_ids == (1, 5, 7, *(token for token, _ in given))
    assert parts.read() == whole.read()
    assert whole.read()[1][0].finish_reason in ("length", "eos")


@pytest.mark.parametrize("options", [{}, {"mode": "beams", "num_rows": 3}], ids=["greedy", "beams"])
def test_both_ways_of_repeating_steps_give_the_same(kernels, options):
    """A loop of the GPU ends by itself, and after as many steps as it is asked for; else steps are replayed."""
    model, prompts = tiny(), [PromptRows(0, [1, 5, 7], 9), PromptRows(0, [1], 12)]
    looped, replayed = (
        start(model, kernels, prompts, may_loop=way, eos_token_id=16, **options) for way in (True, False)
    )
    for generation in (looped, replayed):
        assert generation.run(4) == (8, False)
        assert generation.run()[1]
    assert looped.read() == replayed.read()
    assert (looped.has_looped, replayed.has_looped) == (True, False)
    kernels.cuda_on_cpu_set_loops(0)  # an older driver
    try:
        assert not kernels.can_loop(0)
        older = start(model, kernels, prompts, eos_token_id=16, **options)
        older.run()
        assert CudaEngine(model, kernels=kernels).label == "CUDA kernels float32 on cuda:0, steps started one by one"
    finally:
        kernels.cuda_on_cpu_set_loops(1)
    assert not older.has_looped and older.read() == looped.read()
    assert kernels.can_loop(0)
    assert CudaEngine(model, kernels=kernels).label == "CUDA kernels float32 on cuda:0, steps in a loop of the GPU"
    one_by_one = CudaEngine(model, kernels=kernels, may_loop=False)
    assert one_by_one.label.endswith("started one by one")


@pytest.mark.parametrize("may_loop", [True, False], ids=["loop", "replays"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_the_model_of_costs_counts_the_launches(kernels, positions, may_loop):
    """Of docs/gpu.md: a step, and a pass over prefixes."""
    kernels.cuda_on_cpu_num_launches.restype = ctypes.c_int64
    model = tiny(norm_first=True, positions=positions)
    for num_read in (0, 5):
        generation = start(model, kernels, [PromptRows(0, [1] * (1 + num_read), 9)], may_loop=may_loop)
        before = kernels.cuda_on_cpu_num_launches()
        generation.run(3)
        found = kernels.cuda_on_cpu_num_launches() - before
        of_pass = gpu_costs.launches_of_pass(1, turns=positions == "rotary") if num_read else 0
        assert found == 3 * gpu_costs.launches_of_step(1, is_loop=may_loop) + of_pass


@pytest.mark.parametrize("may_loop", [True, False], ids=["loop", "replays"])
def test_a_failure_ends_the_steps(kernels, may_loop):
    """Where no token may come there is one error, at its step; what was there before can be read."""
    rules = {"suppress_tokens": list(range(17))}
    generation = start(tiny(), kernels, [PromptRows(0, [1, 5], 9)], may_loop=may_loop, **rules)
    with pytest.raises(DecodingError, match="step 0"):
        generation.run()
    assert generation.has_looped is may_loop
    assert generation.read()[0][0].token_ids == (1, 5)


def test_what_does_not_fit_is_one_clear_error(kernels):
    model = tiny()
    with pytest.raises(ValueError, match="prompt 0 would have 1 \\+ 99 tokens; the model takes 24"):
        start(model, kernels, [PromptRows(0, [1], 99)])
    with pytest.raises(ValueError, match="prompt 0 has token 17 in its prefix; ids are 0 to 16"):
        start(model, kernels, [PromptRows(0, [1, 17], 3)])
    with pytest.raises(ValueError, match="prompt 0 has no memory"):
        start(model, kernels, [PromptRows(3, [1], 3)])
    with pytest.raises(ValueError, match="on a GPU every generation has a search"):
        start(model, kernels, [PromptRows(0, [1], 3)], has_search=False)
    shape, tensors = model.decoder_weights()
    with pytest.raises(ValueError, match="weight tensor 0 has 3 numbers, expected 272"):
        CudaDecoder(shape, [torch.zeros(3), *tensors[1:]], "float32", kernels=kernels)
    with pytest.raises(ValueError, match="there is no weight tensor"):
        CudaDecoder(shape, tensors[:-1], "float32", kernels=kernels)
    with pytest.raises(ValueError, match=r"these weights have \d+ tensors, got"):
        CudaDecoder(shape, [*tensors, torch.zeros(1)], "float32", kernels=kernels)
    tensors[0] = tensors[0].detach().clone()
    tensors[0][0, 0] = torch.nan
    with pytest.raises(ValueError, match="weight tensor 0 has NaN or infinity at 0; the model is damaged"):
        CudaDecoder(shape, tensors, "float32", kernels=kernels)


def test_a_model_without_kernels_is_refused(kernels):
    shape, tensors = tiny().decoder_weights()
    with pytest.raises(ValueError, match="float32 and bfloat16, not int8; decode on the processor"):
        CudaDecoder(shape, tensors, "int8", kernels=kernels)
    wide = dataclasses.replace(shape, d_model=320, num_heads=2)
    with pytest.raises(ValueError, match="heads of up to 128 numbers, the model's have 160"):
        CudaDecoder(wide, tensors, "float32", kernels=kernels)
    with pytest.raises(ValueError, match="products of up to 3072 inputs, the model has 4096"):
        CudaDecoder(dataclasses.replace(shape, hidden_size=4096), tensors, "float32", kernels=kernels)


def test_too_little_memory_says_what_to_lower(kernels):
    shape, tensors = tiny().decoder_weights()
    longest = 1 << 20
    shape = dataclasses.replace(shape, max_sequence_length=longest, positions="relative")
    tensors[1:2] = [torch.zeros(2, longest)]
    decoder = CudaDecoder(shape, tensors, "float32", kernels=kernels)
    prompts = [PromptRows(0, [1], longest - 1)] * 64
    with pytest.raises(MemoryError, match=r"the GPU needs \d+ MiB; give fewer prompts at once, or lower num_beams"):
        CudaGeneration(decoder, {"mode": "beams", "num_rows": 64}, prompts, [torch.zeros(1, 2, 2, 3, 8)], [None])
