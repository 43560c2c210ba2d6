"""What a text says becomes limits; arguments win; what cannot be is one error."""

import pytest

from amt.midi.config import TokenizerConfig
from amt.request.casting import cast
from amt.request.limits import Limits
from amt.request.obey import middle, obeyed
from amt.request.reading import read

SCORE = TokenizerConfig()


def said(text, **limits):
    """The limits that the words give."""
    found = obeyed(Limits(**limits), read(text), frozenset(limits), SCORE)
    return {name: getattr(found.limits, name) for name in found.said}


def roles(text):
    return [(role.part.name, role.program, role.by) for role in cast(read(text))]


def test_what_a_text_states_are_limits():
    assert said("lo-fi beat for electric piano, bass and drums, 84 bpm, in 3/4") == {
        "instruments": (4, 33, 128), "required_instruments": (4, 33, 128), "tempo": 84.0, "time_signature": "3/4",
    }  # fmt: skip
    assert said("string quartet, 16 bars")["bars"] == 16
    assert said("piano, two minutes")["duration"] == 120
    assert "duration" not in said("piano, two to three minutes")  # any of them will do
    assert said("music in D minor, sad, legato") == {}


def test_words_for_a_tempo_keep_to_the_middle_of_their_range():
    low, high = said("slow piano")["tempo"]
    assert 48 < low < high < 80 and (low, high) == pytest.approx(middle(48, 80))
    assert said("a polka")["tempo"] == pytest.approx(middle(104, 130))
    assert said("between 90 and 100 bpm")["tempo"] == (90, 100)
    assert said("a polka at 90 bpm")["tempo"] == 90


def test_a_dance_has_its_metre_and_bars_without_one_have_four_quarters():
    assert said("a waltz")["time_signature"] == "3/4"
    assert said("piano, 8 bars")["time_signature"] == "4/4"
    assert "time_signature" not in said("a piece in 21/8")


def test_refusals_are_kept_where_others_may_play():
    assert said("an orchestra without trombone")["forbidden_instruments"] == (57,)
    assert said("no drums")["forbidden_instruments"] == (128,)
    assert "forbidden_instruments" not in said("piano, no drums")  # nobody but the piano plays


def test_arguments_win_over_words():
    text = "a waltz for piano and violin, 90 bpm, 3/4, 16 bars, no drums"
    assert said(text, instruments=["cello"]).keys() == {"tempo", "time_signature", "bars"}
    assert "tempo" not in said(text, tempo=120)
    assert "tempo" not in said(text, tempo=None)  # left to the model
    assert "time_signature" not in said(text, time_signature="4/4")
    assert not {"bars", "duration"} & said(text, duration=30).keys()
    assert said(text, required_instruments=["cello"])["instruments"] == (0, 40, 42)
    assert said("piano or nothing", forbidden_instruments=[0])["instruments"] == (1,)  # another piano
    assert "forbidden_instruments" not in said("no drums", required_instruments=["drums"])
    assert "required_instruments" not in said(text, max_instruments=1)


def test_soft_leaves_all_to_the_model():
    limits = Limits(bars=3)
    found = obeyed(limits, read("a waltz in 3/4 for piano"), {"bars"}, SCORE, "soft")
    assert found.said == frozenset() and found.limits == Limits(bars=3, time_signature="3/4")


def test_what_contradicts_is_one_error_that_names_both():
    both = r'the text says "32 bars" and "10 seconds" and "60 bpm", but .*obey="soft"'
    with pytest.raises(ValueError, match=both) as e:
        said("piano, 4/4, 32 bars, 10 seconds, 60 bpm")
    assert "\n" not in str(e.value)
    with pytest.raises(ValueError, match="tempo must be between 20 and 304") as e:
        said("piano, 32 bars", tempo=999)
    assert "the text says" not in str(e.value)


def test_what_a_style_only_implies_gives_way():
    limits = said("salsa, 32 bars in 4/4, 128 seconds")  # 60 quarter notes a minute
    assert limits["bars"] == 32 and "tempo" not in limits


def test_what_the_model_does_not_have_is_a_warning():
    found = obeyed(Limits(), read("piano at 400 bpm"), (), SCORE)
    assert found.limits.tempo == 304 and "400" in found.warnings[0]
    assert "17/4" in obeyed(Limits(), read("piano in 17/4"), (), SCORE).warnings[0]


def test_free_time_has_only_a_length():
    config = TokenizerConfig(preset="performance")
    found = obeyed(Limits(), read("a waltz for piano, 90 bpm, 8 bars, 20 seconds, no drums"), (), config)
    assert found.said == {"duration"}


# Who plays


def test_a_style_decides_which_of_its_instruments_a_name_means():
    assert roles("metal with guitar and bass") == [("guitar", 30, ""), ("bass", 33, "")]
    assert roles("jazz with guitar and bass") == [("guitar", 26, ""), ("bass", 32, "")]
    assert roles("guitar and nylon guitar") == [("guitar", 25, ""), ("nylon guitar", 24, "")]
    assert roles("nylon guitar and acoustic guitar")[1] == ("acoustic guitar", 25, "")
    assert roles("bass and double bass") == [("bass", 33, ""), ("double bass", 32, "")]


def test_where_nobody_is_named_the_band_of_the_style_plays():
    assert roles("drum and bass") == [("synth bass", 38, "drum and bass"), ("drums", 128, "drum and bass")]
    assert [name for name, _, _ in roles("a ska tune, but no drums")] == ["guitar", "bass guitar"]
    assert roles("music for a workout") == [("drums", 128, "workout")]
    assert roles("something sad") == roles("a ballad") == []


def test_a_beat_needs_drums():
    assert roles("piano, four on the floor")[1] == ("drums", 128, "beat")
    assert roles("a beat with piano")[1] == ("drums", 128, "beat")
    for text in ("piano, 120 beats per minute", "upbeat piano", "piano, no drums, backbeat", "drums, a beat"):
        assert [role for role in roles(text) if role[2] == "beat"] == [], text


def test_an_ensemble_that_others_may_join_has_its_core():
    assert [name for name, _, _ in roles("a brass band")] == ["trumpet", "french horn", "trombone", "tuba"]
    assert [program for _, program, _ in roles("string quartet")] == [40, 41, 42]
    limits = said("a march for brass band")
    assert limits["required_instruments"] == (56, 57, 58, 60) and "instruments" not in limits
