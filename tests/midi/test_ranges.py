"""Every program has a range, as wide as what such music needs."""

from amt.midi.programs import DRUMS
from amt.midi.ranges import HIGHEST, LOWEST


def test_every_program_has_an_octave_and_more():
    assert [*LOWEST] == [*HIGHEST] == [*range(DRUMS + 1)]
    assert all(0 <= LOWEST[program] <= HIGHEST[program] - 12 < 128 for program in LOWEST)


def test_some_ranges():
    assert (LOWEST[40], HIGHEST[40]) == (55, 103)  # a violin: G3, its lowest string, to G7
    assert (LOWEST[0], HIGHEST[0]) == (21, 108)  # the 88 keys of a piano
    assert HIGHEST[58] < LOWEST[72] + 12  # a tuba does not play what a piccolo does
