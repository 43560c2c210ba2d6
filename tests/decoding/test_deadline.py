import dataclasses
import functools
import importlib
import operator

import pytest
import torch

from amt.decoding import deadline, generate, make_request, stream
from amt.decoding.backends import choose
from amt.decoding.backends.engine import Engine
from amt.models import MusicTransformer
from amt.request.options import GenerationConfig

GREEDY = GenerationConfig(do_sample=False, max_new_tokens=20, min_new_tokens=20)
SAMPLING = dataclasses.replace(GREEDY, do_sample=True, seed=5, num_return_sequences=3)
BEAMS = dataclasses.replace(GREEDY, num_beams=3, num_return_sequences=2)
STRATEGIES = pytest.mark.parametrize("config", [GREEDY, SAMPLING, BEAMS], ids=["greedy", "sampling", "beams"])
DECODING = importlib.import_module("amt.decoding.generate")  # the function has its name, too
BACKENDS = pytest.mark.parametrize("backend", ["engine", "plain"])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return MusicTransformer(
        29, d_model=24, nhead=2, num_encoder_layers=1, num_decoder_layers=2, dim_feedforward=40,
        max_sequence_length=128, text_embedding_dim=10,
    ).eval()  # fmt: skip


@pytest.fixture(scope="module")
def decoder(model):
    engine = Engine(model)
    return lambda backend: engine if backend == "engine" else model


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the clock is read: one each time."""
    monkeypatch.setattr(deadline, "monotonic", iter(range(10_000)).__next__)


def prompts(num_prompts=2):
    return torch.randn(num_prompts, 4, 10, generator=torch.Generator().manual_seed(1)), None


def within(config, max_time):
    return dataclasses.replace(config, max_time=max_time)


def flat(results):
    return [hypothesis for hypotheses in results for hypothesis in hypotheses]


def test_a_deadline_is_over_when_its_time_has_come(clock):
    end = deadline.Deadline(3)  # read at 0
    assert [end.left_ms(), end.is_over(), end.is_over(), end.left_ms(), end.is_over()] == [2000, False, True, 0, True]
    never = deadline.Deadline()
    assert not never.is_over() and never.left_ms() == deadline.FOREVER


@BACKENDS
@STRATEGIES
def test_no_time_is_one_token_of_each_sequence(decoder, backend, config):
    whole = generate(decoder(backend), *prompts(), config)
    results = generate(decoder(backend), *prompts(), within(config, 0))
    assert [len(hypotheses) for hypotheses in results] == [config.num_return_sequences] * 2
    for hypothesis in flat(results):
        assert hypothesis.num_new_tokens == 1 and hypothesis.finish_reason == "stopped"
    if config is not BEAMS:
        assert [h.token_ids for h in flat(results)] == [h.token_ids[:2] for h in flat(whole)]


@BACKENDS
@STRATEGIES
def test_every_sequence_has_a_token_however_long_it_takes_to_read_the_prefix(decoder, backend, config):
    prefixes = [[1], [1, *[5] * 90]]  # the engine reads the second one in two passes
    results = generate(decoder(backend), *prompts(), within(config, 0), prefixes=prefixes)
    assert {hypothesis.num_new_tokens for hypothesis in results[1]} == {1}
    assert {hypothesis.num_new_tokens for hypothesis in results[0]} <= {1, 2}
    assert {hypothesis.finish_reason for hypothesis in flat(results)} == {"stopped"}


@BACKENDS
@STRATEGIES
def test_more_time_than_it_takes_changes_nothing(decoder, backend, config):
    results = [generate(decoder(backend), *prompts(), each) for each in (within(config, 1e6), config)]
    timed, free = ([(h.token_ids, h.finish_reason) for h in flat(result)] for result in results)
    assert timed == free


@STRATEGIES
def test_the_step_in_which_the_time_is_over_is_the_last(model, clock, config):
    (first, *_), *_ = generate(model, *prompts(1), within(config, 4))  # read at 0, then once a step
    assert first.num_new_tokens == 4 and first.finish_reason == "stopped"


def test_the_engine_stops_in_the_midst(decoder, monkeypatch):
    times = iter([0, *[0.5] * 6, *[2.0] * 100])  # the deadline, then two readings after each part of the run
    monkeypatch.setattr(deadline, "monotonic", times.__next__)
    monkeypatch.setattr(DECODING, "CHUNK_MS", 0)  # parts of one step
    (hypothesis,), _ = generate(decoder("engine"), *prompts(), within(GREEDY, 1))
    assert hypothesis.num_new_tokens == 4 and hypothesis.finish_reason == "stopped"
    whole = generate(decoder("engine"), *prompts(), GREEDY)[0][0]
    assert whole.token_ids[:5] == hypothesis.token_ids and whole.token_log_probs[:4] == hypothesis.token_log_probs
    assert hypothesis.score == functools.reduce(operator.add, hypothesis.token_log_probs)


@BACKENDS
def test_what_has_ended_before_keeps_its_reason(decoder, backend):
    config = GenerationConfig(do_sample=False, max_new_tokens=1, max_time=0)
    assert generate(decoder(backend), *prompts(1), config)[0][0].finish_reason in ("eos", "length")


def test_beams_that_run_when_the_time_is_over_compete_as_they_are(decoder, clock, monkeypatch):
    monkeypatch.setattr(DECODING, "CHUNK_MS", 0)  # parts of one step
    # The clock is read at 0, then once a step by the reference, and twice by the engine.
    pairs = (("engine", 10), ("plain", 5))
    results = [generate(decoder(backend), *prompts(1), within(BEAMS, max_time)) for backend, max_time in pairs]
    assert [h.token_ids for h in results[0][0]] == [h.token_ids for h in results[1][0]]
    scores = [hypothesis.score for hypothesis in results[0][0]]
    assert scores == sorted(scores, reverse=True) and results[0][0][0].num_new_tokens == 5


@BACKENDS
def test_a_stream_stops_in_time(decoder, backend, clock, monkeypatch):
    monkeypatch.setattr(DECODING, "AHEAD_STEPS", 1)
    # The clock is read at 0, then once a step by the reference, and twice by the engine.
    config = within(dataclasses.replace(SAMPLING, num_return_sequences=1), 6 if backend == "engine" else 3)
    model = decoder(backend)
    tokens = stream(choose(model, backend="plain"), make_request(model, *prompts(1), config))
    assert len(list(tokens)) == 3


@pytest.mark.parametrize("max_time", [-1, float("nan"), "1"])
def test_a_time_that_is_none(max_time):
    with pytest.raises(ValueError, match="max_time must be"):
        GenerationConfig(max_time=max_time)
