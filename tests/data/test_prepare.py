import json
import os
import re
import resource

import numpy as np
import pytest

from amt.data import prepare as prepare_module
from amt.data.augment import Augmentation
from amt.data.corpus import read_corpus
from amt.data.dataset import STEPS_PER_BLOCK, PreparedSplit
from amt.data.prepare import prepare
from amt.files import alone_in
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo
from amt.midi.features import FeatureLayout, features_of, num_bars_of
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
    assert 0 < sum(told) < len(told)


def test_a_segment_knows_the_bars_to_the_end_of_its_piece(prepared):
    layout = FeatureLayout(TokenizerConfig())
    split = PreparedSplit(prepared[0], "train")
    for piece in range(len(split.pieces)):
        own = np.flatnonzero(split.segments["piece"] == piece)
        bars = [num_bars_of(layout, split.tokens(segment)) for segment in own]
        assert split.segments["bars"][own].tolist() == [sum(bars[place:]) for place in range(len(bars))]


def test_music_is_prepared_in_its_canonical_key(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    scale = [Note(480 * i, 480 * i + 480, 62 + step, 80) for i, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    MidiData([*scale, Note(0, 9, 36, 80, is_drum=True)]).save(corpus / "d.mid")
    MidiData([Note(480 * i, 480 * i + 480, 60 + i, 80) for i in range(12)]).save(corpus / "chromatic.mid")
    rows = [{"file": "d.mid", "caption": "a scale in D major", "key": "D major", "pitch_mean": 68.0},
            {"file": "chromatic.mid", "caption": "all notes"}]  # fmt: skip
    (corpus / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = TokenizerConfig(version=2, canonical_key=True)
    prepare(corpus, tmp_path / "data", tokenizer_config=config, embed=False)
    split = PreparedSplit(tmp_path / "data", "train")
    assert split.tokenizer_config == config
    known, unknown = split.pieces
    assert (known["key"], known["semitones"], known["pitch_mean"]) == ("C major", -2, 66.0)
    assert (unknown["key"], unknown["semitones"]) == (None, 0)
    tokenizer = EventTokenizer(config)
    decoded = tokenizer.decode(split.tokens(0)).notes
    assert decoded.pitch[~decoded.is_drum].tolist() == [60, 62, 64, 65, 67, 69, 71, 72]
    assert decoded.pitch[decoded.is_drum].tolist() == [36]
    assert tokenizer.decode(split.tokens(1)).notes.pitch.tolist() == list(range(60, 72))


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
    split.segments = np.array([(0, 4, p, 1, True) for p in range(5000)], split.segments.dtype)
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
    share, expected = drawn.count("7") / len(drawn), 1 / (1 + 7**0.5)
    assert abs(share - expected) <= 4 * (expected * (1 - expected) / len(drawn)) ** 0.5 and share > 1.5 / 8


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


def error_in_a_child(function):
    """What went wrong in a process of its own, "" if nothing did; a signal must not end it."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            function()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    assert not os.WIFSIGNALED(status), f"killed by signal {os.WTERMSIG(status)}"
    with open(reader, encoding="utf-8") as stream:
        return stream.read()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_is_one_error_and_loses_nothing(
    prepared, small_corpus, small_disk, leave_room, small_blocks, jobs, monkeypatch
):
    """Wherever the room ends, and each time it goes on from the blocks that it had."""
    disk = small_disk(1 << 20)
    encoded, rooms = [], range(0, 1 << 20, 4096 if jobs == 1 else 32768)
    monkeypatch.setattr(prepare_module, "segments", lambda *call: encoded.append(1) or segments(*call))

    def run():
        num_before = len(list((disk / "out.part").glob("blocks/*.npz")))
        try:
            prepare(small_corpus, disk / "out", max_len=MAX_LEN, embed=False, jobs=jobs)
        finally:
            assert jobs > 1 or len(encoded) <= 12 - 3 * min(4, num_before)  # the fifth block has no music

    errors = []
    for room in rooms:
        leave_room(disk, room)
        error = error_in_a_child(run)
        if not error:
            break
        errors.append(error)
        assert error.startswith(f"DiskFullError: the disk is full: {disk}/out.part/") and "\n" not in error
        assert not (disk / "out").exists() and not list(disk.rglob("*.tmp")) and not (disk / "out.part/whole").exists()
    assert contents(disk / "out") == contents(prepared[0])
    assert sorted(path.name for path in disk.iterdir()) == ["ballast", "out"]
    if jobs == 1:
        assert any(re.search(r"/blocks/\d+\.npz needs \d+ bytes", error) for error in errors)


def test_tokens_of_many_pages_on_a_full_disk_end_by_no_signal(tmp_path, small_disk, leave_room, monkeypatch):
    """A file that is mapped before it has its room would: its first pages may be there, and the last ones not."""
    (tmp_path / "corpus").mkdir()
    notes = [Note(10 * start, 10 * start + 9, 21 + start % 88, 80) for start in range(4000)]
    MidiData(notes).save(tmp_path / "corpus" / "long.mid")
    (tmp_path / "corpus" / "captions.jsonl").write_text('{"file": "long.mid", "caption": "long"}\n')
    disk = small_disk(1 << 20)

    def run():
        prepare(tmp_path / "corpus", disk / "out", embed=False, jobs=1)

    with monkeypatch.context() as patch:
        patch.setattr(prepare_module._Part, "join", lambda *call: 1 / 0)
        assert error_in_a_child(run).startswith("ZeroDivisionError")  # the blocks are there
    errors = []
    for room in range(0, 1 << 20, 4096):
        leave_room(disk, room)
        error = error_in_a_child(run)
        if not error:
            break
        errors.append(error)
    needs = re.compile(
        r"DiskFullError: the disk is full: .*/out\.part/whole needs \d+ bytes, \d+ are free; make room .*"
    )
    assert sum(needs.fullmatch(error) is not None for error in errors) > 5
    prepare(tmp_path / "corpus", tmp_path / "out", embed=False, jobs=1)
    assert contents(disk / "out") == contents(tmp_path / "out")


def test_a_file_larger_than_may_be_is_one_error(prepared, small_corpus, tmp_path):
    """The same without a small disk: a limit of the process."""

    def run():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        prepare(small_corpus, tmp_path / "out", max_len=MAX_LEN, embed=False, jobs=1)

    error = error_in_a_child(run)
    assert error.startswith(f"OSError: cannot write {tmp_path}/out.part/") and ": File too large; " in error
    assert not (tmp_path / "out").exists()
    prepare(small_corpus, tmp_path / "out", max_len=MAX_LEN, embed=False, jobs=1)
    assert contents(tmp_path / "out") == contents(prepared[0])


def test_a_run_that_is_killed_anywhere_goes_on(prepared, small_corpus, tmp_path, small_blocks, killed):
    number, was_killed, num_kills = 0, True, 0
    while was_killed:
        number += 5
        was_killed = killed(
            lambda: prepare(small_corpus, tmp_path / "out", max_len=MAX_LEN, embed=False, jobs=1), tmp_path, number
        )
        num_kills += was_killed
        if (tmp_path / "out").exists():
            break
    prepare(small_corpus, tmp_path / "again", max_len=MAX_LEN, embed=False, jobs=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "again") == contents(prepared[0])
    assert num_kills > 5


def test_embeddings_are_not_made_twice(small_corpus, tmp_path, monkeypatch):
    """A run that is stopped when all is put together, but not yet in its place."""
    replace, out = os.replace, tmp_path / "out"

    class Cache:
        def __init__(self, folder, spec):
            self.folder = folder
            folder.mkdir(exist_ok=True)

        def remove_leftovers(self):
            pass

        def get_many(self, captions, progress):
            (self.folder / "made").write_text("" if (self.folder / "made").exists() else "once")

    def stop(source, target):
        if target == out:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(prepare_module, "EmbeddingCache", Cache)
    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(small_corpus, out, max_len=MAX_LEN, jobs=1)
    assert (tmp_path / "out.part" / "embeddings" / "made").read_text() == "once"
    monkeypatch.setattr(os, "replace", replace)
    prepare(small_corpus, out, max_len=MAX_LEN, jobs=1)
    assert (out / "embeddings" / "made").read_text() == "" and not (tmp_path / "out.part").exists()


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


def test_facts_are_kept_beside_what_training_reads(small_corpus, tmp_path):
    corpus = tmp_path / "facts"
    corpus.mkdir()
    rows = []
    for piece in read_corpus(small_corpus):
        if piece.split == "train" and "broken" not in piece.name:
            (corpus / piece.name).parent.mkdir(exist_ok=True)
            (corpus / piece.name).write_bytes(piece.midi)
            rows.append(piece.row | {"mood": ["calm"], "sections": [["A", 1, 8]], "number": len(rows)})
    (corpus / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    prepare(corpus, tmp_path / "out", max_len=MAX_LEN, embed=False, jobs=1)
    split = PreparedSplit(tmp_path / "out", "train")
    by_file = {row["file"]: row for row in rows}
    assert len(split.facts) == len(split.pieces) == len(rows)
    for piece, facts in zip(split.pieces, split.facts, strict=True):
        row = by_file[piece["file"]]
        assert facts == {"split": "train"} | {name: row[name] for name in ("sections", "number")}
        assert piece["mood"] == row["mood"]


def several(small_corpus, tmp_path):
    """Two corpora of the same pieces; the second has half of them."""
    folders = []
    pieces = [piece for piece in read_corpus(small_corpus) if "broken" not in piece.name]
    for name, chosen in (("one", pieces), ("two", pieces[::2])):
        folder = tmp_path / name
        folder.mkdir()
        for piece in chosen:
            (folder / piece.name).parent.mkdir(exist_ok=True)
            (folder / piece.name).write_bytes(piece.midi)
        rows = "".join(json.dumps(piece.row) + "\n" for piece in chosen)
        (folder / "metadata.jsonl").write_text(rows, encoding="utf-8")
        folders.append(folder)
    return folders


def test_several_corpora_have_their_shares_of_the_draws(small_corpus, tmp_path):
    one, two = several(small_corpus, tmp_path)
    summary = prepare({one: 1, two: 3}, tmp_path / "mixed", max_len=MAX_LEN, embed=False, jobs=1)
    assert sum(summary[name]["pieces"] for name in ("train", "valid", "test")) == 18
    split = PreparedSplit(tmp_path / "mixed", "train")
    chances = np.diff(split._cumulative, prepend=0)
    corpora = np.array([piece["corpus"] for piece in split.pieces])
    assert set(corpora) == {"one", "two"}
    assert abs(chances[corpora == "two"].sum() - 0.75) < 1e-9 and abs(chances.sum() - 1) < 1e-9


def test_several_corpora_without_weights_are_as_one(small_corpus, tmp_path):
    one, two = several(small_corpus, tmp_path)
    prepare([one, two], tmp_path / "mixed", max_len=MAX_LEN, embed=False, jobs=1)
    split = PreparedSplit(tmp_path / "mixed", "train")
    kinds = [(piece["source"], piece["form"]) for piece in split.pieces]
    weights = np.array([kinds.count(kind) ** -0.5 for kind in kinds])
    assert np.array_equal(split._cumulative, np.cumsum(weights / weights.sum()))


@pytest.mark.parametrize(
    ("weights", "message"),
    [((1, 0), "weight of .*two must be a number above 0, got 0"), ((1, float("nan")), "got nan")],
)
def test_wrong_weights(small_corpus, tmp_path, weights, message):
    folders = several(small_corpus, tmp_path)
    with pytest.raises(ValueError, match=message):
        prepare(dict(zip(folders, weights, strict=True)), tmp_path / "mixed", embed=False)


def test_a_corpus_is_named_once(small_corpus, tmp_path):
    with pytest.raises(ValueError, match="name at least one corpus, and each once"):
        prepare([small_corpus, small_corpus], tmp_path / "mixed", embed=False)
    with pytest.raises(ValueError, match="got none"):
        prepare([], tmp_path / "mixed", embed=False)


def corpus_of(folder, pieces):
    """A corpus of (name, music, split)."""
    folder.mkdir()
    rows = []
    for name, music, split in pieces:
        (folder / name).write_bytes(music.to_bytes())
        rows.append(json.dumps({"file": name, "caption": "music", "split": split}) + "\n")
    (folder / "captions.jsonl").write_text("".join(rows))
    return folder


def test_music_without_notes_gives_no_rows(tmp_path):
    notes = [Note(480 * number, 480 * number + 400, 60, 80) for number in range(9)]
    drums = [Note(480 * number, 480 * number + 100, 36, 80, is_drum=True) for number in range(9)]
    tail = [Tempo(4320 + 480 * number, 400_000 + number) for number in range(999)]
    pieces = [
        ("empty.mid", MidiData([]), "train"),
        ("drums.mid", MidiData(drums), "train"),
        ("tail.mid", MidiData(notes, tempos=tail), "train"),
    ]
    corpus = corpus_of(tmp_path / "corpus", pieces)
    summary = prepare(corpus, tmp_path / "score", embed=False, jobs=1)
    assert summary["train"]["pieces"] == summary["train"]["segments"] == 2
    assert summary["failures"] == [
        {"file": "empty.mid", "reason": "no note in it that the preset 'score' has a token for"}
    ]
    config = TokenizerConfig(preset="performance")
    summary = prepare(corpus, tmp_path / "performance", embed=False, jobs=1, tokenizer_config=config)
    assert [failure["file"] for failure in summary["failures"]] == ["empty.mid", "drums.mid"]
    with pytest.raises(ValueError, match="no note in it"):
        prepare(corpus_of(tmp_path / "nothing", pieces[:1]), tmp_path / "out", embed=False, jobs=1)


def test_a_file_under_two_names_is_in_one_split(tmp_path):
    one, other = (MidiData([Note(0, 480, pitch, 80)]) for pitch in (60, 62))
    pieces = [
        ("a.mid", one, "train"),
        ("b.mid", one, "train"),
        ("c.mid", one, "test"),
        ("d.mid", other, "test"),
        ("e.mid", one, "valid"),
    ]
    summary = prepare(corpus_of(tmp_path / "corpus", pieces), tmp_path / "out", embed=False, jobs=1)
    assert [summary[split]["pieces"] for split in ("train", "valid", "test")] == [2, 0, 1]
    assert summary["failures"] == [
        {"file": "c.mid", "reason": "the same file as a.mid, which is train; left out of test"},
        {"file": "e.mid", "reason": "the same file as a.mid, which is train; left out of valid"},
    ]


def test_two_processes_do_not_prepare_one_folder(tmp_path, small_corpus):
    with alone_in(tmp_path / "out.part"), pytest.raises(BlockingIOError, match="another process is writing to"):
        prepare(small_corpus, tmp_path / "out", embed=False, jobs=1)
    assert prepare(small_corpus, tmp_path / "out", embed=False, jobs=1)["train"]["pieces"] > 0
    assert not (tmp_path / "out.part").exists()
