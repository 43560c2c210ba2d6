import numpy as np
import pytest

from amt.midi.programs import DRUM_NAMES, DRUMS, FAMILIES, PROGRAMS, SHORT_NAMES, program_name, program_number


def letters(name):
    return "".join(letter for letter in name.lower() if letter.isalnum())


def test_the_tables_are_those_of_general_midi():
    pretty_midi = pytest.importorskip("pretty_midi")
    theirs = [letters(name) for name in pretty_midi.constants.INSTRUMENT_MAP]
    differ = {number for number, name in enumerate(PROGRAMS) if letters(name) != theirs[number]}
    assert differ == {54} and PROGRAMS[54] == "Synth Voice"  # MMA RP-003 renamed "Synth Choir"
    assert list(FAMILIES) == pretty_midi.constants.INSTRUMENT_CLASSES
    hits = {pitch: letters(pretty_midi.note_number_to_drum_name(pitch)) for pitch in range(35, 82)}
    assert {p: name for p, name in DRUM_NAMES.items() if letters(name) != hits[p]} == {36: "Bass Drum", 38: "Snare"}


def test_each_name_leads_to_its_number():
    assert len(set(PROGRAMS)) == 128
    for number, name in enumerate(PROGRAMS):
        assert program_number(name) == program_number(name.upper()) == number
        assert program_name(number) == name


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("violin", 40),
        ("Violins", 40),
        ("piano", 0),
        ("electric-piano", 4),
        ("electric guitar (jazz)", 26),
        ("  string   ensemble ", 48),
        ("tenor sax", 66),
        ("drums", DRUMS),
        (40, 40),
        (np.int32(128), 128),
    ],
)
def test_names_are_read_as_people_write_them(name, number):
    assert program_number(name) == number


def test_drums_have_a_name():
    assert program_name(DRUMS) == program_name(25, is_drum=True) == "Drums"


@pytest.mark.parametrize(
    ("name", "hint"), [("violine", "'violin'"), ("trumpit", "'trumpet'"), ("lead", "'lead 1 square'")]
)
def test_an_unknown_name_gets_a_hint(name, hint):
    with pytest.raises(ValueError, match=f"no instrument '{name}' in General MIDI; did you mean .*{hint}"):
        program_number(name)


@pytest.mark.parametrize("name", ["", "   ", "zzzz", "Ω"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ValueError, match="no instrument"):
        program_number(name)


@pytest.mark.parametrize("number", [-1, 129])
def test_numbers_out_of_range_are_refused(number):
    with pytest.raises(ValueError, match=r"between 0 and 128 \(drums\)"):
        program_number(number)
    with pytest.raises(ValueError, match=r"between 0 and 128 \(drums\)"):
        program_name(number)


def test_short_names_are_written_as_they_are_looked_up():
    for name, number in SHORT_NAMES.items():
        assert program_number(name) == number
