import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from listening_models import DIM, LISTENING, exact_and_own_embeddings, open_model, save_model, tune

import amt
from amt.errors import DiskFullError
from amt.files import remove_leftovers
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note
from amt.nn.config import ModelConfig
from amt.retrieval.embedding import part_len, parts_of
from amt.retrieval.index import pieces, storage, update
from amt.testing import assert_within_bound

ROOT = Path(amt.__file__).parents[1]
NUM_TUNES = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("models") / "listening")


@pytest.fixture
def generator(model):
    return open_model(model)


@pytest.fixture
def folder(tmp_path):
    """20 tunes, 5 of them in a folder below."""
    (tmp_path / "music" / "below").mkdir(parents=True)
    for number in range(NUM_TUNES):
        tune(number).save(tmp_path / "music" / ("below" if number % 4 == 0 else "") / f"{number:02}.mid")
    return tmp_path / "music"


@pytest.fixture
def search(generator, folder):
    return lambda query="a slow waltz", **options: amt.search(query, folder, **({"model": generator} | options))


def all_of(found):
    return [(match.path, match.score, match.facts) for match in found]


def index_files(folder):
    return {path.name: path.read_bytes() for path in (folder / ".amt-index").iterdir()}


def assert_true_scores(found, folder, generator, query="a slow waltz"):
    """The scores are those of the pieces, one after the other, in float64."""
    model, tokenizer = generator.checkpoint.model, generator.tokenizer
    parts = [parts_of(amt.read_midi(folder / match.path), tokenizer, part_len(model), 4) for match in found]
    wanted = torch.from_numpy(generator.text_encoder.sentence_embeddings([query])[0])
    truth, own = exact_and_own_embeddings(model, parts)
    scores = torch.tensor([match.score for match in found], dtype=torch.float32)
    assert_within_bound(scores, truth @ wanted.double(), own @ wanted)


def assert_one(score):
    """The cosine of a piece and itself."""
    assert_within_bound(torch.tensor(score, dtype=torch.float32), torch.tensor(1.0, dtype=torch.float64))


def test_a_text_finds_the_nearest_pieces(search, generator, folder):
    found = search(num_results=100)
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mid"))
    assert sorted(match.path for match in found) == paths and found.num_files == NUM_TUNES
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    assert_true_scores(found, folder, generator)
    for match in found:
        description = amt.describe(folder / match.path, model=generator)
        assert (match.facts, match.sentence) == (description.facts, description.sentence)
    assert all_of(search(num_results=3)) == all_of(found)[:3]
    assert json.loads(json.dumps(found[0].to_dict()))["path"] == found[0].path


@pytest.mark.parametrize("kind", ["path", "bytes", "mido", "data"])
def test_a_piece_finds_itself_first(search, folder, kind):
    path = folder / "07.mid"
    query = {
        "path": path,
        "bytes": path.read_bytes(),
        "mido": amt.read_midi(path).to_mido(),
        "data": amt.read_midi(path),
    }[kind]
    found = search(query)
    assert found[0].path == "07.mid" and found[1].score < 1
    assert_one(found[0].score)


def test_a_piece_finds_its_transposition_before_other_music(search, folder):
    """With random weights what is said of tunes is chance, but not that drums are something else than a tune."""
    tune(7, transpose=2).save(folder / "moved.mid")
    for number in range(5):
        beats = [Note(120 * i, 120 * i + 60, 36 + (i * number) % 9, 110, 0, True) for i in range(40)]
        MidiData(beats).save(folder / f"drums-{number}.mid")
    scores = {match.path: match.score for match in search(folder / "07.mid", num_results=30)}
    assert scores["moved.mid"] > 0.7
    assert scores["moved.mid"] > max(score for path, score in scores.items() if path.startswith("drums"))


def test_a_str_is_a_text_also_if_a_file_has_that_name(search, folder):
    assert all_of(search(str(folder / "07.mid"))) != all_of(search(folder / "07.mid"))


def test_long_pieces_count_by_their_first_parts(search, folder):
    midi = tune(3, num_notes=400)
    midi.save(folder / "long.mid")
    start = MidiData(midi.notes[:200], tempos=midi.tempos, time_signatures=midi.time_signatures)
    assert pieces.MAX_PARTS == 4
    scores = {match.path: match.score for match in search(start, num_results=30)}
    assert_one(scores["long.mid"])


# What is read again


def test_nothing_is_read_twice(search, folder):
    first = search()
    assert (first.num_read, first.num_embedded) == (NUM_TUNES, NUM_TUNES)
    before = index_files(folder)
    again = search()
    assert (again.num_read, again.num_embedded) == (0, 0) and all_of(again) == all_of(first)
    assert index_files(folder) == before


def test_only_what_changed_is_read(search, generator, folder):
    search()
    tune(30).save(folder / "new.mid")
    tune(31).save(folder / "03.mid")
    (folder / "02.mid").unlink()
    shutil.copyfile(folder / "01.mid", folder / "copy.mid")
    os.utime(folder / "05.mid", ns=(1, 1))
    found = search(num_results=100)
    assert (found.num_read, found.num_embedded) == (4, 2)  # the copy and the file that was touched are known by content
    assert {"new.mid", "copy.mid"} <= {match.path for match in found} and found.num_files == NUM_TUNES + 1
    assert all(match.path != "02.mid" for match in found)
    fresh = search(num_results=100, index=folder.parent / "fresh")
    assert [match.path for match in found] == [match.path for match in fresh]
    for each in (found, fresh):
        assert_true_scores(each, folder, generator)
    assert search().num_read == 0


def test_the_last_file_may_go(search, folder):
    search()
    for path in folder.rglob("*.mid"):
        path.unlink()
    assert (list(search()), search().num_files) == ([], 0)


def test_equal_files_are_embedded_once(search, folder):
    for number in range(50):
        shutil.copyfile(folder / "01.mid", folder / f"copy-{number}.mid")
    found = search(folder / "01.mid", num_results=60)
    assert (found.num_read, found.num_embedded) == (NUM_TUNES + 50, NUM_TUNES)
    assert [match.path for match in found][:51] == ["01.mid", *sorted(f"copy-{number}.mid" for number in range(50))]


def test_equal_music_has_equal_scores(search, folder):
    """Files whose bytes differ and whose notes do not, among others, are in order of their names."""
    for number in range(11):
        notes = tune(5)
        extra = [KeySignature(0, number % 7, False)]
        MidiData(notes.notes, tempos=notes.tempos, time_signatures=notes.time_signatures, key_signatures=extra).save(
            folder / f"same-{number:02}.mid"
        )
    found = search(num_results=100)
    same = [match for match in found if match.path.startswith("same") or match.path == "05.mid"]
    assert len({match.score for match in same}) == 1
    assert [match.path for match in same] == ["05.mid", *(f"same-{number:02}.mid" for number in range(11))]


def test_another_model_makes_the_index_anew(search, folder, tmp_path):
    search()
    other = open_model(save_model(tmp_path / "other", seed=8))
    assert search(model=other).num_read == NUM_TUNES
    assert search(model=other).num_read == 0
    wider = open_model(save_model(tmp_path / "wider", dataclasses.replace(LISTENING, d_model=32)))
    assert search(model=wider).num_read == NUM_TUNES


def test_the_index_may_lie_elsewhere(search, folder, tmp_path):
    place = tmp_path / "somewhere" / "index"
    first = search(index=place)
    assert not (folder / ".amt-index").exists() and search(index=place).num_read == 0
    assert sorted(path.name for path in place.iterdir()) == ["index.bin"]
    assert all_of(search()) == all_of(first)


def test_progress_counts_the_files(search):
    calls = []
    search(progress=lambda *counts: calls.append(counts))
    assert calls == [(number, NUM_TUNES) for number in range(1, NUM_TUNES + 1)]


# What cannot be read


def test_files_that_cannot_be_read_are_left_out_with_reasons(search, folder):
    (folder / "mp3.mid").write_bytes(b"ID3 not music")
    (folder / "empty.MID").touch()
    MidiData().save(folder / "silent.midi")
    (folder / "gone.mid").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.mid")
    (folder / "folder.mid").mkdir()
    (folder / "notes.txt").write_text("no music")
    found = search(num_results=100)
    assert found.num_files == NUM_TUNES and list(found.skipped) == sorted(found.skipped)
    assert found.skipped == {
        "empty.MID": "the file is empty (at byte 0)",
        "gone.mid": "No such file or directory",
        "mp3.mid": "not a MIDI file: it does not start with MThd; it is an MP3 file (at byte 0)",
        "pipe.mid": "it is no regular file",
        "silent.midi": "it has no notes that the model can read",
    }
    again = search()
    assert (again.num_read, again.skipped) == (0, found.skipped)
    tune(40).save(folder / "mp3.mid")
    assert "mp3.mid" not in search().skipped


def test_a_file_that_may_not_be_read_is_asked_for_again(search, folder, monkeypatch):
    def read(path):
        if path.name == "01.mid":
            raise PermissionError(13, "Permission denied")
        return read_file(path)

    read_file = update._read
    monkeypatch.setattr(update, "_read", read)
    assert search().skipped == {"01.mid": "Permission denied"}
    monkeypatch.undo()
    found = search()
    assert (found.skipped, found.num_read) == ({}, 1)


def test_files_that_are_too_large_are_left_out(search, folder, monkeypatch):
    monkeypatch.setattr(update, "MAX_FILE_BYTES", 100)
    assert set(search().skipped.values()) == {"it is larger than 100 bytes"}


def test_a_name_that_is_not_utf8(search, folder):
    name = os.fsdecode(b"\xff\n.mid")
    tune(40).save(folder / name)
    assert search(tune(40))[0].path == name
    assert search(tune(40)).num_read == 0


# An index that is damaged, or worse


def parts_of_index(place):
    """The head, the rows of the table and the bytes of the embeddings."""
    first, _, contents = (place / "index.bin").read_bytes().partition(b"\n")
    head = json.loads(first)
    table = contents[: head["table_bytes"]].splitlines()
    return head, [json.loads(line) for line in table], contents[head["table_bytes"] :]


def rewrite(place, change=lambda rows: None, embeddings=None, **in_head):
    """Change an index and give it a head that fits."""
    head, rows, old_embeddings = parts_of_index(place)
    change(rows)
    table = "".join(json.dumps(row) + "\n" for row in rows).encode()
    contents = table + (old_embeddings if embeddings is None else embeddings)
    head |= {"table_bytes": len(table), "sha256": hashlib.sha256(contents).hexdigest()} | in_head
    (place / "index.bin").write_bytes(json.dumps(head).encode() + b"\n" + contents)


def write_index(place, text):
    (place / "index.bin").write_text(text)


def in_facts(**values):
    return lambda place: rewrite(place, lambda rows: rows[3]["facts"].update(values))


DAMAGES = {
    "none": lambda place: (place / "index.bin").unlink(),
    "cut table": lambda place: os.truncate(place / "index.bin", 900),
    "cut embeddings": lambda place: os.truncate(place / "index.bin", (place / "index.bin").stat().st_size - 900),
    "empty": lambda place: os.truncate(place / "index.bin", 0),
    "noise": lambda place: (place / "index.bin").write_bytes(random.Random(1).randbytes(4000)),
    "deep": lambda place: write_index(place, "[" * 100_000),
    "a list": lambda place: write_index(place, "[1]\n[2]\n"),
    "head without version": lambda place: write_index(place, "{}\n"),
    "more embeddings": lambda place: rewrite(place, embeddings=bytes(4 * NUM_TUNES * (DIM + 1))),
    "fewer embeddings": lambda place: rewrite(place, embeddings=bytes(4 * NUM_TUNES * DIM - 1)),
    "not finite": lambda place: rewrite(place, embeddings=np.full((NUM_TUNES, DIM), np.nan, "<f4").tobytes()),
    "table of 2**60 bytes": lambda place: rewrite(place, table_bytes=2**60),
    "table of -1 bytes": lambda place: rewrite(place, table_bytes=-1),
    "table of no number": lambda place: rewrite(place, table_bytes="all"),
    "version 1": lambda place: rewrite(place, version=1),
    "no facts": lambda place: rewrite(place, lambda rows: rows[3].update(facts=[1])),
    "unknown fact": in_facts(colour="red"),
    "text for a number": in_facts(num_notes="many"),
    "instrument 999": in_facts(programs=[999]),
    "no instrument": in_facts(programs=[]),
    "key 12": in_facts(key=[12, True]),
    "huge": in_facts(duration_s=10**400),
    "infinite": in_facts(duration_s=float("inf")),
    "truth for a number": in_facts(num_notes=True),
    "path is a number": lambda place: rewrite(place, lambda rows: rows[3].update(path=7)),
    "row without size": lambda place: rewrite(place, lambda rows: rows[3].pop("size")),
    "fewer rows": lambda place: rewrite(place, lambda rows: rows.pop()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_made_anew(search, folder, damage):
    first = search()
    DAMAGES[damage](folder / ".amt-index")
    again = search()
    assert again.num_read == NUM_TUNES and all_of(again) == all_of(first)
    assert search().num_read == 0


def test_a_row_of_no_file_is_dropped(search, folder):
    search()
    rewrite(folder / ".amt-index", lambda rows: rows[3].update(path="../../etc/passwd"))
    found = search(num_results=100)
    assert found.num_files == NUM_TUNES and found.num_read == 1
    assert all(".." not in match.path for match in found)


def test_an_index_that_cannot_be_written_is_told(search, folder):
    (folder / ".amt-index").write_text("a file")
    with pytest.raises(OSError, match=r"cannot write the index .*; name another folder: index=FOLDER"):
        search()


def test_a_kill_while_an_index_is_written_leaves_the_old_or_the_new_one(search, generator, folder, killed):
    """At every operation on its files; nothing that was read before is read again."""
    place, number, was_killed = folder / ".amt-index", 0, True
    dim = generator.checkpoint.model.config.text_embedding_dim
    search()
    while was_killed:
        number += 1
        tune(100 + number).save(folder / "new.mid")
        index = storage.load_index(place, generator.digest, dim)
        entries = index | {"new.mid": dataclasses.replace(index["01.mid"], sha256=f"{number}")}
        was_killed = killed(partial(storage.save_index, place, generator.digest, entries), folder, number)
        found = storage.load_index(place, generator.digest, dim)
        assert found.keys() in (index.keys(), entries.keys())
        assert search().num_read == 1
        remove_leftovers(place)
        assert os.listdir(place) == ["index.bin"]
    assert number > 2


def test_leftovers_of_an_index_go_when_they_are_old(search, folder):
    search()
    for name, age_s in (("index.bin.00000000", 0), ("index.bin.11111111", 2 * update.LEFTOVER_S)):
        path = folder / ".amt-index" / f".{name}.tmp"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age_s,) * 2)
    search()
    assert sorted(index_files(folder)) == [".index.bin.00000000.tmp", "index.bin"]


def test_a_full_disk_leaves_an_index_that_works(search, folder, small_disk, leave_room):
    disk = small_disk(1 << 20)
    first = search(index=disk / "index")
    tune(41).save(folder / "new.mid")
    num_full = 0
    for room in range(0, 1 << 20, 4096):
        leave_room(disk, room)
        try:
            found = search(index=disk / "index", num_results=100)
            break
        except DiskFullError as error:
            num_full += 1
            assert str(error).startswith(f"the disk is full: {disk}/index/index.bin needs ")
            assert os.listdir(disk / "index") == ["index.bin"]
    assert num_full > 2 and found.num_read == 1 and found.num_files == NUM_TUNES + 1
    (folder / "new.mid").unlink()
    again = search(index=disk / "index")
    assert again.num_read == 0 and all_of(again) == all_of(first)


# Mistakes


def test_a_model_that_only_writes_is_told(folder, tmp_path):
    config = ModelConfig(**{**LISTENING.to_dict(), "architecture": "music"})
    with pytest.raises(ValueError, match=r"only writes MIDI, .* give a model with the architecture \"music_text\""):
        amt.search("a waltz", folder, model=save_model(tmp_path / "plain", config))
    assert not (folder / ".amt-index").exists()


def test_mistakes_are_told(search, folder):
    with pytest.raises(ValueError, match="the text is empty"):
        search(" ")
    with pytest.raises(ValueError, match="has no notes that this model can read"):
        search(MidiData([]))
    with pytest.raises(ValueError, match="num_results must be between 1"):
        search(num_results=0)
    with pytest.raises(NotADirectoryError, match="is not a folder; give a folder with MIDI files"):
        amt.search("a waltz", folder / "01.mid")
    assert not (folder / ".amt-index").exists()


# Many files

MANY = """
import sys
sys.path[:0] = {paths!r}

if __name__ == "__main__":
    from listening_models import open_model
    import amt

    amt.search("a waltz", {folder!r}, model=open_model({model!r}), jobs=2, progress=lambda *counts: print(*counts))
"""


def many_files(folder, number):
    """Copies of 20 tunes."""
    contents = [tune(index).to_bytes() for index in range(NUM_TUNES)]
    for index in range(number):
        if index % 100 == 0:
            (folder / f"{index // 100:03}").mkdir(parents=True)
        (folder / f"{index // 100:03}" / f"{index}.mid").write_bytes(contents[index % NUM_TUNES])


def test_ten_thousand_files(generator, tmp_path):
    many_files(tmp_path, 10_000)
    first = amt.search(tune(7), tmp_path, model=generator, num_results=500)
    assert (first.num_files, first.num_read, first.num_embedded) == (10_000, 10_000, NUM_TUNES)
    assert {int(Path(match.path).stem) % NUM_TUNES for match in first} == {7}
    started = time.perf_counter()
    again = amt.search(tune(7), tmp_path, model=generator, num_results=500)
    assert again.num_read == 0 and all_of(again) == all_of(first)
    assert time.perf_counter() - started <= 20  # 1 to 2 s where nothing else runs


def distinct_files(folder, number):
    for index in range(number):
        midi = tune(index % NUM_TUNES)
        notes = [*midi.notes, Note(0, 240, 30 + index // 100, 1 + index % 100)]
        MidiData(notes, tempos=midi.tempos).save(folder / f"{index}.mid")


def test_several_processes_give_the_same(generator, tmp_path):
    (tmp_path / "music").mkdir()
    distinct_files(tmp_path / "music", 600)
    options = {"model": generator, "num_results": 600}
    alone = amt.search("a waltz", tmp_path / "music", jobs=1, index=tmp_path / "alone", **options)
    together = amt.search("a waltz", tmp_path / "music", jobs=2, index=tmp_path / "together", **options)
    assert all_of(alone) == all_of(together) and together.num_embedded == 600
    assert not index_differences(tmp_path / "alone", tmp_path / "together")


def index_differences(first, second):
    return [path.name for path in first.iterdir() if path.read_bytes() != (second / path.name).read_bytes()]


def test_a_killed_run_leaves_an_index_that_works(generator, model, tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    distinct_files(tmp_path / "music", 600)
    paths = [str(ROOT), str(Path(__file__).parents[1] / "listening")]
    script = tmp_path / "run.py"
    script.write_text(MANY.format(paths=paths, folder=str(tmp_path / "music"), model=str(model)))
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = amt.search("a waltz", tmp_path / "music", model=generator, jobs=1)
    assert found.num_files == 600 and not found.skipped
    assert amt.search("a waltz", tmp_path / "music", model=generator, jobs=1).num_read == 0


def test_a_run_saves_what_it_has(generator, tmp_path, monkeypatch):
    (tmp_path / "music").mkdir()
    distinct_files(tmp_path / "music", 60)
    monkeypatch.setattr(update, "EMBED_PARTS", 16)
    monkeypatch.setattr(update, "SAVE_EVERY_S", 0.0)

    def stop(done, number):
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        amt.search("a waltz", tmp_path / "music", model=generator, progress=stop)
    found = amt.search("a waltz", tmp_path / "music", model=generator)
    assert 0 < found.num_read <= 60 - 16 and found.num_files == 60


def test_an_index_says_what_it_is(search, folder):
    search()
    head, rows, embeddings = parts_of_index(folder / ".amt-index")
    assert head["version"] == storage.VERSION and len(rows) == NUM_TUNES
    assert set(rows[0]) == {"path", "size", "mtime_ns", "sha256", "facts", "reason"}
    vectors = np.frombuffer(embeddings, "<f4").reshape(NUM_TUNES, DIM)
    lengths = torch.from_numpy(np.linalg.norm(vectors, axis=1))
    assert_within_bound(lengths, torch.ones(NUM_TUNES, dtype=torch.float64))
