"""Captions say what is so, differ, and name tempo and key in most cases."""

import re
from collections import Counter

import pytest

from amt.arranger.captions import MIN_CAPTIONS, expand, finished, rules
from amt.arranger.claims import is_true
from amt.arranger.compose import compose
from amt.arranger.instruments import instruments
from amt.arranger.library import styles
from amt.arranger.speech import _ABSENT, languages
from amt.midi.theory import parse_key

PIECES = [compose(style, seed) for style in styles().values() for seed in (3, 11)]
_KEY = re.compile(
    r"\b([A-G](?:b|#|[ -]flat|[ -]sharp)?) "
    r"(major|minor|dorian|mixolydian|lydian|phrygian dominant|phrygian|harmonic minor)\b"
)


def captions():
    return [(piece, text) for piece in PIECES for text in piece.captions]


def test_a_dozen_different_captions_for_each_piece():
    for piece in PIECES:
        assert len(piece.captions) >= MIN_CAPTIONS and len(set(piece.captions)) == len(piece.captions)
        assert all(text == " ".join(text.split()) and not set(text) & set("{}[]^") for text in piece.captions)


def test_captions_of_different_pieces_differ():
    texts = [text for _, text in captions()]
    assert len(set(texts)) > 0.97 * len(texts)


def test_tempo_is_that_of_the_music():
    said = 0
    for piece, text in captions():
        wanted = {piece.facts["tempo_bpm"], piece.facts["quarter_bpm"]}
        for number in re.findall(r"(\d+) ?(?:bpm|BPM|beats per minute)|(?<!-)[Tt]empo:? (\d+)", text):
            said += 1
            assert int(number[0] or number[1]) in wanted, text
    assert said > 0.45 * len(captions())


def test_keys_are_those_of_the_music():
    said = 0
    for piece, text in captions():
        for tonic, mode in _KEY.findall(text):
            said += 1
            found, own = parse_key(f"{tonic} {mode}"), parse_key(piece.facts["key"])
            assert found is not None and own is not None and found.tonic == own.tonic, text
            assert found.mode == own.mode or (found.mode, own.mode) == ("minor", "harmonic minor"), text
    assert said > 0.45 * len(captions())


def test_lengths_bars_and_metres_are_those_of_the_music():
    for piece, text in captions():
        facts = piece.facts
        for number in re.findall(r"(\d+) bars", text):
            assert int(number) == facts["bars"], text
        for number in re.findall(r"(\d+) seconds", text):
            assert abs(int(number) - facts["duration_s"]) <= 5, text
        for number in re.findall(r"(\d+(?:[.,]\d)?) minut", text.replace("beats per minute", "")):
            assert abs(float(number.replace(",", ".")) * 60 - facts["duration_s"]) <= 16, text
        for metre in re.findall(r"\b(\d+/\d)\b", text):
            assert metre == facts["meter"] or "/" in piece.facts["style"], text


def test_what_is_said_not_to_be_there_is_not_there():
    said = Counter()
    for piece, text in captions():
        for word in re.findall(r"\b(?:no|without) (\w+)", text):
            if word in _ABSENT:
                said[word] += 1
                assert not set(_ABSENT[word]) & set(piece.facts["programs"]), text
    assert len(said) >= 6


def test_claims():
    assert is_true("slap bass and tight horns", frozenset({36, 61}))
    assert not is_true("slap bass and tight horns", frozenset({36, 0}))
    assert not is_true("slap bass and tight horns", frozenset({36, 61, 128}))
    assert is_true("piano house", frozenset({0, 39, 128})) and not is_true("piano house", frozenset({39, 128}))
    assert not is_true("trap instrumental", frozenset({38, 52, 128}))
    assert not is_true("jazz trio", frozenset({0, 32, 128, 66}))
    assert is_true("a smoky bar, late at night", frozenset({0}))


def test_some_captions_never_say_the_style():
    for piece in PIECES:
        names = [name.lower() for name in styles()[piece.facts["style"]].names]
        assert any(not any(name in text.lower() for name in names) for text in piece.captions)


def test_other_languages_come_up():
    marks = {
        "de": re.compile(r"-(?:Dur|Moll)\b|\bmit\b|\bohne\b|Stück"),
        "fr": re.compile(r"\bmusique\b|\bavec\b|morceau|sans"),
        "es": re.compile(r"\bmúsica\b|pieza|\bsin\b|mayor|menor"),
        "it": re.compile(r"\bmusica\b|brano|senza|maggiore"),
    }
    for language, mark in marks.items():
        assert sum(bool(mark.search(text)) for _, text in captions()) > 10, language


def test_words_of_other_languages_are_complete():
    for table in ("moods", "families", "absent"):
        for word, row in languages()[table].items():
            assert len(row) == 4 and all(row), word
    families = {style.family for style in styles().values()}
    assert families <= set(languages()["families"])
    for program, instrument in instruments().items():
        assert instrument.names["en"] and instrument.low < instrument.high, program


@pytest.mark.parametrize(
    ("text", "finished_text"),
    [("^a(n) epic tune", "An epic tune"), ("a(n) slow  tune", "a slow tune"), ("^the end. ^so", "The end. So")],
)
def test_articles_and_capitals(text, finished_text):
    assert finished(text) == finished_text


def test_a_missing_fact_leaves_its_choice_out():
    import random

    node = rules()["en"]["bare"][0]
    assert expand(node, lambda name: None, random.Random(0)) is None
    assert expand(node, lambda name: "x", random.Random(0)) == "x"
