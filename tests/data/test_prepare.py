import errno

import numpy as np
import pytest

from amt.data import prepare as prepare_module
from amt.data.augment import Augmentation
from amt.data.corpus import read_corpus
from amt.data.dataset import STEPS_PER_BLOCK, PreparedSplit
from amt.data.prepare import prepare
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, features_of
from amt.midi.segments import segments
from amt.midi.tokenizer import EventTokenizer
from amt.request.attributes import attributes_of

MAX_LEN = 65


@pytest.fixture(scope="module")
def prepared(small_corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "data"
    calls = []
    summary = prepare(small_corpus, out, max_len=MAX_LEN, embed=False, progress=lambda *call: calls.append(call))
    assert calls == [("pieces", 12)]
    return out, summary


def test_the_summary_counts_and_lists_failures(prepared):
    _, summary = prepared
    assert [summary[split]["pieces"] for split in ("train", "valid", "test")] == [8, 2, 2]
    assert [failure["file"] for failure in summary["failures"]] == ["loose/missing.mid", "loose/broken.mid"]


def test_every_segment_is_the_tokens_of_its_piece(prepared, small_corpus):
    out, summary = prepared
    tokenizer = EventTokenizer()
    midi = {piece.name: piece.midi for piece in read_corpus(small_corpus)}
    split = PreparedSplit(out, "train")
    assert len(split.segments) == summary["train"]["segments"]
    for index, row in enumerate(split.segments):
        ids = split.tokens(index)
        assert len(ids) == row["length"] <= MAX_LEN
        assert ids[0] == 1
        whole = tokenizer.encode(midi[split.pieces[row["piece"]]["file"]]).ids
        if row["is_start"] and len(whole) <= MAX_LEN:
            assert np.array_equal(ids, whole)


def test_a_batch_is_a_function_of_seed_and_step(prepared):
    split, again = PreparedSplit(prepared[0], "train"), PreparedSplit(prepared[0], "train")
    for step in (0, 3, STEPS_PER_BLOCK + 1):
        first, second = split.batch(7, step, 3, MAX_LEN), again.batch(7, step, 3, MAX_LEN)
        assert np.array_equal(first.token_ids, second.token_ids) and first.captions == second.captions
    different = [split.batch(7, step, 3, MAX_LEN).token_ids.tolist() for step in range(6)]
    assert len({str(batch) for batch in different}) == 6
    assert split.batch(8, 0, 3, MAX_LEN).token_ids.tolist() != different[0]


def test_a_batch_has_the_features_of_its_rows(prepared):
    layout = FeatureLayout(TokenizerConfig())
    split, number = PreparedSplit(prepared[0], "train"), layout.first["bars_left"]
    told = []
    for step in range(8):
        batch = split.batch(3, step, 4, MAX_LEN, layout=layout, bars_dropout=0.5)
        plain = split.batch(3, step, 4, MAX_LEN)
        assert np.array_equal(batch.token_ids, plain.token_ids) and plain.features is None
        for ids, found in zip(batch.token_ids, batch.features, strict=True):
            row = ids[ids != 0][:-1]
            expected = features_of(layout, [row])
            is_bars = (found.columns >= number) & (found.columns < number + 25)
            assert np.array_equal(found.ends, expected.ends)
            assert np.array_equal(found.columns[~is_bars], expected.columns[~is_bars])
            told.append(int(found.columns[is_bars][0]) > number)
            assert not told[-1] or ids[ids != 0][-1] == 2 or len(row) + 1 == MAX_LEN
    assert 0 < sum(told) < len(told)


def test_a_batch_has_the_facts_of_its_rows(prepared):
    split = PreparedSplit(prepared[0], "train")
    assert all(piece["n_bars"] >= 1 for piece in split.pieces)
    for piece in split.pieces:
        piece["key"] = "C major"
    kinds = ("key", "form", "bars")
    batch = split.batch(3, 0, 8, MAX_LEN, attributes=kinds)
    form = attributes_of({"form": "song"}, kinds)["form"][0]
    assert all(row[:2] == [1, form] and len(row) == 3 for row in batch.attributes)
    moved = split.batch(3, 0, 8, MAX_LEN, Augmentation(transpose=6), attributes=("key",))
    assert len({tuple(row) for row in moved.attributes}) > 2
    few = [split.batch(3, step, 8, MAX_LEN, attributes=kinds, attribute_dropout=0.5) for step in range(8)]
    assert 60 < sum(len(row) for batch in few for row in batch.attributes) < 130  # of 192
    none = [split.batch(3, step, 8, MAX_LEN, attributes=kinds, no_attributes=0.5) for step in range(8)]
    assert {len(row) for batch in none for row in batch.attributes} == {0, 3}


def test_blocks_draw_independently(prepared):
    split = PreparedSplit(prepared[0], "train")
    split.pieces = [{"source": str(p), "form": "", "captions": [str(p)]} for p in range(5000)]
    split.segments = np.array([(0, 4, p, True) for p in range(5000)], split.segments.dtype)
    split._first = np.arange(5001)
    split._cumulative = np.linspace(1 / 5000, 1, 5000)
    drawn = [caption for step in range(160) for caption in split.batch(0, step, 8, MAX_LEN).captions]
    assert len(set(drawn)) > 1050  # of 1,280 draws from 5,000, about 1,130 differ


def test_a_caption_belongs_to_its_row(prepared):
    split = PreparedSplit(prepared[0], "train")
    of_piece = [{split.tokens(i).tobytes() for i in np.flatnonzero(split.segments["piece"] == p)} for p in range(8)]
    for step in range(8):
        batch = split.batch(0, step, 2, MAX_LEN)
        for ids, caption in zip(batch.token_ids, batch.captions, strict=True):
            piece = next(p for p in range(8) if caption in split.pieces[p]["captions"])
            assert ids[ids != 0].astype(np.uint16).tobytes() in of_piece[piece]


def test_rare_kinds_come_up_more_often_than_their_share(prepared):
    split = PreparedSplit(prepared[0], "train")
    split.pieces = [{"source": "many" if p < 7 else "few", "form": "", "captions": [str(p)]} for p in range(8)]
    counts = {kind: sum(piece["source"] == kind for piece in split.pieces) for kind in ("many", "few")}
    weights = np.array([counts[piece["source"]] ** -0.5 for piece in split.pieces])
    split._cumulative = np.cumsum(weights / weights.sum())
    drawn = [caption for step in range(200) for caption in split.batch(0, step, 4, MAX_LEN).captions]
    share = drawn.count("7") / len(drawn)
    assert abs(share - 1 / (1 + 7**0.5)) < 0.05 and share > 1.5 / 8


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(prepare_module, "BLOCK_PIECES", 3)


def test_blocks_and_processes_change_nothing(prepared, small_corpus, tmp_path, small_blocks):
    for jobs in (1, 2):
        prepare(small_corpus, tmp_path / str(jobs), max_len=MAX_LEN, embed=False, jobs=jobs)
        assert contents(tmp_path / str(jobs)) == contents(prepared[0])


def test_a_stopped_run_goes_on(prepared, small_corpus, tmp_path, small_blocks, monkeypatch):
    out = tmp_path / "out"
    encoded = []

    def count(data, tokenizer, max_len):
        if len(encoded) == 7:
            encoded.append("stop")
            raise KeyboardInterrupt
        encoded.append(data)
        return segments(data, tokenizer, max_len)

    monkeypatch.setattr(prepare_module, "segments", count)
    with pytest.raises(KeyboardInterrupt):
        prepare(small_corpus, out, max_len=MAX_LEN, embed=False, jobs=1)
    assert not out.exists() and (tmp_path / "out.part").is_dir()
    prepare(small_corpus, out, max_len=MAX_LEN, embed=False, jobs=1)
    assert len(encoded) == 8 + 12 - 6  # two blocks of three were whole
    assert contents(out) == contents(prepared[0])
    assert not (tmp_path / "out.part").exists()


def test_other_settings_or_pieces_begin_anew(small_corpus, tmp_path, small_blocks, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(prepare_module._Part, "join", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(small_corpus, out, max_len=33, embed=False, jobs=1)
    monkeypatch.undo()
    blocks = tmp_path / "out.part" / "blocks"
    (blocks / "000001.npz").write_bytes((blocks / "000000.npz").read_bytes())  # of other pieces
    prepare(small_corpus, out, max_len=33, embed=False, jobs=1)
    prepare(small_corpus, tmp_path / "whole", max_len=33, embed=False, jobs=1)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_full_disk_is_one_error_and_loses_nothing(small_corpus, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(prepare_module, "write_atomically", full)
        with pytest.raises(OSError, match="No space left"):
            prepare(small_corpus, out, embed=False, jobs=1)
    assert not out.exists()
    prepare(small_corpus, out, embed=False, jobs=1)
    assert out.is_dir()


def test_a_damaged_shard_is_one_error(small_corpus, tmp_path):
    out = tmp_path / "out"
    prepare(small_corpus, out, embed=False, jobs=1)
    path = out / "train" / "tokens.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match="damaged; prepare it again"):
        PreparedSplit(out, "train")
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="damaged; prepare it again"):
        PreparedSplit(out, "train")
    path.write_bytes(whole)
    (out / "train" / "pieces.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="damaged; prepare it again"):
        PreparedSplit(out, "train")


def test_an_existing_folder_is_not_touched(prepared, small_corpus):
    before = sorted(path.name for path in prepared[0].iterdir())
    with pytest.raises(FileExistsError, match="choose another folder"):
        prepare(small_corpus, prepared[0], embed=False)
    assert sorted(path.name for path in prepared[0].iterdir()) == before


def test_a_folder_that_is_not_prepared_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="amt prepare"):
        PreparedSplit(tmp_path, "train")
