import numpy as np
import pytest

from amt.evaluation.copying import LENGTHS, longest_copies, note_codes
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Note


def midi(pitches, ways=None, ticks_per_beat=480, **options):
    starts = np.cumsum(ways if ways is not None else ([0] + [ticks_per_beat // 2] * len(pitches))[: len(pitches)])
    notes = [
        Note(int(start), int(start) + 10, int(pitch), 80, **options)
        for start, pitch in zip(starts, pitches, strict=True)
    ]
    return MidiData(ticks_per_beat=ticks_per_beat, notes=NoteTable.from_notes(notes))


def brute_force(piece, training):
    best = 0
    for length in LENGTHS:

        def runs(codes, length=length):
            return {(int(codes[i]) & 127, *codes[i + 1 : i + length].tolist()) for i in range(len(codes) - length + 1)}

        if not runs(piece) & set().union(*map(runs, training)):
            break
        best = length
    return best


@pytest.mark.parametrize("seed", range(5))
def test_equals_looking_at_every_run(seed):
    rng = np.random.default_rng(seed)
    training = [rng.integers(1, 12, rng.integers(0, 80)).astype(np.uint64) for _ in range(20)]
    pieces = [rng.integers(1, 12, rng.integers(0, 60)).astype(np.uint64) for _ in range(20)]
    pieces.append(training[3])
    assert longest_copies(pieces, training).tolist() == [brute_force(piece, training) for piece in pieces]


def test_a_copied_passage_is_found():
    rng = np.random.default_rng(0)
    source, fresh = rng.integers(30, 90, 200), rng.integers(30, 90, 100)
    piece = np.concatenate([fresh[:50], source[60:100], fresh[50:]])
    (found,) = longest_copies([note_codes(midi(piece))], [note_codes(midi(source))])
    assert found == max(length for length in LENGTHS if length <= 40)


def test_tempo_loudness_and_resolution_do_not_hide_a_copy():
    pitches = np.random.default_rng(1).integers(30, 90, 30)
    training = [note_codes(midi(pitches))]
    for other in (midi(pitches, ticks_per_beat=96), midi(pitches, program=40)):
        assert longest_copies([note_codes(other)], training)[0] == 29  # the largest of LENGTHS up to 30
    slower = midi(pitches, [0] + [480] * 29)
    assert longest_copies([note_codes(slower)], training)[0] < 4


def test_no_run_goes_over_the_end_of_a_piece():
    first, second = np.arange(40, 50), np.arange(50, 60)
    training = [note_codes(midi(first)), note_codes(midi(second))]
    assert longest_copies([note_codes(midi(np.arange(40, 60)))], training)[0] == 10


def test_nothing_to_copy():
    assert longest_copies([note_codes(midi([]))], [note_codes(midi([60]))]).tolist() == [0]
    assert longest_copies([note_codes(midi([60]))], []).tolist() == [0]
    drums = midi([36, 38], is_drum=True)
    assert len(note_codes(drums)) == 0
