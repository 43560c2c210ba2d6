import pytest
from hypothesis import given
from hypothesis import strategies as st

from amt.midi.canonical import home_of, semitones_to, sure_key, to_canonical, transposed
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note
from amt.midi.theory import SCALES, Key, parse_key


def scale(key: Key, octave: int = 5) -> MidiData:
    steps = [0, *SCALES[key.mode], 12, 0]
    notes = [Note(480 * i, 480 * (i + 1), 12 * octave + key.tonic + step, 80) for i, step in enumerate(steps)]
    drums = [Note(0, 100, 36, 90, is_drum=True)]
    return MidiData(notes + drums, key_signatures=[KeySignature(0, key.signature, key.is_minor)])


@pytest.mark.parametrize(
    ("name", "home"),
    [("Eb major", "C major"), ("F# minor", "A minor"), ("G dorian", "D dorian"), ("C mixolydian", "G mixolydian"),
     ("B lydian", "F lydian"), ("C phrygian dominant", "E phrygian dominant"), ("D blues", "A blues")],
)  # fmt: skip
def test_every_mode_has_its_place_on_the_white_keys(name, home):
    assert home_of(parse_key(name)) == parse_key(home)


def test_the_way_is_the_nearer_one():
    assert [semitones_to(0, tonic) for tonic in range(12)] == [0, -1, -2, -3, -4, -5, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("mode", ["major", "minor", "dorian"])
def test_a_piece_in_a_known_key_goes_home_and_back(tonic, mode):
    key = Key(tonic, mode)
    original = scale(key)
    moved, semitones, home = to_canonical(original, key)
    assert home == home_of(key) and -5 <= semitones <= 6
    assert (key.tonic + semitones) % 12 == home.tonic
    assert moved == scale(home, 5 if home.tonic - tonic == semitones else 5 + (tonic + semitones) // 12)
    assert transposed(moved, -semitones).notes == original.notes


def test_an_unsure_key_does_not_move():
    chromatic = MidiData([Note(480 * i, 480 * i + 480, 60 + i, 80) for i in range(12)])
    assert sure_key(chromatic.notes) is None
    assert to_canonical(chromatic) == (chromatic, 0, None)
    assert to_canonical(MidiData()) == (MidiData(), 0, None)
    drums = MidiData([Note(0, 100, 36, 90, is_drum=True)])
    assert to_canonical(drums).key is None


def test_a_clear_key_is_estimated():
    key = parse_key("E major")
    tonic_chords = [Note(480 * i, 480 * i + 480, pitch, 80) for i in range(4) for pitch in (64, 68, 71, 76)]
    assert to_canonical(MidiData([*scale(key).notes, *tonic_chords])).semitones == -4


def test_extreme_pitches_go_the_other_way_or_stay():
    low = MidiData([Note(0, 480, 2, 80), Note(0, 480, 60, 80)])
    assert to_canonical(low, Key(4, "major")).semitones == 8
    both = MidiData([Note(0, 480, 2, 80), Note(0, 480, 127, 80)])
    assert to_canonical(both, Key(4, "major")) == (both, 0, None)


@given(st.integers(0, 127), st.integers(-60, 60))
def test_a_pitch_beyond_the_range_goes_to_the_nearest_octave(pitch, semitones):
    found = transposed(MidiData([Note(0, 480, pitch, 80)]), semitones).notes[0].pitch
    assert (found - pitch - semitones) % 12 == 0
    wanted = pitch + semitones
    assert found == wanted if 0 <= wanted <= 127 else found < 12 or found > 115
