import json
import math
import shutil

import numpy as np
import pytest
import torch
from listening_models import DIM, LISTENING, exact_and_own_embeddings, open_model, save_model, tune

import amt
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.segments import segments
from amt.nn.config import ModelConfig
from amt.retrieval.embedding import cosines, embed_pieces, part_len
from amt.testing import assert_same_numbers, assert_within_bound

CAPTIONS = ["a slow waltz", "fast bebop for sax", "a march", "drums alone"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "listening")


@pytest.fixture
def generator(folder):
    return open_model(folder)


def test_any_kind_of_music_is_taken(generator, tmp_path):
    midi = tune(1)
    midi.save(tmp_path / "tune.mid")
    written = amt.Piece((), midi)
    sources = [tmp_path / "tune.mid", str(tmp_path / "tune.mid"), midi.to_bytes(), midi.to_mido(), midi, written]
    found = [amt.describe(source, model=generator, bank=CAPTIONS).to_dict() for source in sources]
    assert all(row == found[0] for row in found)


def test_an_embedding_is_the_mean_of_those_of_the_parts(generator):
    midi = tune(1, num_notes=200)
    parts = segments(midi, generator.tokenizer, part_len(generator.checkpoint.model))
    assert len(parts) > 3 and part_len(generator.checkpoint.model) == 64
    truth, own = exact_and_own_embeddings(generator.checkpoint.model, [[part.ids for part in parts]])
    embedding = amt.describe(midi, model=generator).embedding
    assert embedding.shape == (DIM,) and embedding.dtype == np.float32
    assert_within_bound(torch.from_numpy(embedding), truth[0], own[0])
    assert_within_bound(torch.from_numpy(embedding).norm(), torch.tensor(1.0, dtype=torch.float64))


def test_a_batch_gives_what_each_piece_gives_alone(generator):
    model = generator.checkpoint.model
    pieces = [
        [segment.ids for segment in segments(tune(number, 3 + 17 * number), generator.tokenizer, 96)]
        for number in range(7)
    ]
    truth, own = exact_and_own_embeddings(model, pieces)
    assert_within_bound(torch.from_numpy(embed_pieces(model, pieces)), truth, own)
    for index, parts in enumerate(pieces):
        assert_within_bound(torch.from_numpy(embed_pieces(model, [parts])), truth[index, None], own[index, None])


def test_equal_rows_have_equal_cosines_wherever_they_stand():
    rng = np.random.default_rng(5)
    row, vector = rng.standard_normal((2, DIM)).astype(np.float32)
    alone = cosines(row[None], vector)
    assert_same_numbers(alone, [math.fsum(row.astype(np.float64) * vector)])
    for num_rows in (1, 2, 3, 7, 64, 70):
        for order in "CF":
            rows = np.asarray(np.tile(row, (num_rows, 1)), order=order)
            rows[1::3] = rng.standard_normal(DIM)
            found = cosines(rows, vector)
            assert np.array_equal(np.delete(found, np.s_[1::3]), np.repeat(alone, len(found[0::3]) + len(found[2::3])))
    assert cosines(np.zeros((0, DIM), np.float32), vector).shape == (0,)


def test_captions_are_the_nearest_of_the_bank(generator):
    description = amt.describe(tune(2), model=generator, bank=CAPTIONS, num_captions=3)
    vectors = generator.text_encoder.sentence_embeddings(CAPTIONS).astype(np.float64)
    fits = [math.fsum(vector * description.embedding) for vector in vectors]
    best = np.argsort(fits)[::-1][:3]
    assert [caption for caption, _ in description.captions] == [CAPTIONS[index] for index in best]
    assert_same_numbers([cosine for _, cosine in description.captions], [fits[index] for index in best])
    assert amt.describe(tune(2), model=generator, bank=CAPTIONS, num_captions=0).captions == []
    assert amt.describe(tune(2), model=generator).captions == []  # no bank


def test_a_bank_is_read_once(generator):
    for number in range(3):
        amt.describe(tune(number), model=generator, bank=CAPTIONS)
    assert generator.text_encoder.num_texts == len(CAPTIONS)


def test_a_bank_may_be_a_file_or_the_models_own(folder, tmp_path):
    lines = b"\xef\xbb\xbfa slow waltz\r\n\n  a march  \na slow waltz\n"
    (tmp_path / "bank.txt").write_bytes(lines)
    found = amt.describe(tune(2), model=open_model(folder), bank=tmp_path / "bank.txt")
    assert sorted(caption for caption, _ in found.captions) == ["a march", "a slow waltz"]
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "captions.txt").write_bytes(lines)
    own = open_model(tmp_path / "model")
    assert amt.describe(tune(2), model=own).captions == found.captions
    assert amt.describe(tune(2), model=own, bank=["drums"]).captions[0][0] == "drums"


@pytest.mark.parametrize(
    ("bank", "message"),
    [([], "the bank has no captions"), ([" "], "has no captions"), ([7], "must hold texts, got int")],
)
def test_a_bad_bank_is_told(generator, bank, message):
    with pytest.raises(ValueError, match=message):
        amt.describe(tune(2), model=generator, bank=bank)


def test_a_bank_that_is_no_text_is_told(generator, tmp_path):
    (tmp_path / "bank.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not text in UTF-8; give a text file with one caption a line"):
        amt.describe(tune(2), model=generator, bank=tmp_path / "bank.txt")
    with pytest.raises(FileNotFoundError):
        amt.describe(tune(2), model=generator, bank=tmp_path / "none.txt")
    with pytest.raises(ValueError, match="num_captions must be between 0"):
        amt.describe(tune(2), model=generator, num_captions=-1)


def test_a_model_that_only_writes_gives_facts(tmp_path):
    config = ModelConfig(**{**LISTENING.to_dict(), "architecture": "music"})
    description = amt.describe(tune(2), model=save_model(tmp_path / "plain", config), bank=CAPTIONS)
    assert (description.embedding, description.captions) == (None, [])
    assert description.facts.num_notes == 16 and description.sentence.startswith("A piece for piano")


def test_a_piece_without_notes_has_no_embedding(generator):
    for midi in (MidiData(), MidiData(end_ticks=48000)):
        description = amt.describe(midi, model=generator, bank=CAPTIONS)
        assert (description.embedding, description.captions) == (None, [])
        assert description.sentence == "An empty piece: it has no notes."


def test_all_of_it_is_json(generator):
    for midi in (tune(2), MidiData(), MidiData([Note(0, 480, 36, 80, 0, True)])):
        row = json.loads(json.dumps(amt.describe(midi, model=generator, bank=CAPTIONS).to_dict(), allow_nan=False))
        assert set(row) == {"sentence", "captions", "facts", "embedding", "plan"}


def test_saving_keeps_the_captions(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    for name in ("captions.txt", "NOTICES.md"):
        (tmp_path / "model" / name).write_text(name)
    save_model(tmp_path / "model", seed=4)
    for name in ("captions.txt", "NOTICES.md"):
        assert (tmp_path / "model" / name).read_text() == name
    assert amt.load_checkpoint(tmp_path / "model").captions.name == "captions.txt"


def test_captions_outside_of_the_models_folder_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "secret.txt").write_text("mine")
    (tmp_path / "model" / "captions.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(amt.CheckpointError, match="leads out of its folder"):
        amt.load_checkpoint(tmp_path / "model")
