import pytest

from amt.arranger.metre import metre


@pytest.mark.parametrize(
    ("name", "bar", "beats", "halves"),
    [
        ("4/4", 96, (0, 24, 48, 72), (48,)),
        ("3/4", 72, (0, 24, 48), ()),
        ("2/4", 48, (0, 24), ()),
        ("6/8", 72, (0, 36), (36,)),
        ("9/8", 108, (0, 36, 72), (36, 72)),
        ("12/8", 144, (0, 36, 72, 108), (72,)),
        ("7/8", 84, (0, 24, 48), (48,)),
        ("5/4", 120, (0, 24, 48, 72, 96), (72,)),
    ],
)
def test_beats(name, bar, beats, halves):
    made = metre(name)
    assert (made.bar, made.beats, made.halves, made.name) == (bar, beats, halves, name)


def test_strength():
    made = metre("4/4")
    assert [made.strength(step) for step in (0, 12, 24, 48, 72, 96)] == [3, 0, 1, 2, 1, 3]


def test_places_of_chords():
    assert metre("4/4").chord_places(1) == (0,)
    assert metre("4/4").chord_places(2) == (0, 48)
    assert metre("3/4").chord_places(2) == (0, 48)
    assert metre("4/4").chord_places(4) == (0, 24, 48, 72)
    with pytest.raises(ValueError, match="a bar of 6/8 has room for 2 chords, got 3"):
        metre("6/8").chord_places(3)


@pytest.mark.parametrize("text", ["4", "1/4", "4/3", "17/8", "4/4x", ""])
def test_no_metre(text):
    with pytest.raises(ValueError, match="a time signature is like"):
        metre(text)
