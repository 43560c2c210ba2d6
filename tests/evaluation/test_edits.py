"""What is measured of edits: that all else is kept, and whether the new can be told from the old."""

import dataclasses

import pytest

import amt
from amt.arranger.compose import compose
from amt.arranger.library import find_style
from amt.arranger.plan import Wanted
from amt.data.corpus import CorpusPiece
from amt.evaluation import edits
from amt.evaluation.edits import evaluate_edits
from amt.midi.config import TokenizerConfig
from amt.midi.edits import BarLines


def corpus_pieces(num, bars=16):
    pieces = []
    for seed in range(num):
        music = compose(find_style("pop"), seed, Wanted(bars=bars)).music
        pieces.append(CorpusPiece(f"{seed}.mid", music.to_bytes(), ("a pop song",), "valid", "pop", "", {}))
    return pieces


@pytest.fixture(scope="module")
def opened():
    return amt.load("score-plan")


def rows_of(pieces, opened):
    counted = []
    rows = evaluate_edits(opened, pieces, 0, "valid", "m", 3, lambda what, num: counted.append(num), rerank=1)
    assert sum(counted) == len(pieces)
    return {row.metric: row for row in rows}


def test_an_edit_that_changes_nothing_cannot_be_told(opened, monkeypatch):
    monkeypatch.setattr(amt.api, "edit", lambda midi, *_, **__: midi)
    rows = rows_of(corpus_pieces(8), opened)
    assert rows["edited_bars_told_apart"].value <= 0.6 and rows["edited_bars_kept"].value == 1


def test_what_touches_the_rest_is_found_and_other_music_is_told(opened, monkeypatch):
    def wrong(midi, *_, bars, tracks, **__):
        lines = BarLines.of_midi(midi, TokenizerConfig(version=2))
        low = midi.ticks_per_beat / 24 * lines.step(bars[0] - 1)
        notes = [dataclasses.replace(note, pitch=note.pitch % 3 + 60) for note in midi.notes if note.start_ticks < low]
        return midi.replace(notes=notes)

    monkeypatch.setattr(amt.api, "edit", wrong)
    rows = rows_of(corpus_pieces(10), opened)
    assert rows["edited_bars_kept"].value == rows["edited_part_kept"].value == 0
    assert rows["edited_bars_told_apart"].value > 0.9


def test_a_model_edits_and_all_else_is_kept(opened):
    rows = rows_of(corpus_pieces(5, bars=12), opened)
    assert set(rows) == {"edited_bars_told_apart", "edited_bars_kept", "edited_part_told_apart", "edited_part_kept"}
    assert rows["edited_bars_kept"].value == rows["edited_part_kept"].value == 1


def test_the_middle_of_a_piece_is_what_is_looked_at():
    (piece,) = corpus_pieces(1)
    config = TokenizerConfig(version=2)
    (kind, music, first, program), (other, _, _, busiest) = edits._edits(piece, config)
    assert (kind, first, program, other) == ("bars", 7, None, "part") and busiest is not None
    window = edits._window(music, first, config)
    expected = [note for note, bar in zip(music.notes, edits._bars(music, config), strict=True) if 3 <= bar < 15]
    assert len(window.notes) == len(expected) and window.notes.start_ticks.min() < 480
    assert not list(edits._edits(corpus_pieces(1, bars=8)[0], config))


def test_too_few_pieces_are_an_error(opened):
    with pytest.raises(ValueError, match="at least 5 groups"):
        evaluate_edits(opened, [], 0, "valid", "m")
