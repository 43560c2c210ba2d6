import dataclasses
import math

import numpy as np

from amt.data.corpus import CorpusPiece
from amt.evaluation.evaluate import (
    Example,
    caption_of,
    evaluate_copying,
    evaluate_examples,
    read_pieces,
)
from amt.evaluation.retrieval import ranks_of_right, retrieval_rows
from amt.evaluation.rows import row
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Note
from amt.testing import assert_same_numbers


def piece(name, midi, captions=("one", "two")):
    return CorpusPiece(name, midi, captions, "valid", "", "", {"programs": [0]})


def score(*pitches):
    notes = [Note(240 * i, 240 * i + 200, pitch, 80) for i, pitch in enumerate(pitches)]
    return MidiData(ticks_per_beat=480, notes=NoteTable.from_notes(notes))


def test_a_row_is_a_mean_with_its_interval():
    values = np.random.default_rng(3).random(400)
    found = row("m", values, "valid", "x")
    assert found.value == round(float(values.mean()), 4) and found.n == 400
    error = values.std() / math.sqrt(400)
    # The percentile of 2000 drawn means has an error of its own, of 0.06 of theirs; five times that is far out.
    for found_end, end in ((found.low, -1.96), (found.high, 1.96)):
        assert abs(found_end - values.mean() - end * error) <= 0.3 * error
    assert row("m", values, "valid", "x") == found
    assert row("m", [], "valid", "x") is None


def test_a_weighted_row():
    assert row("m", [1.0, 4.0], "s", "x", [3, 1]).value == 1.75


def test_valid_and_empty_count_everything():
    examples = read_pieces([piece("a", score(60, 64).to_bytes()), piece("b", b"no"), piece("c", score().to_bytes())], 1)
    assert [example.caption for example in examples] == ["two"] * 3
    rows = {found.metric: found for found in evaluate_examples(examples, "valid", "files")}
    assert_same_numbers(rows["valid"].value, 2 / 3, decimals=4)
    assert rows["valid"].n == 3
    assert rows["empty"].value == 0.5 and rows["empty"].n == 2
    assert rows["instrument_f1"].value == 0.5
    assert rows["num_notes"].value == 1.0
    assert "key" not in rows and "tempo_bin" not in rows
    assert {found.split for found in rows.values()} == {"valid"}
    assert set(dataclasses.asdict(rows["valid"])) == {"metric", "value", "low", "high", "n", "split", "model"}


def test_the_key_by_two_profiles():
    """C major that is long on its dominant, which Krumhansl & Kessler's profiles take for the tonic."""
    midi = score(67, 67, 67, 60, 64, 62, 65, 69, 71)
    for key, found, by_krumhansl in (("C major", 1.0, 0.0), ("G major", 0.0, 1.0)):
        rows = evaluate_examples([Example(f"a piece in {key}", midi, {"key": key})], "valid", "x")
        values = {row.metric: row.value for row in rows}
        assert (values["key"], values["key_krumhansl"]) == (found, by_krumhansl)


def test_copying_has_a_mean_and_a_maximum():
    training = [score(*range(40, 60))]
    examples = [Example("", score(*range(40, 50)), {}), Example("", score(80, 20, 70), {}), Example("", None, {})]
    mean, most = evaluate_copying(examples, training, "valid", "x")
    assert (mean.metric, mean.value, mean.n) == ("longest_copy", 5.0, 2)
    assert (most.metric, most.value) == ("longest_copy_max", 10.0)
    assert evaluate_copying([], training, "valid", "x") == []


def test_captions_begin_again():
    assert [caption_of(piece("a", b""), index) for index in (0, 1, 2)] == ["one", "two", "one"]


def test_ranks():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.2, 0.1], [0.3, 0.8, 0.7]])
    assert ranks_of_right(scores, np.eye(3, dtype=bool)).tolist() == [1, 2, 2]
    twins = np.eye(3, dtype=bool)
    twins[2, 1] = True  # the same caption twice
    assert ranks_of_right(scores, twins).tolist() == [1, 2, 1]


def test_retrieval_of_the_right_and_the_wrong():
    rng = np.random.default_rng(0)
    words = rng.standard_normal((40, 8)).astype(np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    texts = [str(index) for index in range(40)]
    right = {found.metric: found.value for found in retrieval_rows(words, words, texts, "valid", "x")}
    assert_same_numbers(right["text_mse_of_mean"], words.astype(np.float64).var(0).mean(), decimals=4)
    assert right["text_mse"] == 0.0 and right["text_cosine"] == 1.0
    assert right["caption_recall_at_1"] == right["piece_recall_at_10"] == right["caption_mrr"] == 1.0
    wrong = {found.metric: found.value for found in retrieval_rows(np.roll(words, 1, 0), words, texts, "valid", "x")}
    assert wrong["caption_recall_at_1"] == 0.0 and wrong["caption_recall_at_10"] < 0.6
    cosine = (np.roll(words, 1, 0).astype(np.float64) * words).sum(1).mean()
    assert_same_numbers(wrong["text_cosine"], cosine, decimals=4)
    assert_same_numbers(wrong["text_mse"], (2 - 2 * cosine) / 8, decimals=4)
