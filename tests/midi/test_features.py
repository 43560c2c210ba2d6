"""State features: what the definition says, and the compiled ones beside the plain ones."""

import dataclasses
import random

import numpy as np
import pytest

from amt.midi import features
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, FeatureState, features_of, layout_text, num_bars_of
from amt.midi.native import native
from amt.midi.reference.grammar import GrammarState
from amt.midi.reference.random_pieces import random_piece, random_walk
from amt.midi.reference.tokenizer import encode
from amt.midi.vocabulary import vocabulary_of

CONFIG = TokenizerConfig()
PLANNED = TokenizerConfig(version=2)
SMALL = TokenizerConfig(max_time_shift=7, num_velocities=4, steps_per_beat=5, tempos_bpm=(60, 120))
SMALL_PLANNED = TokenizerConfig(version=2, max_time_shift=7, num_velocities=4, steps_per_beat=5, tempos_bpm=(60, 120))
LAYOUT = FeatureLayout(CONFIG)
HEADER = [("bos", 0), ("time_signature", 17), ("tempo", 36)]  # 4/4
FIELDS = [field.name for field in dataclasses.fields(features.TokenFeatures)]
needs_native = pytest.mark.skipif(native is None, reason="the compiled module is not built")


def ids_of(events, config=CONFIG):
    return [vocabulary_of(config).token_id(kind, value) for kind, value in events]


def after(events, num_bars=0, layout=LAYOUT):
    """{feature: {column: number}} after the events."""
    state = FeatureState(layout, num_bars)
    for token_id in ids_of(events, layout.config):
        state.advance(token_id)
    found = {name: {} for name in layout.features}
    for column, number in state.entries():
        name = layout.feature(column)
        found[name][column - layout.first[name]] = number
    return found


def plain(layout, rows, num_bars):
    """The features of the plain state machine, whatever is compiled."""
    before, features.native = features.native, None
    try:
        return features_of(layout, rows, num_bars)
    finally:
        features.native = before


def test_place_in_the_bar():
    found = after([*HEADER, ("time_shift", 96), ("program", 5), ("velocity", 9), ("note_on", 60), ("time_shift", 61)])
    assert found["step_in_beat"] == {61 % 24: 1} and found["beat_in_bar"] == {2: 1}
    assert found["bar"] == {1: 1} and found["metre"] == {17: 1}
    assert found["program"] == {5: 1} and found["velocity"] == {9: 1} and found["num_sounding"] == {1: 1}


def test_before_the_header_nothing_is_known():
    found = after(HEADER[:1])
    assert found["metre"] == {80: 1} and found["program"] == {129: 1} and found["velocity"] == {32: 1}
    assert found["bars_left"] == {0: 1} and not found["pitches"] and not found["programs_heard"]


def test_a_metre_begins_a_bar():
    waltz, half = ("time_signature", 12), ("time_signature", 1 * 5 + 2)  # 3/4, 2/4
    found = after([HEADER[0], waltz, HEADER[2], ("time_shift", 96), half])
    assert found["bar"] == {2: 1} and found["beat_in_bar"] == {0: 1}
    assert after([HEADER[0], waltz, HEADER[2], ("time_shift", 72), half])["bar"] == {1: 1}


def test_what_sounds():
    events = [*HEADER, ("program", 0), ("velocity", 9), ("note_on", 60), ("note_on", 64), ("program", 40)]
    events += [("note_on", 60), ("time_shift", 24), ("program", 0), ("note_off", 64)]
    found = after(events)
    assert found["own_pitches"] == {60: 1} and found["own_ages"] == {60: 24} and found["pitches"] == {60: 2}
    assert found["program_notes"] == {0: 1, 40: 1} and found["program_ages"] == {0: 24, 40: 24}
    assert found["programs_heard"] == {0: 24, 40: 24}
    found = after([*events, ("program", 128), ("note_on", 36)])
    assert found["programs_heard"][128] == 0 and not found["own_pitches"] and 128 not in found["program_notes"]


@pytest.mark.parametrize(
    ("left", "column"), [(-2, 1), (0, 1), (1, 2), (16, 17), (17, 18), (24, 18), (25, 19), (32, 19), (33, 20), (48, 20),
                         (49, 21), (64, 21), (65, 22), (96, 22), (97, 23), (128, 23), (129, 24), (5000, 24)],
)  # fmt: skip
def test_bars_left(left, column):
    bars = [("time_shift", 96)] * 3
    assert after([*HEADER, *bars], 3 + left)["bars_left"] == {column: 1}
    row = np.array(ids_of([*HEADER, *bars]))
    assert LAYOUT.first["bars_left"] + column in features_of(LAYOUT, [row], [3 + left]).columns


VERSE = [("section", 1), ("bars", 4), ("chord", 9), ("bars", 3), ("chord", 14)]  # 3.5 bars
SOLO = [("section", 5), ("chord", 14)]  # 1.5 bars
PLAN = [*HEADER, *VERSE, *SOLO]


def planned(events, num_bars=0):
    """The columns of section, chord, next_chord, section_left."""
    found = after(events, num_bars, FeatureLayout(PLANNED))
    return [next(iter(found[name])) for name in ("section", "chord", "next_chord", "section_left")]


@pytest.mark.parametrize(
    ("half_bars", "columns"),
    [
        (0, [1, 9, 14, 5]),
        (1, [1, 9, 14, 4]),
        (2, [1, 9, 14, 4]),
        (4, [1, 14, 14, 3]),
        (6, [1, 14, 14, 2]),
        (7, [5, 14, 97, 3]),
        (9, [5, 14, 97, 2]),
        (10, [15, 97, 97, 0]),
    ],
)
def test_the_plan_in_force(half_bars, columns):
    assert planned([*PLAN, ("program", 0), *[("time_shift", 48)] * half_bars]) == columns


def test_the_plan_counts_in_bars_of_the_metre_that_the_piece_begins_with():
    waltz = [HEADER[0], ("time_signature", 12), *PLAN[2:]]
    assert planned([*waltz, *[("time_shift", 36)] * 7]) == [5, 14, 97, 3]
    assert planned([*waltz, ("time_shift", 72), ("time_signature", 17), *[("time_shift", 36)] * 5]) == [5, 14, 97, 3]


def test_while_the_plan_is_written_the_features_are_those_of_its_end():
    assert planned(HEADER) == [15, 97, 97, 0]
    assert planned(PLAN[:4]) == [1, 97, 97, 0] and planned(PLAN[:6]) == [1, 9, 97, 0]
    assert planned(PLAN[:-1]) == [5, 14, 97, 0]
    found = after(PLAN, 8, FeatureLayout(PLANNED))
    assert found["bar"] == {5: 1} and found["bars_left"] == {4: 1}
    found = after([*PLAN, ("program", 0)], 8, FeatureLayout(PLANNED))
    assert found["bar"] == {0: 1} and found["bars_left"] == {9: 1}


def test_a_copy_shares_the_plan_and_writes_its_own():
    layout = FeatureLayout(PLANNED)
    state = FeatureState(layout)
    for token_id in ids_of(PLAN, PLANNED):
        state.advance(token_id)
    before, other = state.entries(), state.copy()
    other.advance(ids_of([("chord", 1)], PLANNED)[0])
    assert state.entries() == before != other.entries()
    assert state.planned_half_bars == 10 and other.planned_half_bars == 13


def test_numbers_have_a_limit():
    found = after([*HEADER, ("program", 0), ("velocity", 0), ("note_on", 60), *[("time_shift", 96)] * 400])
    assert found["own_ages"] == {60: 32767} and found["bar"] == {63: 1}


def test_values():
    age, heard, count = (LAYOUT.first[name] + 7 for name in ("own_ages", "programs_heard", "pitches"))
    assert [LAYOUT.value(age, n) for n in (0, 12, 36)] == [0.0, 0.5, 1.0]
    assert [LAYOUT.value(heard, n) for n in (0, 36)] == [1.0, 0.5]
    columns = np.arange(LAYOUT.num_columns, dtype=np.int16)
    for number in (0, 1, 17, 1536, 32767):
        found = features.values(LAYOUT, columns, np.full_like(columns, number))
        truth = np.array([LAYOUT.value(int(column), number) for column in columns], np.float32)
        assert np.array_equal(found, truth) and LAYOUT.value(count, number) == number


@needs_native
def test_compiled_values_are_those_of_the_formula():
    compiled = native.FeatureLayout(layout_text(LAYOUT))
    for number in range(0, 32768, 61):
        for name in LAYOUT.features:
            column = LAYOUT.first[name]
            assert np.float32(compiled.value(column, number)) == np.float32(LAYOUT.value(column, number))


def planned_nonsense(config, rng):
    """A plan that no canonical sequence has, and some music."""
    events = vocabulary_of(config).events
    kinds = ("section", "chord", "chord", "bars", "time_signature") if config.version == 2 else ("tempo",)
    ids = {kind: [i for i, event in enumerate(events) if event.kind == kind] for kind in kinds}
    plan = [rng.choice(ids[rng.choice(kinds)]) for _ in range(90)]
    music = [i for i, event in enumerate(events) if event.kind in ("time_shift", "note_on")]
    return [1, *plan, *rng.choices(music, k=100), *plan[:5]]


@needs_native
@pytest.mark.parametrize(
    "config", [CONFIG, SMALL, PLANNED, SMALL_PLANNED], ids=["default", "small", "planned", "small_planned"]
)
@pytest.mark.parametrize("seed", range(6))
def test_compiled_and_plain_features_are_equal(config, seed):
    rng = random.Random(seed)
    names = FeatureLayout.NAMES
    if seed % 3 == 2:
        names = tuple(name for name in names if rng.random() < 0.5)
    layout = FeatureLayout(config, names)
    rows = [
        random_walk(GrammarState(config), rng, 150),
        encode(random_piece(rng), config)[0],
        [rng.randrange(len(vocabulary_of(config))) for _ in range(500)],  # no music
        planned_nonsense(config, rng),
        [0, 0, *random_walk(GrammarState(config), rng, 30), 0],
        [],
    ]
    rows = [np.array(row, np.int32) for row in rows]
    num_bars = [rng.randrange(150) for _ in rows]
    compiled, expected = features_of(layout, rows, num_bars), plain(layout, rows, num_bars)
    assert len(compiled.ends) == sum(map(len, rows))
    for field in FIELDS:
        ours, theirs = getattr(compiled, field), getattr(expected, field)
        assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), field
    for row in rows:
        count = num_bars_of(layout, row)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(features, "native", None)
            assert count == num_bars_of(layout, row)


@needs_native
def test_more_entries_than_most_tokens_have():
    """Every note of every program sounds: rows grow far beyond what is set aside for them."""
    events = [*HEADER, ("velocity", 0)]
    for program in range(0, 128, 25):
        events += [("program", program), *(("note_on", pitch) for pitch in range(128))]
    row = np.array(ids_of(events), np.int32)
    compiled, expected = features_of(LAYOUT, [row]), plain(LAYOUT, [row], [0])
    assert np.diff(compiled.ends).max() > 400
    assert all(np.array_equal(getattr(compiled, field), getattr(expected, field)) for field in FIELDS)


def test_copies_go_their_own_ways():
    state = FeatureState(LAYOUT)
    for token_id in ids_of([*HEADER, ("program", 0), ("velocity", 1), ("note_on", 60)]):
        state.advance(token_id)
    before, other = state.entries(), state.copy()
    other.advance(ids_of([("note_off", 60)])[0])
    assert state.entries() == before != other.entries()


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_native), False])
def test_ids_beyond_the_vocabulary_are_refused(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(features, "native", None)
    for wrong in (-1, 659):
        with pytest.raises(ValueError, match="token ids are 0 to 658"):
            features_of(LAYOUT, [np.array([1, wrong])])


@pytest.mark.parametrize(
    ("config", "names", "message"),
    [
        (TokenizerConfig(preset="performance"), ("bar",), 'need the preset "score"'),
        (CONFIG, ("bars",), "no state feature 'bars'; there are step_in_beat"),
        (CONFIG, ("bar", "metre"), "in their order: metre, bar"),
        (CONFIG, ("bar", "bar"), "once each"),
    ],
)
def test_layouts_that_there_are_not(config, names, message):
    with pytest.raises(ValueError, match=message):
        FeatureLayout(config, names)
