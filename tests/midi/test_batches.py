"""Many files at once: each as alone, and a bad one stops no other."""

import random

import pytest

import amt
from amt.errors import MidiError
from amt.midi import tokenizer as module
from amt.midi.reference.random_pieces import random_piece

TOO_LONG = amt.MidiData([amt.Note(0, (1 << 31) - 2, 60, 80)], ticks_per_beat=1).to_bytes()


@pytest.fixture(scope="module")
def files():
    draw = random.Random(4)
    good = [random_piece(draw).to_bytes() for _ in range(40)]
    return [*good[:7], b"no music", *good[7:20], TOO_LONG, good[20][:-9], *good[21:]]


@pytest.fixture(params=["compiled", "plain"])
def tokenizer(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setattr(module, "native", None)
    elif module.native is None:
        pytest.skip("the compiled module is not built")
    return amt.EventTokenizer()


def alone(tokenizer, file, strict):
    try:
        return tokenizer.encode(file, strict=strict).ids.tolist(), None
    except (MidiError, ValueError) as error:
        return None, getattr(error, "byte_offset", -1)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_each_file_is_encoded_as_alone(tokenizer, files, strict, num_threads):
    told = []
    batch = tokenizer.encode_many(files, num_threads=num_threads, strict=strict, progress=told.append)
    expected = [alone(tokenizer, file, strict) for file in files]
    assert [None if e is None else e.ids.tolist() for e in batch.encodings] == [ids for ids, _ in expected]
    failed = {place: offset for place, (ids, offset) in enumerate(expected) if ids is None}
    assert {failure.index: failure.byte_offset for failure in batch.failures} == failed
    assert {7, 21} <= set(failed) and (22 in failed) == strict
    assert all(failure.reason and failure.name == f"file {failure.index}" for failure in batch.failures)
    assert sum(told) == len(files)


def test_a_file_that_is_not_there_is_a_failure_with_its_name(tokenizer, files, tmp_path):
    paths = [tmp_path / f"{number}.mid" for number in range(3)]
    for path, file in zip(paths, files, strict=False):
        path.write_bytes(file)
    paths[1].unlink()
    batch = tokenizer.encode_files(paths, num_threads=2)
    assert [e is None for e in batch.encodings] == [False, True, False]
    assert [(failure.index, failure.name) for failure in batch.failures] == [(1, str(paths[1]))]


def test_nothing_at_all(tokenizer):
    assert tokenizer.encode_many([]) == amt.midi.tokenizer.EncodedBatch([], [])
