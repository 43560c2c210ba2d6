"""Edits in tokens: what the definition says, and the compiled parts beside the plain ones."""

import dataclasses
import functools
import inspect
import random

import numpy as np
import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, TimeSignature
from amt.midi.features import FeatureLayout, FeatureState, features_of
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.native import native
from amt.midi.reference import grammar as reference_grammar
from amt.midi.reference import tokenizer as reference
from amt.midi.reference.edits import StepHole, edit_row
from amt.midi.reference.holes import ALL, MAX_HOLE_TOKENS
from amt.midi.reference.random_pieces import random_config, random_constraints, random_holes, random_piece, random_walk
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import DRUMS, vocabulary_of

CONFIG = TokenizerConfig(version=2)
VOCABULARY = vocabulary_of(CONFIG)
SMALL = TokenizerConfig(version=2, max_time_shift=3, max_gap_steps=7, num_velocities=2, tempos_bpm=(60,))
HEADER = [("bos", 0), ("time_signature", 17), ("tempo", 36)]
needs_native = pytest.mark.skipif(native is None, reason="amt._midi is not built: there is nothing to compare")
by_config = pytest.mark.parametrize("config", [CONFIG, SMALL, None], ids=["default", "small", "any"])


def by_seed(num_seeds):
    """The test with many generators of random numbers, one after the other."""

    def repeated(test):
        @functools.wraps(test)
        def run(**given):
            for seed in range(num_seeds):
                test(rng=random.Random(seed), **given)

        names = [name for name in inspect.signature(test).parameters if name != "rng"]
        run.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
        )
        return run

    return repeated


def ids_of(events, config=CONFIG):
    return [vocabulary_of(config).token_id(kind, value) for kind, value in events]


def events_of(ids, config=CONFIG):
    return [tuple(vocabulary_of(config).event(token_id)) for token_id in ids]


def configuration(rng, config):
    """The config, or a random one that has edits."""
    while config is None or config.steps_per_beat > 24 or config.max_time_shift < 3:  # rows stay short
        config = dataclasses.replace(random_config(rng), preset="score", version=2)
    return config


def random_edit(rng, config):
    """The ids of a random piece, its holes, and its edit."""
    ids, _ = reference.encode(random_piece(rng), config)
    programs = sorted({value for kind, value in events_of(ids, config) if kind == "program"} | {5})
    holes = random_holes(rng, programs, rng.choice([1, 4, config.steps_per_beat]))
    end_step = rng.choice([None, None, rng.randrange(1, 20 * config.steps_per_beat)])
    return ids, holes, end_step, edit_row(ids, holes, config, end_step)


def shortened(midi, holes, config):
    """The piece as it comes back: notes and pedals that start in a hole end with its interval."""
    spans = sorted((hole.start, hole.end) for hole in holes)
    intervals = []
    for start, end in spans:
        if intervals and start <= intervals[-1][1]:
            intervals[-1][1] = max(intervals[-1][1], end)
        else:
            intervals.append([start, end])

    def end_of(item, program):
        start = item.start_ticks // 20
        if not any(h.program in (ALL, program) and h.start <= start < h.end for h in holes):
            return item.end_ticks
        return min(item.end_ticks, next(20 * end for first, end in intervals if first <= start < end))

    notes = [
        Note(
            n.start_ticks, n.end_ticks if n.is_drum else end_of(n, n.program), n.pitch, n.velocity, n.program, n.is_drum
        )
        for n in midi.notes
    ]
    pedals = [PedalSpan(p.start_ticks, end_of(p, p.program), p.program) for p in midi.pedals]
    return midi.replace(notes=notes, pedals=pedals, end_ticks=0)


def test_an_edit_token_by_token():
    """Two bars: a piano that plays on, and a bass whose second bar is missing."""
    notes = [
        Note(0, 960, 60, 80, 0),
        Note(960, 3840, 64, 80, 0),
        Note(0, 960, 40, 80, 33),
        Note(1920, 2400, 43, 20, 33),
    ]
    ids, _ = reference.encode(MidiData(notes), CONFIG)
    row = edit_row(ids, [StepHole(33, 96, 192)], CONFIG)
    assert events_of(row) == [
        *HEADER, ("edit", 0),
        ("program", 0), ("velocity", 20), ("note_on", 60), ("program", 33), ("velocity", 20), ("note_on", 40),
        ("time_shift", 48), ("program", 0), ("note_off", 60), ("note_on", 64), ("program", 33), ("note_off", 40),
        ("time_shift", 48), ("hole", 0),
        ("time_shift", 96), ("program", 0), ("note_off", 64), ("program", 33), ("hole", 1),
        ("fill", 0), ("program", 33), ("velocity", 5), ("note_on", 43), ("time_shift", 24), ("note_off", 43),
        ("eos", 0),
    ]  # fmt: skip


def test_holes_of_all_stand_before_the_programs_and_a_part_may_be_empty():
    ids, _ = reference.encode(MidiData([Note(0, 480, 60, 80, 0)]), CONFIG)
    row = edit_row(ids, [StepHole(ALL, 0, 24), StepHole(0, 24, 48), StepHole(7, 96, 192)], CONFIG)
    assert events_of(row) == [
        *HEADER, ("edit", 0), ("hole", 2), ("time_shift", 24), ("hole", 3), ("program", 0), ("hole", 0),
        ("time_shift", 24), ("hole", 1), ("time_shift", 48), ("program", 7), ("hole", 0), ("time_shift", 96),
        ("hole", 1), ("fill", 0), ("program", 0), ("velocity", 20), ("note_on", 60), ("time_shift", 24),
        ("note_off", 60), ("fill", 0), ("eos", 0),
    ]  # fmt: skip


def test_notes_belong_to_where_they_start():
    """One rings into the hole, one starts in it and is cut at its end, one starts at its end."""
    notes = [Note(0, 2880, 60, 80, 0), Note(1920, 4800, 64, 80, 0), Note(3840, 4320, 67, 80, 0)]
    ids, _ = reference.encode(MidiData(notes), CONFIG)
    row = edit_row(ids, [StepHole(0, 96, 192)], CONFIG)
    fill = EventTokenizer(CONFIG).decode(row, only_fill=True)
    assert list(fill.notes) == [Note(1920, 3840, 64, 82, 0)]
    whole = EventTokenizer(CONFIG).decode(row)
    assert [(n.start_ticks, n.end_ticks) for n in whole.notes] == [(0, 2880), (1920, 3840), (3840, 4320)]


@pytest.mark.parametrize(
    ("holes", "message"),
    [
        ([], "needs a hole"),
        ([StepHole(0, 4, 4)], "a first step and a later one"),
        ([StepHole(200, 0, 4)], "a first step and a later one|no such program"),
        ([StepHole(0, 0, 4), StepHole(0, 4, 8)], "may not touch"),
        ([StepHole(ALL, 0, 4), StepHole(3, 2, 8)], "covers"),
        ([StepHole(0, 0, 1 << 40)], "at the latest"),
        ([StepHole(0, 2 * i, 2 * i + 1) for i in range(MAX_HOLE_TOKENS)], "at most 64 hole tokens"),
    ],
)
def test_holes_that_make_no_edit_are_refused(holes, message):
    ids, _ = reference.encode(MidiData([Note(0, 480, 60, 80, 0)]), CONFIG)
    for make in (EventTokenizer(CONFIG).edit_row, lambda ids, holes: edit_row(ids, holes, CONFIG)):
        with pytest.raises(ValueError, match=message):
            make(ids, holes)


def test_what_is_no_music_is_refused():
    ids, _ = reference.encode(MidiData([Note(0, 480, 60, 80, 0)]), CONFIG)
    row = edit_row(ids, [StepHole(0, 0, 4)], CONFIG)
    tokenizer = EventTokenizer(CONFIG)
    for wrong, message in ((ids[1:], "begins with bos"), (row, "music alone"), ([], "begins with bos")):
        for make in (tokenizer.edit_row, lambda ids, holes: edit_row(ids, holes, CONFIG)):
            with pytest.raises(ValueError, match=message):
                make(wrong, [StepHole(0, 0, 4)])
    with pytest.raises(ValueError, match="version 2"):
        EventTokenizer().edit_row(ids, [StepHole(0, 0, 4)])


@by_config
@by_seed(40)
def test_edits_give_the_piece_back(config, rng):
    config = configuration(rng, config)
    ids, holes, end_step, row = random_edit(rng, config)
    tokenizer = EventTokenizer(config)
    assert tokenizer.edit_row(ids, holes, end_step).tolist() == row
    state = Grammar(config).start()
    for token_id in row:
        state.advance(token_id)
    assert state.is_finished
    midi, report = reference.decode(row, config)
    assert not any(report.values())
    native_midi, native_report = tokenizer.decode_with_report(row)
    assert native_midi == midi and not any(native_report)
    if end_step is None:
        assert midi == shortened(reference.decode(ids, config)[0], holes, config)
    # The same edit again: nothing more is cut.
    whole = TokenizerConfig.from_dict(config.to_dict() | {"max_gap_steps": 1 << 20})
    assert edit_row(reference.encode(midi, whole)[0], holes, config) == row or end_step is not None


@by_config
@by_seed(30)
def test_parts_of_edits_decode_alike(config, rng):
    config = configuration(rng, config)
    *_, row = random_edit(rng, config)
    noise = [rng.randrange(len(vocabulary_of(config))) for _ in range(60)]
    tail = ids_of([("edit", 0), ("hole", 2), ("fill", 0), ("hole", 0), ("hole", 1), ("hole", 3)], config)
    mixed = [token for token in row if rng.random() < 0.9] + rng.choices(tail + noise, k=40)
    for ids in (row, row[: rng.randrange(len(row))], mixed, rng.choices(tail + noise[:20], k=80)):
        for only_fill in (False, True):
            ours, report = EventTokenizer(config).decode_with_report(ids, only_fill=only_fill)
            theirs, counts = reference.decode(ids, config, only_fill=only_fill)
            assert ours == theirs and report._asdict() == counts


def prompt_of(row, config):
    """Up to the first `fill`, which it ends with."""
    return row[: row.index(vocabulary_of(config).token_id("fill")) + 1]


def assert_same_state(compiled, plain, rng):
    assert compiled.now == plain.now and compiled.tokens_to_close == plain.tokens_to_close
    for remaining in (None, plain.tokens_to_close + rng.randrange(-1, 9)):
        np.testing.assert_array_equal(compiled.allowed(remaining), plain.allowed(remaining))


@needs_native
@by_config
@by_seed(5)
def test_grammars_allow_the_same_in_edits(config, rng):
    config = configuration(rng, config)
    *_, row = random_edit(rng, config)
    header = ("tempo_index", "tempo_min_index", "tempo_max_index", "time_signature_index")
    given = dict.fromkeys((*header, "max_plan_half_bars", "plan_sections", "plan_chords"))  # the prompt has its own
    constraints = dataclasses.replace(random_constraints(rng, config), **given)
    compiled, plain = Grammar(config, constraints).start(), reference_grammar.GrammarState(config, constraints)
    prompt = prompt_of(row, config)
    walk = plain.copy()
    for token_id in prompt:
        walk.advance(token_id)
    events = plain.vocabulary.events
    looked_at = set(rng.sample(range(len(prompt)), 3))  # a look costs the plain grammar much in a context
    for position, token_id in enumerate([*prompt, *random_walk(walk, rng, 25)]):
        if position >= len(prompt) or position in looked_at:
            assert_same_state(compiled, plain, rng)
            refused = [other for other, event in enumerate(events) if plain.refusal(event) is not None]
            for state in (compiled, plain):
                with pytest.raises(ValueError):
                    state.advance(rng.choice(refused))
        for state in (compiled, plain):
            state.advance(token_id)
    assert compiled.is_finished and plain.is_finished


@by_seed(25)
def test_a_fill_keeps_to_its_bars_and_programs(rng):
    """Random walks, read back: every note of the fill starts in a hole and ends with its interval."""
    config = configuration(rng, rng.choice([CONFIG, SMALL, None]))
    _, holes, _, row = random_edit(rng, config)
    state = Grammar(config, Constraints(max_rest_steps=rng.choice([None, 5]))).start()
    prompt = prompt_of(row, config)
    for token_id in prompt:
        state.advance(token_id)
    num_tokens = rng.choice([state.tokens_to_close, 20, 200])
    ids = list(prompt)
    while not state.is_finished:
        allowed = np.flatnonzero(state.allowed(num_tokens - (len(ids) - len(prompt))))
        ids.append(int(rng.choice(allowed)))
        state.advance(ids[-1])
    assert len(ids) - len(prompt) <= max(num_tokens, reference_budget(prompt, config))
    fill, report = reference.decode(ids, config, only_fill=True)
    assert not any(report.values())
    assert fill == shortened(fill, holes, config)
    for note in fill.notes:
        program, step = DRUMS if note.is_drum else note.program, note.start_ticks // 20
        assert any(h.program in (ALL, program) and h.start <= step < h.end for h in holes)


def reference_budget(prompt, config):
    state = reference_grammar.GrammarState(config)
    for token_id in prompt:
        state.advance(token_id)
    return state.tokens_to_close


def state_after(events, **constraints):
    state = reference_grammar.GrammarState(CONFIG, Constraints(**constraints))
    for token_id in ids_of(events):
        state.advance(token_id)
    return state


def kinds_after(events, **constraints):
    state = state_after(events, **constraints)
    return {VOCABULARY.events[token_id].kind for token_id in np.flatnonzero(state.allowed())}


CONTEXT = [*HEADER, ("edit", 0), ("hole", 2), ("time_shift", 96), ("hole", 3)]


def test_an_edit_is_never_offered_but_taken():
    assert "edit" not in kinds_after(HEADER)
    assert state_after([*HEADER, ("edit", 0)]).edit == "context"
    with pytest.raises(ValueError, match="behind the header"):
        state_after([*HEADER, ("program", 0), ("edit", 0)])
    for kind in ("hole", "fill"):
        with pytest.raises(ValueError, match=f"{kind} stands in"):
            state_after([*HEADER, (kind, 0)] if kind == "fill" else [*HEADER, ("program", 0), (kind, 0)])


def test_a_context_is_not_constrained():
    loud = [("program", 0), ("velocity", 3), ("note_on", 100), ("note_on", 101), ("time_shift", 96)]
    closing = [("note_off", 100), ("note_off", 101)]
    holes = [("program", 5), ("hole", 0), ("time_shift", 24), ("hole", 1), ("fill", 0)]
    given = {"programs": (5,), "max_pitch": (60,) * 129, "max_polyphony": 1, "max_note_steps": 12, "max_steps": 3}
    state = state_after([*HEADER, ("edit", 0), *loud, *closing, *holes], **given)
    assert state.now == 96 and not state.allowed()[VOCABULARY.token_id("program", 0)]
    state.advance(VOCABULARY.token_id("program", 5))
    state.advance(VOCABULARY.token_id("velocity", 1))
    assert not state.allowed()[VOCABULARY.token_id("note_on", 61)]
    state.advance(VOCABULARY.token_id("note_on", 60))
    shifts = [
        value
        for (kind, value), ok in zip(VOCABULARY.events, state.allowed(), strict=True)
        if ok and kind == "time_shift"
    ]
    assert shifts == list(range(1, 13))  # the longest note; the interval would allow 24


def test_a_context_ends_with_fill():
    assert "eos" not in kinds_after(CONTEXT) and "fill" in kinds_after(CONTEXT)
    assert "fill" not in kinds_after([*HEADER, ("edit", 0)])
    assert "fill" not in kinds_after(CONTEXT[:-1])
    fill = [*CONTEXT, ("fill", 0)]
    assert kinds_after(fill) == {"program", "time_shift", "eos"}
    assert state_after(fill).tokens_to_close == 1
    assert not state_after([*fill, ("eos", 0)]).allowed().any()


def test_all_parts_are_filled():
    two = [*CONTEXT, ("time_shift", 96), ("program", 3), ("hole", 0), ("time_shift", 96), ("hole", 1), ("fill", 0)]
    assert "eos" not in kinds_after(two) and state_after(two).tokens_to_close == 2
    second = [*two, ("fill", 0)]
    assert state_after(second).now == 192 and "eos" in kinds_after(second)
    programs = [p for p in range(129) if state_after(second).allowed()[VOCABULARY.token_id("program", p)]]
    assert programs == [3]


def test_required_programs_play_in_each_part_that_has_them():
    two = [*CONTEXT, ("time_shift", 96), ("program", 3), ("hole", 0), ("time_shift", 96), ("hole", 1), ("fill", 0)]
    assert "fill" not in kinds_after(two, required_programs=(3,))
    note = [("program", 3), ("velocity", 3), ("note_on", 50), ("time_shift", 5), ("note_off", 50)]
    assert "fill" in kinds_after([*two, *note], required_programs=(3,))
    assert "eos" not in kinds_after([*two, *note, ("fill", 0)], required_programs=(3,))
    assert "eos" in kinds_after([*two, *note, ("fill", 0)], required_programs=(0,), programs=(0, 3))


def features_after(events, num_bars=0):
    layout = FeatureLayout(CONFIG)
    state = FeatureState(layout, num_bars)
    for token_id in ids_of(events):
        state.advance(token_id)
    found = {name: {} for name in layout.features}
    for column, number in state.entries():
        name = layout.feature(column)
        found[name][column - layout.first[name]] = number
    return found


def test_features_in_a_fill_are_those_of_its_place():
    """A waltz of four bars: the third is missing from the bass, while the piano holds a note over it."""
    header = [("bos", 0), ("time_signature", 12), ("tempo", 36), ("edit", 0)]  # 3/4: bars of 72 steps
    context = [("program", 0), ("velocity", 9), ("note_on", 60), ("time_shift", 72), ("program", 33), ("velocity", 8),
               ("note_on", 40), ("time_shift", 71), ("note_off", 40), ("time_shift", 1), ("hole", 0),
               ("time_shift", 72), ("hole", 1), ("time_shift", 72), ("program", 0), ("note_off", 60)]  # fmt: skip
    found = features_after([*header, *context, ("fill", 0)], num_bars=17)
    assert found["bar"] == {2: 1} and found["beat_in_bar"] == {0: 1} and found["metre"] == {12: 1}
    assert found["bars_left"] == {2: 1}  # one to the end of the part
    assert found["program"] == {129: 1} and found["velocity"] == {32: 1}
    assert found["num_sounding"] == {0: 1} and not found["program_notes"]  # what the fill itself must end
    assert found["pitches"] == {60: 1}  # what is heard
    assert found["programs_heard"] == {0: 144, 33: 72}
    found = features_after([*header, *context, ("fill", 0), ("program", 33), ("velocity", 8), ("note_on", 45),
                            ("time_shift", 72)])  # fmt: skip
    assert found["bar"] == {3: 1} and found["own_pitches"] == {45: 1} and found["pitches"] == {45: 1, 60: 1}
    assert found["programs_heard"] == {0: 216, 33: 72} and found["bars_left"] == {1: 1}


@needs_native
@by_seed(25)
def test_compiled_and_plain_features_are_equal_in_edits(rng):
    from amt.midi import features

    config = configuration(rng, rng.choice([CONFIG, SMALL, None]))
    layout = FeatureLayout(config)
    rows = []
    for _ in range(3):
        *_, row = random_edit(rng, config)
        tail = ids_of([("edit", 0), ("hole", 2), ("fill", 0), ("hole", 0), ("hole", 3), ("time_signature", 12)], config)
        rows += [row, rng.choices([*row, *tail], k=80)]
    rows = [np.array(row, np.int32) for row in rows]
    num_bars = [rng.randrange(20) for _ in rows]
    compiled = features_of(layout, rows, num_bars)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "native", None)
        plain = features_of(layout, rows, num_bars)
    for field in ("ends", "columns", "numbers", "times"):
        assert np.array_equal(getattr(compiled, field), getattr(plain, field)), field


def test_copies_of_a_state_in_a_context_go_their_own_ways():
    layout = FeatureLayout(CONFIG)
    state = FeatureState(layout)
    for token_id in ids_of([*HEADER, ("edit", 0), ("program", 0), ("velocity", 3), ("note_on", 60)]):
        state.advance(token_id)
    other = state.copy()
    for token_id in ids_of([("time_shift", 24), ("note_off", 60), ("hole", 2), ("time_shift", 5), ("hole", 3)]):
        other.advance(token_id)
    assert len(state.context) == 2 and len(other.context) == 3 and not state.holes.changes


def test_real_files_come_back_from_edits(corpus_files):
    """Files of several producers, with random holes on their bar lines."""
    rng = random.Random(7)
    tokenizer = EventTokenizer(CONFIG)
    for _, data in corpus_files[::4]:
        ids = tokenizer.encode(data).ids.tolist()
        piece = tokenizer.decode(ids)
        programs = sorted({value for kind, value in events_of(ids) if kind == "program"} | {90})
        holes = random_holes(rng, programs[:40], 96)
        row = tokenizer.edit_row(ids, holes)
        state = Grammar(CONFIG).start()
        for token_id in row:
            state.advance(token_id)
        assert state.is_finished
        assert tokenizer.decode(row) == shortened(piece, holes, CONFIG)


def test_time_signatures_stay_in_the_context():
    midi = MidiData([Note(0, 480, 60, 80, 0)], time_signatures=[TimeSignature(0, 4, 4), TimeSignature(1920, 3, 4)])
    ids, _ = reference.encode(midi, CONFIG)
    row = edit_row(ids, [StepHole(ALL, 0, 192)], CONFIG)
    assert events_of(row)[4:] == [
        ("hole", 2), ("time_shift", 96), ("time_signature", 12), ("time_shift", 96), ("hole", 3),
        ("fill", 0), ("program", 0), ("velocity", 20), ("note_on", 60), ("time_shift", 24), ("note_off", 60),
        ("eos", 0),
    ]  # fmt: skip
