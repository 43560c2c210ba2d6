"""Candidates come back in the order in which they fit."""

import dataclasses

import pytest
import torch
from listening_models import LISTENING, exact_and_own_embeddings, open_model, save_model, tune

from amt.generation.candidates import _badness, check_rerank, faults, num_candidates, ranked
from amt.generation.piece import Piece
from amt.midi.data import MidiData
from amt.midi.elements import Tempo
from amt.midi.sanity import sanity
from amt.midi.tokenizer import EventTokenizer
from amt.retrieval.embedding import part_len, parts_of
from amt.testing import assert_within_bound

TEXT = "a waltz at 120 BPM in 3/4"


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    return open_model(save_model(tmp_path_factory.mktemp("models") / "both"))


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A model that only writes."""
    config = dataclasses.replace(LISTENING, architecture="music")
    return open_model(save_model(tmp_path_factory.mktemp("models") / "writer", config))


def piece(number, bpm=60, text=TEXT):
    data = tune(number)
    data = MidiData(data.notes, tempos=[Tempo(0, round(60e6 / bpm))], time_signatures=data.time_signatures)
    tokenizer = EventTokenizer()
    return Piece.from_tokens(
        tuple(int(i) for i in tokenizer.encode(data).ids), tokenizer.config, text=text, seed=number
    )


def test_by_model_the_nearest_is_first(generator):
    pieces = [piece(number) for number in range(6)]
    (wanted,) = generator.caption_embeddings([TEXT])
    model = generator.checkpoint.model
    parts = [parts_of(each.music, generator.tokenizer, part_len(model)) for each in pieces]
    truth, own = (each @ torch.from_numpy(wanted).to(each) for each in exact_and_own_embeddings(model, parts))
    found = ranked(pieces, generator, "model")
    order = truth.argsort(descending=True)
    assert [each.seed for each in found] == order.tolist()
    assert_within_bound(torch.tensor([each.text_cosine for each in found]), truth[order], own[order])


def test_of_equal_pieces_the_one_that_was_written_first_is_first(generator):
    pieces = [dataclasses.replace(piece(number), seed=seed) for seed, number in enumerate((3, 1, 3, 3, 1))]
    found = ranked(pieces, generator, "model")
    assert [each.seed for each in found] in ([0, 2, 3, 1, 4], [1, 4, 0, 2, 3])
    assert len({each.text_cosine for each in found}) == 2


def test_by_facts_what_does_most_is_first(generator, writer):
    # All of them are too short to be sane.
    pieces = [dataclasses.replace(piece(0, bpm), seed=seed) for seed, bpm in enumerate((90, 120, 96))]
    assert [row.is_met for row in pieces[1].report] == [True, True]
    for each in (generator, writer):
        assert ranked(pieces, each, "facts")[0].seed == 1
    assert [each.seed for each in ranked(pieces, writer, "facts")] == [1, 0, 2]  # equal ones as written
    assert ranked(pieces, writer, "facts")[0].text_cosine is None


def test_sane_music_is_better_and_facts_and_faults_count_alike(writer):
    longer, short = piece(0, bpm=60), dataclasses.replace(piece(0, bpm=90), seed=1)
    assert sanity(longer.music) == [] and len(sanity(short.music)) == 1
    assert [faults(each) for each in (longer, short, piece(0, bpm=120))] == [1, 2, 1]
    assert [each.seed for each in ranked([short, longer], writer, "facts", 1)] == [0]


def test_a_piece_that_begins_without_its_feel_is_not_fine():
    asked, other = piece(3, text="four on the floor"), piece(3, text="music")
    missed = [row.name for row in asked.report if not row.is_met]
    assert missed == ["feel"]
    assert _badness(asked, 0.0)[0] == _badness(other, 0.0)[0] + 0.1
    assert _badness(asked, 40.0)[0] == _badness(other, 40.0)[0]  # later it is a fault like others
    assert _badness(asked, 40.0)[1] == _badness(other, 40.0)[1] + 1
    assert _badness(piece(3, text="in F# major"), 0.0)[0] > _badness(other, 0.0)[0]


def test_a_number_of_candidates_that_depends_on_nothing_else():
    assert [num_candidates(None, num, is_sampling=True) for num in (1, 2, 5, 8, 9, 40)] == [2, 4, 10, 16, 16, 40]
    assert [num_candidates(None, num, is_sampling=False) for num in (1, 3)] == [1, 3]
    assert [num_candidates(rerank, 3, is_sampling=True) for rerank in (1, 2, 8)] == [3, 3, 8]


def test_a_piece_without_notes_is_last(generator):
    silent = Piece.from_tokens((1, 583, 540, 2), EventTokenizer().config, text=TEXT)
    found = ranked([silent, piece(1)], generator, "model")
    assert found[1].text_cosine == -1.0
    assert [len(each.notes) > 0 for each in ranked([silent, piece(1, bpm=90)], generator, "facts")] == [True, False]


def test_wrong_calls(generator, writer):
    for number in (0, 2.0, True, "8"):
        with pytest.raises(ValueError, match="rerank must be a whole number"):
            check_rerank(number, "facts", generator)
    with pytest.raises(ValueError, match="rerank_by"):
        check_rerank(2, "luck", generator)
    with pytest.raises(ValueError, match="MusicTextTransformer"):
        check_rerank(2, "model", writer)
    check_rerank(1, "model", writer)
    with pytest.raises(ValueError, match=r"rerank \(8\) must be at most num_beams \(4\)"):
        check_rerank(8, "facts", generator, 4)
