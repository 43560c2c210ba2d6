"""When a piece ends: bars of any metre, and bar lines within a window."""

import numpy as np
import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.reference.grammar import GrammarState
from amt.midi.vocabulary import vocabulary_of

CONFIG = TokenizerConfig(steps_per_beat=4, num_velocities=2, max_time_shift=16, tempos_bpm=(60, 120))
EVENTS = vocabulary_of(CONFIG).events
STATES = pytest.mark.parametrize(
    "start", [lambda c: Grammar(CONFIG, c).start(), lambda c: GrammarState(CONFIG, c)], ids=["native", "reference"]
)


def after(state, text):
    for word in text.split():
        kind, value = word.split(":")
        state.advance(vocabulary_of(CONFIG).token_id(kind, int(value)))
    return state


def shifts(state):
    """How far the next time_shift may go."""
    return max((EVENTS[i].value for i in np.flatnonzero(state.allowed()) if EVENTS[i].kind == "time_shift"), default=0)


def may_end(state):
    return bool(state.allowed()[2])


@STATES
def test_the_bar_to_end_in_is_that_of_the_metre_that_there_is(start):
    """3/4 has 12 steps here; a change in the middle of a bar begins another."""
    state = after(start(Constraints(min_bars=2, max_bars=2)), "bos:0 time_signature:12 tempo:0 program:0 velocity:1")
    after(state, "note_on:60 time_shift:12 note_off:60")
    assert not may_end(state) and shifts(state) == 11  # nothing sounds that could end at the last step
    after(state, "note_on:62")
    assert shifts(state) == 12
    after(state, "time_shift:4 note_off:62")
    assert may_end(state)


@STATES
def test_a_metre_comes_only_where_a_bar_is_left_for_it(start):
    state = after(start(Constraints(max_bars=3)), "bos:0 time_signature:12 tempo:0 program:0 velocity:1 note_on:60")
    after(state, "time_shift:13")
    changed = after(state.copy(), "time_signature:7")  # 2/4, the third bar
    assert shifts(changed) == 8
    after(state, "note_on:61 time_shift:12")
    with pytest.raises(ValueError):
        after(state, "time_signature:7")


@STATES
def test_the_last_step_is_a_bar_line_if_the_window_has_one(start):
    """At 60 BPM a step is 250 ms and a bar of 3/4 three seconds."""
    header = "bos:0 time_signature:12 tempo:0 program:0 velocity:1 note_on:60"
    given = Constraints(min_us=5_500_000, max_us=6_700_000, whole_bars=True)
    state = after(start(given), header + " time_shift:16 note_on:61")
    assert shifts(state) == 8  # to step 24, not to step 26
    state = after(start(Constraints(min_us=6_200_000, max_us=6_700_000, whole_bars=True)), header)
    assert shifts(after(state, "time_shift:16 note_on:61")) == 10  # no bar line is within
    state = after(start(Constraints(max_us=6_700_000)), header + " time_shift:16 note_on:61")
    assert shifts(state) == 10


@STATES
def test_a_faster_tempo_moves_the_last_step(start):
    given = Constraints(min_us=5_000_000, max_us=7_000_000, whole_bars=True)
    state = after(start(given), "bos:0 time_signature:12 tempo:0 program:0 velocity:1 note_on:60 time_shift:12")
    assert shifts(after(state.copy(), "note_on:61")) == 12
    after(state, "tempo:1 note_on:61")  # a bar lasts 1.5 s now: 3 s are over, and two more bars end at 6 s
    assert shifts(state) == 16  # 24 more steps, in shifts of at most 16
    assert shifts(after(state, "time_shift:16 note_on:62")) == 8


def test_contradictions_are_refused():
    for wrong in ({"min_bars": 3, "max_bars": 2}, {"max_bars": 0}):
        with pytest.raises(ValueError, match="max_bars"):
            Constraints(**wrong)
    with pytest.raises(ValueError, match="no max_bars"):
        Grammar(TokenizerConfig("performance"), Constraints(max_bars=2))
