import dataclasses
import math
from fractions import Fraction

import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.vocabulary import Vocabulary, time_signature_index
from amt.request.limits import Limits, pitch_classes
from amt.request.reading import read
from amt.request.request import completed

SCORE = TokenizerConfig()
PERFORMANCE = TokenizerConfig(preset="performance")
D_MINOR = (0, 1, 2, 4, 5, 7, 9, 10, 11)
B_FLAT_MAJOR = (0, 2, 3, 5, 7, 9, 10)


def test_no_wish_is_no_constraint():
    assert Limits().constraints(SCORE) == Constraints() == Limits().constraints(PERFORMANCE)


@pytest.mark.parametrize(
    ("instruments", "programs"),
    [
        (["violin", "cello"], (40, 42)),
        (["cello", 40, "Violins"], (40, 42)),
        (["drums", 0], (0, 128)),
        ("piano", (0,)),
        (7, (7,)),
    ],
    ids=str,
)
def test_instruments_are_programs(instruments, programs):
    assert Limits(instruments=instruments).constraints(SCORE).programs == programs


@pytest.mark.parametrize(("tempo", "mark"), [(20, 20), (89.9, 88), (90, 92), (120, 120), (125.5, 126), (304, 304)])
def test_tempo_is_the_nearest_metronome_mark(tempo, mark):
    index = Limits(tempo=tempo).constraints(SCORE).tempo_index
    assert SCORE.tempos_bpm[index] == mark


@pytest.mark.parametrize(("text", "signature"), [("3/4", (3, 4)), (" 12 / 8 ", (12, 8)), ("16/16", (16, 16))])
def test_time_signature(text, signature):
    assert Limits(time_signature=text).constraints(SCORE).time_signature_index == time_signature_index(*signature)


@pytest.mark.parametrize(
    ("key", "classes"),
    [
        ("D minor", D_MINOR),
        ("Dm", D_MINOR),
        ("d min", D_MINOR),
        (" d-minor ", D_MINOR),
        ("DM", (1, 2, 4, 6, 7, 9, 11)),
        ("D", (1, 2, 4, 6, 7, 9, 11)),
        ("Bb major", B_FLAT_MAJOR),
        ("bb", B_FLAT_MAJOR),
        ("B♭", B_FLAT_MAJOR),
        ("B-flat major", B_FLAT_MAJOR),
        ("b flat Maj", B_FLAT_MAJOR),
        ("A# major", B_FLAT_MAJOR),
        ("a sharp major", B_FLAT_MAJOR),
        ("b minor", (1, 2, 4, 6, 7, 8, 9, 10, 11)),
        ("B", (1, 3, 4, 6, 8, 10, 11)),
        ("Cb", (1, 3, 4, 6, 8, 10, 11)),
        ("F♯m", (1, 2, 3, 4, 5, 6, 8, 9, 11)),
    ],
)
def test_keys_as_people_write_them(key, classes):
    assert pitch_classes(key) == classes == Limits(key=key).constraints(PERFORMANCE).pitch_classes


@pytest.mark.parametrize(("beats", "steps"), [(1, 24), (0.5, 12), (0.001, 1), (12.49, 300)])
def test_length_is_in_steps(beats, steps):
    assert Limits(max_beats=beats).constraints(SCORE).max_steps == steps


@pytest.mark.parametrize(
    ("duration", "tempo", "steps"),
    [
        (1, 120, 48),
        (0.5, 60, 12),
        (10, 96, 384),
        (0.3, 100, 12),
        (0.0209, 120, 1),
        (0.020834, 120, 1),
        (0.0416, 120, 1),
        (1.0208, 120, 48),
        (2, 101, 80),
    ],
    ids=str,
)
def test_a_duration_is_in_whole_steps_of_the_tempo_and_never_longer(duration, tempo, steps):
    constraints = Limits(tempo=tempo, duration=duration).constraints(SCORE)
    assert constraints.max_steps == steps
    us_per_beat = Vocabulary(SCORE).tempo_us_per_beat(constraints.tempo_index)
    asked = Fraction(str(duration)) * 24_000_000
    assert steps * us_per_beat <= asked < (steps + 1) * us_per_beat


def test_a_duration_needs_no_tempo_where_steps_are_milliseconds():
    assert Limits(duration=1.239).constraints(PERFORMANCE) == Constraints(max_steps=123)
    assert completed(Limits(duration=0.29), read("90 BPM"), PERFORMANCE).constraints(PERFORMANCE).max_steps == 29


@pytest.mark.parametrize(
    ("bars", "signature", "steps"), [(1, "4/4", 96), (8, "3/4", 576), (2, "6/8", 144), (3, "5/16", 90), (1, "2/1", 192)]
)
def test_bars_are_as_long_as_the_time_signature(bars, signature, steps):
    assert Limits(time_signature=signature, bars=bars).constraints(SCORE).max_steps == steps


def test_the_shortest_length_counts():
    limits = Limits(tempo=60, time_signature="4/4", max_beats=20, duration=10, bars=2)
    assert limits.constraints(SCORE).max_steps == 8 * 24
    assert dataclasses.replace(limits, duration=4).constraints(SCORE).max_steps == 4 * 24
    assert dataclasses.replace(limits, max_beats=3).constraints(SCORE).max_steps == 3 * 24


def test_a_text_gives_what_a_length_needs_and_an_option_is_stronger():
    reading = read("a jig in 6/8 at 80 BPM")
    assert completed(Limits(duration=9), reading, SCORE) == Limits(duration=9, tempo=120)
    assert completed(Limits(bars=9), reading, SCORE) == Limits(bars=9, time_signature="6/8")
    own = Limits(duration=9, bars=9, tempo=50, time_signature="3/4")
    assert completed(own, reading, SCORE) == own
    for limits in (Limits(), Limits(key="D minor"), Limits(max_beats=3)):  # nothing else becomes hard
        assert completed(limits, reading, SCORE) == limits


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"instruments": ["violin", "violine d'amour"]}, 'there is no instrument "violine d\'amour"'),
        ({"instruments": ["violim"]}, "did you mean 'violin'"),
        ({"instruments": [129]}, "program must be between 0 and 128"),
        ({"instruments": []}, "instruments must name at least one; leave it out to allow all"),
        ({"tempo": 19.9}, r"tempo must be between 20 and 304 beats a minute, got 19\.9"),
        ({"tempo": math.nan}, "tempo must be between 20 and 304 beats a minute, got nan"),
        ({"tempo": "fast"}, "tempo must be between 20 and 304 beats a minute, got 'fast'"),
        ({"time_signature": "3/5"}, "time_signature must be like 3/4, .* got '3/5'"),
        ({"time_signature": "17/4"}, "time_signature must be like 3/4"),
        ({"time_signature": "waltz"}, "time_signature must be like 3/4"),
        ({"time_signature": (3, 4)}, "time_signature must be like 3/4"),
        ({"key": "H minor"}, 'key must be like "D minor" or "F# major", got \'H minor\''),
        ({"key": "D dorian"}, 'key must be like "D minor"'),
        ({"key": ""}, 'key must be like "D minor"'),
        ({"key": 3}, 'key must be like "D minor"'),
        ({"max_beats": 0}, "max_beats must be above 0 and at most 1048576, got 0"),
        ({"max_beats": math.inf}, "max_beats must be above 0"),
        ({"max_beats": "long"}, "max_beats must be above 0"),
        ({"duration": 9}, 'duration needs tempo=, or a text that names a BPM, like "at 96 BPM"'),
        ({"duration": 0, "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got 0"),
        ({"duration": math.inf, "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got inf"),
        ({"duration": "9", "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got '9'"),
        ({"duration": 0.02, "tempo": 120}, r"duration must be at least 0\.021 seconds at this tempo, got 0\.02"),
        ({"bars": 4}, 'bars needs time_signature=, or a text that names one, like "in 3/4 time"'),
        ({"bars": 0, "time_signature": "3/4"}, "bars must be a whole number between 1 and 65536, got 0"),
        ({"bars": 2.5, "time_signature": "3/4"}, "bars must be a whole number between 1 and 65536, got 2.5"),
        ({"bars": True, "time_signature": "3/4"}, "bars must be a whole number"),
        ({"max_polyphony": 0}, "max_polyphony must be a whole number of notes, at least 1; got 0"),
        ({"max_polyphony": 2.5}, "max_polyphony must be a whole number"),
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_understood_is_one_clear_line(limit, message):
    with pytest.raises(ValueError, match=message) as caught:
        Limits(**limit).constraints(SCORE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "limit",
    [{"instruments": ["violin"]}, {"tempo": 120}, {"time_signature": "3/4"}, {"max_beats": 4}, {"bars": 4}],
    ids=str,
)
def test_a_wish_that_the_preset_cannot_keep_is_refused(limit):
    with pytest.raises(ValueError, match=f"{next(iter(limit))} needs a model of the preset score; this one is of perf"):
        Limits(**limit).constraints(PERFORMANCE)


def test_the_grammar_keeps_the_wishes():
    limits = Limits(["violin"], 100, "3/4", "C major", 2, 1)
    state, words = Grammar(SCORE, limits.constraints(SCORE)).start(), Vocabulary(SCORE)

    def kinds_and_values():
        return {words.events[token] for token in state.allowed().nonzero()[0]}

    state.advance(words.token_id("bos"))
    assert kinds_and_values() == {("time_signature", time_signature_index(3, 4))}
    state.advance(words.token_id("time_signature", time_signature_index(3, 4)))
    assert kinds_and_values() == {("tempo", SCORE.tempos_bpm.index(100))}
    state.advance(words.token_id("tempo", SCORE.tempos_bpm.index(100)))
    assert {value for kind, value in kinds_and_values() if kind == "program"} == {40}
    for kind, value in (("program", 40), ("velocity", 20)):
        state.advance(words.token_id(kind, value))
    assert {value % 12 for kind, value in kinds_and_values() if kind == "note_on"} == {0, 2, 4, 5, 7, 9, 11}
    state.advance(words.token_id("note_on", 60))
    assert not {"note_on", "velocity", "program"} & {kind for kind, _ in kinds_and_values()}  # one note at once
    assert {value for kind, value in kinds_and_values() if kind == "time_shift"} == set(range(1, 49))
