import dataclasses
import importlib
import itertools
import threading

import pytest
import torch

import amt
from amt.errors import DecodingError
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.models.opened import OpenedModel
from amt.request.options import GenerationConfig

WALTZ = "a slow sad waltz"
DECODING = importlib.import_module("amt.decoding.generate")  # the function has its name, too
BACKENDS = pytest.mark.parametrize("backend", ["engine", "plain"])


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(96)


@pytest.fixture
def stream(generator):
    return lambda text=WALTZ, **options: amt.stream(text, **({"model": generator, "max_new_tokens": 40} | options))


@pytest.fixture
def steps(generator, monkeypatch):
    """How many steps the engine or the model has made."""
    made = []
    run, step = amt.ops.decode.Generation.run, type(generator.checkpoint.model).decode_step
    monkeypatch.setattr("amt.ops.decode.Generation.run", lambda *a, **o: (made.append(1), run(*a, **o))[1])
    monkeypatch.setattr(
        type(generator.checkpoint.model), "decode_step", lambda *a, **o: (made.append(1), step(*a, **o))[1]
    )
    return made


@BACKENDS
@pytest.mark.parametrize(
    "options",
    [{"seed": 7}, {"seed": 8, "key": "D minor"}, {"do_sample": False}, {"seed": 9, "guidance_scale": 3.0}],
    ids=str,
)
def test_a_stream_writes_what_generate_writes(generator, stream, backend, options):
    streamed = stream(backend=backend, **options)
    events = list(streamed)
    piece = streamed.result()
    whole = amt.generate(WALTZ, model=generator, max_new_tokens=40, backend=backend, rerank=1, **options)
    assert piece.to_bytes() == whole.to_bytes() and len(piece.notes)
    assert (piece.tokens, piece.seed, piece.text) == (whole.tokens, whole.seed, WALTZ)
    assert (piece.backend, piece.warnings) == (whole.backend, whole.warnings)
    assert piece.token_log_probs == whole.token_log_probs
    assert streamed.seed == options.get("seed")
    vocabulary = generator.tokenizer.vocabulary
    assert tuple(vocabulary.token_id(event.kind, event.value) for event in events) == piece.tokens
    assert list(streamed) == []


def test_a_drawn_seed_is_told(generator, stream):
    streamed = stream()
    list(streamed)
    again = amt.generate(WALTZ, model=generator, max_new_tokens=40, seed=streamed.seed, rerank=1)
    assert again.tokens == streamed.result().tokens


@BACKENDS
def test_a_step_is_made_when_an_event_is_asked_for(stream, steps, backend, monkeypatch):
    monkeypatch.setattr(DECODING, "AHEAD_STEPS", 1)
    streamed = stream(seed=7, backend=backend)
    next(streamed)  # bos, which no step has written
    del steps[:]
    for number, _ in enumerate(itertools.islice(streamed, 10), 1):
        assert len(streamed.result().tokens) == 1 + number
        assert number - 1 <= len(steps) <= number  # the reference has the first logits before it is asked


def test_the_engine_is_some_steps_ahead_but_not_far(stream, steps, monkeypatch):
    monkeypatch.setattr(DECODING, "AHEAD_MS", 10_000)
    streamed = stream(seed=7, backend="engine")
    next(streamed)  # bos
    taken = []
    for _ in streamed:
        taken.append(len(steps))
    assert taken == [1 + number // DECODING.AHEAD_STEPS for number in range(len(taken))] and taken[-1] == 2


def test_what_came_before_an_error_is_given():
    class Broken:
        is_done = False

        def step(self, num_steps, max_ms):
            raise DecodingError("NaN")

        def new_tokens(self):
            return ["a", "b"]

    tokens = DECODING.tokens_of(Broken())
    assert [next(tokens), next(tokens)] == ["a", "b"]
    with pytest.raises(DecodingError, match="NaN"):
        next(tokens)


@BACKENDS
@pytest.mark.parametrize("how", ["break", "cancel", "another thread", "Ctrl-C"])
def test_a_stream_that_is_stopped_has_a_valid_piece(generator, stream, steps, backend, how):
    streamed = stream(seed=7, backend=backend)
    num_events = 0
    try:
        for event in streamed:
            num_events += 1
            if event.kind == "note_on":
                num_steps = len(steps)
                if how == "break":
                    break
                if how == "cancel":
                    streamed.cancel()
                if how == "another thread":
                    thread = threading.Thread(target=streamed.cancel)
                    thread.start()
                    thread.join()
                if how == "Ctrl-C":
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert len(steps) == num_steps  # nothing ran behind the note
    piece = streamed.result()
    whole = amt.generate(WALTZ, model=generator, max_new_tokens=40, seed=7, rerank=1)
    assert piece.tokens == whole.tokens[:num_events] and len(piece.token_log_probs) == num_events - 1
    (note,) = piece.notes  # closed by the decoder
    assert note.end_ticks > note.start_ticks and amt.read_midi(piece.to_bytes()).notes == piece.notes
    if how != "cancel":
        streamed.cancel()
    assert list(streamed) == []


@BACKENDS
def test_ctrl_c_in_a_step_leaves_what_was_written(stream, monkeypatch, backend, generator):
    monkeypatch.setattr(DECODING, "AHEAD_STEPS", 1)
    streamed = stream(seed=7, backend=backend)
    written = list(itertools.islice(streamed, 9))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("amt.ops.decode.Generation.run", interrupt)
    monkeypatch.setattr(type(generator.checkpoint.model), "decode_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(streamed)
    assert len(streamed.result().tokens) == len(written) == 9
    assert list(streamed) == []


def test_between_two_events_torch_is_the_callers(generator, stream):
    generator.checkpoint.model.train()
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for _ in itertools.islice(stream(seed=7, backend="plain"), 5):
            assert torch.is_grad_enabled() and torch.get_num_threads() == 2 and generator.checkpoint.model.training
    finally:
        torch.set_num_threads(num_threads)
        generator.checkpoint.model.eval()


@BACKENDS
def test_what_is_continued_comes_first(generator, stream, backend, steps):
    start = MidiData([Note(480 * i, 480 * (i + 1), 60 + i, 80) for i in range(5)])
    streamed = stream(seed=7, prompt_midi=start.to_bytes(), backend=backend)
    prefix = amt.EventTokenizer().encode(start).ids.tolist()[:-1]
    del steps[:]
    events = list(itertools.islice(streamed, len(prefix)))
    assert not steps
    pitches = [(event.value, event.beat) for event in events if event.kind == "note_on"]
    assert pitches == [(60 + i, i) for i in range(5)]
    assert list(streamed.result().tokens) == prefix
    list(streamed)
    whole = amt.generate(WALTZ, model=generator, max_new_tokens=40, seed=7, rerank=1, prompt_midi=start.to_bytes())
    assert streamed.result().tokens == whole.tokens


def test_criteria_and_time_stop_a_stream(stream):
    assert len(list(stream(seed=7, stopping_criteria=[lambda token_ids, _: token_ids.shape[1] >= 9]))) == 9
    assert len(list(stream(seed=7, max_time=0))) == 2


def test_a_model_whose_own_settings_have_beams_streams_its_likeliest_tokens(generator, stream):
    settings = GenerationConfig(do_sample=False, num_beams=4, num_return_sequences=2)
    own = OpenedModel(dataclasses.replace(generator.checkpoint, generation_config=settings))
    own.text_encoder = generator.text_encoder
    streamed = stream(model=own)
    list(streamed)
    greedy = amt.generate(WALTZ, model=generator, do_sample=False, max_new_tokens=40)
    assert streamed.seed is None and streamed.result().tokens == greedy.tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_beams": 2}, "a stream is one piece, written once; leave out num_beams or use amt.generate"),
        ({"num_return_sequences": 2}, "leave out num_return_sequences"),
        ({"temprature": 1}, "stream does not know the option temprature; it knows"),
        ({"text": " "}, "the text is empty"),
        ({"text": [WALTZ]}, "a text must be a str, got list"),
        ({"backend": "gpu"}, "backend must be one of auto, engine, plain, cuda; got 'gpu'"),
    ],
    ids=str,
)
def test_a_mistake_is_told_before_anything_is_written(stream, options, message):
    with pytest.raises(ValueError, match=message):
        stream(**options)
