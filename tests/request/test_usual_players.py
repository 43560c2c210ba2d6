"""Who plays where nobody is named."""

import pytest

import amt
from amt.cli.tables import READ
from amt.midi.config import TokenizerConfig
from amt.midi.facts import measure
from amt.request.casting import cast, usual_players
from amt.request.lexicon.bands import BANDS, JOINERS, USE_BANDS, USUAL_BY_SIZE, USUAL_PLAYERS
from amt.request.lexicon.moods import MOODS
from amt.request.lexicon.styles import STYLES
from amt.request.lexicon.tags import FORMS, USES
from amt.request.limits import Limits
from amt.request.obey import obeyed, with_usual_players
from amt.request.phrases import programs_of
from amt.request.reading import read
from amt.request.usual_length import usual_seconds

SCORE = TokenizerConfig()
FAMILIES = {style.family for style in STYLES.values()}


def limits_of(text, seed=0, **limits):
    """The limits of a call with this text."""
    reading, named = read(text), frozenset(limits)
    own = obeyed(Limits(**limits), reading, named, SCORE).limits
    return own, with_usual_players(own, reading, named, SCORE, seed)


def test_the_tables_know_what_they_name():
    assert set(USUAL_PLAYERS) <= {*STYLES, *FAMILIES, *FORMS, *USES, *MOODS, ""}
    assert set(JOINERS) <= {*STYLES, *FAMILIES, *USE_BANDS, "beat"}
    for bands in (*USUAL_PLAYERS.values(), *USUAL_BY_SIZE.values()):
        assert bands
        for band in bands:
            names = band.split(", ")
            assert len(set(names)) == len(names) and all(programs_of(name) for name in names)
    for joiners in JOINERS.values():
        assert all(programs_of(name) for joiner in joiners for name in joiner.split(", ") if name)
    for size, bands in USUAL_BY_SIZE.items():
        assert {len(band.split(", ")) for band in bands} == {size}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_players_of_its_own(style):
    """No style is left to chance, but for those whose ensembles anybody may join."""
    reading = read(style)
    if style not in [said.value for said in reading.styles] or reading.parts or reading.ensembles:
        return
    players = usual_players(reading, 1)
    has_open_band = BANDS.get(style, BANDS.get(STYLES[style].family)) is not None and not players
    assert players or (
        has_open_band
        and (style in ("fanfare", "orchestral", "symphony", "balkan") or STYLES[style].family == "electronic")
    )


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("an étude", {(0,)}),
        ("a fugue", {(19,), (6,), (0,)}),
        ("a hymn", {(19,), (19, 52)}),
        ("a jig", {(110,), (25, 110), (25, 73)}),
        ("a sad song without piano", {(25,)}),
        ("a duet", {(0, 40)}),
        ("a jazz ballad", {(0, 32, 128), (0, 32, 66, 128), (0, 32, 56, 128), (0, 11, 32, 128)}),
        ("something epic", {(47, 48, 61)}),
        ("xyzzy", {(0,), (25,), (0, 33, 128)}),
        ("a pop song, no drums", {(0, 33), (0, 25, 33), (0, 33, 48), (0, 33, 89)}),
    ],
)
def test_one_of_the_bands_that_are_usual_plays_and_nobody_else(text, bands):
    found = set()
    for seed in range(12):
        own, usual = limits_of(text, seed)
        assert usual.instruments == usual.required_instruments
        assert set(own.required_instruments or ()) <= set(usual.instruments)
        found.add(usual.instruments)
    assert found <= bands and len(found) >= min(2, len(bands))


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("a waltz for piano", {}),
        ("a symphony", {}),
        ("a string quartet", {}),
        ("a waltz", {"instruments": ["flute"]}),
        ("a waltz", {"required_instruments": ["flute"]}),
        ("a waltz", {"instruments": None}),
        ("rock with guitar and more", {}),
    ],
)
def test_nothing_is_added_to_what_is_said(text, limits):
    own, usual = limits_of(text, **limits)
    assert own == usual


def test_there_are_no_more_than_there_may_be():
    assert limits_of("a tango", max_instruments=2)[1].instruments is None
    assert all(len(limits_of("a hymn", seed, max_instruments=1)[1].instruments) == 1 for seed in range(4))
    assert limits_of("a hymn", forbidden_instruments=["church organ"])[1].instruments is None
    assert limits_of("a fugue", forbidden_instruments=["church organ"])[1].instruments in ((6,), (0,))


def test_what_is_written_has_them_and_the_report_says_nothing_of_them():
    piece = amt.generate("an étude", seed=3, bars=4, rerank=1)
    assert measure(piece.music).programs == (0,) and cast(read("an étude")) == ()
    assert "instruments" not in {row.name for row in piece.report}
    assert amt.generate("an étude", seed=3, bars=4, rerank=1, instruments=None).tokens != piece.tokens
    assert READ["list"]("none") is None  # on the command line, too


@pytest.mark.parametrize(
    ("text", "shortest_s"), [("a rock song", 75), ("a pop track", 75), ("rock", 20), ("a jig", 30), ("a folk song", 20)]
)
def test_a_song_of_a_band_is_as_long_as_a_song(text, shortest_s):
    lengths = [usual_seconds(read(text), part / 10) for part in range(11)]
    assert lengths == sorted(lengths) and shortest_s - 0.01 < lengths[0] < shortest_s + 15 and lengths[-1] <= 300
