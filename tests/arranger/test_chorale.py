import dataclasses
import itertools

import numpy as np
import pytest

from amt.arranger.chorale import RANGES, _is_parallel, _voiced
from amt.arranger.chords import chord_of, nearest
from amt.arranger.compose import compose
from amt.arranger.library import find_style
from amt.midi.chords import parse_progression


def voices(piece):
    """Per voice of a string quartet its (start, end, pitch); the two violins are one program."""
    rows: dict[int, list[tuple[int, int, int]]] = {40: [], 41: [], 42: []}
    for note in piece.notes:
        rows[note.program].append((note.start_ticks, note.end_ticks, note.pitch))
    return rows


def test_voices_do_not_cross_and_parallel_fifths_are_rare():
    style = find_style("string quartet")
    parallels = moves = 0
    for seed in range(8):
        parts = voices(compose(style, seed))
        starts = sorted({start for part in parts.values() for start, _, _ in part})
        table = []
        for start in starts:
            sounding = {}
            for program, part in parts.items():
                sounding[program] = [pitch for begin, end, pitch in part if begin <= start < end]
            if all(sounding.values()):
                table.append([max(sounding[40]), min(sounding[40]), sounding[41][0], sounding[42][0]])
        chords = np.array(table)
        assert (chords[:, 0] >= chords[:, 2]).mean() > 0.97 and (chords[:, 2] >= chords[:, 3]).mean() > 0.97
        for one, two in itertools.combinations(range(4), 2):
            gap = (chords[:, one] - chords[:, two]) % 12
            moved = (np.diff(chords[:, one]) != 0) & (np.diff(chords[:, two]) != 0)
            same = (gap[1:] == gap[:-1]) & np.isin(gap[1:], (0, 7)) & moved
            parallels += int(same.sum())
            moves += int(moved.sum())
    assert moves > 500 and parallels / moves < 0.06


def test_patterns_strike_a_voice_again_and_leave_its_pitches():
    style = find_style("string quartet")
    plain = dataclasses.replace(style, parts=tuple(dataclasses.replace(part, patterns={}) for part in style.parts))
    struck = held = 0
    for seed in range(6):
        one, two = compose(style, seed), compose(plain, seed)
        assert one.facts["chords"] == two.facts["chords"]
        struck, held = struck + len(one.notes), held + len(two.notes)
    assert struck > 1.3 * held


@pytest.mark.parametrize("chord", ["C", "Dm7", "G7", "F#dim7", "Bb6", "E7b9"])
@pytest.mark.parametrize("before", [None, (67, 64, 55, 48), (72, 67, 60, 41)])
def test_the_voices_are_the_best_of_all(chord, before):
    """Leaving early what cannot be the best changes nothing: the same as counting every choice to the end."""
    ((symbol,),) = parse_progression(chord)
    made = chord_of(symbol)
    for soprano in (p for p in range(62, 78) if p % 12 in made.tones):
        voices = _voiced(made, soprano, before)
        assert voices[0] == soprano and voices[3] <= voices[2] <= voices[1] <= soprano
        assert _cost(made, voices, before) == pytest.approx(
            min(_cost(made, (soprano, *rest), before) for rest in _choices(made, soprano, before))
        )


def _choices(chord, soprano, before):
    centre = 50 if before is None else before[3]
    low, high = RANGES[3]
    first = nearest(chord.bass, centre, low, high)
    basses = {first, first - 12 if first - 12 >= low else first + 12 if first + 12 <= high else first}
    if chord.bass == chord.root and before is not None:
        basses.add(nearest(chord.third, centre, low, high))
    for alto, tenor, bass in itertools.product(range(*RANGES[1]), range(*RANGES[2]), basses):
        is_chord = alto % 12 in chord.tones and tenor % 12 in chord.tones
        if is_chord and bass <= tenor <= alto <= soprano and bass < alto >= soprano - 12 and alto - tenor <= 12:
            yield alto, tenor, bass


def _cost(chord, voices, before):
    sounding = [pitch % 12 for pitch in voices]
    soprano, alto, tenor, bass = voices
    cost = 6.0 * (chord.third not in sounding) + 3.0 * (sounding.count(chord.third) > 1)
    cost += 2.0 * (chord.root not in sounding) + 1.0 * (chord.fifth not in sounding) + 1.5 * (bass % 12 != chord.bass)
    cost += 2.0 * (alto == soprano) + 2.0 * (tenor == alto) + 3.0 * (tenor == bass)
    if before is None:
        return cost + 0.2 * (abs(alto - 62) + abs(tenor - 56))
    moves = [abs(one - two) for one, two in zip(voices, before, strict=True)]
    return cost + moves[1] + moves[2] + 0.4 * moves[3] + 25.0 * _is_parallel(before, voices)
