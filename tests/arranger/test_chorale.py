import itertools

import numpy as np

from amt.arranger.compose import compose
from amt.arranger.library import find_style


def voices(piece):
    """Per voice of a string quartet its (start, end, pitch); the two violins are one program."""
    rows: dict[int, list[tuple[int, int, int]]] = {40: [], 41: [], 42: []}
    for note in piece.notes:
        rows[note.program].append((note.start_ticks, note.end_ticks, note.pitch))
    return rows


def test_voices_do_not_cross_and_parallel_fifths_are_rare():
    style = find_style("string quartet")
    parallels = moves = 0
    for seed in range(8):
        parts = voices(compose(style, seed))
        starts = sorted({start for part in parts.values() for start, _, _ in part})
        table = []
        for start in starts:
            sounding = {}
            for program, part in parts.items():
                sounding[program] = [pitch for begin, end, pitch in part if begin <= start < end]
            if all(sounding.values()):
                table.append([max(sounding[40]), min(sounding[40]), sounding[41][0], sounding[42][0]])
        chords = np.array(table)
        assert (chords[:, 0] >= chords[:, 2]).mean() > 0.97 and (chords[:, 2] >= chords[:, 3]).mean() > 0.97
        for one, two in itertools.combinations(range(4), 2):
            gap = (chords[:, one] - chords[:, two]) % 12
            moved = (np.diff(chords[:, one]) != 0) & (np.diff(chords[:, two]) != 0)
            same = (gap[1:] == gap[:-1]) & np.isin(gap[1:], (0, 7)) & moved
            parallels += int(same.sum())
            moves += int(moved.sum())
    assert moves > 500 and parallels / moves < 0.06
