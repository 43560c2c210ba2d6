"""The last bar: a chord with its bass for two hands, and drones that go on."""

import numpy as np
import pytest

from amt.arranger.compose import compose
from amt.arranger.library import find_style
from amt.midi.chords import parse_chord

SEEDS = range(6)


def last_notes(piece):
    """The (program, pitch) of what begins in the last bar."""
    notes = piece.notes
    begin = notes.start_ticks >= notes.start_ticks.max()
    return list(
        zip(np.where(notes.is_drum, 128, notes.program)[begin].tolist(), notes.pitch[begin].tolist(), strict=True)
    )


@pytest.mark.parametrize(
    "name", ["classical etude", "nocturne", "piano ballad", "ragtime", "calm piano and strings", "waltz"]
)
def test_a_left_hand_ends_with_the_chord_and_its_bass(name):
    for seed in SEEDS:
        piece = compose(find_style(name), seed)
        chord = parse_chord(piece.facts["chords"][-1])
        pitches = sorted(pitch for _, pitch in last_notes(piece))
        assert pitches[0] <= 52 and pitches[0] % 12 == chord.root and len(pitches) >= 4
        assert {pitch % 12 for pitch in pitches} <= set(chord.pitch_classes)
        assert len({pitch % 12 for pitch in pitches}) >= 3


def test_bagpipes_end_on_their_drone_and_one_note():
    for seed in SEEDS:
        piece = compose(find_style("bagpipe march"), seed)
        pitches = sorted(pitch for program, pitch in last_notes(piece) if program == 109)
        key = parse_chord(piece.facts["chords"][-1]).root
        assert len(pitches) <= 2 and pitches[0] % 12 == key


def test_a_minuet_is_played_on_one_keyboard():
    for seed in range(30):
        programs = compose(find_style("minuet"), seed).facts["programs"]
        assert sum(program < 8 for program in programs) <= 1
