"""What every piece can do, whoever made it: be saved, heard and drawn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, overload

from amt.files import write_atomically
from amt.midi.data import MidiData, NoteTable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes


class Playable:
    """A piece by its `music`."""

    music: MidiData

    @property
    def notes(self) -> NoteTable:
        """All notes, sorted by start."""
        return self.music.notes

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the end of the last note."""
        return self.music.duration_s

    def to_bytes(self) -> bytes:
        """The bytes of a Standard MIDI File."""
        return self.music.to_bytes()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Standard MIDI File; `path` becomes the whole new file or stays what it was.

        A name that ends in .wav, .flac or .ogg gets sound, as by `to_audio`.

        Raises:
            OSError: it cannot be written there. BackendUnavailableError: the name means sound, and what writes that
                format is not here.
        """
        from amt.views.sound import is_audio

        if is_audio(path):
            self.to_audio(path)
        else:
            write_atomically(Path(path), self.to_bytes())

    @overload
    def to_audio(
        self, path: None = None, sample_rate: int = 44_100, soundfont: str | os.PathLike[str] | None = None
    ) -> np.ndarray: ...
    @overload
    def to_audio(
        self, path: str | os.PathLike[str], sample_rate: int = 44_100, soundfont: str | os.PathLike[str] | None = None
    ) -> None: ...
    def to_audio(
        self,
        path: str | os.PathLike[str] | None = None,
        sample_rate: int = 44_100,
        soundfont: str | os.PathLike[str] | None = None,
    ) -> np.ndarray | None:
        """The sound of the piece: by FluidSynth or midirenderer with a soundfont, else by a simple synthesis.

        Args:
            path: a file to write: .wav, .flac or .ogg; None: the samples are returned.
            sample_rate: samples a second.
            soundfont: the soundfont (.sf2, .sf3) to play with; None: that of the environment variable AMT_SOUNDFONT,
                of the usual folders, or of an installed package.

        Returns:
            (num_samples, 2) float32 in -1..1, or None if they are in a file.

        Raises:
            ValueError: no such sample rate. OSError: it cannot be written there.
            BackendUnavailableError: the soundfont cannot be played, or nothing here writes that format.

        Example:
            >>> amt.generate("a lively jig", seed=7).to_audio("jig.wav")
        """
        from amt.views.sound import render, to_samples

        if path is None:
            return to_samples(self.music, sample_rate, soundfont)
        render(self.music, path, sample_rate, soundfont)
        return None

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the notes over time with matplotlib, one colour an instrument.

        Args:
            ax: where to; None makes a figure.

        Raises:
            ImportError: matplotlib is not installed (the extra "plot").
        """
        from amt.views.piano_roll import draw

        return draw(self.music, ax)
