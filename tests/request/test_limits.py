import dataclasses
import math

import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import MANY, Constraints
from amt.midi.ranges import HIGHEST, LOWEST, VOICES
from amt.midi.vocabulary import DRUMS, Vocabulary, time_signature_index
from amt.request.limits import Limits, pitch_classes, with_usual
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
    ("duration", "window"),
    [(1, (950_000, 1_050_000)), (0.3, (285_000, 315_000)), (60, (57_000_000, 63_000_000))],
    ids=str,
)
def test_a_duration_is_met_within_five_per_cent_at_any_tempo(duration, window):
    constraints = Limits(duration=duration).constraints(PERFORMANCE)
    assert constraints == Constraints(min_us=window[0], max_us=window[1])
    assert Limits(duration=duration).constraints(SCORE) == dataclasses.replace(constraints, whole_bars=True)


def test_bars_are_those_of_the_music_in_any_metre():
    constraints = Limits(bars=8).constraints(SCORE)
    assert (constraints.min_bars, constraints.max_bars, constraints.time_signature_index) == (8, 8, None)
    both = Limits(bars=8, duration=20).constraints(SCORE)  # the seconds decide among the bars around
    assert (both.min_bars, both.max_bars, both.whole_bars) == (7, 9, True)
    assert Limits(bars=1, duration=2).constraints(SCORE).min_bars == 1


def test_max_beats_may_end_the_last_bar_early():
    constraints = Limits(time_signature="4/4", max_beats=31, bars=8).constraints(SCORE)
    assert (constraints.min_bars, constraints.max_bars, constraints.max_steps) == (8, 8, 31 * 24)


def test_a_text_gives_what_a_length_needs_and_an_option_is_stronger():
    reading = read("a jig in 6/8 at 80 BPM")
    assert completed(Limits(bars=9), reading) == Limits(bars=9, time_signature="6/8")
    own = Limits(duration=9, bars=9, tempo=50, time_signature="3/4")
    assert completed(own, reading) == own
    for limits in (Limits(), Limits(key="D minor"), Limits(max_beats=3), Limits(duration=9)):  # nothing else is hard
        assert completed(limits, reading) == limits


def test_named_instruments_are_required_unless_others_are():
    assert Limits(instruments=["violin", "drums"]).constraints(SCORE).required_programs == (40, 128)
    some = Limits(instruments=["violin", "drums"], required_instruments=["violin"]).constraints(SCORE)
    assert (some.programs, some.required_programs) == ((40, 128), (40,))
    none = Limits(instruments=["violin", "drums"], required_instruments=[]).constraints(SCORE)
    assert (none.programs, none.required_programs) == ((40, 128), None)
    few = Limits(instruments=["violin", "cello", "drums"], max_instruments=2).constraints(SCORE)
    assert (few.required_programs, few.max_programs) == (None, 2)
    others = Limits(required_instruments=["violin"]).constraints(SCORE)
    assert (others.programs, others.required_programs) == (None, (40,))


def test_forbidden_instruments_are_not_among_the_programs():
    assert Limits(forbidden_instruments=["drums"]).constraints(SCORE).programs == tuple(range(128))
    assert Limits(instruments="piano", forbidden_instruments=[128, 4]).constraints(SCORE).programs == (0,)


def test_tempos_between_two():
    constraints = Limits(tempo=(90, 120)).constraints(SCORE)
    assert constraints.tempo_index is None
    bounds = (constraints.tempo_min_index, constraints.tempo_max_index)
    assert [SCORE.tempos_bpm[index] for index in bounds] == [92, 120]


@pytest.mark.parametrize(
    ("given", "violin", "cello", "drums"),
    [
        ("C4", 60, 60, 0),
        (60, 60, 60, 0),
        ({"violin": "G3", "cello": 36}, 55, 36, 0),
        ({"drums": "Bb-1"}, 0, 0, 10),
        ({40: "F#3"}, 54, 0, 0),
    ],
    ids=str,
)
def test_pitches_by_number_or_name_for_all_or_some(given, violin, cello, drums):
    pitches = Limits(min_pitch=given).constraints(SCORE).min_pitch
    assert (pitches[40], pitches[42], pitches[DRUMS]) == (violin, cello, drums)
    highest = Limits(max_pitch=given).constraints(SCORE).max_pitch
    assert highest[40] == (violin or 127) and highest[DRUMS] == (drums or 127)


def test_beats_are_steps():
    limits = Limits(max_note_beats=4, max_rest_beats=0.5, max_filler_tokens=7, entry_by_beats=8, instruments=["oboe"])
    constraints = limits.constraints(SCORE)
    assert (constraints.max_note_steps, constraints.max_rest_steps) == (96, 12)
    assert (constraints.max_filler_tokens, constraints.entry_by_step) == (7, 192)


@pytest.mark.parametrize("given", [{"piano": 0.5, "strings": 16}, {0: 0.5, "String Ensemble 1": 16.0}], ids=str)
def test_a_longest_note_for_some_instruments_leaves_the_others_free(given):
    steps = Limits(max_note_beats=given).constraints(SCORE).max_note_steps
    assert {program: number for program, number in enumerate(steps) if number < MANY} == {0: 12, 48: 384}


OWN = (6.0, 0.25, 99.0, *[3.0] * 13)  # of families: piano, chromatic percussion, organ


def test_notes_usually_last_as_long_as_those_that_the_model_learned_from():
    usual = with_usual(Limits(), (), SCORE, OWN).constraints(SCORE).max_note_steps
    assert usual[:8] == (144,) * 8 and usual[8:16] == (24,) * 8  # at least a beat
    assert usual[16:24] == (384,) * 8 and usual[24:128] == (72,) * 104  # at most 16
    assert with_usual(Limits(max_note_beats=9), {"max_note_beats"}, SCORE, OWN).max_note_beats == 9
    assert with_usual(Limits(), {"max_note_beats"}, SCORE, OWN).max_note_beats is None
    named = with_usual(Limits(instruments=["piano"]), {"instruments"}, SCORE, OWN)
    assert named.constraints(SCORE).max_note_steps == usual
    assert with_usual(Limits(), (), PERFORMANCE, OWN).max_note_beats is None


@pytest.mark.parametrize(
    ("instruments", "own", "violin", "flute"),
    [(None, (), 384, 384), (["piano", "flute"], (), 192, 192), (None, OWN, 72, 72)],
    ids=["any model", "nobody sustains", "its own"],
)
def test_instruments_whose_longest_note_is_not_named_have_the_usual_one(instruments, own, violin, flute):
    limits = Limits(max_note_beats={"piano": 40, 41: 0.5}, instruments=instruments)
    steps = with_usual(limits, {"max_note_beats", "instruments"}, SCORE, own).constraints(SCORE).max_note_steps
    assert (steps[0], steps[41], steps[40], steps[73]) == (960, 12, violin, flute)


def test_a_generation_has_usual_limits_where_the_call_names_none():
    usual = with_usual(Limits(key="D minor"), {"key"}, SCORE)
    expected = {"max_note_beats": 16.0, "max_rest_beats": 8.0, "max_filler_tokens": 24, "entry_by_beats": 32.0}
    expected |= {
        "max_instruments": 10,
        "max_polyphony": 24,
        "max_top_run": 12,
        "min_pitch": LOWEST,
        "max_pitch": HIGHEST,
        "max_voices": VOICES,
    }
    assert usual == Limits(key="D minor", **expected)
    named = with_usual(Limits(max_note_beats=3), {"max_note_beats", "max_rest_beats"}, SCORE)
    assert (named.max_note_beats, named.max_rest_beats, named.max_filler_tokens) == (3, None, 24)
    assert with_usual(Limits(), (), PERFORMANCE) == Limits(max_filler_tokens=24, max_polyphony=24)
    assert with_usual(Limits(max_pitch=90), {"max_pitch"}, SCORE).min_pitch is None
    many = [*range(12)]
    assert with_usual(Limits(instruments=many), {"instruments"}, SCORE).max_instruments is None
    opened = with_usual(Limits(instruments=[*range(40)], required_instruments=many), {"instruments"}, SCORE)
    assert opened.max_instruments == 15 and with_usual(Limits(), (), SCORE).max_instruments == 10


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
        ({"tempo": (90,)}, "tempo must be one number or two, the slowest and the fastest"),
        ({"tempo": (90, 80)}, "tempo must have the slowest first"),
        ({"tempo": (9, 80)}, "tempo must be between 20 and 304 beats a minute, got 9"),
        ({"instruments": ["violin"], "required_instruments": ["cello"]}, "names Cello, which instruments does not"),
        (
            {"required_instruments": ["violin"], "forbidden_instruments": ["violin"]},
            "required_instruments and forbidden_instruments both name Violin",
        ),
        (
            {"instruments": ["violin"], "forbidden_instruments": ["violin"]},
            "instruments and forbidden_instruments both name Violin",
        ),
        (
            {"required_instruments": ["violin", "oboe"], "max_instruments": 1},
            "required_instruments names 2 instruments, max_instruments is 1",
        ),
        ({"max_instruments": 0}, "max_instruments must be a whole number of instruments, at least 1; got 0"),
        ({"max_note_beats": 0.01}, "max_note_beats must be at least a step, 1/24 of a beat; got 0.01"),
        ({"max_note_beats": {"piano": 0.01}}, "max_note_beats of piano must be at least a step, 1/24 .* got 0.01"),
        ({"max_note_beats": {"piano": "long"}}, "max_note_beats of piano must be above 0 and at most .* got 'long'"),
        ({"max_note_beats": {"violim": 3}}, "there is no instrument 'violim' .* did you mean 'violin'"),
        ({"max_note_beats": {129: 3}}, "program must be between 0 and 128"),
        ({"max_note_beats": {"drums": 3}}, "max_note_beats names drums, whose notes have no length; leave them out"),
        ({"max_note_beats": {}}, "max_note_beats names no instrument; give a number"),
        ({"max_note_beats": "piano:4"}, "max_note_beats must be above 0 and at most 1048576, got 'piano:4'"),
        ({"max_rest_beats": -1}, "max_rest_beats must be above 0"),
        ({"max_filler_tokens": 1.5}, "max_filler_tokens must be a whole number of tokens"),
        ({"min_pitch": "H4"}, "min_pitch must be a pitch 0 to 127 or a name like .* got 'H4'"),
        ({"max_pitch": 128}, "max_pitch must be a pitch 0 to 127"),
        ({"max_pitch": {}}, "max_pitch names no instrument"),
        ({"min_pitch": {"violim": 3}}, "did you mean 'violin'"),
        (
            {"instruments": ["violin"], "min_pitch": "C5", "max_pitch": {"violin": "C4"}},
            "min_pitch 72 is above max_pitch 60 for Violin",
        ),
        ({"key": "C major", "min_pitch": 61, "max_pitch": 61, "instruments": "violin"}, "no pitch"),
        ({"max_beats": 4, "bars": 8, "time_signature": "4/4"}, "max_beats 4 ends the piece before bar 8; leave one"),
        ({"duration": 60, "max_beats": 4}, "duration 60 and max_beats 4 cannot both be met"),
        ({"duration": 4, "bars": 60, "time_signature": "4/4"}, "duration 4 and bars 60 cannot both be met"),
        ({"duration": 0, "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got 0"),
        ({"duration": math.inf, "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got inf"),
        ({"duration": "9", "tempo": 90}, "duration must be above 0 and at most 86400 seconds, got '9'"),
        ({"duration": 0.019, "tempo": 120}, r"duration must be at least 0\.021 seconds at this tempo, got 0\.019"),
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
    limits = Limits(
        instruments=["violin"], tempo=100, time_signature="3/4", key="C major", max_beats=2, max_polyphony=1
    )
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


def test_voices_of_instruments():
    constraints = Limits(max_voices={"flute": 1, "piano": 8}).constraints(SCORE)
    assert (constraints.max_voices[73], constraints.max_voices[0], constraints.max_voices[40]) == (1, 8, MANY)
    assert set(Limits(max_voices=3).constraints(SCORE).max_voices) == {3}
    for wrong in (0, 2.5, True, "two", {"flute": 0}):
        with pytest.raises(ValueError, match=r"max_voices.* must be a whole number of notes, 1 to 128"):
            Limits(max_voices=wrong).constraints(SCORE)
    with pytest.raises(ValueError, match="max_voices names no instrument"):
        Limits(max_voices={}).constraints(SCORE)
    with pytest.raises(ValueError, match="there is no instrument"):
        Limits(max_voices={"flööte": 1}).constraints(SCORE)
