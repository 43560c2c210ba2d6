import random

import numpy as np
import pytest

import amt
from amt.midi.events import Timeline
from amt.midi.reference.random_pieces import random_piece
from amt.midi.units import ticks_to_seconds
from amt.testing import assert_same_numbers

PRESETS = pytest.mark.parametrize("preset", ["score", "performance"])


def events_of(tokenizer, ids):
    timeline = Timeline(tokenizer.config)
    return [timeline.take(int(token)) for token in ids]


@PRESETS
@pytest.mark.parametrize("seed", range(12))
def test_notes_stand_where_the_decoder_puts_them(preset, seed):
    tokenizer = amt.EventTokenizer(preset)
    ids = tokenizer.encode(amt.read_midi(random_piece(random.Random(seed)).to_bytes())).ids
    data = tokenizer.decode(ids)
    events = events_of(tokenizer, ids)
    assert [tokenizer.vocabulary.token_id(event.kind, event.value) for event in events] == ids.tolist()

    def seconds(ticks):
        return ticks_to_seconds(np.array(ticks), data.tempos, data.ticks_per_beat).tolist()

    notes = list(data.notes)
    starts = [event for event in events if event.kind == "note_on"]
    assert len(starts) == len(notes)
    expected = sorted(
        (time, note.pitch, 128 if note.is_drum else note.program, note.velocity)
        for time, note in zip(seconds([note.start_ticks for note in notes]), notes, strict=True)
    )
    found = sorted((event.time_s, event.value, event.program, event.velocity) for event in starts)
    assert [row[1:] for row in found] == [row[1:] for row in expected]
    assert_same_numbers([row[0] for row in found], [row[0] for row in expected])
    ends = sorted(seconds([note.end_ticks for note in notes if not note.is_drum]))
    assert_same_numbers(sorted(event.time_s for event in events if event.kind == "note_off"), ends)
    beats = sorted(note.start_ticks / data.ticks_per_beat for note in notes)
    assert_same_numbers(sorted(event.beat for event in starts), beats)
    assert [event.is_drum for event in starts].count(True) == sum(note.is_drum for note in notes)


def test_positions_under_a_change_of_tempo():
    tokenizer = amt.EventTokenizer()
    timeline, vocabulary = Timeline(tokenizer.config), tokenizer.vocabulary
    tempo = [vocabulary.token_id("tempo", tokenizer.config.tempos_bpm.index(bpm)) for bpm in (60, 120)]
    shift, drums = vocabulary.token_id("time_shift", 48), vocabulary.token_id("program", 128)
    events = [timeline.take(token) for token in (1, tempo[0], shift, tempo[1], drums, shift)]
    assert [(event.step, event.beat, event.time_s) for event in events] == [
        (0, 0, 0), (0, 0, 0), (48, 2, 2), (48, 2, 2), (48, 2, 2), (96, 4, 3),
    ]  # fmt: skip
    assert events[-1].is_drum and not events[0].is_drum and events[0].velocity == 66


def test_a_token_of_no_vocabulary():
    with pytest.raises(ValueError, match="token id 659 is not in the vocabulary of 659"):
        Timeline(amt.TokenizerConfig()).take(659)
