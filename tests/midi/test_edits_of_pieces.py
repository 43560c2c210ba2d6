"""Edits of whole pieces: bars, holes, and that nothing outside of them is touched."""

import os
import random

import numpy as np
import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.edits import (
    ALL,
    BarHole,
    BarLines,
    Holes,
    edit_ids,
    emptied,
    in_holes,
    merge,
    on_grid,
    to_steps,
    whole_ids,
)
from amt.midi.elements import Note, PedalSpan, TimeSignature
from amt.midi.features import FeatureLayout, num_bars_of
from amt.midi.grammar import Grammar
from amt.midi.reader import read_midi
from amt.midi.reference.random_pieces import random_piece
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import DRUMS

CONFIG = TokenizerConfig(version=2)
TOKENIZER = EventTokenizer(CONFIG)
MUSIC = ("notes", "pedals", "tempos", "time_signatures", "key_signatures", "ticks_per_beat", "plan")
FILL = TOKENIZER.vocabulary.token_id("fill")


def random_holes(rng, midi, num_bars):
    """Some bars of all or some programs, one of which may be new."""
    programs = [*np.unique(np.where(midi.notes.is_drum, DRUMS, midi.notes.program)).tolist(), 90]
    holes = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        first = rng.randrange(num_bars)
        end = min(num_bars, first + rng.choice([1, 2, 4, 8]))
        holes.append(BarHole(rng.choice([ALL, rng.choice(programs)]), first, end))
    return Holes(holes)


def random_fill(rng, row, num_tokens=300):
    """The row with another fill: a random walk through the grammar, with more notes than anything else."""
    ids = row[: int(np.argmax(row == FILL)) + 1].tolist()
    state = Grammar(CONFIG).start()
    for token_id in ids:
        state.advance(token_id)
    events = TOKENIZER.vocabulary.events
    while not state.is_finished:
        allowed = np.flatnonzero(state.allowed(max(num_tokens, 2) - len(ids) + int(np.argmax(row == FILL)) + 1))
        kinds = [events[token_id].kind for token_id in allowed]
        liked = [t for t, kind in zip(allowed, kinds, strict=True) if kind in ("note_on", "note_off")]
        ids.append(int(rng.choice(liked if liked and rng.random() < 0.5 else allowed)))
        state.advance(ids[-1])
    return ids


def assert_same_outside(before, after, holes):
    outside, now = emptied(before, holes, CONFIG), emptied(after, holes, CONFIG)
    for name in MUSIC:
        assert getattr(outside, name) == getattr(now, name), name


def check_edit(rng, midi):
    """A random edit of a piece: its own fill gives the piece back, and a random one touches nothing outside."""
    lines = BarLines.of_midi(midi, CONFIG)
    num_bars = max(1, lines.num_bars(int(to_steps(midi.end_ticks, midi.ticks_per_beat, CONFIG))))
    holes = random_holes(rng, midi, num_bars)
    row = edit_ids(midi, holes, TOKENIZER)
    own = merge(midi, holes, row, TOKENIZER)
    assert_same_outside(midi, own, holes)
    starts = own.notes.start_ticks[in_holes(own, holes, CONFIG)]
    asked = emptied(midi, holes, CONFIG)
    assert len(own.notes) == len(asked.notes) + len(starts)
    other = merge(midi, holes, random_fill(rng, row), TOKENIZER)
    assert_same_outside(midi, other, holes)
    back = read_midi(other.to_bytes(), strict=True)
    assert back.notes == other.notes and back.pedals == other.pedals
    return other


def test_bar_lines():
    signatures = [TimeSignature(0, 3, 4), TimeSignature(1440 + 480, 4, 4), TimeSignature(1440 + 480 + 3840, 4, 4)]
    midi = MidiData([Note(0, 9000, 60, 80)], time_signatures=signatures)
    lines = BarLines.of_midi(midi, CONFIG)
    assert [lines.step(bar) for bar in range(5)] == [0, 72, 96, 192, 288]  # the second lasts one beat
    assert lines.bar(np.array([0, 71, 72, 95, 96, 191, 192, 10_000_000])).tolist() == [0, 0, 1, 1, 2, 2, 3, 104167]
    assert [lines.num_bars(step) for step in (0, 1, 72, 73)] == [0, 1, 1, 2]
    ids = TOKENIZER.encode(midi).ids
    same = BarLines.of_ids(ids, CONFIG)
    assert [same.step(bar) for bar in range(9)] == [lines.step(bar) for bar in range(9)]


@pytest.mark.parametrize("seed", range(40))
def test_bars_of_pieces_are_those_of_the_features(seed):
    midi = random_piece(random.Random(seed))
    ids = whole_ids(midi, TOKENIZER)
    lines, last = BarLines.of_midi(midi, CONFIG), int(to_steps(midi.end_ticks, midi.ticks_per_beat, CONFIG))
    of_ids = BarLines.of_ids(ids, CONFIG)
    assert [lines.step(bar) for bar in range(40)] == [of_ids.step(bar) for bar in range(40)]
    end = TOKENIZER.decode(ids).end_ticks // 20
    assert num_bars_of(FeatureLayout(CONFIG, ()), ids) >= of_ids.num_bars(min(end, last)) - 1


def test_holes_have_a_normal_form():
    holes = Holes([BarHole(5, 0, 3), BarHole(5, 2, 6), BarHole(ALL, 4, 5), BarHole(ALL, 5, 7), BarHole(2, 4, 5)])
    assert holes.spans == (BarHole(ALL, 4, 7), BarHole(5, 0, 4))
    assert holes.intervals == [(0, 7)] and holes == Holes(holes.spans) and hash(holes) == hash(Holes(holes.spans))
    assert holes.within(3, 5).spans == (BarHole(ALL, 1, 2), BarHole(5, 0, 1)) and holes.within(7, 9) is None
    assert holes.contain(np.array([5, 5, 2, 2]), np.array([0, 7, 3, 4])).tolist() == [True, False, False, True]
    for wrong in ([], [BarHole(0, 2, 2)], [BarHole(0, -1, 2)], [BarHole(129, 0, 1)]):
        with pytest.raises(ValueError, match="hole"):
            Holes(wrong)


def test_an_early_note_belongs_to_the_bar_of_its_step():
    """It starts a tick before the bar line, which is the same step."""
    midi = MidiData([Note(0, 480, 60, 80), Note(1919, 2400, 62, 80), Note(1900, 2400, 64, 80)])
    assert [n.pitch for n in emptied(midi, Holes([BarHole(0, 1, 2)]), CONFIG).notes] == [60, 64]


def test_what_sounds_into_a_hole_stays_and_is_not_doubled():
    midi = MidiData([Note(0, 2881, 60, 80), Note(0, 1921, 62, 80), Note(3840, 4000, 64, 80)])
    holes = Holes([BarHole(0, 1, 2)])
    ids = [int(t) for t in edit_ids(midi, holes, TOKENIZER)]
    fill = [("program", 0), ("velocity", 20), ("note_on", 60), ("note_on", 62), ("note_on", 64), ("time_shift", 96),
            ("note_off", 60), ("note_off", 62), ("note_off", 64)]  # fmt: skip
    ids[-1:] = [*(TOKENIZER.vocabulary.token_id(*event) for event in fill), 2]
    found = [(n.pitch, n.start_ticks, n.end_ticks) for n in merge(midi, holes, ids, TOKENIZER).notes]
    assert found == [(60, 0, 2881), (62, 0, 1921), (64, 1920, 3840), (62, 1921, 3840), (64, 3840, 4000)]


def test_pedals_of_a_fill_lie_between_those_of_the_piece():
    notes = [Note(0, 480, 60, 80), Note(1920, 2000, 60, 80)]
    midi = MidiData(notes, [PedalSpan(0, 2400, 0), PedalSpan(2500, 2600, 9, True), PedalSpan(2000, 2100, 0, True)])
    holes = Holes([BarHole(ALL, 1, 2)])
    ids = [int(t) for t in edit_ids(midi, holes, TOKENIZER)][:-1]
    ids = ids[: ids.index(FILL) + 1]
    fill = [("program", 0), ("pedal_on", 0), ("time_shift", 48), ("pedal_off", 0)]
    ids += [*(TOKENIZER.vocabulary.token_id(*event) for event in fill), 2]
    pedals = merge(midi, holes, ids, TOKENIZER).pedals
    assert PedalSpan(2400, 2880, 0) in pedals and set(midi.pedals) <= {*pedals}


def test_grids_are_those_of_the_tokens():
    for seed in range(20):
        midi = random_piece(random.Random(seed))
        grid = on_grid(midi, CONFIG)
        assert TOKENIZER.encode(grid).ids.tolist() == TOKENIZER.encode(midi).ids.tolist()
    with pytest.raises(ValueError, match="too long"):
        on_grid(MidiData([Note(0, 2**31 - 1, 60, 80)], ticks_per_beat=1), CONFIG)


def test_a_rest_that_no_edit_can_say():
    midi = MidiData([Note(0, 4, 60, 80), Note(10**7, 10**7 + 5, 60, 80)], ticks_per_beat=4)
    with pytest.raises(ValueError, match="rest of more than"):
        edit_ids(midi, Holes([BarHole(0, 0, 1)]), TOKENIZER)


def test_random_pieces():
    for seed in range(60):
        rng = random.Random(seed)
        midi = random_piece(rng)
        if len(midi.notes) and midi.end_ticks < 10_000 * midi.ticks_per_beat:
            check_edit(rng, midi)


def test_real_files(corpus_files):
    """A few files, or with AMT_MANY_EDITS=500 so many edits."""
    num_edits = int(os.environ.get("AMT_MANY_EDITS", "12"))
    rng = random.Random(11)
    for index in range(num_edits):
        name, data = corpus_files[(index * 17) % len(corpus_files)]
        midi = read_midi(data)
        assert len(check_edit(rng, midi).notes), name
