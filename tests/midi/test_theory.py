"""Names of pitch classes, scales and keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amt.midi.theory import (
    MODE_NAMES,
    PITCH_CLASS_NAMES,
    SCALES,
    Key,
    name_in_fifths,
    parse_key,
    parse_mode,
    parse_pitch_class,
)


@pytest.mark.parametrize(
    ("name", "pitch_class"),
    [
        ("C", 0),
        ("b", 11),
        ("Bb", 10),
        ("B-flat", 10),
        ("b flat", 10),
        ("F#", 6),
        ("F sharp", 6),
        ("E♭", 3),
        ("Cb", 11),
        ("B#", 0),
        ("es", 3),
        ("As", 8),
        ("cis", 1),
        ("sol", 7),
        ("Si bemol", 10),
        ("fa dièse", 6),
        ("re♯", 3),
        ("H", None),
        ("", None),
        ("x", None),
        ("Cbb", None),
    ],
)
def test_pitch_classes(name, pitch_class):
    assert parse_pitch_class(name) == pitch_class


def test_the_german_b_and_h():
    assert parse_pitch_class("B", german=True) == 10 and parse_pitch_class("h", german=True) == 11
    assert parse_pitch_class("es", german=True) == 3 and parse_pitch_class("G", german=True) == 7


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("D minor", Key(2, "minor")),
        ("F#m", Key(6, "minor")),
        ("Bb", Key(10, "major")),
        ("DM", Key(2, "major")),
        ("Dm ", Key(2, "minor")),
        ("e-flat MINOR", Key(3, "minor")),
        ("C dorian", Key(0, "dorian")),
        ("G Mixolydian", Key(7, "mixolydian")),
        ("A harmonic minor", Key(9, "harmonic minor")),
        ("E Spanish", Key(4, "phrygian dominant")),
        ("C pentatonic", Key(0, "major pentatonic")),
        ("d-Moll", Key(2, "minor")),
        ("B-Dur", Key(10, "major")),
        ("h-Moll", Key(11, "minor")),
        ("As-Dur", Key(8, "major")),
        ("la menor", Key(9, "minor")),
        ("si bemol mayor", Key(10, "major")),
        ("do dièse mineur", Key(1, "minor")),
        ("fa maggiore", Key(5, "major")),
        ("H minor", None),
        ("dorian", None),
        ("a minor point", None),
        ("m", None),
        ("", None),
        ("C" * 1000, None),
    ],
    ids=ascii,
)
def test_keys(text, key):
    assert parse_key(text) == key


def test_every_name_of_a_key_is_read_back():
    for mode in SCALES:
        for tonic in range(12):
            key = Key(tonic, mode)
            assert parse_key(key.name) == key and abs(key.signature) <= 6


def test_tonics_are_spelled_as_they_mostly_are():
    majors = [Key(tonic, "major").spell(tonic) for tonic in range(12)]
    minors = [Key(tonic, "minor").spell(tonic) for tonic in range(12)]
    assert majors == ["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    assert minors == ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B"]


def test_notes_are_spelled_by_the_key():
    assert [Key(2, "minor").spell(number) for number in (1, 10, 6)] == ["C#", "Bb", "F#"]
    assert [Key(8, "major").spell(number) for number in Key(8, "major").pitch_classes] == [
        *("C", "Db", "Eb", "F", "G", "Ab", "Bb"),
    ]
    for mode in SCALES:
        for tonic in range(12):
            assert [parse_pitch_class(Key(tonic, mode).spell(number)) for number in range(12)] == list(range(12))
    assert [parse_pitch_class(name) for name in PITCH_CLASS_NAMES] == list(range(12))


def test_signatures():
    assert [Key(tonic, "major").signature for tonic in range(12)] == [0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5]
    assert Key(9, "minor").signature == Key(2, "dorian").signature == Key(7, "mixolydian").signature == 0
    assert [name_in_fifths(sharps) for sharps in (-7, -2, -1, 0, 5, 6, 7)] == ["Cb", "Bb", "F", "C", "B", "F#", "C#"]


def test_scales():
    assert Key(0, "major").pitch_classes == Key(2, "dorian").pitch_classes == Key(9, "natural minor").pitch_classes
    for mode in ("natural minor", "harmonic minor", "melodic minor", "dorian"):
        assert set(SCALES[mode]) <= set(SCALES["minor"])
    assert Key(2, "minor").is_minor and Key(0, "blues").is_minor
    assert not Key(0, "major").is_minor and not Key(0, "chromatic").is_minor
    for steps in SCALES.values():
        assert steps[0] == 0 and sorted(set(steps)) == list(steps) and steps[-1] < 12
    assert all(parse_mode(name) == MODE_NAMES[name] for name in MODE_NAMES)


@pytest.mark.parametrize(("tonic", "mode"), [(12, "major"), (-1, "major"), (0, "happy")])
def test_what_is_no_key_is_refused(tonic, mode):
    with pytest.raises(ValueError, match="a key is a tonic"):
        Key(tonic, mode)


@given(st.text())
def test_any_text_is_read(text):
    parse_key(text)
    parse_pitch_class(text)
