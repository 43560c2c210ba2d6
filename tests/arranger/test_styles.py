"""Every style of the package, on a few pieces; benchmarks/arranger.py does the same on as many as wanted."""

import functools
import itertools

import numpy as np
import pytest

from amt.arranger.compose import compose
from amt.arranger.instruments import instruments
from amt.arranger.library import find_style, style_files, styles
from amt.arranger.review import out_of_range, runs, shared_bars, stray_notes
from amt.arranger.style import Style
from amt.midi.sanity import has_feel, sanity
from amt.midi.theory import parse_key

NUM = 8
NAMES = list(styles())


@functools.lru_cache(maxsize=1)
def pieces_of(name: str):
    return [compose(styles()[name], seed) for seed in range(NUM)]


def all_variants() -> list[Style]:
    return [each for style in styles().values() for each in (style, *style.substyles)]


def test_there_are_many_styles_and_no_two_alike():
    assert len(NAMES) >= 48 and len(NAMES) == len(style_files())
    names = [name for style in styles().values() for name in style.names]
    assert len(names) == len(set(names))


def test_every_style_is_found_by_what_its_pieces_are_called():
    for style in styles().values():
        for name in style.names:
            assert find_style(name.upper()).name == style.name


@pytest.mark.parametrize("name", NAMES)
def test_pieces_are_sane_and_keep_their_promises(name):
    pieces = pieces_of(name)
    assert [problem for piece in pieces for problem in sanity(piece.music)] == []
    kept = [has_feel(piece.music, feel) for piece in pieces for feel in piece.facts["promises"]]
    assert sum(kept) >= len(kept) - 1


@pytest.mark.parametrize("name", NAMES)
def test_pitches_are_in_scale_chords_and_range(name):
    has_blues = any(part.scale == "blues" for part in styles()[name].parts)
    for piece in pieces_of(name):
        assert stray_notes(piece, has_blues=has_blues) == 0
        assert out_of_range(piece) == 0


@pytest.mark.parametrize("name", NAMES)
def test_pieces_of_a_style_differ(name):
    pieces = pieces_of(name)
    pairs = list(itertools.combinations(range(NUM), 2))
    assert max(shared_bars(pieces[i], pieces[j]) for i, j in pairs) <= 0.4
    lines = [runs(piece) for piece in pieces]
    assert sum(lines[i].isdisjoint(lines[j]) for i, j in pairs) >= 0.95 * len(pairs)


@pytest.mark.parametrize("name", NAMES)
def test_facts_are_those_of_the_notes(name):
    style = styles()[name]
    for piece in pieces_of(name):
        facts, score, notes = piece.facts, piece.music, piece.notes
        assert facts["n_notes"] == len(notes)
        assert abs(facts["duration_s"] - piece.duration_s) < 0.06
        programs = np.unique(np.where(notes.is_drum, 128, notes.program)).tolist()
        assert facts["programs"] == programs and set(facts["parts"].values()) == set(programs)
        assert abs(score.tempos[0].bpm - facts["quarter_bpm"]) < 0.01
        signature = score.time_signatures[0]
        assert facts["meter"] == f"{signature.numerator}/{signature.denominator}"
        bar_ticks = score.ticks_per_beat * 4 * signature.numerator // signature.denominator
        assert -(-score.end_ticks // bar_ticks) == facts["bars"]
        if facts["key"] is not None:
            key = parse_key(facts["key"])
            assert key is not None and score.key_signatures[0].sharps == key.signature
            assert len(facts["chords"]) == facts["bars"]
        starts = [start for _, start, _ in facts["sections"]]
        sizes = [size for _, _, size in facts["sections"]]
        assert starts == [1 + sum(sizes[:i]) for i in range(len(sizes))] and sum(sizes) == facts["bars"] - 1
        lowest = min(each.tempo[0] for each in (style, *style.substyles))
        highest = max(each.tempo[1] for each in (style, *style.substyles))
        assert lowest <= facts["tempo_bpm"] <= highest


@pytest.mark.parametrize("name", NAMES)
def test_every_piece_ends_in_its_last_bar(name):
    for piece in pieces_of(name):
        bar = piece.notes.start_ticks // (piece.music.end_ticks // piece.facts["bars"])
        assert bar.max() >= piece.facts["bars"] - 1
        assert 8 <= piece.duration_s <= 330


def test_lengths_differ():
    lengths = [piece.duration_s for name in ("pop", "swing", "lo-fi") for piece in pieces_of(name)]
    assert min(lengths) < 45 and max(lengths) > 90


def test_every_instrument_of_a_style_has_a_range_and_names():
    for style in styles().values():
        for part in style.parts:
            for program in part.programs:
                assert instruments()[program].names["en"], (style.name, part.name)


def test_substyles_change_what_they_say():
    slow = find_style("slow blues")
    assert (slow.name, slow.substyle) == ("blues", "slow")
    assert all(compose(slow, seed).facts["tempo_bpm"] <= 72 for seed in range(3))
    assert {style.substyle for style in all_variants()} >= {"slow", "jump", "mazurka"}


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others():
    style = find_style("bossa nova")
    assert compose(style, 5).to_bytes() == compose(style, 5).to_bytes()
    assert compose(style, 5).captions == compose(style, 5).captions
    assert compose(style, 5).to_bytes() != compose(style, 6).to_bytes()
