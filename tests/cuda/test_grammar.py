"""The grammar's kernel on this processor: masks and state features are those of the host."""

import random

import numpy as np
import pytest
from cuda_library import ORDERS, KernelError, build, compiler, library
from grammar_rows import GrammarRows, load

from amt.midi import features
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout, features_of
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.native import native
from amt.midi.reference.edits import edit_row
from amt.midi.reference.random_pieces import random_config, random_constraints, random_holes, random_piece
from amt.midi.reference.tokenizer import encode
from amt.midi.vocabulary import vocabulary_of

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler"),
    pytest.mark.skipif(native is None or load() is None, reason="the compiled modules are not built"),
]
KERNEL = "grammar_step.cu"
FAULTS = {
    "a barrier gone behind the aim": ("row, token);\n  __syncthreads();\n", "row, token);\n"),
    "the least of one warp": ("for (const int of_warp : shared.least) least = min(least, of_warp);", ""),
    "a budget of one more": ("aim(call.remaining[row])", "aim(call.remaining[row] + 1)"),
}
SMALL = TokenizerConfig(version=2, max_time_shift=7, num_velocities=4, tempos_bpm=(60, 120))


def rows_of(config, constraints, layout=None, num_bars=(), capacity=0):
    return GrammarRows(library(KERNEL), load(), config, constraints, layout, list(num_bars), capacity)


def draw(mask, vocabulary, rng):
    """A kind that may come, then one of its tokens: few different ones, so that pitches and programs meet again."""
    of_kind = {}
    for token_id in np.flatnonzero(mask):
        of_kind.setdefault(vocabulary.events[token_id].kind, []).append(int(token_id))
    if len(of_kind) > 1 and rng.random() < 0.8:
        of_kind.pop("eos", None)
    candidates = of_kind[rng.choice(sorted(of_kind))]
    return rng.choice(candidates[:3] if rng.random() < 0.5 else candidates)


def takes(state, token_id):
    """Whether a state allows a token, whatever a mask says."""
    try:
        state.copy().advance(token_id)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("seed", range(10))
def test_masks_and_features_are_those_of_the_host(seed):
    rng = random.Random(seed)
    config = SMALL if seed % 2 else random_config(rng)
    vocabulary = vocabulary_of(config)
    constraints = [random_constraints(rng, config) for _ in range(4)]
    num_bars = [rng.randrange(9) for _ in constraints]
    names = tuple(name for name in FeatureLayout.NAMES if rng.random() < 0.8)
    layout = FeatureLayout(config, names) if config.preset == "score" else None
    num_tokens = 60
    rows = rows_of(config, constraints, layout, num_bars, num_tokens)
    states = [Grammar(config, given).start() for given in constraints]
    ids = [[] for _ in constraints]
    tokens = [-1] * len(states)
    edit = vocabulary.token_id("edit", 0) if config.has_plans_and_edits else -1
    for step in range(num_tokens):
        left = [
            rng.choice([None, num_tokens - step, max(0, state.tokens_to_close + rng.randrange(-1, 20))])
            for state in states
        ]
        taken, masks, found = rows.step(tokens, left, ORDERS[step % len(ORDERS)])
        assert taken == [token >= 0 for token in tokens]
        for row, state in enumerate(states):
            np.testing.assert_array_equal(masks[row].astype(bool), state.allowed(left[row]), f"row {row}, step {step}")
            if tokens[row] < 0 or layout is None:
                continue
            truth = features_of(layout, [np.array(ids[row], np.int32)], [num_bars[row]])
            first = truth.ends[-2] if len(truth.ends) > 1 else 0
            entries, values = found[row]
            np.testing.assert_array_equal(entries["column"], truth.columns[first:])
            np.testing.assert_array_equal(entries["number"], truth.numbers[first:])
            np.testing.assert_array_equal(values, features.values(layout, entries["column"], entries["number"]))
        if step % 7 == 3:  # what is not allowed changes nothing
            wrong = [rng.choice([i for i in range(len(vocabulary)) if not takes(state, i)]) for state in states]
            taken, again, _ = rows.step(wrong, left, 0)
            assert not any(taken) and np.array_equal(again, masks)
        for row, state in enumerate(states):
            tokens[row] = -1
            if state.is_finished:
                assert not masks[row].any()
                continue
            begins_edit = edit >= 0 and rng.random() < 0.3 and takes(state, edit)
            tokens[row] = edit if begins_edit else draw(masks[row], vocabulary, rng)
            state.advance(tokens[row])
            ids[row].append(tokens[row])
    assert any(len(row) > 10 for row in ids)


@pytest.mark.parametrize("seed", range(3))
def test_edits(seed):
    """Rows of edits go through, the features of their fills are right, and a state can be moved."""
    rng = random.Random(seed)
    edits = []
    while len(edits) < 3:
        ids, _ = encode(random_piece(rng), SMALL)
        try:
            row = edit_row(ids, random_holes(rng, [0, 5, 60], rng.choice([3, 24])), SMALL)
        except ValueError:  # nothing is left beside the holes, or the like
            continue
        if len(row) < 250:
            edits.append(row)
    layout = FeatureLayout(SMALL)
    rows = rows_of(SMALL, [Constraints()] * 3, layout, [0] * 3, 250)
    states = [Grammar(SMALL).start() for _ in edits]
    truths = [features_of(layout, [np.array(row, np.int32)], [0]) for row in edits]
    for place in range(max(map(len, edits))):
        tokens = [row[place] if place < len(row) else -1 for row in edits]
        taken, masks, found = rows.step(tokens, [None] * 3, 0)
        assert taken == [token >= 0 for token in tokens]
        for row, state in enumerate(states):
            if tokens[row] < 0:
                continue
            state.advance(tokens[row])
            np.testing.assert_array_equal(masks[row].astype(bool), state.allowed())
            ends = truths[row].ends
            first = ends[place - 1] if place > 0 else 0
            np.testing.assert_array_equal(found[row][0]["column"], truths[row].columns[first : ends[place]])
            np.testing.assert_array_equal(found[row][0]["number"], truths[row].numbers[first : ends[place]])
    assert all(state.is_finished for state in states)


def test_a_state_is_bytes():
    """A row goes on from the state of another."""
    rows = rows_of(SMALL, [Constraints(max_polyphony=1)] * 2)
    _, masks, _ = rows.step([1, -1], [None, None], 0)
    assert not np.array_equal(masks[0], masks[1])
    rows.states[1] = rows.states[0]
    _, masks, _ = rows.step([-1, -1], [None, None], 0)
    assert np.array_equal(masks[0], masks[1])


def is_right(kernel):
    """Whether masks under a demand and a budget are the host's, in every order."""
    constraints = Constraints(required_programs=(3,), entry_by_step=0)
    for order in ORDERS:
        rows = GrammarRows(kernel, load(), SMALL, [constraints], None, [], 0)
        state, token, rng = Grammar(SMALL, constraints).start(), -1, random.Random(order)
        for step in range(15):
            left = state.tokens_to_close + step % 4
            try:
                _, masks, _ = rows.step([token], [left], order)
            except KernelError:
                return False
            if not np.array_equal(masks[0].astype(bool), state.allowed(left)):
                return False
            token = draw(state.allowed(left), vocabulary_of(SMALL), rng)
            state.advance(token)
            if state.is_finished:
                break
    return True


def test_the_kernel_is_right():
    assert is_right(library(KERNEL))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, tmp_path):
    assert not is_right(build(KERNEL, tmp_path, ((KERNEL, *FAULTS[fault]),)))
