"""What the grammar forces: that notes end, that something plays, that the end comes when it should."""

import random

import numpy as np
import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import MANY, Constraints
from amt.midi.reference.broken import broken
from amt.midi.reference.grammar import GrammarState as ReferenceState
from amt.midi.vocabulary import DRUMS, vocabulary_of

SCORE = TokenizerConfig()
CONFIGS = (
    SCORE,
    TokenizerConfig(max_time_shift=3, max_gap_steps=7, num_velocities=1, tempos_bpm=(60, 120)),
    TokenizerConfig(max_time_shift=7, max_gap_steps=40, num_velocities=2, tempos_bpm=(30, 60, 120)),
)
HEADER = [("bos", 0), ("time_signature", 17), ("tempo", 36)]
PROGRAMS = (0, 3, 40, 100, DRUMS)


def walk(config, constraints, rng, num_tokens, shyness=0.0):
    """Random tokens until eos; with `shyness` one that plays nothing is preferred so often."""
    state, vocabulary, ids = Grammar(config, constraints).start(), vocabulary_of(config), []
    while not state.is_finished:
        ids_of_kind = {}
        for token_id in np.flatnonzero(state.allowed(num_tokens - len(ids))).tolist():
            ids_of_kind.setdefault(vocabulary.events[token_id].kind, []).append(token_id)
        kinds = sorted(ids_of_kind)
        shy = [kind for kind in kinds if kind not in ("note_on", "velocity", "note_off", "eos")]
        kinds = shy if shy and rng.random() < shyness else kinds
        candidates = ids_of_kind[rng.choice(kinds)]
        ids.append(rng.choice(candidates[:3] if rng.random() < 0.5 else candidates))
        state.advance(ids[-1])
    return ids


def compatible_constraints(rng):
    """Constraints that can all be kept together, whatever the model does."""

    def some(*values):
        return rng.choice([None, *values])

    max_steps = some(60, 200)
    return Constraints(
        max_note_steps=some(1, 3, 12, 48, tuple(rng.choice([1, 3, 12, 48]) for _ in range(129))),
        max_steps=max_steps,
        min_steps=max_steps and some(max_steps // 2, max_steps - 12),
        max_rest_steps=some(1, 2, 5, 48),
        max_filler_tokens=some(1, 5, 24),
        programs=some(PROGRAMS),
        required_programs=some((3,), (0, DRUMS), (0, 3, 100)),
        entry_by_step=some(0, 5, 20),
        max_programs=some(3, 5),
        pitch_classes=some((0,), (0, 4, 7)),
        min_pitch=some((36,) * 129),
        tempo_index=some(1),
    )


@pytest.mark.parametrize("part", range(8))
def test_all_demands_are_kept_where_they_can_be(part):
    """Also by walks that would rather play nothing. The budget is larger than what they need."""
    for seed in range(25):
        rng = random.Random(1000 * part + seed)
        config, constraints = rng.choice(CONFIGS), compatible_constraints(rng)
        ids = walk(config, constraints, rng, 2500, shyness=rng.choice([0.0, 0.5, 0.9, 1.0]))
        is_cut = len(ids) > 2000  # nothing but the budget ended it
        is_broken = broken(ids, config, constraints)
        # What closes at the very end is not counted: no note can come any more.
        assert is_broken - {"max_filler_tokens"} <= ({"min_steps"} if is_cut else set()), (seed, constraints)


@pytest.mark.parametrize("part", range(4))
def test_what_is_required_plays_within_any_budget(part):
    for seed in range(50):
        rng = random.Random(1000 * part + seed)
        config = rng.choice(CONFIGS)
        constraints = Constraints(
            required_programs=rng.choice([(3,), (0, DRUMS), (0, 3, 100)]), max_note_steps=rng.choice([None, 3])
        )
        ids = walk(config, constraints, rng, rng.randrange(45, 90), shyness=rng.choice([0.0, 0.9]))
        assert broken(ids, config, constraints) == set(), (seed, constraints)


@pytest.mark.parametrize("part", range(4))
def test_with_few_voices_what_is_required_still_comes_before_the_end(part):
    for seed in range(50):
        rng = random.Random(1000 * part + seed)
        config = rng.choice(CONFIGS)
        constraints = Constraints(
            max_polyphony=rng.choice([1, 2, 6]), max_steps=rng.choice([12, 30]), required_programs=(0, 3, 100, DRUMS)
        )
        ids = walk(config, constraints, rng, 600, shyness=rng.choice([0.0, 0.9]))
        assert broken(ids, config, constraints) == set(), (seed, constraints)


@pytest.fixture(params=["native", "reference"])
def state_after(request):
    def make(events, **given):
        constraints = Constraints(**given)
        if request.param == "reference":
            state = ReferenceState(SCORE, constraints)
        else:
            pytest.importorskip("amt._midi", reason="amt._midi is not built")
            state = Grammar(SCORE, constraints).start()
        for kind, value in events:
            state.advance(vocabulary_of(SCORE).token_id(kind, value))
        return state

    return make


def allowed(state, remaining=None):
    return [tuple(vocabulary_of(SCORE).events[token]) for token in np.flatnonzero(state.allowed(remaining))]


def values_of(state, kind):
    return [value for other, value in allowed(state) if other == kind]


NOTE = [("program", 5), ("velocity", 9), ("note_on", 60)]


def test_a_note_ends_at_its_limit_though_its_program_is_not_in_force(state_after):
    state = state_after([*HEADER, *NOTE, ("program", 7), ("note_on", 50), ("time_shift", 2)], max_note_steps=8)
    state.advance(vocabulary_of(SCORE).token_id("note_on", 51))
    assert values_of(state, "time_shift") == [1, 2, 3, 4, 5, 6]
    state.advance(vocabulary_of(SCORE).token_id("time_shift", 6))
    # Both first notes are due: nothing behind the first of them, in canonical order, may come before it.
    assert not values_of(state, "time_shift") and not values_of(state, "note_off")
    assert values_of(state, "program") == [0, 1, 2, 3, 4, 5]
    state.advance(vocabulary_of(SCORE).token_id("program", 5))
    assert allowed(state) == [("note_off", 60)]
    state.advance(vocabulary_of(SCORE).token_id("note_off", 60))
    assert values_of(state, "program") == [6, 7]
    state.advance(vocabulary_of(SCORE).token_id("program", 7))
    assert allowed(state) == [("note_off", 50)]
    state.advance(vocabulary_of(SCORE).token_id("note_off", 50))
    assert values_of(state, "time_shift") == [1, 2]  # the note of step 2


def longest_notes(**of_programs):
    return tuple(of_programs.get(f"p{program}", MANY) for program in range(129))


def test_each_program_may_have_its_own_longest_note(state_after):
    """Notes are due in another order than they began in; those due at one step end in canonical order."""
    events = [*HEADER, ("program", 2), ("velocity", 8), ("note_on", 40), *NOTE, ("note_on", 62)]
    longest = longest_notes(p2=8, p5=6, p7=4)
    state = state_after(events, max_note_steps=longest)
    assert values_of(state, "time_shift") == [1, 2, 3, 4, 5, 6]
    state.advance(vocabulary_of(SCORE).token_id("time_shift", 2))
    for kind, value in (("program", 7), ("note_on", 50), ("note_on", 52)):  # due with those of program 5
        state.advance(vocabulary_of(SCORE).token_id(kind, value))
    assert values_of(state, "time_shift") == [1, 2, 3, 4]
    state.advance(vocabulary_of(SCORE).token_id("time_shift", 4))
    for event in (("program", 5), ("note_off", 60), ("note_off", 62), ("program", 7), ("note_off", 50)):
        assert event in allowed(state) and not values_of(state, "time_shift")
        state.advance(vocabulary_of(SCORE).token_id(*event))
    assert allowed(state) == [("note_off", 52)]
    state.advance(vocabulary_of(SCORE).token_id("note_off", 52))
    assert values_of(state, "time_shift") == [1, 2]
    free = state_after([*HEADER, ("program", 9), ("velocity", 9), ("note_on", 40)], max_note_steps=longest)
    assert max(values_of(free, "time_shift")) == SCORE.max_time_shift


def test_one_longest_note_is_that_of_each_program():
    rng = random.Random(2)
    for _ in range(20):
        ids = walk(SCORE, Constraints(max_note_steps=5), rng, 60)
        states = [Grammar(SCORE, Constraints(max_note_steps=given)).start() for given in (5, (5,) * 129)]
        for token_id in ids:
            masks = [state.allowed(200) for state in states]
            np.testing.assert_array_equal(*masks)
            for state in states:
                state.advance(token_id)


def test_the_way_to_the_end_names_programs_whose_notes_are_due(state_after):
    events = [*HEADER, *NOTE, ("program", 7), ("note_on", 50), ("time_shift", 8), ("program", 2), ("note_on", 40)]
    state = state_after(events, max_note_steps=8)
    # program 5, note_off, program 7, note_off, time_shift, program 2, note_off, eos; two programs are counted twice
    assert state.tokens_to_close == 10
    for _ in range(4):
        before = state.tokens_to_close
        token = int(np.flatnonzero(state.allowed(before))[0])
        state.advance(token)
        assert state.tokens_to_close <= before - 1


def test_a_rest_ends_with_a_note(state_after):
    state = state_after([*HEADER, *NOTE, ("time_shift", 4), ("note_off", 60)], max_rest_steps=8)
    assert values_of(state, "time_shift") == list(range(1, 9))
    state.advance(vocabulary_of(SCORE).token_id("time_shift", 8))
    assert {kind for kind, _ in allowed(state)} == {"note_on", "velocity", "program"}


def test_there_is_a_note_before_the_end_where_rests_are_limited(state_after):
    assert ("eos", 0) in allowed(state_after(HEADER))
    for limit in ("max_rest_steps", "max_filler_tokens"):
        assert ("eos", 0) not in allowed(state_after(HEADER, **{limit: 3}))
        drum = [("program", DRUMS), ("velocity", 3), ("note_on", 40)]
        assert ("eos", 0) in allowed(state_after([*HEADER, *drum], **{limit: 3}))


def test_fillers_end_with_a_note(state_after):
    events = [*HEADER, *NOTE, ("time_shift", 4), ("tempo", 3), ("time_shift", 4), ("tempo", 4)]
    assert "time_shift" in {kind for kind, _ in allowed(state_after(events, max_filler_tokens=5))}
    state = state_after(events, max_filler_tokens=4)
    assert {kind for kind, _ in allowed(state)} == {"note_on", "velocity", "program", "note_off"}


def test_fillers_end_with_a_voice_that_is_free_where_none_is(state_after):
    events = [*HEADER, *NOTE, ("program", 7), ("pedal_on", 0), ("time_shift", 4)]
    state = state_after(events, max_filler_tokens=2, max_polyphony=1)
    assert allowed(state) == [("program", 5), ("program", DRUMS)]  # drums need none; no pedal, no shift, no tempo


def test_what_is_required_enters_in_time_and_in_order(state_after):
    state = state_after(HEADER, required_programs=(3, 40), entry_by_step=6)
    assert values_of(state, "time_shift") == [1, 2, 3, 4, 5, 6]
    assert ("eos", 0) not in allowed(state)
    state.advance(vocabulary_of(SCORE).token_id("time_shift", 6))
    assert allowed(state) == [("program", 3)]
    for event in (("program", 3), ("velocity", 4), ("note_on", 60)):
        state.advance(vocabulary_of(SCORE).token_id(*event))
    assert allowed(state) == [("program", 40)]


def test_the_last_budget_belongs_to_what_is_required(state_after):
    state = state_after([*HEADER, *NOTE], required_programs=(DRUMS,))
    assert len(allowed(state, 100)) > 1
    assert allowed(state, 20) == [("program", DRUMS)]
    assert len(allowed(state_after([*HEADER, *NOTE]), 20)) > 1


def test_no_more_programs_than_there_may_be(state_after):
    events = [*HEADER, *NOTE, ("program", 8), ("pedal_on", 0), ("time_shift", 3)]
    assert values_of(state_after(events, max_programs=2), "program") == [5]  # 8 is in force
    assert len(values_of(state_after(events, max_programs=3), "program")) == 128
    assert values_of(state_after(events, max_programs=3, required_programs=(70,)), "program") == [5, 70]


def test_the_end_comes_in_its_window(state_after):
    events = [*HEADER, *NOTE, ("time_shift", 10), ("note_off", 60)]
    assert ("eos", 0) in allowed(state_after(events, min_steps=10, max_steps=12))
    assert ("eos", 0) not in allowed(state_after(events, min_steps=11, max_steps=12))
    with pytest.raises(ValueError, match=r"(may not follow)|(does not allow)"):
        state_after(events, max_steps=9)


def test_the_end_comes_at_its_time_whatever_the_tempos(state_after):
    # Tempo 36 is 120 BPM: 24 steps last half a second. Index 0 is 20 BPM, three seconds.
    beat = [*HEADER, *NOTE, ("time_shift", 24)]
    assert SCORE.tempos_bpm[36] == 120 and SCORE.tempos_bpm[0] == 20
    assert max(values_of(state_after([*HEADER, *NOTE], max_us=500_000), "time_shift")) == 24
    assert allowed(state_after(beat, max_us=500_000)) == [("note_off", 60)]
    slower = state_after([*beat, ("tempo", 0)], max_us=800_000)
    assert max(values_of(slower, "time_shift")) == 2  # 125 ms each
    ended = [*beat, ("note_off", 60)]
    assert ("eos", 0) in allowed(state_after(ended, min_us=500_000))
    assert ("eos", 0) not in allowed(state_after(ended, min_us=500_001))


def test_tempos_stay_in_their_range(state_after):
    state = state_after(HEADER[:2], tempo_min_index=30, tempo_max_index=37)
    assert values_of(state, "tempo") == list(range(30, 38))
    later = state_after([*HEADER, ("time_shift", 3)], tempo_min_index=30, tempo_max_index=37)
    assert values_of(later, "tempo") == [30, 31, 32, 33, 34, 35, 37]


def test_pitches_stay_in_the_range_of_their_program(state_after):
    low, high = [0] * 129, [127] * 129
    low[5], high[5], high[DRUMS] = 60, 64, 40
    given = {"min_pitch": tuple(low), "max_pitch": tuple(high)}
    assert values_of(state_after([*HEADER, *NOTE[:2]], **given), "note_on") == [60, 61, 62, 63, 64]
    drums = state_after([*HEADER, ("program", DRUMS), ("velocity", 3)], **given)
    assert values_of(drums, "note_on") == list(range(41))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"required_programs": (3,), "programs": (4,)}, "program 3 of required_programs has nothing to play"),
        ({"required_programs": (3,), "min_pitch": (128,) * 129}, "leave no pitch"),
        ({"required_programs": (3, 4), "max_programs": 1}, "required_programs are more than max_programs, which is 1"),
        ({"min_steps": 4, "max_steps": 3}, "min_steps is 4, above max_steps, which is 3"),
        ({"min_us": 4, "max_us": 3}, "min_us is 4, above max_us, which is 3"),
        ({"tempo_min_index": 4, "tempo_max_index": 3}, "tempo_min_index is 4, above tempo_max_index, which is 3"),
        ({"max_note_steps": 0}, "max_note_steps must be between 1"),
        ({"max_note_steps": (0,) * 129}, "max_note_steps must be between 1"),
        ({"max_note_steps": (9, 9)}, "max_note_steps must have a number for each of 129 programs, got 2"),
        ({"min_pitch": (0, 0)}, "min_pitch must have a pitch for each of 129 programs, got 2"),
        ({"pitch_classes": (1,), "min_pitch": (60,) * 129, "max_pitch": (60,) * 129, "programs": (0,)}, "no pitch"),
    ],
    ids=str,
)
def test_constraints_that_contradict_each_other_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Constraints(**given)


# How often in a row one pitch may be the highest


def test_the_highest_note_may_not_be_the_same_too_often(state_after):
    chord = [("program", 5), ("velocity", 9), ("note_on", 48), ("note_on", 60)]
    again = [("time_shift", 2), ("note_off", 48), ("note_off", 60)]
    twice = [*HEADER, *chord, *again, *chord[2:], *again]
    assert 60 in values_of(state_after(twice, max_top_run=3), "note_on")
    state = state_after(twice, max_top_run=2)
    assert {*range(128)} - {*values_of(state, "note_on")} == {60}
    for pitch in (48, 67):
        state.advance(vocabulary_of(SCORE).token_id("note_on", pitch))
    # Below a higher note of another program it may come.
    below = [("time_shift", 2), ("program", 3), ("note_on", 67), ("program", 5)]
    state = state_after([*twice, *below], max_top_run=2)
    assert 60 in values_of(state, "note_on")
    # Another highest pitch begins a new run.
    between = [("note_on", 72), ("time_shift", 2), ("note_off", 72)]
    assert 60 in values_of(state_after([*twice, *between], max_top_run=2), "note_on")


def test_drums_and_programs_of_one_pitch_may_repeat_it(state_after):
    events = [*HEADER, ("program", DRUMS), ("velocity", 9)]
    for _ in range(5):
        events += [("note_on", 38), ("time_shift", 2)]
    assert 38 in values_of(state_after(events, max_top_run=1), "note_on")
    one = {"min_pitch": (60,) * 129, "max_pitch": (60,) * 129}
    events = [*HEADER, *NOTE, ("time_shift", 2), ("note_off", 60)]
    assert values_of(state_after(events, max_top_run=1, **one), "note_on") == [60]
