import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.midi.facts import measure
from amt.midi.programs import DRUMS, PROGRAMS
from amt.midi.sentence import sentence, spoken_program

D_MINOR = (62, 64, 65, 67, 69, 70, 73, 74, 69, 62)


def piece(programs, num_notes=60, us_per_beat=625_000):
    """A scale of D minor, a note a beat, played in turns."""
    notes = [
        Note(480 * i, 480 * (i + 1), D_MINOR[i % 10], 80, program % DRUMS, program == DRUMS)
        for i, program in zip(range(num_notes), list(programs) * num_notes, strict=False)
    ]
    return MidiData(notes, tempos=[Tempo(0, us_per_beat)], time_signatures=[TimeSignature(0, 3, 4)])


@pytest.mark.parametrize(
    ("midi", "expected"),
    [
        (piece([40, 0]), "A piece for piano and violin in D minor, 3/4 time, 96 BPM, sparse, about 38 seconds long."),
        (piece([DRUMS]), "A piece for drums, 3/4 time, 96 BPM, sparse, about 38 seconds long."),
        (
            piece([40, 41, 42, 43, 60], 600, 100_000),
            "A piece for violin, viola, cello and 2 more instruments in D minor, 3/4 time, 600 BPM, busy,"
            " about 60 seconds long.",
        ),
        (
            piece([0], 3000, 60_000),
            "A piece for piano in D minor, 3/4 time, 1000 BPM, very busy, about 3 minutes long.",
        ),
        (MidiData(), "An empty piece: it has no notes."),
        (MidiData([Note(0, 0, 60, 80)]), "A piece for piano, 4/4 time, 120 BPM, less than a second long."),
        (
            MidiData([Note(0, 960, 60, 80), Note(0, 960, 64, 80), Note(0, 960, 67, 80), Note(0, 960, 72, 80)]),
            "A piece for piano in C major, 4/4 time, 120 BPM, moderately busy, about 1 second long.",
        ),
    ],
    ids=["two", "drums", "many", "long", "empty", "no length", "one second"],
)
def test_facts_in_a_sentence(midi, expected):
    assert sentence(measure(midi)) == expected


def test_two_programs_that_people_call_the_same_are_one_instrument():
    assert sentence(measure(piece([0, 1, 40]))).startswith("A piece for piano and violin in")


@pytest.mark.parametrize(
    ("program", "expected"),
    [(4, "electric piano"), (24, "acoustic guitar"), (60, "French horn"), (65, "alto sax"), (80, "square lead"),
     (89, "warm pad"), (103, "sci-fi effect"), (118, "synth drum"), (DRUMS, "drums")],
)  # fmt: skip
def test_instruments_as_people_call_them(program, expected):
    assert spoken_program(program) == expected


def test_every_program_has_a_name_without_numbers_and_brackets():
    for program in range(len(PROGRAMS)):
        name = spoken_program(program)
        assert name and not set("()0123456789") & set(name), name
