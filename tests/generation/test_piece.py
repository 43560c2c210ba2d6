import os
import pickle

import mido
import pytest

from amt.generation.piece import Piece
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.reader import read_midi
from amt.midi.vocabulary import BOS_ID, EOS_ID, Vocabulary

CONFIG = TokenizerConfig(preset="performance")
WORDS = Vocabulary(CONFIG)
TOKENS = (
    BOS_ID,
    WORDS.token_id("velocity", 20),
    WORDS.token_id("note_on", 60),
    WORDS.token_id("time_shift", 50),
    WORDS.token_id("note_off", 60),
    EOS_ID,
)


def piece():
    notes = [
        Note(0, 480, 60, 80, 40),
        Note(0, 480, 64, 80),
        Note(480, 600, 36, 90, 8, True),
        Note(0, 9, 38, 90, 0, True),
    ]
    return Piece((1, 2), MidiData(notes), "a waltz", 7, ["mind the gap"], (-0.5, -0.25), "reference")


def test_tokens_become_music():
    midi = Piece.from_tokens(TOKENS, CONFIG, text="one note", seed=3, token_log_probs=(-1.0, -2.0), backend="plain")
    assert midi.tokens == TOKENS and midi.warnings == [] and midi.seed == 3
    assert [(note.pitch, note.end_ticks - note.start_ticks) for note in midi.notes] == [(60, 500)]
    assert midi.duration_s == 0.5 and midi.log_prob == -3.0
    assert midi.instruments == ["Acoustic Grand Piano"]


def test_what_a_piece_says_of_itself():
    midi = piece()
    assert midi.instruments == ["Acoustic Grand Piano", "Violin", "Drums"] and midi.notes is midi.music.notes
    assert repr(midi) == "Piece('a waltz': 4 notes, 0.6 s, Acoustic Grand Piano, Violin, Drums, seed=7)"
    assert Piece((), MidiData()).instruments == [] and "no instruments" in repr(Piece((), MidiData()))
    assert Piece((), MidiData()).log_prob == 0.0
    assert pickle.loads(pickle.dumps(midi)) == midi


def test_a_piece_is_saved_whole(tmp_path):
    midi = piece()
    midi.save(tmp_path / "waltz.mid")
    midi.save(str(tmp_path / "waltz.mid"))
    assert read_midi(tmp_path / "waltz.mid") == midi.music
    assert (tmp_path / "waltz.mid").read_bytes() == midi.to_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["waltz.mid"]
    assert isinstance(midi.to_mido(), mido.MidiFile) and midi.to_mido().length == midi.duration_s


@pytest.mark.parametrize("name", ["missing/waltz.mid", "file/waltz.mid", ".", "n" * 300])
def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*; name a file in a folder that exists") as caught:
        piece().save(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_folder_without_the_right_to_write_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied", str(source), None, str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match=r"cannot write .*waltz\.mid: Permission denied; name a file"):
        piece().save(tmp_path / "waltz.mid")


def test_the_plot_and_the_page_show_the_piece():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    assert piece().plot().get_xlabel() == "seconds"
    matplotlib.pyplot.close("all")
    page = piece()._repr_html_()
    assert "a waltz" in page and "seed 7" in page and "mind the gap" in page and "Violin" in page
    assert "asked for" not in page
    told = Piece.from_tokens(TOKENS, CONFIG, text="a tune for piano")._repr_html_()
    assert "instruments: asked for piano, got Acoustic Grand Piano: kept" in told
    assert "<h4>" not in Piece((), MidiData())._repr_html_()
