"""Draw docs/arranger.png, the first bars of a piece in every style: `python benchmarks/arranger_rolls.py OUT.png`.

One colour for each instrument; the drums are the black rows at the bottom.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import matplotlib
import numpy as np

from amt.arranger.arrangement import Arrangement
from amt.arranger.compose import compose
from amt.arranger.library import styles
from amt.arranger.plan import Wanted
from amt.midi.programs import DRUMS
from amt.views.piano_roll import PALETTE

BARS = 8
COLUMNS = 5


def draw(ax: Any, piece: Arrangement) -> None:
    """The first bars of a piece."""
    notes, facts = piece.notes, piece.facts
    numerator, denominator = map(int, facts["meter"].split("/"))
    bar = 4 * numerator / denominator
    start, end = notes.start_ticks / 480 / bar, notes.end_ticks / 480 / bar
    program = np.where(notes.is_drum, DRUMS, notes.program)
    hits = np.unique(notes.pitch[notes.is_drum]).tolist()
    row = notes.pitch.astype(float)
    for place, hit in enumerate(hits):
        row[notes.is_drum & (notes.pitch == hit)] = 16 + 1.6 * place
    for index, number in enumerate(np.unique(program).tolist()):
        chosen = (program == number) & (start < BARS)
        color = "black" if number == DRUMS else PALETTE[index % len(PALETTE)]
        ax.hlines(row[chosen], start[chosen], np.minimum(end[chosen] - 0.01, BARS), color=color, linewidth=1.1)
    for line in range(BARS + 1):
        ax.axvline(line, color="#cccccc", linewidth=0.4, zorder=0)
    key = facts["key"] or "drums"
    ax.set_title(f"{facts['style']}: {key}, {facts['meter']}, {facts['tempo_bpm']} BPM", fontsize=6, pad=2)
    ax.set_xlim(0, BARS)
    ax.set_ylim(14, 98)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    out = parser.parse_args().out
    matplotlib.use("Agg")
    from matplotlib import pyplot

    everything = list(styles().values())
    rows = math.ceil(len(everything) / COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(13, 1.25 * rows), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, style in zip(axes.flat, everything, strict=False):
        ax.axis("on")
        draw(ax, compose(style, 1, Wanted(bars=16)))
    figure.savefig(out, dpi=90, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
