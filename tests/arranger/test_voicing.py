import itertools

from amt.arranger.chords import numeral_chord
from amt.arranger.voicing import lead, voicings

NUMERALS = ("I", "vi7", "IVmaj9", "V13", "iiø7", "#io7", "V7b9", "I5", "Vsus4")


def test_every_voicing_is_of_chord_tones_within_the_register():
    for numeral, kind, voices in itertools.product(NUMERALS, ("close", "open", "triad", "shell"), (3, 4)):
        chord = numeral_chord(numeral, 2)
        for pitches in voicings(chord, 50, 76, voices, kind, True):
            assert {pitch % 12 for pitch in pitches} <= set(chord.tones)
            assert min(pitches) >= 50 - 12 and max(pitches) <= 76 and list(pitches) == sorted(pitches)


def test_third_and_seventh_stay_when_voices_are_few():
    chord = numeral_chord("V13", 0)
    for pitches in voicings(chord, 50, 74, 4, "close", True):
        assert {chord.third, chord.seventh} <= {pitch % 12 for pitch in pitches}


def test_power_chords_are_root_fifth_octave():
    made = voicings(numeral_chord("i5", 4), 40, 64, 3, "power", True)
    assert (40, 47, 52) in made and all(pitches[1] - pitches[0] == 7 for pitches in made)


def test_chords_move_little():
    before = None
    moves = []
    for numeral in ("I", "vi", "IV", "V", "I"):
        pitches = lead(numeral_chord(numeral, 0), before, 52, 76, 3, "close", True, False)
        if before is not None:
            moves.append(sum(abs(a - b) for a, b in zip(before, pitches, strict=True)))
        before = pitches
    assert max(moves) <= 6


def test_a_chord_that_sounds_too_often_is_turned():
    chord = numeral_chord("I", 0)
    first = lead(chord, None, 52, 76, 3, "close", True, False)
    assert lead(chord, first, 52, 76, 3, "close", True, True)[-1] != first[-1]
