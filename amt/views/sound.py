"""Music as sound: audio files by FluidSynth, if it is on this machine, with a soundfont that is there, too."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from amt.errors import BackendUnavailableError
from amt.files import new_file

# The endings of names that mean sound; those that FluidSynth writes, with its word for the format.
FORMATS = {".wav": "wav", ".flac": "flac", ".ogg": "oga", ".oga": "oga", ".aiff": "aiff", ".aif": "aiff", ".au": "au"}
OTHER_AUDIO = (".mp3", ".m4a", ".aac", ".opus", ".wma", ".mp4")
SAMPLE_RATE = 44_100
SOUNDFONT = "AMT_SOUNDFONT"  # in the environment: the path of a soundfont
SOUNDFONT_FOLDERS = (
    "~/.local/share/soundfonts",
    "~/.local/share/sounds/sf2",
    "/usr/local/share/soundfonts",
    "/usr/share/soundfonts",
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
)


def is_audio(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name means sound rather than MIDI."""
    return Path(path).suffix.lower() in (*FORMATS, *OTHER_AUDIO)


def check_renderer(path: str | os.PathLike[str]) -> tuple[str, Path]:
    """The program and the soundfont that would write an audio file of this name.

    Raises:
        BackendUnavailableError: one of them is missing, or the format is none that it writes; it says what to do.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise BackendUnavailableError(
            f"{suffix} files cannot be written here; name a .wav file and convert it (ffmpeg -i NAME.wav NAME{suffix})"
        )
    program = shutil.which("fluidsynth")
    if program is None:
        raise BackendUnavailableError(
            f"a {suffix} file needs FluidSynth, which is not here (apt install fluidsynth, brew install fluid-synth);"
            " or name a .mid file"
        )
    given = os.environ.get(SOUNDFONT)
    if given:
        if not Path(given).is_file():
            raise BackendUnavailableError(f"{SOUNDFONT} names {given}, which is no file; name a soundfont (.sf2, .sf3)")
        return program, Path(given)
    folders = [Path(folder).expanduser() for folder in SOUNDFONT_FOLDERS]
    found = [path for folder in folders for kind in ("*.sf2", "*.sf3") for path in sorted(folder.glob(kind))]
    if not found:
        raise BackendUnavailableError(
            f"a {suffix} file needs a soundfont, and none is here (apt install fluid-soundfont-gm, or"
            f" {SOUNDFONT}=PATH); or name a .mid file"
        )
    return program, found[0]


def render(midi: bytes, path: str | os.PathLike[str]) -> None:
    """Write a MIDI file's sound; `path` becomes the whole new file or stays what it was.

    Raises:
        BackendUnavailableError: as `check_renderer`, or FluidSynth failed. OSError: it cannot be written there.
    """
    program, soundfont = check_renderer(path)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "music.mid", Path(folder) / "music.audio"
        source.write_bytes(midi)
        kind = FORMATS[Path(path).suffix.lower()]
        command = [program, "-ni", "-q", "-r", str(SAMPLE_RATE), "-T", kind, "-F", str(target)]
        done = subprocess.run([*command, str(soundfont), str(source)], capture_output=True, text=True, errors="replace")
        if done.returncode or not target.is_file() or not target.stat().st_size:
            lines = (done.stderr or done.stdout).strip().splitlines()
            reason = lines[-1] if lines else f"exit code {done.returncode}"
            raise BackendUnavailableError(f"FluidSynth could not write {path} with {soundfont}: {reason}")
        with open(target, "rb") as sound, new_file(Path(path), target.stat().st_size) as stream:
            shutil.copyfileobj(sound, stream)
