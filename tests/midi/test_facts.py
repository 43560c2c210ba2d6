import pytest

from amt.midi.data import Note, NoteTable
from amt.midi.facts import estimate_key, key_name

MAJOR, HARMONIC_MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11)


def scale(tonic, steps, first=60):
    """The scale up, with long tonic and fifth."""
    return [
        Note(tick, tick + (30 if step in (0, 7) else 10), first + tonic + step, 80) for tick, step in enumerate(steps)
    ]


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("steps", [MAJOR, HARMONIC_MINOR], ids=["major", "minor"])
def test_a_scale_has_its_key(tonic, steps):
    assert estimate_key(NoteTable.from_notes(scale(tonic, steps))) == (tonic, steps is HARMONIC_MINOR)


def test_drums_have_no_key():
    drums = [Note(0, 10, 36, 80, 0, True), Note(10, 20, 38, 80, 0, True)]
    assert estimate_key(NoteTable.from_notes(drums)) is None
    with_drums = NoteTable.from_notes(scale(2, MAJOR) + drums * 50)
    assert estimate_key(with_drums) == (2, False)


def test_nothing_to_tell():
    assert estimate_key(NoteTable.from_notes([])) is None
    chromatic = [Note(0, 10, pitch, 80) for pitch in range(60, 72)]
    assert estimate_key(NoteTable.from_notes(chromatic)) is None


def test_names():
    assert key_name((2, True)) == "D minor" and key_name((10, False)) == "Bb major"
