"""Chords, lengths, endings and forms are measured on music of which they are known."""

import amt
from amt.arranger.compose import compose
from amt.arranger.library import find_style
from amt.arranger.plan import Wanted
from amt.evaluation import asked
from amt.evaluation.asked import ends_on_tonic, evaluate_arranged, evaluate_asked, length_is_kept, returning_share
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo
from amt.midi.plan_columns import plan_of_columns


def arranged(style, seed, **wanted):
    piece = compose(find_style(style), seed, Wanted(**wanted))
    return piece.facts, piece.music.replace(plan=plan_of_columns(piece.facts["sections"], piece.facts["chords"]))


def test_arranged_songs_return_and_end_at_home():
    shares, ends = [], []
    for seed in range(8):
        facts, music = arranged("pop", seed, seconds=150)
        shares.append(returning_share(music))
        ends.append(ends_on_tonic(music, facts["key"]))
        assert length_is_kept(music, facts["duration_s"] * 1.04) and not length_is_kept(music, facts["duration_s"] * 2)
    assert sum(share >= asked.RETURNING for share in shares) >= 7 and sum(ends) >= 7


def test_music_by_rule_is_the_yardstick():
    rows = {row.metric: row for row in evaluate_arranged(num=1)}
    assert set(rows) == {"asked_ends_on_tonic", "asked_form_returns"}
    assert all(row.n > 40 and row.value > 0.7 for row in rows.values())


def test_what_does_not_return():
    _, music = arranged("pop", 1, seconds=150)
    assert returning_share(music.replace(plan=None)) == 0
    notes = list(music.notes)
    moved = [Note(n.start_ticks, n.end_ticks, (7 * i) % 60 + 30, 64) for i, n in enumerate(notes) if not n.is_drum]
    assert returning_share(music.replace(notes=moved)) < 0.2


def test_the_end():
    def music(*pitches):
        return MidiData([Note(0, 480, 60, 64), *(Note(480, 960, pitch, 64) for pitch in pitches)], tempos=[Tempo(0, 1)])

    assert ends_on_tonic(music(48, 52, 55), "C major") and ends_on_tonic(music(57), "A minor")
    assert not ends_on_tonic(music(43, 48, 52), "C major") and not ends_on_tonic(music(48), "no key")


def test_pieces_of_a_model_are_measured(monkeypatch):
    monkeypatch.setattr(asked, "PROGRESSIONS", ("C G",))
    monkeypatch.setattr(asked, "SECONDS", (10,))
    monkeypatch.setattr(asked, "FORMS", ("AABA",))
    monkeypatch.setattr(asked, "FORM_SECONDS", (20,))
    counted = []
    rows = evaluate_asked(amt.load("score-plan"), "m", progress=lambda what, n: counted.append(n), rerank=1)
    assert [row.metric for row in rows] == [
        "asked_chords_fit", "asked_length_kept", "asked_ends_on_tonic", "asked_form_returns"
    ]  # fmt: skip
    assert sum(counted) == 6 and [row.n for row in rows] == [1, 1, 1, 4] and rows[1].value == 1
