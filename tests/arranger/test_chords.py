import pytest

from amt.arranger.chords import chord_scale, ladder, line_scale, nearest, numeral_chord
from amt.midi.theory import Key


@pytest.mark.parametrize(
    ("numeral", "tonic", "name"),
    [
        ("I", 0, "C"),
        ("ii7", 0, "Dm7"),
        ("bVImaj7", 9, "Fmaj7"),
        ("bVII", 9, "G"),
        ("V7b9", 2, "A7b9"),
        ("iiø7", 9, "Bm7b5"),
        ("#io7", 0, "C#dim7"),
        ("i69", 9, "Am6/9"),
        ("I69", 0, "C6/9"),
        ("V@3", 0, "G/B"),
        ("I@5", 5, "F/C"),
        ("IV@I", 0, "F/C"),
        ("i5", 4, "E5"),
    ],
)
def test_numerals(numeral, tonic, name):
    assert numeral_chord(numeral, tonic).symbol.name == name


@pytest.mark.parametrize("text", ["VIII", "Ifoo", "", "D", "V@9", "I@7"])
def test_no_numeral(text):
    with pytest.raises(ValueError, match=r"like|no such tone"):
        numeral_chord(text, 0)


def test_roles():
    chord = numeral_chord("V7", 0)
    assert (chord.root, chord.third, chord.fifth, chord.seventh, chord.bass) == (7, 11, 2, 5, 7)
    assert numeral_chord("V7@3", 0).bass == 11
    assert numeral_chord("Vsus4", 0).third == 0


def test_the_chord_replaces_its_neighbours_in_the_scale():
    scale = line_scale(Key(9, "minor"))
    assert chord_scale(numeral_chord("V7", 9), scale) == (0, 2, 4, 5, 8, 9, 11)  # G# for G


def test_lines_in_minor_have_seven_notes():
    assert len(line_scale(Key(2, "minor"))) == 7


def test_ladder_and_nearest():
    assert ladder((0, 4, 7), 60, 72) == (60, 64, 67, 72)
    assert [nearest(0, at, 48, 72) for at in (59, 60, 66, 80)] == [60, 60, 60, 72]
