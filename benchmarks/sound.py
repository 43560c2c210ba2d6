"""Seconds of processor time to render three minutes of a band, by each renderer that is here.

python benchmarks/sound.py
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import amt
from amt.views.sound import Renderer, _by_fluidsynth, _by_midirenderer, choose_renderer, find_soundfont
from amt.views.synthesis import synthesize


def seconds(work: Callable[[], object]) -> float:
    """Of this process and the programs that it called."""

    def now() -> float:
        return process_time() + resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    began = now()
    work()
    return now() - began


def main() -> None:
    """Print a row for each renderer."""
    piece = amt.arrange("disco", seed=3, duration=180)
    music, midi, font = piece.music, piece.to_bytes(), find_soundfont()
    print(f"{piece.duration_s:.0f} s of music, {len(piece.notes)} notes, soundfont {font}; chosen: {choose_renderer()}")
    synthesize(amt.MidiData())
    print(f"built-in      {seconds(lambda: synthesize(music)):.2f} s")
    with TemporaryDirectory() as folder:
        for name, work in (
            ("fluidsynth", lambda: _by_fluidsynth(music, Renderer("fluidsynth", font), ".wav", 44_100, Path(folder))),
            ("midirenderer", lambda: _by_midirenderer(midi, Renderer("midirenderer", font))),
        ):
            try:
                print(f"{name:13} {seconds(work):.2f} s")
            except (OSError, ImportError, AssertionError, amt.BackendUnavailableError) as error:
                print(f"{name:13} not here: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
