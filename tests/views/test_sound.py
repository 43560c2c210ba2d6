"""Names that mean sound: what makes it is called, or what is missing is said."""

import stat

import pytest

import amt
from amt.cli import main
from amt.midi.elements import Note
from amt.views.sound import check_renderer, is_audio

PIECE = amt.Piece(tokens=(), music=amt.MidiData([Note(0, 480, 60, 80)]))


@pytest.fixture
def fluidsynth(tmp_path, monkeypatch):
    """A program of that name that writes down how it was called, and the MIDI file that it got."""
    program = tmp_path / "bin" / "fluidsynth"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\nwhile [ $# -gt 2 ]; do case $1 in -F) out=$2;; -T) kind=$2;; esac; shift; done\n"
        'test "$(head -c 4 "$1")" = FONT || { echo "no soundfont" >&2; exit 3; }\n'
        '{ echo "$kind"; cat "$2"; } > "$out"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "font.sf2").write_text("FONT")
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("AMT_SOUNDFONT", str(tmp_path / "font.sf2"))
    return tmp_path


@pytest.mark.parametrize(("name", "kind"), [("a.wav", b"wav"), ("A.FLAC", b"flac"), ("a.ogg", b"oga")])
def test_sound_is_written_where_the_name_means_sound(fluidsynth, name, kind):
    PIECE.save(fluidsynth / name)
    assert (fluidsynth / name).read_bytes() == kind + b"\n" + PIECE.to_bytes()
    amt.arrange("irish_jig", seed=1).save(fluidsynth / name)
    assert (fluidsynth / name).read_bytes().startswith(kind + b"\nMThd")


def test_a_failure_is_told_and_leaves_what_was_there(fluidsynth):
    (fluidsynth / "font.sf2").write_text("broken")
    (fluidsynth / "a.wav").write_text("old")
    with pytest.raises(amt.BackendUnavailableError, match=r"could not write .*a\.wav with .*font\.sf2: no soundfont"):
        PIECE.save(fluidsynth / "a.wav")
    assert (fluidsynth / "a.wav").read_text() == "old"


def test_what_is_missing_is_said(tmp_path, monkeypatch, fluidsynth):
    monkeypatch.setenv("AMT_SOUNDFONT", str(tmp_path / "no.sf2"))
    with pytest.raises(amt.BackendUnavailableError, match=r"AMT_SOUNDFONT names .*no\.sf2, which is no file"):
        check_renderer("a.wav")
    monkeypatch.delenv("AMT_SOUNDFONT")
    monkeypatch.setattr("amt.views.sound.SOUNDFONT_FOLDERS", (str(tmp_path / "fonts"),))
    with pytest.raises(amt.BackendUnavailableError, match="needs a soundfont"):
        check_renderer("a.wav")
    with pytest.raises(amt.BackendUnavailableError, match=r"\.mp3 files cannot be written here; name a \.wav file"):
        check_renderer("a.mp3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(amt.BackendUnavailableError, match=r"needs FluidSynth, .*or name a \.mid file"):
        PIECE.save(tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()


def test_only_names_of_sound_mean_sound():
    assert all(map(is_audio, ("a.wav", "b.MP3", "c.d.flac")))
    assert not any(map(is_audio, ("a.mid", "wav", "a.midi", "a.kar", "-", "mp3.mid")))


def test_music_data_writes_midi_and_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"is the name of an audio file, and this writes MIDI; name a \.mid file"):
        PIECE.music.save(tmp_path / "a.wav")


def test_the_command_says_it_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["generate", "a reel", "-o", str(tmp_path / "reel.wav")]) == 1
    error = capsys.readouterr().err
    assert "needs FluidSynth" in error and error.count("\n") == 1
    assert not (tmp_path / "reel.wav").exists()


def test_the_command_writes_sound(fluidsynth):
    assert main(["arrange", "irish_jig", "--seed", "1", "-o", str(fluidsynth / "jig.wav")]) == 0
    assert (fluidsynth / "jig.wav").read_bytes().startswith(b"wav\nMThd")
