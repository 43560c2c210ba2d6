"""Music from wherever it comes: paths of any kind, streams, archives, and the objects of other libraries."""

import io
import zipfile
from pathlib import Path

import mido
import pytest

import amt
from amt.midi.data import MidiData
from amt.midi.elements import Note

MUSIC = MidiData([Note(0, 480, 60, 80, 40), Note(480, 960, 64, 80, 40), Note(0, 120, 36, 90, 0, True)])
FILE = MUSIC.to_bytes()


def test_streams_and_members_of_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("songs/a.mid", FILE)
    (tmp_path / "a.mid").write_bytes(FILE)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("songs/a.mid") as member:
        assert amt.read_midi(member) == MUSIC
    assert amt.read_midi(zipfile.Path(tmp_path / "a.zip", "songs/a.mid")) == MUSIC
    with open(tmp_path / "a.mid", "rb") as stream:
        assert amt.read_midi(stream) == MUSIC
    assert amt.read_midi(io.BytesIO(FILE)) == MUSIC
    with open(tmp_path / "a.mid", encoding="latin-1") as text, pytest.raises(TypeError, match="mode 'rb'"):
        amt.read_midi(text)


def test_a_path_that_is_not_utf_8(tmp_path):
    path = Path(str(tmp_path) + "/caf\udce9.mid")
    path.write_bytes(FILE)
    assert amt.read_midi(path) == amt.read_midi(str(path)) == MUSIC


def test_music_of_amt():
    assert amt.read_midi(MUSIC) is MUSIC
    assert amt.read_midi(MUSIC.notes).notes == MUSIC.notes
    assert amt.read_midi(amt.Piece(tokens=(), music=MUSIC)) is MUSIC


@pytest.mark.parametrize("charset", ["latin1", "ascii", "shift_jis", "utf-8"])
@pytest.mark.parametrize("name", ["plain", "Für Elise", "\u7d05", "\U0001f3b9", "caf\udce9"])
def test_a_file_of_mido_with_a_name_in_any_letters(charset, name):
    file = mido.MidiFile(file=io.BytesIO(FILE))
    file.charset = charset
    file.tracks[1].insert(1, mido.MetaMessage("track_name", name=name, time=7))
    file.tracks[2].insert(1, mido.MetaMessage("lyrics", text=name, time=7))
    music = amt.read_midi(file)
    assert [(note.start_ticks, note.pitch) for note in music.notes] == [(7, 60), (7, 36), (487, 64)]
    assert file.tracks[1][1].name == name  # the caller's own is as it was


def test_music_of_other_libraries():
    pretty_midi = pytest.importorskip("pretty_midi")
    symusic = pytest.importorskip("symusic")
    found = amt.read_midi(pretty_midi.PrettyMIDI(io.BytesIO(FILE)))
    assert found.notes.pitch.tolist() == MUSIC.notes.pitch.tolist()
    assert found.notes.program.tolist() == MUSIC.notes.program.tolist()
    score = symusic.Score.from_midi(FILE)
    for found in (amt.read_midi(score), amt.read_midi(score.to("second"))):
        assert found.notes.pitch.tolist() == MUSIC.notes.pitch.tolist()
    assert amt.EventTokenizer().encode(score).ids.tolist() == amt.EventTokenizer().encode(FILE).ids.tolist()


@pytest.mark.parametrize("wrong", [3, None, ["a.mid"], object()])
def test_what_is_no_music_is_named(wrong):
    with pytest.raises(TypeError, match=f"pretty_midi or symusic, got {type(wrong).__name__}"):
        amt.read_midi(wrong)
