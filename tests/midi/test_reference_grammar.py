import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import assert_nothing_lost

from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.reference.broken import DEMANDS, broken
from amt.midi.reference.grammar import GrammarState
from amt.midi.reference.random_pieces import random_config, random_constraints, random_piece, random_walk
from amt.midi.reference.tokenizer import decode, encode
from amt.midi.vocabulary import Vocabulary

SCORE = TokenizerConfig()
PERFORMANCE = TokenizerConfig(preset="performance")
# Everything small, so that limits are met.
SMALL_SCORE = TokenizerConfig(max_time_shift=3, max_gap_steps=7, num_velocities=1, tempos_bpm=(60, 120))
SMALL_PERFORMANCE = TokenizerConfig(preset="performance", max_time_shift=3, max_gap_steps=6, num_velocities=2)
SMALL_SCORE_2 = TokenizerConfig(version=2, max_time_shift=3, max_gap_steps=7, num_velocities=2, tempos_bpm=(60, 120))
CONFIGS = {
    "score": SCORE,
    "performance": PERFORMANCE,
    "small_score": SMALL_SCORE,
    "small_score_2": SMALL_SCORE_2,
    "small_performance": SMALL_PERFORMANCE,
}

# "any": each example draws one of its own.
by_config = pytest.mark.parametrize("config", [*CONFIGS.values(), None], ids=[*CONFIGS, "any"])
by_seed = given(rng=st.randoms(use_true_random=False))


def few(num_examples: int) -> settings:
    return settings(max_examples=num_examples, deadline=None, derandomize=True, database=None)


def events_of(ids: list[int], config: TokenizerConfig) -> list[tuple[str, int]]:
    vocabulary = Vocabulary(config)
    return [tuple(vocabulary.event(token_id)) for token_id in ids]


def state_after(events: list[tuple[str, int]], config: TokenizerConfig = SCORE, **constraints: object) -> GrammarState:
    state = GrammarState(config, Constraints(**constraints))
    for kind, value in events:
        state.advance(state.vocabulary.token_id(kind, value))
    return state


def may_follow(state: GrammarState, kind: str) -> list[int]:
    mask = state.allowed()
    return [
        event.value
        for event, allowed in zip(state.vocabulary.events, mask, strict=True)
        if allowed and event.kind == kind
    ]


HEADER = [("bos", 0), ("time_signature", 17), ("tempo", 36)]
NOTE = [("program", 5), ("velocity", 9), ("note_on", 60)]


@by_config
@few(25)
@given(data=st.data())
def test_walks_end_within_the_budget_and_are_canonical(config, data):
    num_tokens = data.draw(st.sampled_from([4, 8, 11, 17, 30, 60]))
    rng = data.draw(st.randoms(use_true_random=False))
    config = config or random_config(rng)
    constraints = random_constraints(rng, config)
    state = GrammarState(config, constraints)
    num_tokens = max(num_tokens, state.tokens_to_close)
    ids = random_walk(state, rng, num_tokens)
    assert len(ids) <= num_tokens

    midi_data, decode_report = decode(ids, config)
    assert not any(decode_report.values())
    again, report = encode(midi_data, config)
    assert events_of(again, config) == events_of(ids, config)
    assert_nothing_lost(report, midi_data, config)


@by_config
@few(15)
@given(data=st.data())
def test_walks_keep_their_constraints(config, data):
    rng = data.draw(st.randoms(use_true_random=False))
    config = config or random_config(rng)
    constraints = random_constraints(rng, config)
    ids = random_walk(GrammarState(config, constraints), rng, 60)
    assert broken(ids, config, constraints) <= {*DEMANDS}


@by_config
@few(8)
@given(data=st.data())
def test_tokens_to_close_can_always_be_kept(config, data):
    """From each state of a walk the end is reached in `tokens_to_close` tokens, which fall by one or more a token."""
    rng = data.draw(st.randoms(use_true_random=False))
    config = config or random_config(rng)
    constraints = random_constraints(rng, config)
    ids = random_walk(GrammarState(config, constraints), rng, 40)
    state = GrammarState(config, constraints)
    for token_id in ids:
        to_close = state.tokens_to_close
        in_time = np.flatnonzero(state.allowed(to_close))
        assert in_time.size > 0
        for candidate in rng.sample(in_time.tolist(), min(3, in_time.size)):
            after = state.copy()
            after.advance(candidate)
            assert after.tokens_to_close <= to_close - 1
        state.advance(token_id)
    assert state.is_finished
    assert state.tokens_to_close == 0
    assert not state.allowed().any()


@by_config
@few(50)
@by_seed
def test_what_encode_says_is_accepted(config, rng):
    config = config or random_config(rng)
    ids, _ = encode(random_piece(rng), config)
    state = GrammarState(config)
    for token_id in ids:
        state.advance(token_id)
    assert state.is_finished


def changed(ids: list[int], rng: random.Random, vocab_size: int) -> list[int]:
    """The ids with one mistake, or perhaps none."""
    place, other = rng.randrange(len(ids)), rng.randrange(len(ids))
    how = rng.choice(["drop", "insert", "swap", "replace", "replace_by_neighbour"])
    if how == "drop":
        return ids[:place] + ids[place + 1 :]
    if how == "insert":
        return [*ids[:place], ids[other], *ids[place:]]
    result = list(ids)
    if how == "swap":
        result[place], result[other] = ids[other], ids[place]
    elif how == "replace":
        result[place] = rng.randrange(vocab_size)
    else:
        result[place] = min(ids[place] + 1, vocab_size - 1)
    return result


def is_accepted(ids: list[int], config: TokenizerConfig) -> bool:
    state = GrammarState(config)
    for token_id in ids:
        if state.refusal(state.vocabulary.event(token_id)) is not None:
            return False
        state.advance(token_id)
    return state.is_finished


@by_config
@few(15)
@by_seed
def test_the_grammar_refuses_exactly_what_is_not_canonical(config, rng):
    config = config or random_config(rng)
    walk = random_walk(GrammarState(config), rng, 30)
    for _ in range(20):
        ids = changed(walk, rng, len(Vocabulary(config)))
        is_canonical = encode(decode(ids, config)[0], config)[0] == ids
        assert is_accepted(ids, config) == is_canonical, events_of(ids, config)


def test_a_budget_too_small_from_the_start_is_ignored():
    state = state_after([*HEADER, *NOTE])
    assert state.tokens_to_close == 4  # time_shift, (program,) note_off, eos
    assert state.allowed(1).tolist() == state.allowed().tolist()
    state.advance(state.vocabulary.token_id("time_shift", 1))
    assert [state.vocabulary.events[i].kind for i in np.flatnonzero(state.allowed(3))] == ["note_off"]


def test_tokens_to_close_in_the_header():
    assert state_after([]).tokens_to_close == 4
    assert state_after(HEADER[:1]).tokens_to_close == 3
    assert state_after(HEADER[:2]).tokens_to_close == 2
    assert state_after(HEADER).tokens_to_close == 1
    assert state_after([], PERFORMANCE).tokens_to_close == 2


@pytest.mark.parametrize(
    ("events", "token", "reason"),
    [
        ([], ("eos", 0), "bos must come first"),
        (HEADER[:1], ("tempo", 0), "time_signature must come first"),
        (HEADER, ("pad", 0), "pad stands nowhere"),
        (HEADER, ("bos", 0), "bos stands nowhere"),
        (HEADER, ("note_on", 60), "needs a program"),
        (HEADER, ("velocity", 3), "needs a program"),
        (HEADER, ("pedal_on", 0), "needs a program"),
        (HEADER, ("tempo", 3), "too late in its step"),
        ([*HEADER, ("program", 5)], ("note_on", 60), "needs a velocity"),
        ([*HEADER, ("program", 5)], ("time_shift", 1), "after program"),
        ([*HEADER, ("program", 5)], ("eos", 0), "after program"),
        ([*HEADER, ("program", 5)], ("program", 6), "after program"),
        ([*HEADER, ("program", 5)], ("note_off", 60), "does not sound"),
        ([*HEADER, ("program", 5)], ("pedal_off", 0), "not on"),
        ([*HEADER, ("program", 128)], ("pedal_on", 0), "drums have no pedal"),
        ([*HEADER, *NOTE[:2]], ("eos", 0), "after velocity"),
        ([*HEADER, *NOTE], ("velocity", 9), "in force already"),
        ([*HEADER, *NOTE], ("note_on", 60), "too late"),
        ([*HEADER, *NOTE], ("note_on", 59), "too late"),
        ([*HEADER, *NOTE], ("note_off", 60), "too late"),
        ([*HEADER, *NOTE], ("pedal_on", 0), "too late"),
        ([*HEADER, *NOTE], ("program", 5), "in force already"),
        ([*HEADER, *NOTE], ("program", 4), "programs must ascend"),
        ([*HEADER, *NOTE], ("eos", 0), "still on"),
        ([*HEADER, *NOTE, ("time_shift", 5)], ("time_shift", 1), "only follow the largest"),
        ([*HEADER, *NOTE, ("time_shift", 5)], ("note_on", 60), "sounds already"),
        ([*HEADER, *NOTE, ("time_shift", 5)], ("tempo", 36), "in force already"),
        ([*HEADER, ("time_shift", 5)], ("eos", 0), "after time_shift"),
        ([*HEADER, *[("time_shift", 96)] * 16], ("time_shift", 1), "more than 1536 steps"),
        ([*HEADER, ("time_shift", 5), ("tempo", 1)], ("time_signature", 1), "too late"),
        ([*HEADER, ("eos", 0)], ("eos", 0), "nothing follows eos"),
    ],
)
def test_refusals_say_why(events, token, reason):
    state = state_after(events)
    before = (state.tokens_to_close, state.allowed().tolist())
    with pytest.raises(ValueError, match=reason):
        state.advance(state.vocabulary.token_id(*token))
    assert (state.tokens_to_close, state.allowed().tolist()) == before


def test_an_id_beyond_the_vocabulary_is_refused():
    for token_id in (-1, 659):
        with pytest.raises(ValueError, match="not in the vocabulary of 659"):
            state_after([]).advance(token_id)


def test_a_pitch_that_ends_may_start_again_at_the_same_step():
    state = state_after([*HEADER, *NOTE, ("time_shift", 5), ("note_off", 60)])
    assert 60 in may_follow(state, "note_on")
    assert may_follow(state, "note_off") == []


def test_the_pedal_may_go_up_and_down_at_the_same_step():
    state = state_after([*HEADER, ("program", 5), ("pedal_on", 0), ("time_shift", 5)])
    assert (may_follow(state, "pedal_off"), may_follow(state, "pedal_on")) == ([0], [])
    state.advance(state.vocabulary.token_id("pedal_off"))
    assert (may_follow(state, "pedal_off"), may_follow(state, "pedal_on")) == ([], [0])


def test_at_the_last_step_everything_ends_in_order():
    lower = [("program", 2), ("pedal_on", 0), ("velocity", 9), ("note_on", 50), ("note_on", 60)]
    upper = [("program", 7), ("note_on", 40)]
    ending = [("program", 2), ("note_off", 50), ("note_off", 60), ("pedal_off", 0), ("program", 7), ("note_off", 40)]
    state = state_after([*HEADER, *lower, *upper, ("time_shift", 8)], max_steps=8)
    for event in [*ending, ("eos", 0)]:
        token_id = state.vocabulary.token_id(*event)
        assert np.flatnonzero(state.allowed()).tolist() == [token_id]
        state.advance(token_id)
    assert state.is_finished


def test_no_way_leads_to_a_last_step_with_nothing_to_end():
    assert may_follow(state_after(HEADER, max_steps=8), "time_shift") == list(range(1, 8))
    assert may_follow(state_after([*HEADER, *NOTE], max_steps=8), "time_shift") == list(range(1, 9))


def test_in_version_2_each_program_holds_its_velocity():
    config = TokenizerConfig(version=2)
    events = [*HEADER, *NOTE, ("program", 7), ("velocity", 9), ("note_on", 50), ("time_shift", 4), ("program", 5)]
    assert may_follow(state_after(events[:7], config), "note_on") == []
    state = state_after(events, config)
    assert len(may_follow(state, "note_on")) == 127 and 9 not in may_follow(state, "velocity")
    one_for_all = state_after([*HEADER, *NOTE, ("program", 7)])
    assert len(may_follow(one_for_all, "note_on")) == 128 and 9 not in may_follow(one_for_all, "velocity")


def test_copies_go_their_own_way():
    state = state_after([*HEADER, *NOTE])
    other = state.copy()
    other.advance(other.vocabulary.token_id("note_on", 64))
    assert (len(state.sounding), len(other.sounding)) == (1, 2)
    assert state.now == other.now == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_polyphony": 0},
        {"max_top_run": 0},
        {"max_steps": 0},
        {"programs": ()},
        {"programs": (129,)},
        {"pitch_classes": ()},
        {"pitch_classes": (12,)},
        {"tempo_index": -1},
        {"time_signature_index": 80},
    ],
    ids=str,
)
def test_wrong_constraints_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Constraints(**wrong)


def test_constraints_that_the_preset_cannot_keep_are_refused():
    for name, value in (("programs", (0,)), ("tempo_index", 1), ("time_signature_index", 1)):
        with pytest.raises(ValueError, match=f"'performance' has no {name}"):
            GrammarState(PERFORMANCE, Constraints(**{name: value}))
    with pytest.raises(ValueError, match="tempo_index must be between 0 and 1"):
        GrammarState(SMALL_SCORE, Constraints(tempo_index=2))
