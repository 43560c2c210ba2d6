import random

import pytest

from amt.arranger.metre import metre
from amt.arranger.patterns import altered, bars, clean, decided, for_metre, reordered


def test_cells_share_the_bar_and_holds_make_notes_longer():
    (row,) = bars("x-.o", 96)
    assert [tuple(cell) for cell in row] == [(0, 48, 24, "x"), (72, 24, 24, "o")]


def test_a_hold_goes_on_over_the_bar_line():
    first, second = bars("..x-|--o-", 96)
    assert [tuple(cell) for cell in first] == [(48, 96, 24, "x")]
    assert [tuple(cell) for cell in second] == [(48, 48, 24, "o")]


def test_plucked_notes_ring_on_through_rests():
    (row,) = bars("1.2.", 96, True)
    assert [cell.length for cell in row] == [48, 48]


def test_cells_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="'xxxxx' has 5 cells, which do not share a bar of 96 steps equally"):
        bars("xxxxx", 96)


def test_a_question_mark_is_decided_both_ways():
    made = {decided("x?", random.Random(seed)) for seed in range(20)}
    assert made == {"xo", "x."}


def test_patterns_belong_to_their_metre():
    pool = ["x.x.", "3/4: x.x", "6/8: x.x.x."]
    assert for_metre(pool, metre("4/4"), True) == ["x.x."]
    assert for_metre(pool, metre("3/4"), False) == ["x.x"]
    assert clean("6/8: x. x. x.") == "x.x.x."


def test_voices_change_places_and_nothing_else():
    made = {reordered("R1.2-3", random.Random(seed)) for seed in range(40)}
    assert len(made) > 3
    assert all(sorted(text) == sorted("R1.2-3") and text[0] == "R" and text[4] == "-" for text in made)
    assert reordered("1.2.", random.Random(0)) == "1.2."


def test_a_riff_keeps_its_first_root():
    made = {altered("RRRR", random.Random(seed)) for seed in range(40)}
    assert len(made) > 3 and all(text[0] == "R" and set(text) <= set("Rm.") for text in made)
