"""The form and the chords of a style, as a plan: when it comes, and what it decides."""

import pytest

import amt
from amt.generation.usual_plan import FEWEST_BARS, SHARE, style_of, usual_plan
from amt.midi.config import TokenizerConfig
from amt.midi.plan import SAME_SECTION
from amt.midi.reference.encode import plan_ids
from amt.midi.theory import Key
from amt.midi.vocabulary import vocabulary_of
from amt.request.limits import Limits
from amt.request.reading import read
from amt.request.target import Target

CONFIG = TokenizerConfig(version=2, canonical_key=True)


def planned(text, limits=None, *, seed=0, room=1023, bars=None, seconds=60.0):
    target = Target(bars, None if bars else seconds)
    return usual_plan(read(text), limits or Limits(), target, seed, CONFIG, room)


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("upbeat pop song with piano", "pop"),
        ("jazz trio: piano, double bass and drums", "swing"),
        ("a bagpipe march in 4/4", "bagpipe march"),
        ("march for brass band", "march"),
        ("une valse lente pour piano", "waltz"),
        ("a fugue in G minor for organ", None),
        ("calm piano", None),
    ],
)
def test_the_style_of_a_text(text, style):
    found = style_of(read(text), 0)
    assert (found and found.name) == style


def test_a_plan_is_as_long_as_asked_for():
    for seed in range(20):
        usual = planned("pop song", bars=24, seed=seed)
        assert usual.plan.half_bars == 48
        usual = planned("a slow blues", seed=seed, seconds=90.0)
        bar = 4 if usual.time_signature == "4/4" else 6
        assert abs(usual.plan.half_bars / 2 * bar * 60 / usual.tempo - 90) < 2 * bar * 60 / usual.tempo
    assert planned("pop song", bars=FEWEST_BARS - 1) is None


def test_what_is_asked_for_is_in_it():
    for seed in range(20):
        usual = planned("a waltz in D minor", seed=seed)
        assert usual.key == Key(2, "minor") and usual.time_signature == "3/4"
        assert planned("pop song", Limits(key="F minor"), seed=seed).key == Key(5, "minor")
        assert planned("a sad pop song", seed=seed).key.is_minor
        assert planned("pop song", Limits(tempo=101.5), seed=seed).tempo == pytest.approx(101.5)
        assert 100 - 1e-9 <= planned("pop song", Limits(tempo=(100.0, 104.0)), seed=seed).tempo <= 104 + 1e-9
    jig = planned("an Irish jig", Limits(tempo=150.0))  # the beat of a jig is a dotted quarter
    assert jig.tempo == pytest.approx(150.0) and jig.time_signature == "6/8"


def test_where_the_rules_do_not_fit_there_is_none():
    assert planned("pop song", Limits(time_signature="7/8")) is None
    assert planned("an Irish jig", Limits(key="D locrian")) is None
    usual = planned("pop song", bars=64)
    needed = len(plan_ids(usual.plan, vocabulary_of(CONFIG)))
    assert planned("pop song", bars=64, room=int(needed / SHARE)) is not None
    assert planned("pop song", bars=64, room=int(needed / SHARE) - 1) is None


def test_a_section_that_returns_has_its_chords_again():
    sections = planned("pop song", seconds=150.0, seed=3).plan.sections
    by_name = {}
    for section in sections:
        by_name.setdefault(section.name, []).append(section.bar_names)
    again = [these for these in by_name.values() if len(these) > 1]
    assert again
    for first, *others in again:
        for other in others:
            shorter = min(len(first), len(other)) - 1  # the last bar may lead elsewhere
            assert other[:shorter] == first[:shorter]


def test_the_same_seed_gives_the_same_plan():
    assert planned("bossa nova", seed=5) == planned("bossa nova", seed=5)
    assert len({str(planned("bossa nova", seed=seed).plan) for seed in range(8)}) > 3


def test_constraints_and_limits():
    usual = planned("pop song", bars=16)
    limits = usual.limited(Limits())
    assert limits.bars == 16 and limits.time_signature == "4/4" and limits.tempo[0] < usual.tempo < limits.tempo[1]
    assert usual.limited(Limits(tempo=99.0)).tempo == usual.tempo
    held = usual.planned(limits.constraints(CONFIG))
    assert len(held.plan_sections) == len(held.plan_chords) == 32
    begins = [place for place, section in enumerate(held.plan_sections) if section != SAME_SECTION]
    assert tuple(begins) == usual.plan.starts
    with_seconds = usual.limited(Limits(duration=30.0))
    assert with_seconds.bars is None and with_seconds.tempo == usual.tempo


@pytest.mark.parametrize("tempo", [None, (100.0, 109.0), (105.0, 107.0)])
def test_a_piece_in_seconds_has_a_tempo_of_the_tokens(tempo):
    """What its tokens count is what its file has."""
    limits = Limits(duration=30.0, tempo=tempo)
    found = [planned("pop song", limits, seconds=30.0, seed=seed).limited(limits) for seed in range(12)]
    marks = {bpm for bpm in CONFIG.tempos_bpm if tempo is None or tempo[0] <= bpm <= tempo[1]}
    for each in found:
        assert round(each.tempo, 6) in (marks or {104, 108})


OPTIONS = {"seed": 2, "rerank": 1, "bars": 8}  # for the model in the package


def test_the_piece_follows_it():
    piece = amt.generate("pop song with piano, bass and drums", **OPTIONS)
    assert piece.plan is not None and piece.plan.half_bars == 16
    assert piece.plan == amt.generate("pop song with piano, bass and drums", **OPTIONS).plan
    assert all(row.name not in ("chords", "form") for row in piece.report)  # nobody asked for them


def test_the_model_may_decide():
    text = "pop song with piano, bass and drums"
    by_model = amt.generate(text, plan="model", **OPTIONS)
    assert by_model.plan != amt.generate(text, **OPTIONS).plan
    assert by_model.tokens == amt.generate(text, plan="model", **OPTIONS).tokens


def test_what_is_named_comes_first():
    piece = amt.generate("pop song with piano", chords="C Am", **OPTIONS)
    assert {chord.name for section in piece.plan.sections for chord in section.chords} == {"C", "Am"}


def test_nobody_else_decides_it():
    with pytest.raises(ValueError, match="plan must be"):
        amt.generate("pop song", plan="nobody")
