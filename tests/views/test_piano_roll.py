import sys

import numpy as np
import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.views.piano_roll import MAX_GRID_LINES, PALETTE, PianoRoll, draw


@pytest.fixture(autouse=True)
def no_window():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield
    pyplot.close("all")


def waltz():
    notes = [Note(0, 480, 60, 100, 40), Note(480, 960, 64, 30, 0), Note(1440, 1500, 38, 127, 0, True)]
    notes += [Note(0, 60, 36, 90, 8, True)]
    return MidiData(notes, tempos=[Tempo(0, 500_000), Tempo(1440, 1_000_000)], time_signatures=[TimeSignature(0, 3, 4)])


def test_notes_stand_at_their_seconds_and_rows():
    roll = PianoRoll.of(waltz())
    assert roll.instruments == ("Acoustic Grand Piano", "Violin", "Drums")
    assert roll.start_s.tolist() == [0.0, 0.0, 0.5, 1.5] and roll.end_s.tolist() == [0.5, 0.0625, 1.0, 1.625]
    assert roll.instrument.tolist() == [1, 2, 0, 2]
    labels = {label: row for row, label in roll.row_labels}
    assert roll.row.tolist() == [labels["C4"], labels["Bass Drum"], labels["C4"] + 4, labels["Snare"]]
    assert roll.num_drum_rows == 2 and {labels["Bass Drum"], labels["Snare"]} == {0, 1}
    assert 2 not in roll.row and labels["C4"] + 1 in roll.black_rows and labels["C4"] not in roll.black_rows
    assert roll.row.max() < roll.num_rows


def test_bars_and_beats_follow_metre_and_tempo():
    roll = PianoRoll.of(waltz())
    assert roll.bar_s.tolist() == [0.0, 1.5] and roll.beat_s.tolist() == [0.0, 0.5, 1.0, 1.5]
    late = MidiData(time_signatures=[TimeSignature(1920, 6, 8)], end_ticks=1920 + 2 * 1440)
    assert (PianoRoll.of(late).bar_s * 960).tolist() == [0, 1920, 1920 + 1440]
    assert (PianoRoll.of(late).beat_s * 960).tolist() == [0, 480, 960, 1440, *range(1920, 4800, 240)]


@pytest.mark.parametrize("signature", [(1, 1 << 30), (255, 1 << 30), (1, 32)])
def test_a_grid_too_dense_to_see_is_left_out(signature):
    score = MidiData([Note(0, 1 << 30, 60, 80)], time_signatures=[TimeSignature(0, *signature)], ticks_per_beat=1)
    roll = PianoRoll.of(score)
    assert len(roll.bar_s) == len(roll.beat_s) == 0 < MAX_GRID_LINES


def test_each_instrument_has_its_own_color():
    roll = PianoRoll.of(
        MidiData([Note(0, 9, 60, 80, program) for program in range(128)] + [Note(0, 9, 36, 80, 0, True)])
    )
    assert len(set(roll.colors)) == 129 and roll.colors[: len(PALETTE)] == PALETTE
    assert all(len(color) == 7 for color in roll.colors)


@pytest.mark.parametrize("pitch", [0, 127])
def test_the_ends_of_the_keyboard_fit(pitch):
    roll = PianoRoll.of(MidiData([Note(0, 9, pitch, 80)]))
    assert 0 <= roll.row[0] < roll.num_rows


def test_drums_alone_have_no_rows_for_pitches():
    roll = PianoRoll.of(MidiData([Note(0, 9, 36, 80, 0, True), Note(0, 9, 9, 80, 0, True)]))
    assert roll.num_rows == 2 and [label for _, label in roll.row_labels] == ["Drum 9", "Bass Drum"]


def test_the_picture_shows_each_note_once():
    score = waltz()
    ax = draw(score)
    bars = {bars.get_label(): bars for bars in ax.collections if not bars.get_label().startswith("_")}
    assert {name: len(bars.get_paths()) for name, bars in bars.items()} == {
        "Acoustic Grand Piano": 1,
        "Violin": 1,
        "Drums": 2,
    }
    (violin,) = bars["Violin"].get_paths()
    assert violin.vertices[:, 0].min() == 0.0 and violin.vertices[:, 0].max() == 0.5
    assert ax.get_xlabel() == "seconds" and ax.get_xlim() == (0.0, score.duration_s)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["Acoustic Grand Piano", "Violin", "Drums"]
    faces = [tuple(bars[name].get_facecolor()[0][:3]) for name in bars]
    assert len(set(faces)) == 3
    ax.figure.savefig("/dev/null", format="png")


def test_louder_notes_are_more_opaque():
    opacity = PianoRoll.of(MidiData([Note(0, 9, 60, 1), Note(0, 9, 61, 64), Note(0, 9, 62, 127)])).opacity()
    assert (np.diff(opacity) > 0).all() and opacity[-1] == 1.0


def test_an_axes_of_the_caller_is_used():
    from matplotlib import pyplot

    _, axes = pyplot.subplots(2)
    assert draw(waltz(), axes[1]) is axes[1] and not axes[0].collections


def test_an_empty_piece_says_so():
    ax = draw(MidiData())
    assert [text.get_text() for text in ax.texts] == ["no notes"]
    ax.figure.savefig("/dev/null", format="png")


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "amt-midi\[plot\]"'):
        draw(waltz())
