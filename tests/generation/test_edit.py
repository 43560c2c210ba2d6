"""Edits of pieces by a small model: what it writes is noise, but in its place, and nothing else is touched."""

import dataclasses

import numpy as np
import pytest

import amt
from amt.generation.edit import next_window, tokens_per_bar
from amt.midi.data import MidiData
from amt.midi.edits import BarHole, Holes, emptied
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.request.edits import holes_of

MUSIC = ("notes", "pedals", "tempos", "time_signatures", "key_signatures", "ticks_per_beat")


def song(num_bars=12, ticks_per_beat=100):
    """Piano with pedal, bass, drums of another kit; a waltz from bar 9 on, tempos, odd ticks."""
    notes, pedals = [], []
    for beat in range(4 * num_bars):
        start = ticks_per_beat * beat + beat % 3
        notes += [Note(start, start + 99, 60 + beat % 12, 70 + beat % 7, 0), Note(start, start + 150, 40, 60, 32)]
        notes += [Note(start, start + 10, 36, 100, 25, True)]
        pedals += [PedalSpan(start, start + 90, 0)]
    tempos = [Tempo(0, 500_000), Tempo(333, 510_000)]
    signatures = [TimeSignature(0, 4, 4), TimeSignature(8 * 4 * ticks_per_beat, 3, 4)]
    return MidiData(notes, pedals, tempos, signatures, [KeySignature(0, 2, False)], ticks_per_beat=ticks_per_beat)


@pytest.fixture(scope="module")
def opened(make_edit_model):
    return make_edit_model(512)


@pytest.fixture(scope="module")
def make_edit_model(tmp_path_factory):
    import torch

    from amt.errors import TextEncoderError
    from amt.models import build_model
    from amt.text.encoder import TextEncoderSpec, find_encoder_files

    try:
        find_encoder_files(TextEncoderSpec())
    except TextEncoderError as error:
        pytest.skip(str(error))

    def make(max_sequence_length, *, canonical_key=False, edits=True):
        torch.manual_seed(3)
        tokenizer = amt.TokenizerConfig(version=2, canonical_key=canonical_key)
        config = amt.ModelConfig(
            vocab_size=809, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
            max_sequence_length=max_sequence_length, text_embedding_dim=384, positions="rotary", tie_output=True,
            state_features=("step_in_beat", "beat_in_bar", "bar", "bars_left", "pitches"), edits=edits,
        )  # fmt: skip
        folder = tmp_path_factory.mktemp("models") / "small"
        model = build_model(config, tokenizer).eval()
        amt.save_checkpoint(folder, model, tokenizer, TextEncoderSpec(), amt.GenerationConfig())
        return amt.load(folder)

    return make


def assert_same_outside(before, after, holes, config):
    outside, now = emptied(before, holes, config), emptied(after, holes, config)
    for name in MUSIC:
        assert getattr(outside, name) == getattr(now, name), name


def num_written(piece, holes, config):
    return len(piece.notes) - len(emptied(piece.music, holes, config).notes)


@pytest.mark.parametrize("backend", ["engine", "plain"])
def test_only_the_hole_changes(opened, backend):
    midi, config = song(), opened.tokenizer.config
    piece = amt.edit(midi, "a busier bass", bars=(5, 6), tracks=["bass"], model=opened, seed=1, backend=backend)
    holes = Holes([BarHole(32, 4, 6)])  # the bass that it has
    assert_same_outside(midi, piece.music, holes, config)
    assert num_written(piece, holes, config) > 0
    assert amt.read_midi(piece.to_bytes()).notes == piece.notes
    row = next(row for row in piece.report if row.name == "required_instruments")
    assert row.is_met and row.is_hard
    again = amt.edit(midi, "a busier bass", bars=(5, 6), tracks=["bass"], model=opened, seed=1, backend=backend)
    assert again.music == piece.music


def test_engine_and_plain_write_the_same(opened):
    options = {"bars": [(2, 2), (7, 7)], "keep": ["drums"], "model": opened, "seed": 5}
    pieces = [amt.edit(song(), **options, backend=backend) for backend in ("engine", "plain")]
    assert pieces[0].music == pieces[1].music


@pytest.mark.parametrize("canonical_key", [False, True])
def test_long_pieces_are_edited_in_windows(make_edit_model, canonical_key):
    opened = make_edit_model(256, canonical_key=canonical_key)
    midi, config = song(40), opened.tokenizer.config
    done = []
    pieces = amt.edit(
        midi, tracks=["bass", "flute"], model=opened, seed=2, num_return_sequences=2,
        progress=lambda *counts: done.append(counts),
    )  # fmt: skip
    assert len(done) > 2 and done[-1][0] == done[-1][1]
    holes, programs = holes_of(midi, config, None, ["bass", "flute"])
    assert programs == (32, 73)
    for piece in pieces:
        assert_same_outside(midi, piece.music, holes, config)
        assert {32, 73} <= {*piece.notes.program.tolist()}
    assert pieces[0].music != pieces[1].music


def test_several_holes_are_filled_one_after_the_other(opened):
    midi = song()
    holes = Holes([BarHole(0, 1, 2), BarHole(32, 7, 9)])
    window, rest = next_window(opened, emptied(midi, holes, opened.tokenizer.config), holes, holes.intervals, 1.0)
    assert rest == [(7, 9)] and window.holes.intervals == [(1, 2)]
    assert window.first == 0 and window.end <= 7


def test_drums_keep_their_kit(opened):
    piece = amt.edit(song(), bars=(3, 4), tracks=["drums"], model=opened, seed=3)
    assert {*piece.notes.program[piece.notes.is_drum].tolist()} == {25}


def test_limits_hold_for_what_is_written(opened):
    midi, config = song(), opened.tokenizer.config
    piece = amt.edit(midi, bars=(3, 6), tracks=[40], model=opened, seed=3, min_pitch="C5", max_note_beats=1)
    new = piece.notes[piece.notes.program == 40]
    assert len(new) > 0 and new.pitch.min() >= 72
    assert (new.end_ticks - new.start_ticks).max() <= midi.ticks_per_beat
    assert all(row.is_met for row in piece.report if row.is_hard)
    assert_same_outside(midi, piece.music, Holes([BarHole(40, 2, 6)]), config)


def test_the_report_is_about_what_was_asked(opened):
    piece = amt.edit(song(), bars=(3, 6), tracks=[40], model=opened, seed=3, max_note_beats={"violin": 2})
    assert {row.name: row.asked for row in piece.report if row.is_hard} == {
        "max_note_beats": "violin at most 2 beats",
        "required_instruments": "Violin",
    }


def test_candidates(opened):
    pieces = amt.edit(song(4), "flute", bars=(2, 3), tracks=["flute"], model=opened, seed=3, rerank=3,
                      num_return_sequences=2)  # fmt: skip
    assert len(pieces) == 2


def test_a_model_that_has_not_learned_it(make_edit_model):
    with pytest.raises(ValueError, match="not trained for edits"):
        amt.edit(song(), bars=(1, 2), model=make_edit_model(256, edits=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs bars or tracks"),
        ({"bars": (5, 99)}, "which has 14 bars; name bars 1 to 14"),
        ({"bars": (0, 2)}, "counted from 1"),
        ({"bars": (4, 2)}, "the first before the last"),
        ({"bars": "5"}, "must be like"),
        ({"bars": []}, "must be like"),
        ({"tracks": []}, "at least one instrument"),
        ({"tracks": ["xylofone"]}, "tracks: .*the piece has .*Drums"),
        ({"tracks": [129]}, "tracks: "),
        ({"tracks": ["bass"], "keep": ["drums"]}, "leave one of them out"),
        ({"keep": ["flute"]}, "does not play"),
        ({"keep": ["piano", "bass", "drums"]}, "nothing is left"),
        ({"bars": (1, 2), "tempo": 90}, "tempo is the piece's own"),
        ({"bars": (1, 2), "duration": 9}, "duration is the piece's own"),
        ({"tracks": ["bass"], "forbidden_instruments": ["acoustic bass"]}, "forbids"),
        ({"tracks": ["bass"], "instruments": ["piano"]}, "does not allow"),
        ({"bars": (1, 2), "text": " "}, "text"),
        ({"bars": (1, 2), "prompt_midi": "x.mid"}, "does not know"),
    ],
)
def test_what_makes_no_edit(opened, options, message):
    with pytest.raises(ValueError, match=message) as error:
        amt.edit(song(), model=opened, **options)
    assert "\n" not in str(error.value)


def test_a_piece_without_notes(opened):
    with pytest.raises(ValueError, match="no notes"):
        amt.edit(MidiData(), bars=(1, 2), model=opened)


def test_a_bar_that_is_too_full(make_edit_model):
    opened = make_edit_model(128)
    notes = [Note(10 * i, 10 * i + 9, 40 + i % 60, 80, i % 5) for i in range(100)]
    with pytest.raises(ValueError, match="this model reads 128; thin it out"):
        amt.edit(MidiData(notes), bars=(1, 1), tracks=[9], model=opened)


def test_tokens_per_bar(opened):
    assert 5 < tokens_per_bar(song(), opened.tokenizer) < 40


def test_an_edit_of_music_leaves_it_alone(opened):
    midi = song()
    before = dataclasses.replace(midi.tempos[0]), np.array(midi.notes.pitch)
    amt.edit(midi, bars=(1, 1), model=opened, seed=1)
    assert midi.tempos[0] == before[0] and np.array_equal(midi.notes.pitch, before[1])


def run(*words):
    from amt.cli import main

    return main([str(word) for word in words])


def test_the_command_does_the_same(opened, tmp_path, capsys, monkeypatch, make_edit_model):
    monkeypatch.chdir(tmp_path)
    song().save("song.mid")
    model = make_edit_model(512)
    folder = tmp_path / "model"
    config, tokenizer = model.checkpoint.model.config, model.tokenizer.config
    assert config.edits
    amt.save_checkpoint(folder, model.checkpoint.model, tokenizer, model.checkpoint.text_spec, amt.GenerationConfig())
    words = ("edit", "song.mid", "a busier bass", "--tracks", "bass", "--model", folder, "--seed", 4)
    assert run(*words, "--bars", "5-6,8") == 0
    assert "song-edited.mid:" in capsys.readouterr().out
    piece = amt.edit("song.mid", "a busier bass", bars=[(5, 6), (8, 8)], tracks=["bass"], model=opened, seed=4)
    assert amt.read_midi("song-edited.mid").notes == piece.notes
    assert run(*words, "--bars", "5-6") == 1  # it is there already
    assert "is there already" in capsys.readouterr().err
    assert run(*words, "--bars", "5-", "-o", "new.mid") == 2
    assert "--bars must be like" in capsys.readouterr().err
    assert run(*words, "--bars", "5-99", "-o", "new.mid") in (1, 2)
    assert "name bars 1 to 14" in capsys.readouterr().err
    assert run(*words, "--tempo", "90", "-o", "new.mid") == 2


def test_bars_keep_to_the_instruments_of_the_piece_and_of_the_text(opened):
    def programs(piece):
        return {*piece.notes.program[~piece.notes.is_drum].tolist()} | ({128} if piece.notes.is_drum.any() else set())

    own = programs(song())
    for seed in range(3):
        piece = amt.edit(song(), bars=(3, 6), model=opened, seed=seed, max_new_tokens=150)
        assert programs(piece) <= own and "instruments" not in {row.name for row in piece.report}
    piece = amt.edit(song(), "a flute joins", bars=(3, 6), model=opened, seed=1, max_new_tokens=150)
    assert programs(piece) <= own | {72, 73}  # a piccolo is one, too
    free = amt.edit(song(), bars=(3, 6), model=opened, seed=1, max_new_tokens=150, instruments=["oboe"])
    assert 68 in programs(free) and programs(free) <= own | {68}
