"""Embeddings of many texts are made once."""

import dataclasses

import numpy as np
import pytest

from amt.text import kept
from amt.text.encoder import TextEncoderSpec

SPEC = dataclasses.replace(TextEncoderSpec(), dim=6)
TEXTS = [f"caption {number}" for number in range(kept.MIN_TEXTS)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "banks"


class Maker:
    """Embeds by the texts' own letters, and counts how often it is asked."""

    num_calls = 0

    def __call__(self, texts):
        self.num_calls += 1
        vectors = np.array([[len(text), *text.encode()[:5]] for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def near(found, expected):
    error = np.abs(found.astype(np.float64) - expected).max()
    return error <= 2.0**-10  # half precision of numbers up to 1


def test_many_texts_are_embedded_once(cache):
    make = Maker()
    first = kept.kept_embeddings(TEXTS, SPEC, make)
    again = kept.kept_embeddings(TEXTS, SPEC, make)
    assert make.num_calls == 1
    assert again.dtype == np.float32 and near(again, first)
    kept.kept_embeddings(TEXTS[::-1], SPEC, make)
    kept.kept_embeddings(TEXTS, dataclasses.replace(SPEC, max_text_tokens=9), make)
    assert make.num_calls == 3  # other texts, another encoder


def test_few_texts_are_not_kept(cache):
    make = Maker()
    for _ in range(2):
        kept.kept_embeddings(TEXTS[:-1], SPEC, make)
    assert make.num_calls == 2 and not cache.exists()


def test_what_lies_beside_the_bank_comes_first(tmp_path, cache):
    make = Maker()
    kept.write(tmp_path / "beside", kept.digest_of(TEXTS, SPEC), make(TEXTS))
    found = kept.kept_embeddings(TEXTS, SPEC, make, tmp_path / "beside")
    assert make.num_calls == 1 and near(found, make(TEXTS)) and not cache.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda contents: contents[:-1],
        lambda contents: b"",
        lambda contents: contents + b"\0\0",
        lambda contents: b"0" + contents[1:],
        lambda contents: contents[:65] + bytes(len(contents) - 65),
        lambda contents: contents[:65] + b"\xff" * (len(contents) - 65),
    ],
    ids=["cut", "empty", "longer", "of other texts", "zeros", "not numbers"],
)
def test_a_damaged_file_is_as_good_as_none(cache, damage):
    make = Maker()
    expected = kept.kept_embeddings(TEXTS, SPEC, make)
    (path,) = cache.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert near(kept.kept_embeddings(TEXTS, SPEC, make), expected)
    assert make.num_calls == 2
    kept.kept_embeddings(TEXTS, SPEC, make)
    assert make.num_calls == 2  # it was written anew


def test_where_nothing_can_be_kept_it_is_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("AMT_CACHE", str(tmp_path / "file"))
    make = Maker()
    assert kept.kept_embeddings(TEXTS, SPEC, make).shape == (len(TEXTS), 6)


def test_the_cache_stays_small(cache, monkeypatch):
    monkeypatch.setattr(kept, "MAX_FILES", 3)
    for number in range(5):
        kept.kept_embeddings([f"{number} {text}" for text in TEXTS], SPEC, Maker())
    assert len(list(cache.iterdir())) == 3


def test_the_bank_of_the_packaged_model_is_kept_beside_it():
    from amt.models.opened import CAPTION_EMBEDDINGS, load, packaged_models
    from amt.retrieval.description import own_bank

    for name, folder in packaged_models().items():
        opened = load(name)
        texts = own_bank(opened)
        if texts:
            spec = opened.checkpoint.text_spec
            found = kept.read(folder / CAPTION_EMBEDDINGS, kept.digest_of(texts, spec), (len(texts), spec.dim))
            assert found is not None, f"write it: amt.retrieval.description.keep_own_bank(amt.load({name!r}))"
