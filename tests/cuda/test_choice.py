"""The choice of tokens in kernels/cuda/choose.cu against the C++ search: the same logits, the same bits."""

import collections
import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_library import KERNELS, ORDERS, build_with_engine, compiler

from amt.decoding.backends.engine import engine_options
from amt.request.options import GenerationConfig

sys.path.append(str(Path(__file__).parents[1] / "engine"))
import random_searches as searches
import search_library as native

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def on_cpu():
    found = native.load()
    if found is None:
        pytest.skip("amt_search_testing is not built; reinstall with AMT_BUILD=require")
    return found


@pytest.fixture(scope="module")
def on_device(tmp_path_factory):
    return native.load(build_with_engine("device_search.cpp", tmp_path_factory.mktemp("search")))


def check(on_cpu, on_device, seed, order):
    case = searches.random_case(seed)
    log_sum_exp = ctypes.cast(on_device.amt_device_log_sum_exp, native.LOG_SUM_EXP)
    expected = searches.outcome(searches.run_native, on_cpu, case, log_sum_exp)
    on_device.cuda_on_cpu_set_order(ctypes.c_uint64(order))
    assert searches.outcome(searches.run_native, on_device, case, None) == expected, f"case {seed}, order {order}"
    mode = "sample" if case.config.do_sample else "beams" if case.config.num_beams > 1 else "greedy"
    return mode, "grammar" if case.tokenizer else "free", "error" if isinstance(expected, str) else "results"


@pytest.mark.parametrize("order", ORDERS)
def test_random_searches_equal_the_engine_bit_for_bit(on_cpu, on_device, order):
    kinds = collections.Counter()
    for seed in range(10_000 + 70 * ORDERS.index(order), 10_070 + 70 * ORDERS.index(order)):
        kinds.update(check(on_cpu, on_device, seed, order))
    assert {"greedy", "sample", "beams", "grammar", "free", "results", "error"} <= set(kinds)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_threads_changes_nothing(on_cpu, on_device, order):
    for seed in range(10):
        check(on_cpu, on_device, seed, order)


@pytest.mark.parametrize("guidance_scale", [0.0, 0.5, 3.0])
@pytest.mark.parametrize(
    "options",
    [{"do_sample": False}, {"seed": 5, "top_p": 0.9, "num_return_sequences": 3}, {"do_sample": False, "num_beams": 3}],
    ids=["greedy", "sampling", "beams"],
)
def test_guidance(on_cpu, on_device, options, guidance_scale):
    config = GenerationConfig(max_new_tokens=9, guidance_scale=guidance_scale, **options)
    assert "guidance_scale" in engine_options(config)
    plain = {"sharpness": 1.0, "is_coarse": False, "eos_bias": -1.0, "forbidden": 0.1}
    models = [searches.HistoryModel(37, seed, **plain) for seed in (1, 2)]
    log_sum_exp = ctypes.cast(on_device.amt_device_log_sum_exp, native.LOG_SUM_EXP)
    found = []
    for library, function in ((on_cpu, log_sum_exp), (on_device, None)):
        search = searches.start_native(library, searches.Case(config, models[0], [1]), function)
        num_rows = max(config.num_return_sequences if config.do_sample else 1, config.num_beams)
        histories = {0: [1]}
        while not search.is_done:
            both = np.full((2, num_rows, 37), np.nan, np.float32)
            for row, ids in histories.items():
                both[:, row] = [model.logits_of(ids) for model in models]
            search.step(*both)
            active = [row for row in range(num_rows) if search.is_active(row)]
            histories = {row: [*histories[search.parent(row)], search.last_token(row)] for row in active}
        found.append(search.results(1))
    assert found[0] == found[1]


def test_the_table_of_resources_has_its_shared_memory(on_device):
    on_device.amt_choose_shared_bytes.restype = ctypes.c_int64
    table = (KERNELS / "resources.md").read_text(encoding="utf-8")
    row = next(line for line in table.splitlines() if line.startswith("| choose |"))
    assert row.split("|")[-2].strip() == str(on_device.amt_choose_shared_bytes())


def test_log_sum_exp_is_that_of_the_kernels(on_device):
    from amt.decoding.backends.engine import chosen_kernel_set
    from amt.ops import native as ops

    path = next(Path(ops.__file__).parents[1].glob("_engine_testing*"), None)
    if path is None:
        pytest.skip("_engine_testing is not built; reinstall with AMT_BUILD=require")
    kernels, name = ctypes.CDLL(str(path)), chosen_kernel_set()
    if name == "generic":
        pytest.skip("here multiply-adds are not fused")
    on_device.amt_device_log_sum_exp.restype = ctypes.c_float
    floats, result = ctypes.POINTER(ctypes.c_float), ctypes.c_float()
    for num in (1, 2, 15, 16, 17, 31, 33, 100, 659):
        values = -np.abs(np.random.default_rng(num).standard_normal(num) * 20).astype(np.float32)
        values[num // 2], values[num // 3] = (0.0, -np.inf) if num > 1 else (0.0, 0.0)
        pointer, count = values.ctypes.data_as(floats), ctypes.c_int64(num)
        assert kernels.amt_log_sum_exp(name.encode(), pointer, count, ctypes.byref(result)) == 0
        assert on_device.amt_device_log_sum_exp(pointer, count) == result.value
