import pickle

import numpy as np
import pytest

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import KeySignature, Note, PedalSpan, Repair, Tempo, TimeSignature
from amt.midi.native import native

NOTES = [Note(9, 12, 60, 64), Note(0, 5, 38, 90, 3, True), Note(0, 5, 72, 1, 127), Note(0, 4, 72, 2, 127)]
PIECE = MidiData(
    NOTES,
    [PedalSpan(3, 7, 5)],
    [Tempo(4, 250_000), Tempo(0, 500_000), Tempo(4, 1_000_000)],
    [TimeSignature(0, 3, 4)],
    [KeySignature(20, -1, True)],
    ticks_per_beat=10,
    repairs=[Repair(5, "nothing")],
)


def test_note_table_sorts():
    table = NoteTable.from_notes(NOTES)
    assert list(table) == [NOTES[3], NOTES[2], NOTES[1], NOTES[0]]
    assert [values.dtype for values in table.columns] == [np.int32, np.int32, np.uint8, np.uint8, np.uint8, np.bool_]
    assert len(table) == 4
    assert table[-1] == NOTES[0]
    assert list(table[table.is_drum]) == [NOTES[1]]
    assert list(table[1:3]) == [NOTES[2], NOTES[1]]
    assert len(NoteTable.from_notes([])) == 0
    with pytest.raises(IndexError):
        table[4]


def test_columns_of_one_value():
    assert list(NoteTable([3, 0], [4, 1], 60, 64)) == [Note(0, 1, 60, 64), Note(3, 4, 60, 64)]


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (([0], [1], [128], [64]), "pitch must be between 0 and 127, got 128 for note 0"),
        (([0], [1], [60], [0]), "velocity must be between 1 and 127, got 0"),
        (([0], [1], [60], [64], [-1]), "program must be between 0 and 127, got -1"),
        (([-1], [1], [60], [64]), "start_ticks must be between 0"),
        (([0, 5], [1, 4], [60, 60], [64, 64]), "note 1 must not end before it starts, got 5 to 4"),
        (([0], [2**31], [60], [64]), "end_ticks must be between"),
        (([0, 1], [1, 2], [60], [64, 64]), r"pitch must have shape \(2,\), got \(1,\)"),
        (([0.5], [1], [60], [64]), "start_ticks must be integers, got float64"),
    ],
)
def test_wrong_columns(columns, what):
    with pytest.raises(ValueError, match=what):
        NoteTable(*columns)


def test_maps_are_sorted_and_the_last_of_a_tick_stays():
    assert PIECE.tempos == (Tempo(0, 500_000), Tempo(4, 1_000_000))
    assert PIECE.end_ticks == 20
    assert PIECE.tempos[0].bpm == 120


def test_duration():
    assert PIECE.duration_s == (4 * 0.5 + 16 * 1.0) / 10
    assert MidiData(end_ticks=960).duration_s == 1.0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"ticks_per_beat": 0}, "ticks_per_beat must be an integer between 1 and 32767, got 0"),
        ({"ticks_per_beat": 480.0}, "got 480.0"),
        ({"format": 3}, "format must be"),
        ({"end_ticks": -1}, "end_ticks must be"),
        ({"tempos": [Tempo(0, 0)]}, "us_per_beat of a tempo must be"),
        ({"tempos": [Tempo(-1, 1)]}, "tick must be"),
        ({"time_signatures": [TimeSignature(0, 0, 4)]}, "numerator"),
        ({"time_signatures": [TimeSignature(0, 4, 3)]}, "power of two"),
        ({"key_signatures": [KeySignature(0, 8, False)]}, "sharps"),
        ({"pedals": [PedalSpan(5, 4)]}, "end_ticks of a pedal"),
        ({"pedals": [PedalSpan(0, 4, 128)]}, "program of a pedal"),
    ],
)
def test_wrong_arguments(arguments, what):
    with pytest.raises(ValueError, match=what):
        MidiData(**arguments)


def test_equality_is_of_music():
    same = MidiData(reversed(NOTES), PIECE.pedals, PIECE.tempos, PIECE.time_signatures, PIECE.key_signatures,
                    ticks_per_beat=10, format=0)  # fmt: skip
    assert same == PIECE
    assert same != MidiData(NOTES, ticks_per_beat=10)
    assert same != 3


def test_pickle_and_repr():
    again = pickle.loads(pickle.dumps(PIECE))
    assert again == PIECE
    assert again.repairs == PIECE.repairs
    assert repr(PIECE) == "MidiData(4 notes, 1.8 s, 10 ticks per beat, 1 repairs)"


@pytest.mark.skipif(native is None, reason="amt._midi is not built")
def test_native_keeps_everything():
    again = MidiData.from_native(PIECE.native())
    assert again == PIECE
    assert again.repairs == PIECE.repairs
    assert again.native() is PIECE.native()
    assert pickle.loads(pickle.dumps(again)) == PIECE
    assert repr(again) == repr(PIECE)


def test_replace_keeps_everything_else():
    data = MidiData(
        [Note(0, 480, 60, 80)], [PedalSpan(0, 9)], [Tempo(0, 400_000)], [TimeSignature(0, 3, 4)],
        [KeySignature(0, 1, False)], ticks_per_beat=96, end_ticks=5000,
    )  # fmt: skip
    assert data.replace() == data
    changed = data.replace(tempos=[Tempo(0, 300_000)], end_ticks=0)
    assert changed.tempos == (Tempo(0, 300_000),) and changed.end_ticks == 480
    for name in ("notes", "pedals", "time_signatures", "key_signatures", "ticks_per_beat", "format"):
        assert getattr(changed, name) == getattr(data, name)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tempo'"):
        data.replace(tempo=3)
