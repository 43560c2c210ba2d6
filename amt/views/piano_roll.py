"""Where everything stands in a picture of the notes, and the picture as matplotlib draws it.

Pitches go up, one row a semitone. Drum hits are no pitches: those that occur have a row each below the lowest note.
"""

from __future__ import annotations

import colorsys
import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.programs import DRUM_NAMES, DRUMS, program_name
from amt.midi.units import ticks_to_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "bright" and "muted" sets: told apart by colour-blind eyes, and dark enough for white paper.
PALETTE = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#AA3377", "#66CCEE", "#332288", "#DD8452", "#44AA99", "#882255")
DRUM_COLOR = "#555555"
PITCH_NAMES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")
BLACK_KEYS = (1, 3, 6, 8, 10)
MAX_GRID_LINES = 2000
MIN_PITCH_ROWS = 13


@dataclasses.dataclass(frozen=True)
class PianoRoll:
    """The layout of one picture; all times are in seconds, row 0 is the lowest.

    Attributes:
        start_s, end_s, row, velocity, instrument: one value for each note.
        instruments: names, in the order of their programs, drums last.
        colors: of the instruments, as "#rrggbb".
        bar_s, beat_s: the grid; `beat_s` is empty where it would be too dense to see.
        num_rows: how many rows there are.
        row_labels: rows and what to write beside them.
        black_rows: the rows of the piano's black keys.
        num_drum_rows: how many of the lowest rows are drums.
    """

    start_s: np.ndarray
    end_s: np.ndarray
    row: np.ndarray
    velocity: np.ndarray
    instrument: np.ndarray
    instruments: tuple[str, ...]
    colors: tuple[str, ...]
    bar_s: np.ndarray
    beat_s: np.ndarray
    duration_s: float
    num_rows: int
    row_labels: tuple[tuple[int, str], ...]
    black_rows: tuple[int, ...]
    num_drum_rows: int

    @classmethod
    def of(cls, music: MidiData) -> PianoRoll:
        """The layout of these notes."""
        notes = music.notes
        programs = np.where(notes.is_drum, DRUMS, notes.program)
        used, instrument = np.unique(programs, return_inverse=True)
        start_s, end_s = (
            ticks_to_seconds(ticks, music.tempos, music.ticks_per_beat)
            for ticks in (notes.start_ticks, notes.end_ticks)
        )
        hits = np.unique(notes.pitch[notes.is_drum])
        pitched = notes.pitch[~notes.is_drum].astype(int)
        low, high = (int(pitched.min()), int(pitched.max())) if len(pitched) else (60, 60)
        if len(pitched) or not len(hits):
            room = max(MIN_PITCH_ROWS - (high - low + 1), 0)
            low, high = max(low - 1 - room // 2, 0), min(high + 1 + (room + 1) // 2, 127)
        else:
            high = low - 1  # drums alone
        first = len(hits) + 1 if len(hits) and high >= low else len(hits)  # one empty row between
        row = np.where(notes.is_drum, np.searchsorted(hits, notes.pitch), notes.pitch.astype(int) - low + first)
        labels = [(index, DRUM_NAMES.get(int(hit), f"Drum {hit}")) for index, hit in enumerate(hits)]
        every_pitch = range(low, high + 1)
        labels += [(p - low + first, f"{PITCH_NAMES[p % 12]}{p // 12 - 1}") for p in every_pitch if p % 12 == 0]
        bar_ticks, beat_ticks = _grid_ticks(music)
        return cls(
            start_s=start_s,
            end_s=end_s,
            row=row,
            velocity=notes.velocity,
            instrument=instrument,
            instruments=tuple(program_name(int(program)) for program in used),
            colors=_colors(used.tolist()),
            bar_s=ticks_to_seconds(bar_ticks, music.tempos, music.ticks_per_beat),
            beat_s=ticks_to_seconds(beat_ticks, music.tempos, music.ticks_per_beat),
            duration_s=max(music.duration_s, float(end_s.max(initial=0.0))),
            num_rows=first + len(every_pitch),
            row_labels=tuple(labels),
            black_rows=tuple(p - low + first for p in every_pitch if p % 12 in BLACK_KEYS),
            num_drum_rows=len(hits),
        )

    def opacity(self) -> np.ndarray:
        """How opaque each note is: the louder, the more."""
        return np.asarray(0.5 + 0.5 * self.velocity / 127)


def _colors(programs: list[int]) -> tuple[str, ...]:
    colors = []
    for index, program in enumerate(programs):
        if program == DRUMS:
            colors.append(DRUM_COLOR)
        elif index < len(PALETTE):
            colors.append(PALETTE[index])
        else:  # hues a golden ratio apart never meet
            rgb = colorsys.hls_to_rgb(index * 0.618034 % 1.0, 0.42 + 0.1 * (index % 3), 0.6)
            colors.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return tuple(colors)


def _grid_ticks(music: MidiData) -> tuple[np.ndarray, np.ndarray]:
    """The ticks of bars and of beats, of which those that are too many to see are left out."""
    signatures = music.time_signatures
    if not signatures or signatures[0].tick > 0:
        signatures = (TimeSignature(0, 4, 4), *signatures)
    ends = [signature.tick for signature in signatures[1:]] + [max(music.end_ticks, 1)]
    bars: list[np.ndarray] = []
    beats: list[np.ndarray] = []
    for signature, end in zip(signatures, ends, strict=True):
        for grid, beats_a_line in ((bars, signature.numerator), (beats, 1)):
            step = 4 * music.ticks_per_beat * beats_a_line / signature.denominator
            num_lines = int(min((end - signature.tick) / step, MAX_GRID_LINES)) + 1
            ticks = signature.tick + (np.arange(num_lines) * step).astype(np.int64)
            grid.append(ticks[ticks < end])
    all_bars, all_beats = np.concatenate(bars), np.concatenate(beats)
    none = np.zeros(0, np.int64)
    return all_bars if len(all_bars) < MAX_GRID_LINES else none, all_beats if len(all_beats) < MAX_GRID_LINES else none


def draw(music: MidiData, ax: Axes | None = None) -> Axes:
    """Draw the notes with matplotlib.

    Args:
        ax: where to; None makes a figure.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.collections import PolyCollection
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Patch
    except ImportError as error:
        raise ImportError('plotting needs matplotlib; install it with pip install "amt-midi[plot]"') from error

    roll = PianoRoll.of(music)
    if ax is None:
        size = (min(max(8.0, 3 + 0.3 * roll.duration_s), 18.0), min(max(3.0, 1.4 + 0.1 * roll.num_rows), 9.0))
        _, ax = pyplot.subplots(figsize=size, layout="constrained")
    width_s = max(roll.duration_s, 1e-3)
    pixels_a_second = ax.get_window_extent().width / width_s

    for row in roll.black_rows:
        ax.axhspan(row - 0.5, row + 0.5, color="#f3f4f7", linewidth=0, zorder=0)
    if roll.num_drum_rows:
        ax.axhline(roll.num_drum_rows, color="#999999", linewidth=0.8, zorder=1)
    if len(roll.beat_s) * 4 < pixels_a_second * width_s:
        ax.vlines(roll.beat_s, -0.5, roll.num_rows - 0.5, color="#e6e7ec", linewidth=0.5, zorder=1)
    if len(roll.bar_s) * 4 < pixels_a_second * width_s:
        ax.vlines(roll.bar_s, -0.5, roll.num_rows - 0.5, color="#b9bcc8", linewidth=0.8, zorder=1)

    end_s = np.maximum(roll.end_s, roll.start_s + 2 / pixels_a_second)
    corners = np.stack(
        [
            np.stack([roll.start_s, end_s, end_s, roll.start_s], -1),
            np.stack([roll.row - 0.42, roll.row - 0.42, roll.row + 0.42, roll.row + 0.42], -1),
        ],
        -1,
    )  # (num_notes, 4, 2)
    opacity = roll.opacity()
    handles: list[Any] = []
    for index, (name, color) in enumerate(zip(roll.instruments, roll.colors, strict=True)):
        chosen = roll.instrument == index
        faces = [(*to_rgb(color), alpha) for alpha in opacity[chosen].tolist()]
        bars = PolyCollection(corners[chosen], facecolors=faces, edgecolors="white", linewidths=0.3, zorder=2)
        bars.set_label(name)
        ax.add_collection(bars)
        handles.append(Patch(color=color, label=name))

    ax.set_xlim(0, width_s)
    ax.set_ylim(-0.5, roll.num_rows - 0.5)
    ax.set_xlabel("seconds")
    ax.set_yticks([row for row, _ in roll.row_labels], [label for _, label in roll.row_labels], fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if handles:
        columns = min(len(handles), 5)
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        ax.legend(handles=handles, ncols=columns, frameon=False, fontsize=8, handlelength=1.0, **place)
    else:
        ax.text(0.5, 0.5, "no notes", transform=ax.transAxes, ha="center", va="center", color="#888888")
    return ax
