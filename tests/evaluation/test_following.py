"""What a caption asks for, and whether notes do it, on cases worked out by hand."""

import pytest

from amt.evaluation.following import Asked, agreement, asked_of, keys_in, relative_key
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.midi.facts import measure
from amt.testing import assert_same_numbers

ROW = {"quarter_bpm": 90.0, "key": "Ab major", "meter": "3/4", "programs": [0, 40], "drums": False}


def piece(bpm=90, key=8, metre=(3, 4), programs=(0, 40)):
    scale = (0, 2, 4, 5, 7, 9, 11, 12)
    notes = [
        Note(480 * i, 480 * i + (480 if step in (0, 7, 12) else 120), 48 + key + step, 80, program)
        for program in programs
        for i, step in enumerate(scale)
    ]
    return measure(
        MidiData(
            ticks_per_beat=480,
            notes=NoteTable.from_notes(notes),
            tempos=[Tempo(0, round(60e6 / bpm))],
            time_signatures=[TimeSignature(0, *metre)],
        )
    )


def test_only_what_the_caption_says_is_asked():
    full = asked_of(ROW, "a waltz in A-flat major, 3/4, 90 BPM")
    assert full == Asked(90.0, (8, False), "3/4", frozenset({0, 40}))
    assert asked_of(ROW, "a waltz") == Asked(programs=frozenset({0, 40}))
    assert asked_of(ROW, "in A major, 13/4, 3/40").key is None
    assert asked_of(ROW, "in A major, 13/4, 3/40").time_signature is None
    assert asked_of({"drums": True, "programs": [33]}, "").programs == frozenset({33, 128})
    assert asked_of({"drums": True, "programs": []}, "").programs == frozenset({128})
    assert asked_of({}, "in C major at 90 BPM, 3/4") == Asked()


def test_columns_of_midicaps():
    row = {"tempo": 120, "key": "F# minor", "time_signature": "4/4", "instrument_numbers_sorted": [25, 128]}
    asked = asked_of(row, "A song in F# minor with a 4/4 time signature, at 120 bpm")
    assert asked == Asked(120.0, (6, True), "4/4", frozenset({25, 128}))


@pytest.mark.parametrize("row", [{"key": 3, "tempo": "fast", "meter": 4, "programs": "piano"}, {"programs": []}])
def test_columns_of_the_wrong_type_ask_for_nothing(row):
    assert asked_of(row, "C major 4 BPM") == Asked()


def test_keys_in_captions():
    assert keys_in("A-flat major, then F# minor and B major; a minor point") == [(8, False), (6, True), (11, False)]


def test_relative_keys():
    assert relative_key((0, False)) == (9, True) and relative_key((9, True)) == (0, False)
    for tonic in range(12):
        for is_minor in (False, True):
            assert relative_key(relative_key((tonic, is_minor))) == (tonic, is_minor)


def test_everything_right():
    asked = Asked(90.0, (8, False), "3/4", frozenset({0, 40}))
    assert set(agreement(asked, piece()).values()) == {1.0}


def test_what_is_not_asked_does_not_count():
    assert agreement(Asked(), piece()) == {}


@pytest.mark.parametrize(
    ("asked", "played", "bins"),
    [(90, 109, (1, 1, 0)), (90, 89, (0, 1, 1)), (90, 60, (0, 0, 0)), (39, 41, (0, 1, 1)), (250, 211, (1, 1, 0))],
)
def test_tempo(asked, played, bins):
    found = agreement(Asked(tempo_bpm=asked), piece(bpm=played))
    assert tuple(found[name] for name in ("tempo_bin", "tempo_bin_tolerant", "tempo_within_10_percent")) == bins


def test_keys():
    found = agreement(Asked(key=(5, True)), piece(key=8))  # F minor for A-flat major
    assert found == {"key": 0.0, "key_or_relative": 1.0}
    assert agreement(Asked(key=(0, False)), piece(key=8)) == {"key": 0.0, "key_or_relative": 0.0}


def test_instruments():
    found = agreement(Asked(programs=frozenset({0, 73, 128})), piece(programs=(0, 40)))
    assert found["instrument_precision"] == 0.5
    assert_same_numbers([found["instrument_recall"], found["instrument_f1"]], [1 / 3, 0.4])
    silent = agreement(Asked(programs=frozenset({0})), piece(programs=()))
    assert set(silent.values()) == {0.0}
