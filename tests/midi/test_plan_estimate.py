"""Plans of pieces whose chords and form are known."""

import random

import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note, TimeSignature
from amt.midi.plan import CHORD_NAMES
from amt.midi.plan_estimate import estimate_plan, estimate_sections, only_metre

BAR = 4 * 480
TRIADS = {"C": (48, 64, 67), "Am": (45, 60, 64), "F": (41, 60, 65), "G": (43, 62, 67), "Dm": (50, 62, 65)}


def bar_of(start, chord, seed, bar=BAR, num_notes=8):
    """A bar with a chord and a melody of its own."""
    rng = random.Random(seed)
    notes = [Note(start, start + bar, pitch, 70, 0) for pitch in TRIADS[chord]]
    places = sorted(rng.sample(range(16), num_notes))
    return notes + [
        Note(start + bar * place // 16, start + bar * (place + 1) // 16, rng.choice(TRIADS[chord]) + 24, 80, 40)
        for place in places
    ]


PHRASE_OF = {"A": ("C", "Am", "F", "G"), "B": ("F", "C", "Dm", "G"), "C": ("Dm", "Am", "Dm", "Am")}


def song(form, metre=(4, 4), first=0, phrase_bars=8):
    """A piece of phrases that come again note by note; an "x" is new each time."""
    bar = 4 * 480 * metre[0] // metre[1]
    notes, at = [], first
    for place, letter in enumerate(form):
        for number in range(phrase_bars):
            seed = f"{letter}{number}" if letter != "x" else f"x{place}{number}"
            notes += bar_of(at * bar, PHRASE_OF.get(letter, PHRASE_OF["C"])[number % 4], seed, bar)
            at += 1
    return MidiData(notes, time_signatures=[TimeSignature(0, *metre)])


def sections_of(piece):
    plan = estimate_plan(piece)
    return " ".join(f"{section.name}{section.half_bars / 2:g}" for section in plan.sections)


@pytest.mark.parametrize(
    ("form", "sections"),
    [
        ("AABA", "A8 A8 B8 A8"),
        ("ABAB", "A16 A16"),  # what always comes together is one section
        ("ABABCB", "A8 B8 A8 B8 C8 B8"),
        ("AxxA", "A8 B16 A8"),
        ("AABBCC", "A8 A8 B8 B8 C8 C8"),
        ("xxxx", "other32"),
        ("A", "other8"),
    ],
)
def test_sections_come_from_what_comes_again(form, sections):
    assert sections_of(song(form)) == sections
    assert sections_of(song(form, (3, 4))) == sections


def test_a_piece_that_begins_late_and_a_tail():
    piece = song("AABA", first=2)
    assert sections_of(piece) == "other2 A8 A8 B8 A8"
    tail = MidiData([*song("AABA").notes, *bar_of(32 * BAR, "C", "end")])
    assert sections_of(tail) == "A8 A8 B8 A8 other1"


def test_chords_of_each_half_bar():
    plan = estimate_plan(song("AB"))
    names = [CHORD_NAMES[chord.number] for chord in plan.chords for _ in range(chord.half_bars)]
    expected = [*PHRASE_OF["A"] * 2, *PHRASE_OF["B"] * 2]
    assert names == [name for name in expected for _ in range(2)]


def test_there_is_no_plan_where_the_metre_changes_or_nothing_has_a_pitch():
    piece = song("AABA")
    assert estimate_plan(piece.replace(time_signatures=[TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4)])) is None
    assert estimate_plan(MidiData()) is None
    assert estimate_plan(MidiData([Note(0, 480, 38, 80, 0, True)])) is None
    assert only_metre(MidiData()) == (4, 4)
    assert only_metre(MidiData(time_signatures=[TimeSignature(9, 3, 4)])) is None
    assert only_metre(MidiData(time_signatures=[TimeSignature(0, 3, 4), TimeSignature(9, 3, 4)])) == (3, 4)


def test_very_long_and_very_odd_pieces():
    far = MidiData([Note(0, 480, 60, 80), Note(2**31 - 500, 2**31 - 1, 60, 80)], ticks_per_beat=1)
    assert estimate_plan(far) is None
    tiny = MidiData([Note(0, 3, 60, 80)], time_signatures=[TimeSignature(0, 1, 16)], ticks_per_beat=1)
    assert estimate_plan(tiny) is not None
    assert estimate_sections(song("A", phrase_bars=1)) == [(0, 14)]
