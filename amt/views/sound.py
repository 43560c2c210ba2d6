"""Music as sound: by FluidSynth or midirenderer with a soundfont, where they are; else by the built-in synthesis."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import io
import os
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from amt.errors import BackendUnavailableError
from amt.files import new_file, write_atomically
from amt.midi.data import MidiData
from amt.views.synthesis import Check, never, synthesize

# The endings of names that mean sound; those that are written, with FluidSynth's word for the format.
FORMATS = {".wav": "wav", ".flac": "flac", ".ogg": "oga", ".oga": "oga", ".aiff": "aiff", ".aif": "aiff", ".au": "au"}
OTHER_AUDIO = (".mp3", ".m4a", ".aac", ".opus", ".wma", ".mp4")
SAMPLE_RATE = 44_100
SAMPLE_RATES = (8_000, 192_000)
FLUIDSYNTH_S = 60.0  # and a second for each second of music: many times what it needs
POLL_S = 0.2
BLOCK = 1 << 20
SOUNDFONT = "AMT_SOUNDFONT"  # in the environment: the path of a soundfont
SOUNDFONT_FOLDERS = (
    "~/.local/share/soundfonts",
    "~/.local/share/sounds/sf2",
    "/usr/local/share/soundfonts",
    "/usr/share/soundfonts",
    "/usr/share/sounds/sf2",
    "/usr/share/sounds/sf3",
    "/opt/homebrew/share/soundfonts",
)
# Python packages that bring a soundfont of their own: it is used where it lies, and not copied.
SOUNDFONT_PACKAGES = ("pretty_midi",)
ADVICE = (
    "the sound is the built-in synthesis; it gets better with FluidSynth and a soundfont (apt install fluidsynth"
    f" fluid-soundfont-gm, or pip install midirenderer), and {SOUNDFONT}=PATH names another soundfont"
)


@dataclasses.dataclass(frozen=True)
class Renderer:
    """What makes the sound.

    Attributes:
        name: "fluidsynth", "midirenderer" or "built-in".
        soundfont: what it plays with; the built-in synthesis has none.
    """

    name: str
    soundfont: Path | None = None

    @property
    def advice(self) -> str | None:
        """How to get better sound; None where that is not needed."""
        return ADVICE if self.name == "built-in" else None


def is_audio(path: str | os.PathLike[str]) -> bool:
    """Whether a file's name means sound rather than MIDI."""
    return Path(path).suffix.lower() in (*FORMATS, *OTHER_AUDIO)


def find_soundfont(given: str | os.PathLike[str] | None = None) -> Path | None:
    """The soundfont to play with: the one given, that of AMT_SOUNDFONT, of the usual folders, of an installed package.

    Raises:
        BackendUnavailableError: one is named that is no file.
    """
    for name, path in (("soundfont", given), (SOUNDFONT, os.environ.get(SOUNDFONT))):
        if path:
            if not Path(path).is_file():
                raise BackendUnavailableError(f"{name} names {path}, which is no file; name a soundfont (.sf2, .sf3)")
            return Path(path)
    folders = [Path(folder).expanduser() for folder in SOUNDFONT_FOLDERS]
    for package in SOUNDFONT_PACKAGES:
        spec = importlib.util.find_spec(package)
        folders += [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    found = [path for folder in folders for kind in ("*.sf2", "*.sf3") for path in sorted(folder.glob(kind))]
    return found[0] if found else None


def choose_renderer(
    path: str | os.PathLike[str] | None = None,
    soundfont: str | os.PathLike[str] | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> Renderer:
    """What would make the sound for a file of this name, or without a name the samples.

    Raises:
        ValueError: no such sample rate.
        BackendUnavailableError: a soundfont is named and cannot be played, or nothing here writes the format; it says
            what to do.
    """
    low, high = SAMPLE_RATES
    if not isinstance(sample_rate, int) or isinstance(sample_rate, bool) or not low <= sample_rate <= high:
        raise ValueError(f"sample_rate must be a whole number from {low} to {high} Hz, got {sample_rate!r}")
    suffix = ".wav" if path is None else Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise BackendUnavailableError(
            f"{suffix or 'such'} files cannot be written here; name a .wav file and convert it (ffmpeg -i NAME.wav"
            f" NAME{suffix})"
        )
    font = find_soundfont(soundfont)
    has_fluidsynth, has_soundfile = shutil.which("fluidsynth") is not None, _has("soundfile")
    if font is not None and has_fluidsynth:
        return Renderer("fluidsynth", font)
    is_written = suffix == ".wav" or has_soundfile
    if font is not None and _has("midirenderer") and sample_rate == SAMPLE_RATE and is_written:
        return Renderer("midirenderer", font)
    if soundfont is not None:
        raise BackendUnavailableError(
            f"nothing here plays {soundfont}: that needs FluidSynth (apt install fluidsynth, brew install fluid-synth)"
            " or pip install midirenderer"
        )
    if not is_written:
        raise BackendUnavailableError(
            f"{suffix} files need FluidSynth with a soundfont (apt install fluidsynth fluid-soundfont-gm), or pip"
            " install soundfile; or name a .wav file"
        )
    return Renderer("built-in")


def to_samples(
    music: MidiData, sample_rate: int = SAMPLE_RATE, soundfont: str | os.PathLike[str] | None = None
) -> np.ndarray:
    """The sound of a piece, (num_samples, 2) float32 in -1..1.

    Raises:
        as `choose_renderer`; BackendUnavailableError: the renderer failed.
    """
    if choose_renderer(None, soundfont, sample_rate).name == "built-in":
        return synthesize(music, sample_rate)
    return _samples_of(to_wav(music, sample_rate, soundfont))


def to_wav(
    music: MidiData,
    sample_rate: int = SAMPLE_RATE,
    soundfont: str | os.PathLike[str] | None = None,
    *,
    check: Check = never,
) -> bytes:
    """The sound of a piece as a WAV file with 16 bits a sample.

    Args:
        check: called again and again; what it raises ends the work. midirenderer cannot be ended.

    Raises:
        as `to_samples`.
    """
    renderer = choose_renderer(None, soundfont, sample_rate)
    if renderer.name == "built-in":
        return wav_bytes(synthesize(music, sample_rate, check=check), sample_rate)
    if renderer.name == "midirenderer":
        return _by_midirenderer(music.to_bytes(), renderer)
    with tempfile.TemporaryDirectory() as folder:
        return _by_fluidsynth(music, renderer, ".wav", sample_rate, Path(folder), check).read_bytes()


def render(
    music: MidiData,
    path: str | os.PathLike[str],
    sample_rate: int = SAMPLE_RATE,
    soundfont: str | os.PathLike[str] | None = None,
) -> Renderer:
    """Write the sound of a piece; `path` becomes the whole new file or stays what it was.

    Returns:
        what made it.

    Raises:
        as `to_samples`; OSError: it cannot be written there.
    """
    target, suffix = Path(path), Path(path).suffix.lower()
    renderer = choose_renderer(path, soundfont, sample_rate)
    if renderer.name == "fluidsynth":
        with tempfile.TemporaryDirectory() as folder:
            made = _by_fluidsynth(music, renderer, suffix, sample_rate, Path(folder))
            with open(made, "rb") as sound, new_file(target, made.stat().st_size) as stream:
                shutil.copyfileobj(sound, stream)
        return renderer
    samples = to_samples(music, sample_rate, soundfont)
    is_wav = suffix == ".wav"
    write_atomically(target, wav_bytes(samples, sample_rate) if is_wav else _encoded(samples, suffix, sample_rate))
    return renderer


def wav_bytes(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file with 16 bits a sample, of (num_samples, num_channels) in -1..1."""
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(samples.shape[1])
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        for first in range(0, len(samples), BLOCK):  # less memory than all of it in every step
            writer.writeframes((np.clip(samples[first : first + BLOCK], -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _samples_of(contents: bytes) -> np.ndarray:
    """The samples of a WAV file with 16 bits."""
    with wave.open(io.BytesIO(contents)) as reader:
        num_channels, frames = reader.getnchannels(), reader.readframes(reader.getnframes())
    samples = np.frombuffer(frames, "<i2").astype(np.float32).reshape(-1, num_channels) / 32768
    return samples if num_channels == 2 else np.repeat(samples[:, :1], 2, 1)


def _by_midirenderer(midi: bytes, renderer: Renderer) -> bytes:
    midirenderer: Any = importlib.import_module("midirenderer")
    assert renderer.soundfont is not None
    try:
        made = bytes(midirenderer.render_wave_from(renderer.soundfont.read_bytes(), midi))
    except (ValueError, RuntimeError, OSError) as error:
        raise BackendUnavailableError(f"midirenderer could not play with {renderer.soundfont}: {error}") from error
    return made


def _by_fluidsynth(
    music: MidiData, renderer: Renderer, suffix: str, sample_rate: int, folder: Path, check: Check = never
) -> Path:
    source, target = folder / "music.mid", folder / "music.audio"
    source.write_bytes(music.to_bytes())
    command = ["fluidsynth", "-ni", "-q", "-r", str(sample_rate), "-T", FORMATS[suffix], "-F", str(target)]
    command += [str(renderer.soundfont), str(source)]
    limit_s = FLUIDSYNTH_S + music.duration_s
    end = monotonic() + limit_s
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        try:
            while (said := _communicated(process)) is None:
                check()
                if monotonic() > end:
                    raise BackendUnavailableError(
                        f"FluidSynth was not done after {limit_s:.0f} s; render less music, or with a smaller soundfont"
                    )
        except BaseException:
            process.kill()
            raise
    if process.returncode or not target.is_file() or not target.stat().st_size:
        lines = said.strip().splitlines()
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise BackendUnavailableError(f"FluidSynth could not write {suffix} with {renderer.soundfont}: {reason}")
    return target


def _communicated(process: subprocess.Popen[str]) -> str | None:
    """What a process has said, once it has ended; None while it works."""
    try:
        out, err = process.communicate(timeout=POLL_S)
    except subprocess.TimeoutExpired:
        return None
    return err or out


def _encoded(samples: np.ndarray, suffix: str, sample_rate: int) -> bytes:
    soundfile: Any = importlib.import_module("soundfile")
    out = io.BytesIO()
    kind = {".oga": "OGG", ".aif": "AIFF"}.get(suffix, suffix[1:].upper())
    soundfile.write(out, samples, sample_rate, format=kind)
    return out.getvalue()
