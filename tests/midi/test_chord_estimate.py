"""Chords of pieces whose chords are known, for they are made here."""

import random

import numpy as np
import pytest

from amt.midi.chord_estimate import CHORDS, MAX_WINDOWS, estimate_chords
from amt.midi.chords import NO_CHORD, Chord, parse_progression
from amt.midi.data import MidiData
from amt.midi.elements import Note, TimeSignature

BEAT = 480


def block(chord, start, beats, low=48):
    """A chord in close position above a bass note."""
    tones = [low + (tone - low) % 12 for tone in chord.pitch_classes]
    bass = 36 + (chord.root if chord.bass is None else chord.bass)
    return [Note(start, start + beats * BEAT, pitch, 80) for pitch in [bass, *tones]]


def arpeggio(chord, start, beats):
    """Eighths up and down over a held bass, with a melody that passes through a neighbour on every weak eighth."""
    tones = [60 + (tone - 60) % 12 for tone in chord.pitch_classes]
    notes = [Note(start, start + beats * BEAT, 36 + chord.root, 80)]
    for eighth in range(2 * beats):
        at = start + eighth * BEAT // 2
        notes.append(Note(at, at + BEAT // 2, tones[eighth % len(tones)], 80))
        melody = tones[eighth // 2 % len(tones)] + 12 + (eighth % 2) * 2
        notes.append(Note(at, at + (BEAT // 4 if eighth % 2 else BEAT // 2), melody, 90, 73))
    return notes


def piece(bars, make, metre=(4, 4)):
    """Chords that share their bars equally; drums beside them, which have no pitch."""
    bar_beats = 4 * metre[0] // metre[1]
    notes = []
    for number, bar in enumerate(bars):
        beats = bar_beats // len(bar)
        for place, chord in enumerate(bar):
            notes += make(chord, (number * bar_beats + place * beats) * BEAT, beats)
        notes.append(Note(number * bar_beats * BEAT, number * bar_beats * BEAT + 100, 38, 100, 0, True))
    return MidiData(notes, time_signatures=[TimeSignature(0, *metre)], ticks_per_beat=BEAT)


def names(data, **options):
    return [chord.name for _, chord in estimate_chords(data, **options)]


@pytest.mark.parametrize("make", [block, arpeggio])
@pytest.mark.parametrize(
    "progression",
    ["| C | Am | F | G |", "| Dm G | C Am | Bb F | E Am |", "| Cm | Ab | Eb | Bb |", "| F#m D | A E | Bm F# | C#m A |"],
)
def test_triads(make, progression):
    bars = parse_progression(progression)
    wanted = [chord.name for bar in bars for chord in (bar if len(bar) == 2 else bar * 2)]
    assert names(piece(bars, make)) == wanted


def test_sevenths_and_others():
    bars = parse_progression("| Dm7 G7 | Cmaj7 | Bm7b5 E7 | Am7 | Bdim C | Faug | Dsus4 D |")
    wanted = [chord.name for bar in bars for chord in (bar if len(bar) == 2 else bar * 2)]
    assert names(piece(bars, block)) == wanted


def test_the_bass_decides_between_equal_tones():
    assert names(piece(parse_progression("| Am7 | C6 |"), block)) == ["Am7", "Am7", "C6", "C6"]
    assert names(piece(parse_progression("| C/E | C/G |"), block)) == ["C"] * 4


def test_random_progressions_of_triads_and_sevenths():
    """Roots change from chord to chord; C and then C7 may well be one chord, since a change costs something."""
    rng = random.Random(5)
    for _ in range(20):
        roots = np.cumsum([rng.randrange(1, 12) for _ in range(16)]) % 12
        wanted = [Chord(int(root), rng.choice(("maj", "min", "dom7", "min7", "maj7"))) for root in roots]
        bars = list(zip(wanted[::2], wanted[1::2], strict=True))
        assert [chord for _, chord in estimate_chords(piece(bars, block))] == wanted


def test_windows_go_by_the_metre():
    bars = parse_progression("| C | G |")
    assert [tick for tick, _ in estimate_chords(piece(bars, block))] == [0, 960, 1920, 2880]
    assert [tick for tick, _ in estimate_chords(piece(bars, block, (3, 4)))] == [0, 1440]
    assert [tick for tick, _ in estimate_chords(piece(bars, block, (6, 8)))] == [0, 720, 1440, 2160]
    assert [tick for tick, _ in estimate_chords(piece(bars, block, (3, 4)), beats_per_window=2)] == [0, 960, 1440, 2400]
    data = MidiData(
        [Note(0, 7 * 480, pitch, 80) for pitch in (60, 64, 67)],
        time_signatures=[TimeSignature(480 * 4, 3, 4)],
        ticks_per_beat=BEAT,
    )
    assert [tick for tick, _ in estimate_chords(data)] == [0, 960, 1920]


def test_silence_has_no_chord():
    notes = block(Chord(0, "maj"), 0, 4) + block(Chord(7, "maj"), 4 * 4 * BEAT, 4)
    found = [chord for _, chord in estimate_chords(MidiData(notes, ticks_per_beat=BEAT))]
    assert found == [Chord(0, "maj")] * 2 + [NO_CHORD] * 6 + [Chord(7, "maj")] * 2
    assert estimate_chords(MidiData()) == []
    assert estimate_chords(MidiData([Note(0, 480, 38, 90, 0, True)])) == []


def test_a_passing_note_changes_no_chord():
    bars = parse_progression("| C | C | C | C |")
    data = piece(bars, block)
    passing = [Note(480 * beat, 480 * beat + 240, 74, 80) for beat in range(0, 16, 3)]
    assert set(names(MidiData([*data.notes, *passing], ticks_per_beat=BEAT))) == {"C"}


def test_a_piece_of_billions_of_bars_ends():
    data = MidiData([Note(0, 2**31 - 1, 60, 80)], ticks_per_beat=1, time_signatures=[TimeSignature(0, 1, 2**30)])
    found = estimate_chords(data)
    assert len(found) == MAX_WINDOWS and found[0][1].root == 0


def test_windows_are_at_least_a_beat():
    with pytest.raises(ValueError, match="beats_per_window must be at least 1, got 0"):
        estimate_chords(MidiData(), beats_per_window=0)


def test_the_order_of_the_notes_does_not_matter():
    data = piece(parse_progression("| Dm7 G7 | Cmaj7 |"), arpeggio)
    notes = list(data.notes)
    random.Random(1).shuffle(notes)
    again = MidiData(notes, time_signatures=data.time_signatures, ticks_per_beat=BEAT)
    assert estimate_chords(again) == estimate_chords(data)
    assert len(CHORDS) <= np.iinfo(np.uint8).max
