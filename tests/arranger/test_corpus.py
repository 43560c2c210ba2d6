import json
import lzma
from pathlib import Path

import pytest

import amt
from amt.arranger import corpus as corpus_module
from amt.arranger.corpus import split_of, write_corpus
from amt.cli import main
from amt.data.corpus import read_corpus
from amt.data.dataset import PreparedSplit

# The columns that every row of a corpus has, beside the arranger's own.
COLUMNS = {
    *("id", "source", "file", "split", "licence", "attribution", "share_alike", "group", "form", "duration_s"),
    *("n_notes", "notes_per_s", "meter", "tempo_bpm", "tempo_unit", "quarter_bpm", "speed", "programs", "instruments"),
    *("n_parts", "drums", "pitch_min", "pitch_max", "pitch_mean", "polyphony", "velocity_mean", "velocity_std", "key"),
    *("mode", "key_source", "mood", "captions", "has_dynamics", "tempo_source", "meter_changes", "tempo_changes"),
    *("style", "substyle", "family", "seed", "bars", "sections", "chords", "parts", "density", "energy", "swing"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arranged") / "corpus"
    summary = write_corpus(folder, 100, seed=40)
    return folder, summary


def rows_of(folder):
    with lzma.open(folder / "metadata.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_the_table_has_the_columns_of_a_corpus(made):
    folder, summary = made
    rows = rows_of(folder)
    assert summary["pieces"] == len(rows) == 100 and summary["notes"] == sum(row["n_notes"] for row in rows)
    assert all(set(row) >= COLUMNS for row in rows)
    assert len({row["id"] for row in rows}) == 100
    assert summary["captions"] == len({text for row in rows for text in row["captions"]}) > 1400


def test_prepare_reads_it_and_keeps_the_facts(made, tmp_path):
    folder, _ = made
    pieces = list(read_corpus(folder))
    assert len(pieces) == 100 and all(amt.read_midi(piece.midi).notes for piece in pieces[:5])
    summary = amt.prepare(folder, tmp_path / "data", embed=False, jobs=1)
    assert summary["failures"] == [] and sum(summary[split]["pieces"] for split in ("train", "valid", "test")) == 100
    split = PreparedSplit(tmp_path / "data", "train")
    assert len({piece["form"] for piece in split.pieces}) > 60
    known = split.facts[0] | split.pieces[0]  # attributes stand with the piece, the rest of its facts beside it
    assert known["style"] == known["form"] and known["sections"] and known["chords"] is not None


def test_any_number_of_processes_writes_the_same(made, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_module, "CHUNK", 30)
    write_corpus(tmp_path / "again", 100, seed=40, jobs=2)
    for name in ("metadata.jsonl.xz", "arranged.tar.xz"):
        assert (tmp_path / "again" / name).read_bytes() == (made[0] / name).read_bytes()


def test_as_files(tmp_path):
    write_corpus(tmp_path / "files", 4, style_names=["pop", "waltz"], as_files=True)
    pieces = list(read_corpus(tmp_path / "files"))
    assert {piece.form for piece in pieces} == {"pop", "waltz"} and len(pieces) == 4
    assert (tmp_path / "files" / "arranged" / "pop" / "ar-pop-0.mid").is_file()


def test_styles_of_ones_own(tmp_path, capsys):
    mine = tmp_path / "mine"
    mine.mkdir()
    text = (Path(__file__).parents[2] / "docs" / "arranger.md").read_text(encoding="utf-8")
    (mine / "groove.toml").write_text(text.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    for wanted, forms in ((f"{mine},pop", {"test groove", "pop"}), (str(mine / "groove.toml"), {"test groove"})):
        out = tmp_path / f"corpus{len(forms)}"
        assert main(["arrange", "-n", "4", "-o", str(out), "--styles", wanted]) == 0
        assert {row["form"] for row in rows_of(out)} == forms
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    assert main(["arrange", "-n", "4", "-o", str(tmp_path / "no"), "--styles", str(tmp_path / "empty")]) == 2
    assert "empty has no style files (*.toml)" in capsys.readouterr().err


def test_a_folder_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(FileExistsError, match="exists; choose another folder"):
        write_corpus(tmp_path / "x", 1)
    with pytest.raises(ValueError, match="at least one piece"):
        write_corpus(tmp_path / "y", 0)
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_splits():
    splits = [split_of(f"ar-pop-{seed}") for seed in range(4000)]
    assert 0.92 < splits.count("train") / 4000 < 0.96
    assert 0.02 < splits.count("valid") / 4000 < 0.04 and 0.02 < splits.count("test") / 4000 < 0.04


def test_the_command_writes_a_piece(tmp_path, capsys):
    path = tmp_path / "x.mid"
    arguments = ["arrange", "bossa nova", "--chords", "Am7 D7 Gmaj7", "--bars", "16", "-o", str(path), "--seed", "3"]
    assert main(arguments) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"{path}: bossa nova, G major, 4/4, ") and "16 bars" in line and line.endswith("seed 3\n")
    expected = amt.arrange("bossa nova", seed=3, chords="Am7 D7 Gmaj7", bars=16)
    assert path.read_bytes() == expected.to_bytes()
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["chords"][:2] == ["Am7", "D7"]


def test_the_command_lists_styles(capsys):
    assert main(["arrange", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 48 and any(line.startswith("bossa nova ") for line in lines)


def test_the_command_writes_a_corpus(tmp_path, capsys):
    out = tmp_path / "corpus"
    assert main(["arrange", "-n", "6", "-o", str(out), "--styles", "pop,waltz", "--seed", "7"]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 6 pieces, ")
    assert {row["style"] for row in rows_of(out)} == {"pop", "waltz"}
    assert [row["seed"] for row in rows_of(out)] == [7, 8, 9, 10, 11, 12]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["arrange"], "name a style, as in: amt arrange"),
        (["arrange", "bosa", "-o", "x.mid"], "there is no style 'bosa'; did you mean 'bossa nova'"),
        (["arrange", "-n", "3"], "name the folder to make"),
        (["arrange", "-n", "3", "-o", "c", "--key", "C major"], "a corpus (-n) is drawn freely"),
        (["arrange", "-n", "3", "-o", "c", "--styles", "popp"], "there is no style 'popp'; did you mean 'pop'"),
        (["arrange", "pop", "--instruments", "flut", "-o", "x.mid"], "there is no instrument 'flut'"),
    ],
)
def test_a_wrong_command_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
