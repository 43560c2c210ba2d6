"""The C++ search against `amt.decoding`, which is its meaning."""

import collections
from dataclasses import replace

import numpy as np
import pytest
import random_searches as searches
import search_library as native
import torch

from amt.decoding.plain.logits_rules import guide, token_log_probs
from amt.decoding.plain.rules import Rules
from amt.decoding.plain.sampling import filter_scores
from amt.errors import DecodingError
from amt.midi.limits import Constraints
from amt.ops.reference.philox import uniform
from amt.request.options import GenerationConfig
from amt.testing import assert_within_bound, error_bound

GREEDY = GenerationConfig(do_sample=False, max_new_tokens=12)
BEAMS = GenerationConfig(do_sample=False, num_beams=3, num_return_sequences=2, max_new_tokens=12)
SAMPLING = GenerationConfig(seed=7, temperature=1.5, top_p=0.95, num_return_sequences=3, max_new_tokens=12)
STRATEGIES = pytest.mark.parametrize("config", [GREEDY, BEAMS, SAMPLING], ids=["greedy", "beams", "sampling"])


@pytest.fixture(scope="module")
def library():
    found = native.load()
    if found is None:
        pytest.skip("amt_search_testing is not built; reinstall with AMT_BUILD=require")
    return found


def make_model(vocab_size=11, seed=1, **options):
    plain = {"sharpness": 1.0, "is_coarse": False, "eos_bias": 0.0, "forbidden": 0.0}
    return searches.HistoryModel(vocab_size, seed, **(plain | options))


def make_case(config, prefix=(1,), **options):
    return searches.Case(config, make_model(**options), list(prefix))


@pytest.mark.parametrize("first_seed", range(0, 400, 50))
def test_random_searches_equal_the_reference_bit_for_bit(library, first_seed):
    kinds = collections.Counter()
    for seed in range(first_seed, first_seed + 50):
        kinds.update(searches.check_case(library, seed))
    assert {"greedy", "sample", "beams", "grammar", "free", "results", "error"} <= set(kinds)


def log_probs_of(case, token_ids, dtype):
    """log-probabilities of the new tokens by PyTorch."""
    log_probs = []
    for position in range(len(case.prefix), len(token_ids)):
        logits = torch.from_numpy(case.model.logits_of(list(token_ids[:position]))).to(dtype)
        log_probs.append(logits.log_softmax(-1)[token_ids[position]])
    return torch.stack(log_probs)


@STRATEGIES
@pytest.mark.parametrize("vocab_size", [11, 659])
def test_scores_and_log_probs_are_those_of_float64(library, config, vocab_size):
    case = make_case(config, vocab_size=vocab_size, seed=5, sharpness=2.0, eos_bias=3.0)
    results = searches.run_native(library, case, None)
    assert len(results) == config.num_return_sequences
    for token_ids, score, log_probs, _ in results:
        truth, reference = (log_probs_of(case, token_ids, dtype) for dtype in (torch.float64, torch.float32))
        assert_within_bound(torch.tensor(log_probs), truth, reference)
        divisor = len(truth) ** config.length_penalty if config.num_beams > 1 else 1
        error = abs(score - float(truth.sum()) / divisor)
        assert error <= len(truth) * error_bound(truth, reference) / divisor  # a sum of so many numbers


@pytest.mark.parametrize("seed", range(12))
def test_a_search_goes_on_in_other_memory(library, seed):
    case = searches.random_case(seed)
    plain = searches.outcome(searches.run_native, library, case)

    def run_moving(library, case):
        return searches.run_native(library, case, on_step=lambda search: search.move())

    assert searches.outcome(run_moving, library, case) == plain


def test_sampled_rows_do_not_depend_on_their_number(library):
    def rows(num_rows):
        config = replace(SAMPLING, num_return_sequences=num_rows, max_new_tokens=30)
        return searches.run_native(library, make_case(config, eos_bias=1.0))

    many = rows(7)
    assert len({token_ids for token_ids, *_ in many}) == 7
    assert len({len(token_ids) for token_ids, *_ in many}) > 1
    for num_rows in (1, 2, 5):
        assert rows(num_rows) == many[:num_rows]


def test_sampling_may_go_on_from_what_it_has(library):
    config = replace(SAMPLING, num_return_sequences=1, max_new_tokens=20)
    whole = searches.run_native(library, make_case(config, eos_bias=-9.0))[0]
    rest = searches.run_native(library, make_case(replace(config, max_new_tokens=13), whole[0][:8], eos_bias=-9.0))[0]
    assert rest[0] == whole[0]


def test_draws_are_those_of_philox(library):
    vocab_size, seed = 1 << 12, (123 << 32) + 456
    config = GenerationConfig(seed=seed, num_return_sequences=3, max_new_tokens=5)
    case = make_case(config, vocab_size=vocab_size, sharpness=0.0)
    for row, (token_ids, *_) in enumerate(searches.run_native(library, case)):
        expected = [int(uniform(seed, position, row) * vocab_size) for position in range(1, 6)]
        assert list(token_ids[1:]) == expected


def test_results_can_be_read_while_the_search_runs(library):
    case = make_case(replace(SAMPLING, num_return_sequences=2), eos_bias=-9.0)
    lengths = []

    def on_step(search):
        results = search.results(1)
        assert all(len(log_probs) == len(token_ids) - 1 for token_ids, _, log_probs, _ in results)
        lengths.append([len(token_ids) for token_ids, *_ in results])
        assert search.is_done or [reason for *_, reason in results] == [None, None]

    searches.run_native(library, case, on_step=on_step)
    assert lengths == [[n, n] for n in range(2, 14)]


@pytest.mark.parametrize("mode", ["sample", "beams"])
def test_the_first_step_reads_one_row_for_all(library, mode):
    config = SAMPLING if mode == "sample" else BEAMS
    search = searches.start_native(library, make_case(config))
    assert [search.is_active(row) for row in range(3)] == [True, False, False]
    assert search.last_token(0) == 1
    logits = np.full((3, 11), np.nan, np.float32)
    logits[0] = 0.0
    logits[0, 2] = -np.inf
    search.step(logits)
    assert [search.is_active(row) for row in range(3)] == [True, True, True]
    assert [search.parent(row) for row in range(3)] == [0, 0, 0]
    assert mode == "sample" or [search.last_token(row) for row in range(3)] == [0, 1, 3]


def test_a_finished_row_is_idle_while_others_run(library):
    config = GenerationConfig(seed=1, num_return_sequences=2, max_new_tokens=4)
    search = searches.start_native(library, make_case(config))
    logits = np.full((2, 11), -np.inf, np.float32)
    logits[:, 3] = 0.0
    search.step(logits)
    logits[0] = -np.inf
    logits[0, 2] = 0.0
    search.step(logits)
    assert [search.is_active(row) for row in range(2)] == [False, True]
    assert search.parent(1) == 1
    logits[0] = np.nan
    search.step(logits)
    assert [(ids, reason) for ids, _, _, reason in search.results(1)] == [((1, 3, 2), "eos"), ((1, 3, 3, 3), None)]


@STRATEGIES
@pytest.mark.parametrize("damage", [np.nan, np.inf])
def test_damaged_logits_leave_a_readable_search(library, config, damage):
    search = searches.start_native(library, make_case(config, eos_bias=-9.0))
    logits = np.arange(33, dtype=np.float32).reshape(3, 11)
    search.step(logits)
    before = search.results(1)
    logits[0, 5] = damage
    with pytest.raises(DecodingError, match="NaN or infinite logits at step 1"):
        search.step(logits)
    assert search.results(1) == before
    logits[0, 5] = 0.0
    search.step(logits)
    assert search.length == 3


HUGE = 3e38


@STRATEGIES
def test_guidance_beyond_float32_is_an_error_and_not_pad(library, config):
    search = searches.start_native(library, make_case(replace(config, guidance_scale=2.5)))
    logits, negative = np.zeros((2, 3, 11), np.float32)
    negative[:, 5] = -HUGE
    with pytest.raises(DecodingError, match="guidance, a penalty or a logits processor gave NaN or infinite scores"):
        search.step(logits, negative)
    guided = guide(*(token_log_probs(torch.from_numpy(each[:1]), 0) for each in (logits, negative)), 2.5)
    assert guided[0, 5] == np.inf
    with pytest.raises(DecodingError, match="guidance, a penalty or a logits processor gave NaN or infinite scores"):
        Rules(config, 1, 12, 2)(torch.tensor([[1]]), guided)
    negative[:, 5] = -1.0
    search.step(logits, negative)
    assert search.length == 2


def test_a_temperature_beyond_float32_is_an_error_and_not_pad(library):
    config = replace(SAMPLING, temperature=1e-4)
    for sign in (1, -1):
        search = searches.start_native(library, make_case(config))
        logits = np.full((3, 11), sign * HUGE, np.float32)
        with pytest.raises(DecodingError, match="divided by the temperature are infinite; raise temperature"):
            search.step(logits)
        with pytest.raises(DecodingError, match="divided by the temperature are infinite; raise temperature"):
            filter_scores(torch.from_numpy(logits[:1]), config)
    search.step(np.full((3, 11), 1e33, np.float32))
    assert search.length == 2


@STRATEGIES
def test_huge_logits_without_guidance_are_only_numbers(library, config):
    search = searches.start_native(library, make_case(replace(config, temperature=1.0)))
    logits = np.full((3, 11), -HUGE, np.float32)
    logits[:, 7] = HUGE
    search.step(logits)
    assert [search.last_token(row) for row in range(1)] == [7]


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": float("nan")}, {"temperature": 0.0}, {"top_p": 0.0}, {"min_p": 1.5}, {"typical_p": -1.0},
        {"repetition_penalty": 0.0}, {"length_penalty": 1e9}, {"guidance_scale": float("inf")}, {"top_k": -1},
        {"min_new_tokens": -1}, {"no_repeat_ngram_size": -2},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_that_make_no_scores_are_refused(library, options):
    with pytest.raises(ValueError, match="no such search"):
        native.Search(library, native.options_from(SAMPLING, 11) | options, 48)


@pytest.mark.parametrize(
    ("config", "message"),
    [(GREEDY, "no token is legal at step 1"), (SAMPLING, "no token is legal"), (BEAMS, "no beam has a legal token at")],
    ids=["greedy", "sampling", "beams"],
)
def test_no_legal_token_is_an_error(library, config, message):
    search = searches.start_native(library, make_case(config, eos_bias=-9.0))
    logits = np.zeros((3, 11), np.float32)
    logits[:, 2] = -9.0
    search.step(logits)
    with pytest.raises(DecodingError, match=message):
        search.step(np.full((3, 11), -np.inf, np.float32))


@pytest.mark.parametrize(
    ("prefix", "max_new_tokens", "message"),
    [
        ([], 3, "the prefix is empty"),
        ([1], 0, "max_new_tokens must be at least 1, got 0"),
        ([1, 3], 47, "may be 48 together, got 2 \\+ 47"),
        ([1, 11], 3, "token 11 at position 1; ids are 0 to 10"),
        ([1, -1], 3, "token -1 at position 1"),
    ],
)
@STRATEGIES
def test_a_bad_beginning_is_refused(library, config, prefix, max_new_tokens, message):
    search = searches.start_native(library, make_case(config))
    with pytest.raises(ValueError, match=message):
        search.begin(prefix, max_new_tokens)
    assert search.is_done
    assert all(token_ids == () for token_ids, *_ in search.results(0))


def test_a_prefix_against_the_grammar_is_refused(library):
    tokenizer = searches.TOKENIZERS[0]
    model = make_model(searches.tokenizer_size(tokenizer))
    case = searches.Case(GREEDY, model, [1], tokenizer, Constraints())
    search = searches.start_native(library, case)
    with pytest.raises(ValueError, match=r"the prefix breaks the grammar at position 1: .* token 1 "):
        search.begin([1, 1], 3)
    assert search.is_done


def test_a_length_penalty_beyond_float32_is_refused(library):
    with pytest.raises(ValueError, match="overflows float32 over 12 tokens"):
        searches.start_native(library, make_case(replace(BEAMS, length_penalty=90.0)))


@pytest.mark.parametrize("options", [{"num_beams": 65}, {"vocab_size": 1}, {"eos_token_id": 11}], ids=str)
def test_options_that_no_search_can_have(library, options):
    made = native.options_from(BEAMS, options.get("vocab_size", 11), options.get("eos_token_id", 2))
    made["num_rows"] = options.get("num_beams", 3)
    with pytest.raises(ValueError, match="no such search"):
        native.Search(library, made, 48)
