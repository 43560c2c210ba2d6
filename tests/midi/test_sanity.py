import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note, TimeSignature
from amt.midi.sanity import FEELS, bar_contents, has_feel, sanity, strain, top_run


def tune(beats=32, program=0, length=1.0):
    """A scale up and down, a note a beat, at 120 BPM."""
    pitches = [60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 67, 65, 64, 62]
    return [Note(480 * i, 480 * i + int(480 * length), pitches[i % 14], 80, program) for i in range(beats)]


def drum(place, pitch):
    return Note(int(480 * place), int(480 * place) + 120, pitch, 90, 0, True)


def test_a_tune_is_sane():
    assert sanity(MidiData(tune())) == []


LAYERS = [Note(n.start_ticks, n.end_ticks, n.pitch + 2 * i, 80) for i in range(12) for n in tune(32)]
HELD = [Note(0, 480 * 20, 40 + i, 80) for i in range(3)]
STUCK = [Note(480 * i, 480 * i + 400, 84, 80) for i in range(16)]
FEW = [Note(480 * i, 480 * i + 400, 60 + i % 4, 80) for i in range(32)]
ROUND = [Note(480 * i, 480 * i + 400, 60 + i % 4 * 2 + i // 28, 80) for i in range(36)]
HOLE = [note for note in tune(40) if not 480 * 24 <= note.start_ticks < 480 * 36]


@pytest.mark.parametrize(
    ("notes", "options", "problem"),
    [
        (tune(10), {}, "too little: 10 notes, 5 s"),
        ([*tune(32), *HELD], {}, "3 hanging notes"),
        ([*tune(32), *STUCK], {}, "one top pitch 16 times in a row"),
        (FEW, {}, "fewer than 5 pitches"),
        (HOLE, {}, "empty bars"),
        (ROUND, {}, "one bar is 7 of 9"),
        (tune(32), {"end_ticks": 480 * 60}, "silence behind the end"),
        (LAYERS, {}, "12 notes at once"),
    ],
)
def test_what_is_wrong(notes, options, problem):
    assert problem in sanity(MidiData(notes, **options))


def test_strings_may_hold_longer():
    held = [Note(480 * 12 * i, 480 * 12 * (i + 1), 48 + i, 80, 48) for i in range(3)]
    assert sanity(MidiData([*tune(36), *held])) == []


def test_feels():
    plain = MidiData(tune())
    assert not any(has_feel(plain, feel) for feel in FEELS)
    backbeat = [drum(i, 38) for i in range(32) if i % 2]
    assert has_feel(MidiData([*tune(), *backbeat]), "backbeat")
    assert has_feel(MidiData([*tune(), *(drum(i, 36) for i in range(32))]), "four")
    assert not has_feel(MidiData([*tune(), *(drum(i, 36) for i in range(0, 32, 2))]), "four")
    assert has_feel(MidiData([*tune(), *(drum(i + 2 / 3, 51) for i in range(32))]), "swing")
    assert not has_feel(MidiData([*tune(), *(drum(i + 0.5, 51) for i in range(32))]), "swing")
    assert has_feel(MidiData([*tune(), *(drum(i + 0.5, 51) for i in range(32))]), "offbeat")
    assert has_feel(MidiData(tune(program=32)), "walking")
    assert not has_feel(MidiData(tune(program=43)), "walking")
    with pytest.raises(ValueError, match="feel must be one of backbeat"):
        has_feel(plain, "groove")


def test_bars_are_compared_by_what_begins_in_them():
    midi = MidiData(tune(12), time_signatures=[TimeSignature(0, 3, 4)])
    bars = bar_contents(midi)
    assert len(bars) == 4 and bars[0] == {(0, 60, 0), (12, 62, 0), (24, 64, 0)}


def test_runs():
    for pitches, expected in (([], 0), ([1], 1), ([1, 1, 2], 2), ([1, 2, 2, 2, 1], 3)):
        music = MidiData([Note(480 * i, 480 * i + 100, pitch, 80) for i, pitch in enumerate(pitches)])
        assert top_run(music) == expected
    below = [Note(480 * i, 480 * i + 100, 40 + i, 80) for i in range(4)]
    drums = [Note(480 * i, 480 * i + 100, 90, 80, is_drum=True) for i in range(4)]
    assert top_run(MidiData([*[Note(480 * i, 480 * i + 100, 60, 80) for i in range(4)], *below, *drums])) == 4


def test_a_run_that_goes_on_counts_from_where_it_began():
    notes = [Note(240 * i, 240 * i + 200, 64, 80) for i in range(14)] + [Note(3360, 3560, 66, 80)]
    music = MidiData(notes)
    assert top_run(music) == 14
    assert strain(music, since_beats=6.5) == pytest.approx(14 / 12)
    assert strain(music, since_beats=7) < 1
