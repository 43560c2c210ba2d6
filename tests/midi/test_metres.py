"""Metres, and words for tempos."""

import pytest

from amt.midi.metres import DANCE_METRES, METRE_NAMES, bar_length, beat_length, beats_in_bar, is_compound, parse_metre
from amt.midi.tempo_words import TEMPO_WORDS, tempo_range


@pytest.mark.parametrize(
    ("text", "metre"),
    [
        ("3/4", (3, 4)),
        (" 12 / 8 ", (12, 8)),
        ("common time", (4, 4)),
        ("Alla  breve", (2, 2)),
        ("six-eight", (6, 8)),
        ("3/5", None),
        ("0/4", None),
        ("17/4", None),
        ("waltz", None),
        ("", None),
    ],
)
def test_names(text, metre):
    assert parse_metre(text) == metre


@pytest.mark.parametrize(
    ("metre", "bar", "beat", "beats"),
    [
        ((4, 4), 4, 1, 4),
        ((3, 4), 3, 1, 3),
        ((6, 8), 3, 1.5, 2),
        ((9, 8), 4.5, 1.5, 3),
        ((3, 8), 1.5, 1.5, 1),
        ((7, 8), 3.5, 0.5, 7),
        ((2, 2), 4, 2, 2),
        ((6, 16), 1.5, 0.5, 3),
        ((2, 1), 8, 4, 2),
        ((12, 8), 6, 1.5, 4),
        ((5, 8), 2.5, 0.5, 5),
        ((5, 4), 5, 1, 5),
        ((3, 2), 6, 2, 3),
    ],
)
def test_bars_and_beats(metre, bar, beat, beats):
    assert (bar_length(metre), beat_length(metre), beats_in_bar(metre)) == (bar, beat, beats)
    assert is_compound(metre) == (metre in ((6, 8), (9, 8), (3, 8), (6, 16), (12, 8)))


def test_metres_can_be_written():
    for metre in [*METRE_NAMES.values(), *DANCE_METRES.values()]:
        assert parse_metre("{}/{}".format(*metre)) == metre


@pytest.mark.parametrize("words", ["allegro", "very slow", "Mid-Tempo", "sehr  langsam"])
def test_tempo_words(words):
    assert tempo_range(words) is not None


def test_slower_words_are_slower():
    for slow, fast in [
        ("larghissimo", "largo"),
        ("largo", "adagio"),
        ("adagio", "andante"),
        ("andante", "moderato"),
        ("moderato", "allegro"),
        ("allegro", "presto"),
        ("presto", "prestissimo"),
        ("very slow", "slow"),
        ("slow", "medium"),
        ("medium", "fast"),
        ("fast", "very fast"),
    ]:
        assert tempo_range(slow).low < tempo_range(fast).low and tempo_range(slow).high < tempo_range(fast).high
    assert all(20 <= low < high <= 304 for low, high in TEMPO_WORDS.values())
    assert tempo_range("fasting") is None
