"""Told-apart: what is alike cannot be told apart, what differs can."""

import numpy as np
import pytest

from amt.evaluation.evaluate import Example
from amt.evaluation.music import REAL, evaluate_music
from amt.evaluation.told_apart import BEATS, excerpt, features, hanging_share, repeats, told_apart, top_run
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature


def tune(seed, longest=2, num_beats=40):
    random = np.random.default_rng(seed)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    notes = []
    beat = 0.0
    while beat < num_beats:
        pitch = 60 + int(random.choice(scale)) + 12 * int(random.integers(0, 2))
        length = float(random.choice([0.5, 1.0, longest]))
        notes.append(Note(int(480 * beat), int(480 * (beat + length)), pitch, int(random.integers(60, 90))))
        beat += float(random.choice([0.5, 1.0]))
    return MidiData(notes, tempos=[Tempo(0, 500_000)], time_signatures=[TimeSignature(0, 4, 4)])


def test_there_are_many_features_of_every_piece_and_all_have_the_same_names():
    drums = MidiData([Note(480 * beat, 480 * beat + 60, 36, 80, is_drum=True) for beat in range(20)])
    found = [features(midi) for midi in (tune(0), drums, MidiData())]
    assert len(found[0]) >= 50 and [list(each) for each in found] == [list(found[0])] * 3
    assert sum(map(np.isnan, found[0].values())) < 8 < sum(map(np.isnan, found[2].values()))


def test_the_beginning_is_cut_and_on_the_grid():
    long = MidiData([Note(7, 480 * 200, 60, 80), Note(480 * BEATS, 480 * BEATS + 9, 62, 80)])
    part = excerpt(long)
    assert [(n.start_ticks, n.end_ticks, n.pitch) for n in part.notes] == [(0, 24 * BEATS, 60)]
    moved = MidiData([Note(480 * beat + 9, 480 * beat + 470, 60 + beat % 7, 80) for beat in range(50)])
    played = MidiData([Note(480 * beat, 480 * beat + 480, 60 + beat % 7, 80) for beat in range(50)])
    assert features(moved) == pytest.approx(features(played), nan_ok=True)


def test_hanging_stuck_and_returning():
    notes = [Note(0, 480 * 9, 60, 80), *(Note(480 * beat, 480 * beat + 480, 72, 80) for beat in range(1, 20))]
    midi = MidiData(notes, time_signatures=[TimeSignature(0, 4, 4)])
    assert hanging_share(midi) == 1 / 20 and top_run(midi) == 19
    found = repeats(midi)
    assert found["equal_1"] == 0.75 and found["equal_2"] == pytest.approx(2 / 3) and found["empty_bars"] == 0
    assert np.isnan(found["equal_8"]) and found["commonest_bar"] == 0.8
    assert np.isnan(hanging_share(MidiData()))


def test_what_is_alike_cannot_be_told_apart_and_what_differs_can():
    pytest.importorskip("sklearn")
    first, same = [tune(seed) for seed in range(40)], [tune(seed) for seed in range(100, 140)]
    other = [tune(seed, longest=12) for seed in range(200, 240)]
    names = [str(seed) for seed in range(40)]
    alike, different = (told_apart(first, each, (names, names), "valid", "x") for each in (same, other))
    assert alike.low < 0.5 < alike.high and different.value > 0.95
    assert told_apart(first, same, (names, names), "valid", "x") == alike
    with pytest.raises(ValueError, match="at least 5 groups"):
        told_apart(first, same, (["a"] * 40, ["b"] * 40), "valid", "x")


def test_made_and_real_music_have_the_same_rows():
    pytest.importorskip("sklearn")
    real = [Example(str(seed), tune(seed), {}) for seed in range(12)]
    made = [Example(str(seed), tune(seed, longest=12), {}) for seed in range(20, 32)]
    rows = evaluate_music(real, made, "valid", "model")
    of = {name: {row.metric for row in rows if row.model == name} for name in ("model", REAL)}
    assert of["model"] == of[REAL] and {"sane", "hanging_share", "bars_equal_4", "told_apart"} <= of[REAL]
    assert evaluate_music(real, None, "valid", "model")[-1].model == REAL
