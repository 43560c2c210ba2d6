"""Sections that come again: the notes of the first one, whatever writes the rest."""

import pytest

import amt
from amt.decoding.backends import Backend
from amt.decoding.backends.engine import packed_engine
from amt.decoding.backends.shared import SharedBatch
from amt.generation import generator, long
from amt.generation.usual_plan import usual_plan
from amt.midi.config import TokenizerConfig
from amt.midi.returns import returns_of
from amt.midi.sanity import bar_contents
from amt.ops import native
from amt.request.limits import Limits
from amt.request.reading import read
from amt.request.target import Target

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")

CALLS = {
    "said by the style": ("a lively jig for fiddle", {"seed": 2}),
    "asked for": ("pop song with piano and drums", {"seed": 0, "form": "verse chorus verse chorus", "bars": 32}),
    "with chords": ("calm piano", {"seed": 5, "form": "AABA", "chords": "C Am F G", "bars": 32}),
}


@pytest.fixture(scope="module")
def opened():
    return amt.load("score-plan")


@pytest.fixture(scope="module")
def alone(opened):
    """Each piece of CALLS, written once, without candidates."""
    return {name: amt.generate(text, model=opened, rerank=1, **more) for name, (text, more) in CALLS.items()}


@pytest.fixture
def taken(monkeypatch):
    """The returns that the limits allowed: music, and with it what they forbid, differs between processors."""
    found = []
    come_again = long.Long._come_again

    def recorded(self, again, num_fixed):
        is_taken = come_again(self, again, num_fixed)
        found.extend([again] if is_taken else [])
        return is_taken

    monkeypatch.setattr(long.Long, "_come_again", recorded)
    return found


def check_returns(piece, taken):
    """Bars of what comes again are those of the first time."""
    bars = bar_contents(piece.music)
    for again in taken:
        for bar in range(again.length // 2):
            assert bars[again.start // 2 + bar] == bars[again.source // 2 + bar], (again, bar)


@pytest.mark.parametrize("name", CALLS)
def test_the_bars_of_a_section_come_again(opened, taken, name):
    text, more = CALLS[name]
    num_taken = 0
    for candidates in ({"rerank": 1}, {}):
        taken.clear()
        piece = amt.generate(text, model=opened, **candidates, **more)
        assert set(taken) <= set(returns_of(piece.plan))
        check_returns(piece, taken)
        num_taken += len(taken)
        assert all(row.is_met for row in piece.report if row.is_hard)
        assert len(piece.token_log_probs) == len(piece.tokens) - 1
    assert num_taken


@pytest.mark.parametrize("name", CALLS)
def test_streams_batches_and_shared_batches_write_the_same(alone, opened, name):
    text, more = CALLS[name]
    stream = amt.stream(text, model=opened, **more)
    assert [event.kind for event in stream][-1] == "eos"
    assert stream.result().tokens == alone[name].tokens
    assert stream.result().token_log_probs == alone[name].token_log_probs
    several = amt.generate([text, "a slow waltz", text], model=opened, rerank=1, **more)
    assert several[0].tokens == alone[name].tokens and several[2].tokens == alone[name].tokens
    batch = SharedBatch(packed_engine(opened.checkpoint.model), num_threads=2)
    try:
        backend = Backend("shared", batch.refusal, batch.start)
        assert amt.generate(text, model=opened, backend=backend, rerank=1, **more).tokens == alone[name].tokens
        stream = amt.stream(text, model=opened, backend=backend, **more)
        assert sum(1 for _ in stream) == len(alone[name].tokens)
        assert stream.result().tokens == alone[name].tokens
    finally:
        batch.close()


def test_who_leaves_the_plan_to_the_model_or_searches_by_beams_gets_no_copies(opened):
    text, more = CALLS["asked for"]
    piece = amt.generate(text, model=opened, plan="model", rerank=1, **more)
    bars = bar_contents(piece.music)
    assert sum(bars[first] == bars[first + 16] for first in range(min(16, len(bars) - 16))) < 8
    short = more | {"bars": 16, "num_beams": 2}
    assert len(amt.generate(text, model=opened, **short).notes)


def test_greedy_search_has_them_too(opened, taken):
    text, more = CALLS["said by the style"]
    check_returns(amt.generate(text, model=opened, do_sample=False, **more), taken)


def test_there_are_no_more_tokens_than_there_may_be(opened):
    text, more = CALLS["with chords"]
    piece = amt.generate(text, model=opened, rerank=1, max_new_tokens=400, **more)
    assert len(piece.token_log_probs) <= 400 and len(piece.notes)


def test_where_the_limits_forbid_it_the_notes_are_new(opened, monkeypatch):
    text, more = CALLS["said by the style"]
    with monkeypatch.context() as patch:
        patch.setattr(generator, "_returns", lambda constraints: ())
        expected = amt.generate(text, model=opened, rerank=1, **more)
    asked = []
    monkeypatch.setattr(long.Long, "_may_stand", lambda self, num_kept, ids: bool(asked.append(len(ids))))
    found = amt.generate(text, model=opened, rerank=1, **more)
    assert found.tokens == expected.tokens and found.token_log_probs == expected.token_log_probs
    assert len(asked) >= 2 and min(asked) > 20
    assert amt.stream(text, model=opened, **more).result().tokens == expected.tokens[:1]
    stream = amt.stream(text, model=opened, **more)
    assert sum(1 for _ in stream) == len(expected.tokens) and stream.result().tokens == expected.tokens


@pytest.mark.parametrize("text", ["pop song", "string quartet", "a calm piano piece"])
def test_a_form_gets_the_chords_of_a_style(text):
    config = TokenizerConfig(version=2, canonical_key=True)
    for seed in range(10):
        limits = Limits(form="verse chorus verse chorus", duration=120)
        usual = usual_plan(read(text), limits, Target(None, 120.0), seed, config, 2047)
        names = [section.name for section in usual.plan.sections]
        assert names == ["verse", "chorus", "verse", "chorus"] and len(returns_of(usual.plan)) == 2
        seconds = usual.plan.half_bars / 2 * 240 / usual.tempo * (3 / 4 if usual.time_signature == "3/4" else 1)
        assert usual.time_signature not in ("3/4", "4/4") or abs(seconds - 120) < 8
    limits = Limits(form="A8 A8 B8 A8", bars=32)
    usual = usual_plan(read(text), limits, Target(32, None), 0, config, 2047)
    assert [section.half_bars for section in usual.plan.sections] == [16] * 4
