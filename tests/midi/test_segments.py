import tracemalloc

import numpy as np
import pytest

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Note, PedalSpan, Tempo, TimeSignature
from amt.midi.segments import bars_at, cut, last_bars, segments
from amt.midi.tokenizer import EventTokenizer

TOKENIZER = EventTokenizer()
BAR = 1440  # of 3/4 at 480 ticks a beat


def waltz(num_bars, notes_per_bar=3):
    """Bars of equally many notes, each of another pitch, one after the other."""
    step = BAR // notes_per_bar
    notes = [
        Note(bar * BAR + note * step, bar * BAR + (note + 1) * step, 40 + (bar * notes_per_bar + note) % 50, 80)
        for bar in range(num_bars)
        for note in range(notes_per_bar)
    ]
    return MidiData(notes, time_signatures=[TimeSignature(0, 3, 4)], tempos=[Tempo(0, 600_000)])


def pitches(ids):
    return TOKENIZER.decode(ids).notes.pitch.tolist()


def test_bar_lines_follow_the_time_signatures():
    signatures = [TimeSignature(1920, 3, 4), TimeSignature(1920 + 2 * BAR, 6, 8)]
    data = MidiData([Note(0, 9000, 60, 80)], time_signatures=signatures)
    ticks = np.array([0, 1919, 1920, 3359, 3360, 4800, 6239, 6240])
    assert bars_at(data, ticks).tolist() == [0, 0, 1920, 1920, 3360, 4800, 4800, 6240]


def test_cut_moves_what_lies_inside_to_the_beginning():
    data = MidiData(
        [Note(0, 700, 60, 80), Note(480, 960, 62, 80, 40), Note(900, 1500, 36, 90, 0, True), Note(960, 1000, 64, 80)],
        pedals=[PedalSpan(100, 500, 3), PedalSpan(500, 2000, 4), PedalSpan(960, 970, 5)],
        tempos=[Tempo(0, 600_000), Tempo(400, 500_000), Tempo(700, 400_000), Tempo(960, 300_000)],
        time_signatures=[TimeSignature(0, 3, 4)],
    )
    part = cut(data, 480, 960)
    assert list(part.notes) == [Note(0, 480, 62, 80, 40), Note(420, 480, 36, 90, 0, True)]
    assert part.pedals == (PedalSpan(0, 20, 3), PedalSpan(20, 480, 4))
    assert part.tempos == (Tempo(0, 500_000), Tempo(220, 400_000))
    assert part.time_signatures == (TimeSignature(0, 3, 4),)


def test_a_short_piece_is_one_segment():
    data = waltz(2)
    (segment,) = segments(data, TOKENIZER, 1000)
    assert segment.is_start and segment.ids.tolist() == TOKENIZER.encode(data).ids.tolist()


@pytest.mark.parametrize("max_len", [31, 64, 97])
def test_a_long_piece_is_cut_at_bar_lines_and_loses_nothing(max_len):
    data = waltz(40)
    parts = segments(data, TOKENIZER, max_len)
    assert [part.is_start for part in parts] == [True] + [False] * (len(parts) - 1)
    assert all(len(part.ids) <= max_len for part in parts)
    assert [int(part.ids[-1]) == 2 for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [pitch for part in parts for pitch in pitches(part.ids)] == data.notes.pitch.tolist()
    assert all(len(pitches(part.ids)) % 3 == 0 for part in parts)


def test_a_bar_longer_than_a_segment_is_cut_inside_and_not_repeated():
    data = waltz(1, notes_per_bar=36)
    parts = segments(data, TOKENIZER, 50)
    assert len(parts) > 2
    assert [pitch for part in parts for pitch in pitches(part.ids)] == data.notes.pitch.tolist()


def test_tempo_changes_behind_the_last_note_are_left_out():
    data = waltz(7)
    tail = [Tempo(BAR * bar, 500_000 + bar % 2 * 100_000) for bar in range(7, 2000)]
    (segment,) = segments(data.replace(tempos=[*data.tempos, *tail]), TOKENIZER, 200)
    assert segment.ids.tolist() == segments(data, TOKENIZER, 200)[0].ids.tolist()


@pytest.mark.parametrize("dense", [slice(0, 10), slice(20, 30), slice(0, 40, 4)], ids=["first", "middle", "scattered"])
def test_tokens_that_are_not_spread_evenly_over_the_notes_leave_segments_full_and_whole(dense):
    data = waltz(40)
    ticks = [BAR * bar + 60 * place for bar in range(40)[dense] for place in range(24)]
    tempos = [Tempo(tick, 400_000 + number % 2 * 200_000) for number, tick in enumerate(ticks)]
    parts = segments(data.replace(tempos=tempos), TOKENIZER, 151)
    assert [pitch for part in parts for pitch in pitches(part.ids)] == data.notes.pitch.tolist()
    whole = len(TOKENIZER.encode(data.replace(tempos=tempos)))
    assert len(parts) <= 2 * whole / 151 + 2
    assert int(parts[-1].ids[-1]) == 2


@pytest.mark.parametrize(
    ("preset", "notes"),
    {
        "nothing": ("score", []),
        "drums that the preset drops": ("performance", [Note(0, 100, 36, 80, is_drum=True)]),
    }.values(),
    ids=lambda value: "",
)
def test_music_without_a_note_has_no_segments(preset, notes):
    data = MidiData(notes, tempos=[Tempo(480 * number, 400_000 + number) for number in range(99)])
    for max_len in (5, 1000):
        assert segments(data, EventTokenizer(preset), max_len) == []


def test_the_last_bars_are_as_many_as_fit():
    data = waltz(40)
    for max_len in (31, 64, 97):
        end = last_bars(data, TOKENIZER, max_len)
        num_bars = len(end.notes) // 3
        assert end == cut(data, (40 - num_bars) * BAR, 40 * BAR + 1)
        assert len(TOKENIZER.encode(end)) <= max_len
        longer = cut(data, (39 - num_bars) * BAR, 40 * BAR + 1)
        assert len(TOKENIZER.encode(longer)) > max_len


def test_the_last_bars_are_at_least_one():
    data = waltz(3, notes_per_bar=12)
    assert last_bars(data, TOKENIZER, 10) == cut(data, 2 * BAR, 3 * BAR + 1)


def test_a_long_rest_costs_no_memory():
    starts = np.arange(300) * 2
    starts[150:] += 80_000_000  # beats
    data = MidiData(NoteTable(starts, starts + 1, np.full(300, 60), np.full(300, 80)), ticks_per_beat=1)
    tracemalloc.start()
    parts, end = segments(data, TOKENIZER, 257), last_bars(data, TOKENIZER, 257)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(parts) > 1 and 0 < len(end.notes) < 300
    assert peak < 1 << 20


def test_only_the_first_segments():
    every = segments(waltz(60), TOKENIZER, 64)
    assert len(every) > 5
    for number in (1, 3, 100):
        for found, expected in zip(segments(waltz(60), TOKENIZER, 64, number), every[:number], strict=True):
            assert found.is_start == expected.is_start and found.ids.tolist() == expected.ids.tolist()
