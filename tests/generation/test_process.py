"""What else goes on in the process: a fork, another default of torch, numbers of NumPy."""

import os
import signal
import time

import numpy as np
import pytest
import torch

import amt

SECONDS = 120  # a child that hangs does so for ever


@pytest.fixture
def model(make_generator):
    return make_generator(96)


def make(model, **options):
    return amt.generate("a reel for flute", **{"seed": 1, "max_new_tokens": 30, "model": model} | options)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_writes_the_same_music(model):
    piece, description = make(model), amt.describe(amt.MidiData([amt.Note(0, 480, 60, 80)]), model=model)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            again = amt.describe(amt.MidiData([amt.Note(0, 480, 60, 80)]), model=model)
            code = int(make(model).tokens != piece.tokens or again.sentence != description.sentence)
        finally:
            os._exit(code)
    for _ in range(SECONDS * 10):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the child hung")


@pytest.fixture(params=["bfloat16", "float64", "meta"])
def other_defaults(request):
    """As another program in the process may set them; "meta" stands for a GPU."""

    def begin():
        if request.param == "meta":
            torch.set_default_device("meta")
        else:
            torch.set_default_dtype(getattr(torch, request.param))

    yield begin
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.parametrize(
    "options",
    [{}, {"backend": "plain"}, {"num_beams": 2}, {"backend": "plain", "num_beams": 2}, {"guidance_scale": 2.0}],
    ids=str,
)
def test_the_defaults_of_torch_change_nothing(tmp_path, model, other_defaults, options):
    folder = tmp_path / "model"
    checkpoint = model.checkpoint
    parts = (checkpoint.model, checkpoint.tokenizer_config, checkpoint.text_spec, checkpoint.generation_config)
    amt.save_checkpoint(folder, *parts)
    options = {"seed": None if "num_beams" in options else 1} | options
    piece = make(model, **options)
    other_defaults()
    assert make(folder, **options).tokens == piece.tokens  # loaded under them, too
    assert [event.step for event in amt.stream("a reel", model=folder, max_new_tokens=9)]


def test_numbers_of_numpy_are_numbers(model):
    as_numpy = {
        "seed": np.int64(3), "max_new_tokens": np.int32(40), "temperature": np.float32(0.5), "tempo": np.float64(120),
        "instruments": np.array([40, 0]), "bars": np.int64(4), "max_polyphony": np.uint8(2),
    }  # fmt: skip
    as_python = {
        "seed": 3, "max_new_tokens": 40, "temperature": 0.5, "tempo": 120.0, "instruments": [40, 0], "bars": 4,
        "max_polyphony": 2,
    }  # fmt: skip
    text = "a reel in 4/4"
    found = amt.generate(text, model=model, **as_numpy)
    assert found.tokens == amt.generate(text, model=model, **as_python).tokens
    assert found.seed == 3 and type(found.seed) is int


def test_temperature_0_is_greedy(model):
    greedy = make(model, seed=None, do_sample=False)
    assert make(model, seed=None, temperature=0).tokens == greedy.tokens
    assert make(model, seed=None, temperature=0.0, do_sample=True).tokens == greedy.tokens
    assert amt.GenerationConfig(temperature=0) == amt.GenerationConfig(do_sample=False)
    with pytest.raises(ValueError, match=r"temperature must be 0 \(greedy, as do_sample=False\) or between 0\.0001"):
        make(model, temperature=1e-5)
    with pytest.raises(ValueError, match="temperature must be between 0 and 10000, got -1"):
        make(model, temperature=-1)


def test_a_text_where_a_list_is_meant(model):
    assert amt.Limits(instruments="violin, cello").constraints(amt.TokenizerConfig()).programs == (40, 42)
    assert amt.Limits(instruments="violin").constraints(amt.TokenizerConfig()).programs == (40,)
    with pytest.raises(TypeError, match=r"texts must be a list of texts, got 'a waltz'"):
        model.text_encoder.encode("a waltz")
    with pytest.raises(TypeError, match="encode_files takes a list of paths"):
        model.tokenizer.encode_files("a.mid")
    with pytest.raises(TypeError, match="encode_many takes a list of the bytes"):
        model.tokenizer.encode_many(b"MThd")
    with pytest.raises(FileNotFoundError, match=r"no file a waltz with a bank of captions; .* or a list of captions"):
        amt.describe(amt.MidiData(), model=model, bank="a waltz")
