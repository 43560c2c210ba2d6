import numpy as np
import pytest

import amt
from amt.generation.keys import facts_at_home, moved, semitones_above_home
from amt.midi.canonical import TRANSPOSITIONS
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.limits import Constraints
from amt.midi.theory import parse_key
from amt.midi.tokenizer import EventTokenizer
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.request.options import GenerationConfig
from amt.request.reading import read
from amt.text.encoder import TextEncoderSpec

CONFIG = TokenizerConfig(version=2, canonical_key=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory, make_generator):
    """A small model with random weights that writes in the canonical key and reads attributes."""
    import torch

    torch.manual_seed(3)
    config = ModelConfig(
        vocab_size=809, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=24,
        max_sequence_length=256, text_embedding_dim=384, positions="rotary", tie_output=True, attributes=("key",),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("models") / "canonical"
    amt.save_checkpoint(folder, build_model(config).eval(), CONFIG, TextEncoderSpec(), GenerationConfig())
    return amt.load(folder)


def pitches(piece):
    return piece.notes.pitch[~piece.notes.is_drum].astype(int)


@pytest.mark.parametrize(("key", "semitones"), [("C major", 0), ("F minor", -4), ("B minor", 2), ("G dorian", 5)])
def test_a_key_that_is_asked_for_is_the_key_of_the_result(model, key, semitones):
    piece = amt.generate(f"a song in {key}", model=model, seed=1, max_new_tokens=80, min_pitch=10, max_pitch=110)
    written = EventTokenizer(CONFIG).decode(piece.tokens).notes
    assert len(written) and np.array_equal(pitches(piece), written.pitch[~written.is_drum].astype(int) + semitones)


def test_without_a_key_one_is_drawn_by_the_seed(model):
    def shift(seed):
        piece = amt.generate("a song", model=model, seed=seed, max_new_tokens=40, max_pitch=100, min_pitch=20)
        written = EventTokenizer(CONFIG).decode(piece.tokens).notes
        return set(pitches(piece) - written.pitch[~written.is_drum].astype(int))

    assert shift(1) == shift(1)
    assert len(set().union(*(shift(seed) for seed in range(6)))) > 2
    drawn = [semitones_above_home(None, "", seed) for seed in range(2000)]
    assert abs(drawn.count(0) / 2000 - TRANSPOSITIONS[0] / sum(TRANSPOSITIONS.values())) < 0.05
    assert semitones_above_home(None, "one text", None) == semitones_above_home(None, "one text", None)


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ("a song in F minor", "F minor", "A minor"),
        ("a sad song", "", "A minor"),
        ("something happy", "", "C major"),
        ("music in minor", "", "A minor"),
        ("dorian music", "", "D dorian"),
        ("a sad song in F major", "F major", "C major"),
        ("a song", "", ""),
    ],
)
def test_a_mode_without_a_key_is_told_as_the_key_that_it_is_written_in(text, key, told):
    assert facts_at_home({"key": key}, read(text))["key"] == told


def test_limits_mean_the_pitches_of_the_result(model):
    piece = amt.generate("a song", model=model, key="E major", min_pitch="E3", max_pitch="E5", seed=2)
    assert len(pitches(piece)) and pitches(piece).min() >= 52 and pitches(piece).max() <= 76
    assert {*(pitches(piece) % 12)} <= {*parse_key("E major").pitch_classes}
    assert all(row.is_met for row in piece.report)


def test_constraints_move_there_and_back():
    given = Constraints(pitch_classes=(0, 4, 7), min_pitch=(48,) * 128 + (0,), max_pitch=(84,) * 128 + (127,))
    assert moved(moved(given, 5), -5) == given
    assert moved(given, 5).pitch_classes == (0, 5, 9)
    assert moved(given, 5).min_pitch[0] == 53 and moved(given, 5).max_pitch[128] == 127


def test_a_stream_has_the_notes_of_its_piece(model):
    stream = amt.stream("a song in F minor", model=model, seed=4, max_new_tokens=60)
    begun = [event.value for event in stream if event.kind == "note_on" and not event.is_drum]
    piece = stream.result()
    assert sorted(begun) == sorted(pitches(piece).tolist())


def test_music_to_continue_stays_where_it_is(model):
    chords = [
        Note(480 * i, 480 * i + 480, p, 80)
        for i in range(8)
        for p in ((64, 68, 71), (69, 73, 76), (71, 75, 78), (64, 68, 71))[i % 4]
    ]
    scale = [Note(240 * i, 240 * i + 240, 76 + step, 80) for i, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    midi = MidiData(chords + scale)
    piece = amt.generate("more", model=model, prompt_midi=midi, seed=5, max_new_tokens=40)
    given = {(n.start_ticks, n.pitch) for n in midi.notes}
    assert given <= {(n.start_ticks, n.pitch) for n in piece.notes}
    assert EventTokenizer(CONFIG).decode(piece.tokens).notes[0].pitch == 60  # E major is written in C
