"""Names that mean sound: what makes it is called, or what is missing is said."""

import importlib.util
import io
import os
import stat
import wave

import numpy as np
import pytest

import amt
from amt.cli import main
from amt.midi.elements import Note
from amt.views import sound
from amt.views.sound import ADVICE, choose_renderer, find_soundfont, is_audio, to_wav, wav_bytes

PIECE = amt.Piece(tokens=(), music=amt.MidiData([Note(0, 480, 60, 80)]))


@pytest.fixture
def fluidsynth(tmp_path, monkeypatch):
    """A program of that name that writes down how it was called, and the MIDI file that it got."""
    program = tmp_path / "bin" / "fluidsynth"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\nwhile [ $# -gt 2 ]; do case $1 in -F) out=$2;; -T) kind=$2;; -r) rate=$2;; esac; shift; done\n"
        'test "$(head -c 4 "$1")" = FONT || { echo "no soundfont" >&2; exit 3; }\n'
        '{ echo "$kind $rate"; cat "$2"; } > "$out"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "font.sf2").write_text("FONT")
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("AMT_SOUNDFONT", str(tmp_path / "font.sf2"))
    return tmp_path


@pytest.fixture
def nothing_hangs(fluidsynth):
    """A renderer that never ends; whether it has been ended."""
    program = fluidsynth / "bin" / "fluidsynth"
    program.write_text(f"#!/bin/sh\necho $$ > {fluidsynth / 'number'}\nexec sleep 600\n")

    def is_ended():
        with pytest.raises(ProcessLookupError):
            os.kill(int((fluidsynth / "number").read_text()), 0)
        return True

    return is_ended


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A machine without renderers and soundfonts."""
    monkeypatch.delenv("AMT_SOUNDFONT", raising=False)
    monkeypatch.setattr("amt.views.sound.SOUNDFONT_FOLDERS", (str(tmp_path / "fonts"),))
    monkeypatch.setattr("amt.views.sound.SOUNDFONT_PACKAGES", ())
    monkeypatch.setattr("amt.views.sound._has", lambda package: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("name", "kind"), [("a.wav", b"wav"), ("A.FLAC", b"flac"), ("a.ogg", b"oga")])
def test_sound_is_written_where_the_name_means_sound(fluidsynth, name, kind):
    PIECE.save(fluidsynth / name)
    assert (fluidsynth / name).read_bytes() == kind + b" 44100\n" + PIECE.to_bytes()
    PIECE.to_audio(fluidsynth / name, 8000)
    assert (fluidsynth / name).read_bytes().startswith(kind + b" 8000\nMThd")
    amt.arrange("irish_jig", seed=1).save(fluidsynth / name)
    assert (fluidsynth / name).read_bytes().startswith(kind + b" 44100\nMThd")


def test_a_failure_is_told_and_leaves_what_was_there(fluidsynth):
    (fluidsynth / "font.sf2").write_text("broken")
    (fluidsynth / "a.wav").write_text("old")
    with pytest.raises(amt.BackendUnavailableError, match=r"could not write \.wav with .*font\.sf2: no soundfont"):
        PIECE.save(fluidsynth / "a.wav")
    assert (fluidsynth / "a.wav").read_text() == "old"


def test_work_that_nobody_waits_for_is_ended(fluidsynth, nothing_hangs, monkeypatch):
    def gone():
        raise KeyError("nobody waits")

    with pytest.raises(KeyError, match="nobody waits"):
        to_wav(PIECE.music, check=gone)
    assert nothing_hangs()
    monkeypatch.setattr(sound, "FLUIDSYNTH_S", 0.3)
    with pytest.raises(amt.BackendUnavailableError, match="FluidSynth was not done after 1 s; render less music"):
        to_wav(PIECE.music)
    assert nothing_hangs()


def test_the_synthesis_can_be_ended(nothing):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("nobody waits")

    music = amt.MidiData([Note(480 * n, 480 * n + 400, 60, 80, is_drum=n % 2 == 1) for n in range(6)])
    with pytest.raises(KeyError, match="nobody waits"):
        to_wav(music, 8000, check=check)
    assert len(calls) == 3


def test_a_wav_file_is_what_the_samples_are(nothing):
    contents = to_wav(PIECE.music, 8000)
    assert contents == wav_bytes(PIECE.to_audio(sample_rate=8000), 8000)
    with wave.open(io.BytesIO(contents)) as reader:
        assert reader.getframerate() == 8000


def test_soundfonts_are_found_in_their_order(tmp_path, monkeypatch, nothing):
    assert find_soundfont() is None
    (tmp_path / "fonts").mkdir()
    for name in ("fonts/b.sf2", "fonts/a.sf3", "own.sf2", "said.sf2"):
        (tmp_path / name).write_text("FONT")
    assert find_soundfont() == tmp_path / "fonts/b.sf2"
    monkeypatch.setenv("AMT_SOUNDFONT", str(tmp_path / "own.sf2"))
    assert find_soundfont() == tmp_path / "own.sf2"
    assert find_soundfont(tmp_path / "said.sf2") == tmp_path / "said.sf2"
    monkeypatch.setenv("AMT_SOUNDFONT", str(tmp_path / "no.sf2"))
    with pytest.raises(amt.BackendUnavailableError, match=r"AMT_SOUNDFONT names .*no\.sf2, which is no file"):
        find_soundfont()


def test_the_soundfont_of_an_installed_package_is_found(monkeypatch, nothing):
    if importlib.util.find_spec("pretty_midi") is None:
        pytest.skip("pretty_midi is not installed")
    monkeypatch.setattr("amt.views.sound.SOUNDFONT_PACKAGES", ("pretty_midi", "no_such_package"))
    assert find_soundfont().suffix == ".sf2"


def test_without_a_soundfont_the_built_in_synthesis_plays(nothing, capsys):
    assert choose_renderer("a.wav").advice == ADVICE
    PIECE.save(nothing / "a.wav")
    with wave.open(str(nothing / "a.wav")) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (2, 2, 44100)
        heard = np.frombuffer(reader.readframes(reader.getnframes()), "<i2")
    assert np.abs(heard).max() > 1000
    samples = PIECE.to_audio(sample_rate=22050)
    assert samples.dtype == np.float32 and samples.shape[1] == 2 and np.abs(samples).max() <= 1


def test_what_is_missing_is_said(nothing):
    with pytest.raises(amt.BackendUnavailableError, match=r"\.mp3 files cannot be written here; name a \.wav file"):
        choose_renderer("a.mp3")
    with pytest.raises(amt.BackendUnavailableError, match=r"\.flac files need FluidSynth .*or name a \.wav file"):
        PIECE.save(nothing / "a.flac")
    assert not (nothing / "a.flac").exists()
    (nothing / "font.sf2").write_text("FONT")
    with pytest.raises(amt.BackendUnavailableError, match=r"nothing here plays .*font\.sf2"):
        PIECE.to_audio(soundfont=nothing / "font.sf2")
    with pytest.raises(ValueError, match="sample_rate must be a whole number from 8000"):
        PIECE.to_audio(sample_rate=1)


def test_real_renderers_make_sound(tmp_path):
    """Whatever is on this machine."""
    renderer = choose_renderer()
    if renderer.name == "built-in":
        pytest.skip("needs FluidSynth or midirenderer, and a soundfont")
    PIECE.to_audio(tmp_path / "a.wav")
    samples = PIECE.to_audio()
    assert samples.shape[1] == 2 and len(samples) > 20_000 and np.abs(samples).max() > 0.01
    with wave.open(str(tmp_path / "a.wav")) as reader:
        assert reader.getnframes() == len(samples)


@pytest.mark.parametrize("suffix", [".flac", ".ogg"])
def test_soundfile_writes_what_the_synthesis_plays(tmp_path, monkeypatch, suffix):
    soundfile = pytest.importorskip("soundfile", reason="needs soundfile (the extra sound)")
    monkeypatch.setattr(sound, "choose_renderer", lambda *given: sound.Renderer("built-in"))
    PIECE.to_audio(tmp_path / f"a{suffix}")
    samples, rate = soundfile.read(tmp_path / f"a{suffix}")
    assert rate == 44100 and np.abs(samples).max() > 0.03 and samples.shape == PIECE.to_audio().shape


def test_wav_bytes_are_the_samples(monkeypatch):
    samples = np.array([[0.0, 1.0], [-1.0, 2.0]], np.float32)
    long = np.linspace(-1, 1, 7, dtype=np.float32).repeat(2).reshape(-1, 2)
    whole = wav_bytes(long)
    monkeypatch.setattr(sound, "BLOCK", 3)
    assert wav_bytes(long) == whole
    assert (sound._samples_of(wav_bytes(samples)) * 32768).astype(int).tolist() == [[0, 32767], [-32767, 32767]]


def test_only_names_of_sound_mean_sound():
    assert all(map(is_audio, ("a.wav", "b.MP3", "c.d.flac")))
    assert not any(map(is_audio, ("a.mid", "wav", "a.midi", "a.kar", "-", "mp3.mid")))


def test_music_data_writes_midi_and_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"is the name of an audio file, and this writes MIDI; name a \.mid file"):
        PIECE.music.save(tmp_path / "a.wav")


def test_the_command_says_it_before_the_work(nothing, capsys):
    assert main(["generate", "a reel", "-o", str(nothing / "reel.flac")]) == 1
    error = capsys.readouterr().err
    assert "need FluidSynth" in error and error.count("\n") == 1
    assert not (nothing / "reel.flac").exists()


def test_the_command_writes_sound(fluidsynth):
    name = str(fluidsynth / "out.flac")
    assert main(["arrange", "irish_jig", "--seed", "1", "-o", name]) == 0
    with open(name, "rb") as stream:
        assert stream.read().startswith(b"flac 44100\nMThd")


def test_render_writes_the_sound_of_a_file(nothing, monkeypatch, capsys):
    monkeypatch.chdir(nothing)
    PIECE.save("song.mid")
    assert main(["render", "song.mid"]) == 0
    assert capsys.readouterr().err == f"amt: {ADVICE}\n" and (nothing / "song.wav").stat().st_size > 100_000
    assert main(["render", "song.mid"]) == 1 and "is there already" in capsys.readouterr().err
    assert (
        main(["render", "song.mid", "-o", "x.mid"]) == 2 and "is no name of a file of sound" in capsys.readouterr().err
    )
    assert main(["render", "none.mid", "-o", "x.wav"]) == 1 and "there is no file none.mid" in capsys.readouterr().err
    assert main(["render", "song.mid", "-o", "x.wav", "--soundfont", "no.sf2"]) == 1
    assert "soundfont names no.sf2, which is no file" in capsys.readouterr().err
    assert main(["render", "song.mid", "-o", "x.wav", "--sample-rate", "9"]) == 2
    assert not (nothing / "x.wav").exists()
