import numpy as np

from amt.arranger.performance import Chunk, as_rows, assemble, seconds_at, slowed, swung, varied_top


def chunk(rows, offset=0, level=1.0, program=0):
    return Chunk(as_rows(rows), offset, level, program)


def test_swing_moves_off_beats_and_leaves_beats():
    assert swung(np.array([0, 12, 24, 36, 6, 18]), (12, 16)).tolist() == [0, 16, 24, 40, 8, 20]


def test_triplets_stay_where_they_are():
    notes = assemble([chunk([(0, 8, 60, 80, 0), (8, 8, 62, 80, 0), (16, 8, 64, 80, 0), (36, 12, 65, 80, 0)])], (12, 16))
    assert notes[:, 0].tolist() == [0, 8, 16, 40]


def test_one_pitch_does_not_sound_twice_at_once():
    notes = assemble([chunk([(0, 48, 60, 80, 0), (24, 24, 60, 90, 0), (24, 12, 60, 70, 0)])], None)
    assert notes[:, :3].tolist() == [[0, 24, 60], [24, 48, 60]]


def test_velocities_are_the_middles_of_bins():
    notes = assemble([chunk([(0, 12, 60, value, 0)], offset=value * 24) for value in range(1, 128)], None)
    assert set((notes[:, 3] % 4).tolist()) == {2} and notes[:, 3].min() > 0 and notes[:, 3].max() <= 126


def test_what_cannot_be_reached_is_moved_by_octaves():
    notes = assemble([chunk([(0, 12, 36, 80, 0), (24, 12, 110, 80, 0)], program=73)], None)
    assert notes[:, 2].tolist() == [60, 86]


def test_no_top_pitch_comes_too_often():
    alone = assemble([chunk([(24 * i, 12, 64, 80, 0) for i in range(40)], program=0)], None)
    both = assemble([chunk([(24 * i, 12, p, 80, 0) for i in range(40) for p in (52, 64)], program=0)], None)
    for notes in (alone, both):
        tops = [notes[notes[:, 0] == start, 2].max() for start in np.unique(notes[:, 0])]
        longest = max(len(run) for run in "".join("x" if top == 64 else " " for top in tops).split())
        assert longest <= 12
    assert len(varied_top(alone)) == len(alone)


def test_a_ritardando_takes_longer():
    assert seconds_at(96, [(0, 120.0)]) == 2.0
    tempos = slowed(100, 8, 96)
    assert [step for step, _ in tempos] == [0, 576, 672]
    assert seconds_at(768, tempos) > 768 / 24 * 60 / 100
