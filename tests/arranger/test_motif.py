import itertools
import random

from amt.arranger.motif import cadence, derived, make_contour, make_motif

POOL = ["x-x-x---", "x---x---x-x-x---", "................", "..x-x-x-x---....", "x-------"]


def test_motifs_fill_their_bars_and_have_a_line():
    for seed in range(50):
        rng = random.Random(seed)
        motif = make_motif(POOL, 16, 192, rng)
        assert motif.rhythm and len(motif.rhythm) == len(motif.contour) and motif.contour[0] == 0
        ends = [start + length for start, length in motif.rhythm]
        assert all(end <= start for end, (start, _) in zip(ends, motif.rhythm[1:], strict=False)) and ends[-1] <= 192
        again = derived(motif, POOL, 16, 192, rng)
        assert len(again.rhythm) == len(again.contour)


def test_contours_mostly_step():
    moves = []
    for seed in range(200):
        line = make_contour(12, random.Random(seed))
        moves += [abs(b - a) for a, b in itertools.pairwise(line)]
    assert sum(move == 1 for move in moves) / len(moves) > 0.5
    assert sum(move > 2 for move in moves) / len(moves) < 0.15
    assert max(moves) <= 4


def test_a_cadence_ends_with_one_long_note():
    for seed in range(30):
        rng = random.Random(seed)
        made = cadence(make_motif(POOL, 16, 192, rng), 192, 96, 24, rng)
        start, length = made.rhythm[-1]
        assert start >= 96 and length >= 24 and start + length <= 192
