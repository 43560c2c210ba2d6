import io
import json
import os
import sys
import tarfile

import pytest

from amt.data.corpus import read_corpus


def test_all_pieces_come_from_folder_and_archive(small_corpus):
    pieces = {piece.name: piece for piece in read_corpus(small_corpus)}
    assert sorted(name for name in pieces if "broken" not in name) == sorted(
        f"{'loose' if index % 2 else 'packed'}/{index}.mid" for index in range(12)
    )
    assert pieces["packed/0.mid"].midi.startswith(b"MThd")
    assert pieces["packed/0.mid"].captions == ("caption 0 a", "caption 0 b")
    assert pieces["loose/broken.mid"].captions == ("noise",)


def test_sources_are_chosen(small_corpus):
    assert {piece.source for piece in read_corpus(small_corpus, ("packed",))} == {"packed"}


def test_a_folder_without_a_table_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"captions\.jsonl"):
        list(read_corpus(tmp_path))


def test_rows_without_a_piece_are_skipped_with_a_reason(tmp_path):
    rows = [
        {"file": "a.mid", "captions": ["good", " "]},
        {"file": "gone.mid", "caption": "x"},
        {"file": "number.mid", "caption": 3},
        {"file": "mixed.mid", "captions": ["x", None]},
        {"file": "none.mid"},
        {"file": "empty.mid", "captions": [" "]},
    ]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "a.mid").write_bytes(b"MThd")
    skipped = []
    pieces = list(read_corpus(tmp_path, on_skip=lambda *what: skipped.append(what)))
    assert [(piece.name, piece.captions) for piece in pieces] == [("a.mid", ("good",))]
    assert [name for name, _ in skipped] == ["gone.mid", "number.mid", "mixed.mid", "none.mid", "empty.mid"]
    assert skipped[0][1] == "the file cannot be read: No such file or directory"
    assert "must be a text or a list of texts, got '3'" in skipped[1][1]


def write_table(folder, *names):
    lines = (json.dumps({"file": name, "caption": "x"}) + "\n" for name in names)
    (folder / "captions.jsonl").write_text("".join(lines))


def test_only_regular_files_inside_are_read(tmp_path):
    corpus = tmp_path / "corpus"
    (corpus / "below").mkdir(parents=True)
    (tmp_path / "secret.mid").write_bytes(b"secret")
    (corpus / "a.mid").write_bytes(b"inside")
    os.mkfifo(corpus / "pipe.mid")
    (corpus / "zero.mid").symlink_to("/dev/zero")
    (corpus / "link.mid").symlink_to("a.mid")
    (corpus / "huge.mid").touch()
    os.truncate(corpus / "huge.mid", 1 << 40)
    outside = ["../secret.mid", "below/../../secret.mid", str(tmp_path / "secret.mid"), "..", "/dev/zero"]
    write_table(
        corpus, "below/../a.mid", "link.mid", "pipe.mid", "zero.mid", "huge.mid", "zero\0.mid", "below", *outside
    )
    skipped = {}
    pieces = list(read_corpus(corpus, on_skip=skipped.__setitem__))
    assert [(piece.name, piece.midi) for piece in pieces] == [("a.mid", b"inside"), ("link.mid", b"inside")]
    reasons = {name: reason.removeprefix("the file cannot be read: ") for name, reason in skipped.items()}
    assert reasons == {
        "pipe.mid": "it is no regular file",
        "zero.mid": "it is no regular file",
        "huge.mid": "it is larger than 67108864 bytes",
        "zero\0.mid": "embedded null byte",
        "below": "it is no regular file",
        "../secret.mid": "its name leads out of the corpus",
        str(tmp_path / "secret.mid"): "its name leads out of the corpus",
        "..": "its name leads out of the corpus",
        "/dev/zero": "its name leads out of the corpus",
    }


def test_a_member_that_would_fill_the_memory_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr("amt.data.corpus.MAX_MIDI_BYTES", 1000)
    write_table(tmp_path, "huge.mid", "a.mid")
    with tarfile.open(tmp_path / "a.tar.xz", "w:xz") as archive:
        (tmp_path / "a.mid").write_bytes(b"inside")
        archive.add(tmp_path / "a.mid", "a.mid")
        member = tarfile.TarInfo("huge.mid")
        member.size = 1001
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    skipped = {}
    assert [piece.name for piece in read_corpus(tmp_path, on_skip=skipped.__setitem__)] == ["a.mid"]
    assert skipped == {"huge.mid": "the file cannot be read: it is larger than 1000 bytes"}


@pytest.mark.parametrize("name", ["captions.jsonl", "more.tar.xz", "a.jsonl.xz", "b.parquet"])
def test_a_table_or_archive_that_is_a_pipe_is_refused(tmp_path, name):
    if name != "captions.jsonl":
        write_table(tmp_path)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=f"{name} is no regular file; take it out of the corpus"):
        list(read_corpus(tmp_path))


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("amt.data.corpus.MAX_LINE_LETTERS", 100)
    (tmp_path / "captions.jsonl").write_text('{"file": "a.mid", "caption": "x"}\n' + " " * 1000)
    with pytest.raises(ValueError, match=r"captions.jsonl, line 2: longer than 100 letters"):
        list(read_corpus(tmp_path))


def test_columns_of_midicaps(tmp_path):
    row = {"location": "lmd/0/a.mid", "caption": "A song in F# minor.", "key": "F# minor", "tempo": 120}
    rows = [row, row | {"location": "lmd/0/b.mid", "test_set": True}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with tarfile.open(tmp_path / "midicaps.tar.gz", "w:gz") as archive:
        for name in "ab":
            (tmp_path / "x").write_bytes(name.encode())
            archive.add(tmp_path / "x", f"lmd/0/{name}.mid")
    pieces = {piece.name: piece for piece in read_corpus(tmp_path)}
    assert [(piece.midi, piece.split) for piece in pieces.values()] == [(b"a", "train"), (b"b", "test")]
    assert pieces["lmd/0/a.mid"].row["key"] == "F# minor"


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed; pip install 'amt-midi[train]'")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"location": ["a.mid", "b.mid"], "caption": ["one", None], "tempo": [90, 100]})
    parquet.write_table(table, tmp_path / "captions.parquet")
    (tmp_path / "a.mid").write_bytes(b"MThd")
    skipped = []
    (piece,) = read_corpus(tmp_path, on_skip=lambda *what: skipped.append(what))
    assert piece.captions == ("one",) and piece.row["tempo"] == 90
    assert skipped[0][0] == "b.mid"
    (tmp_path / "captions.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"captions\.parquet is not a Parquet file"):
        list(read_corpus(tmp_path))


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "captions.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install .*train"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize("line", ["not json", "[1]", '{"caption": "x"}'])
def test_a_bad_line_is_named(tmp_path, line):
    (tmp_path / "captions.jsonl").write_text('{"file": "a.mid", "caption": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"captions\.jsonl, line 2"):
        list(read_corpus(tmp_path))


def save_table(folder, *rows):
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "a.mid").write_bytes(b"MThd")


def test_rows_of_one_file_are_one_piece(tmp_path):
    save_table(
        tmp_path,
        {"file": "a.mid", "caption": "a slow song", "source": "s"},
        {"file": "a.mid", "captions": ["a sad tune", "piano in C"]},
    )
    (piece,) = read_corpus(tmp_path)
    assert piece.captions == ("a slow song", "a sad tune", "piano in C")
    assert piece.source == "s"


def test_a_file_is_in_one_split(tmp_path):
    save_table(
        tmp_path,
        {"file": "a.mid", "caption": "a slow song"},
        {"file": "a.mid", "caption": "a sad tune", "split": "valid"},
    )
    with pytest.raises(ValueError, match=r"line 2: a\.mid is valid here and train in a row before"):
        list(read_corpus(tmp_path))


@pytest.mark.parametrize(
    ("head", "tail"), [(b"\xef\xbb\xbf", b""), (b"", b"\n"), (b"\n", b"  \r\n")], ids=["mark", "empty", "blanks"]
)
def test_tables_of_other_programs(tmp_path, head, tail):
    save_table(tmp_path, {"file": "a.mid", "caption": "Wälzer"})
    table = tmp_path / "captions.jsonl"
    table.write_bytes(head + table.read_bytes() + tail)
    (piece,) = read_corpus(tmp_path)
    assert piece.captions == ("Wälzer",)


def test_a_table_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "captions.jsonl").write_bytes('{"file": "a.mid", "caption": "für Elise"}'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"captions\.jsonl, behind line 0: not UTF-8 \(.*\); save the table as UTF-8"):
        list(read_corpus(tmp_path))


def test_names_of_an_archive_may_begin_with_a_dot(tmp_path):
    rows = [{"file": "a.mid", "caption": "one"}, {"file": "./songs//b.mid", "caption": "two"}]
    (tmp_path / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "x").write_bytes(b"MThd")
    with tarfile.open(tmp_path / "songs.tar", "w") as archive:  # as `tar cf songs.tar .` does
        for name in ("./a.mid", "./songs/b.mid"):
            archive.add(tmp_path / "x", name)
    skipped = []
    pieces = list(read_corpus(tmp_path, on_skip=lambda *what: skipped.append(what)))
    assert [(piece.name, piece.captions) for piece in pieces] == [("a.mid", ("one",)), ("songs/b.mid", ("two",))]
    assert skipped == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-mark", "utf-16-be-mark"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_tables_in_other_encodings(tmp_path, encoding, newline):
    mark = "\ufeff" if encoding.endswith("-mark") else ""
    lines = [json.dumps({"file": "a.mid", "caption": "für Elise"}, ensure_ascii=False), "", "  "]
    text = mark + newline.join([*lines, ""])
    (tmp_path / "captions.jsonl").write_bytes(text.encode(encoding.removesuffix("-mark")))
    (tmp_path / "a.mid").write_bytes(b"MThd")
    (piece,) = read_corpus(tmp_path)
    assert piece.captions == ("für Elise",)


def test_half_a_table_in_utf_16_is_named(tmp_path):
    (tmp_path / "captions.jsonl").write_bytes('{"file": "a.mid"}'.encode("utf-16")[:-1])
    with pytest.raises(ValueError, match=r"captions\.jsonl, .*not UTF-8"):
        list(read_corpus(tmp_path))


def test_one_source_is_a_source(small_corpus):
    assert {piece.source for piece in read_corpus(small_corpus, "packed")} == {"packed"}
