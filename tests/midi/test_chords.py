"""Chord symbols, numerals and progressions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amt.midi.chords import NO_CHORD, PLAN_QUALITIES, QUALITIES, Chord, parse_chord, parse_progression, parse_roman
from amt.midi.theory import Key, parse_key


@pytest.mark.parametrize(
    ("text", "tones", "plan_quality"),
    [
        ("C", (0, 4, 7), "maj"),
        ("Am", (9, 0, 4), "min"),
        ("Am7", (9, 0, 4, 7), "min7"),
        ("F#dim", (6, 9, 0), "dim"),
        ("Bb7", (10, 2, 5, 8), "dom7"),
        ("Bb/D", (10, 2, 5), "maj"),
        ("C/D", (0, 4, 7, 2), "maj"),
        ("EbΔ", (3, 7, 10, 2), "maj7"),
        ("EM7", (4, 8, 11, 3), "maj7"),
        ("Em7", (4, 7, 11, 2), "min7"),
        ("A-7", (9, 0, 4, 7), "min7"),
        ("Csus", (0, 5, 7), "sus"),
        ("Gsus2", (7, 9, 2), "sus"),
        ("D7sus4", (2, 7, 9, 0), "sus"),
        ("C6/9", (0, 4, 7, 9, 2), "maj"),
        ("Am6", (9, 0, 4, 6), "min"),
        ("Bm7b5", (11, 2, 5, 9), "dim"),
        ("Bø", (11, 2, 5, 9), "dim"),
        ("G#°7", (8, 11, 2, 5), "dim"),
        ("C+", (0, 4, 8), "aug"),
        ("Dm(maj7)", (2, 5, 9, 1), "min"),
        ("G9", (7, 11, 2, 5, 9), "dom7"),
        ("G7♭9", (7, 11, 2, 5, 8), "dom7"),
        ("E5", (4, 11), "maj"),
        ("N.C.", (), "none"),
    ],
)
def test_chords(text, tones, plan_quality):
    chord = parse_chord(text)
    assert chord.pitch_classes == tones and chord.plan_quality == plan_quality


@pytest.mark.parametrize("text", ["", "H", "c", "Amazing", "Cx7", "C/", "C/H", "C Am", "Dmm", "7", "b5"])
def test_no_chords(text):
    assert parse_chord(text) is None


def test_every_name_is_read_back():
    for quality in QUALITIES:
        for root in range(12):
            for bass in (None, (root + 4) % 12):
                chord = NO_CHORD if quality == "none" else Chord(root, quality, bass)
                assert parse_chord(chord.name) == chord and chord.plan_quality in PLAN_QUALITIES
    assert parse_chord(Chord(1, "min7").name_in(parse_key("Ab major"))) == Chord(1, "min7")
    assert Chord(1, "min7").name_in(parse_key("Ab major")) == "Dbm7"
    assert Chord(0, "maj", 0).name == "C"


def test_a_chord_moves():
    assert Chord(9, "min7", 0).transposed(5) == Chord(2, "min7", 5)
    assert NO_CHORD.transposed(3) == NO_CHORD


@pytest.mark.parametrize("fields", [(12, "maj"), (0, "happy"), (0, "maj", 12), (-1, "maj")])
def test_what_is_no_chord_is_refused(fields):
    with pytest.raises(ValueError, match="a chord is a root"):
        Chord(*fields)


@pytest.mark.parametrize(
    ("numeral", "key", "name"),
    [
        ("V7", "F major", "C7"),
        ("ii", "F major", "Gm"),
        ("vi7", "C major", "Am7"),
        ("viiø7", "C major", "Bm7b5"),
        ("vii°", "A minor", "Abdim"),
        ("VII", "A minor", "G"),
        ("VI", "A minor", "F"),
        ("bVI", "A minor", "F"),
        ("bVII", "C major", "Bb"),
        ("#iv°7", "C major", "F#dim7"),
        ("V7/V", "C major", "D7"),
        ("V/ii", "C major", "A"),
        ("IV", "D dorian", "G"),
        ("IV7", "E blues", "A7"),
        ("Imaj9", "Eb major", "Ebmaj9"),
        ("iv6", "C minor", "Fm6"),
    ],
)
def test_numerals(numeral, key, name):
    assert parse_roman(numeral, parse_key(key)).name == name


@pytest.mark.parametrize("text", ["", "VIII", "iI", "V/", "V/x", "Vx", "bb", "hello"])
def test_no_numerals(text):
    assert parse_roman(text, Key(0, "major")) is None


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("C Am F G", "C|Am|F|G"),
        ("C-Am-F-G", "C|Am|F|G"),
        ("C - Am - F - G", "C|Am|F|G"),
        ("C, Am, F and G", "C|Am|F|G"),
        ("C → Am → F", "C|Am|F"),
        ("Am7 | D7 | Gmaj7", "Am7|D7|Gmaj7"),
        ("| Am7 | D7 G7 | % |", "Am7|D7 G7|D7 G7"),
        ("A-7 D-7", "Am7|Dm7"),
        ("ii-V-I in F", "Gm|C|F"),
        ("I–vi–IV–V in the key of G", "G|Em|C|D"),
        ("i VI III VII in A minor", "Am|F|C|G"),
        ("I IV V", "C|F|G"),
        ("[Dm N.C.]", "Dm|N.C."),
        ("C", "C"),
    ],
)
def test_progressions(text, bars):
    assert "|".join(" ".join(chord.name for chord in bar) for bar in parse_progression(text)) == bars


def test_numerals_stand_in_the_key_that_is_given():
    assert parse_progression("V7 i", parse_key("E minor")) == ((Chord(11, "dom7"),), (Chord(4, "min"),))


@pytest.mark.parametrize("text", ["", "|", "hello", "C Am hello", "ii V in nothing", "C || G", "%"])
def test_no_progressions(text):
    assert parse_progression(text) is None


@given(st.text(alphabet="ABCDEFGIVivmaj7#b/-| %in.,ø°+") | st.text())
def test_any_text_is_read(text):
    parse_chord(text)
    parse_progression(text)
    parse_roman(text, Key(0, "major"))
