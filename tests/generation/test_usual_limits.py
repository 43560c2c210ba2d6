"""What holds of every generation that does not say otherwise: no note hangs, no piece is empty."""

import dataclasses

import numpy as np
import pytest

import amt
from amt.midi.elements import Note
from amt.models import build_model
from amt.request.options import GenerationConfig


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(400)


def longest_note(piece):
    notes = piece.notes[~piece.notes.is_drum]
    return int((notes.end_ticks - notes.start_ticks).max(initial=0)) / piece.music.ticks_per_beat


def test_no_note_is_longer_than_usual_and_none_takes_that_away(generator):
    def pieces(**limits):
        return [
            amt.generate("music", model=generator, seed=seed, max_new_tokens=399, temperature=0.3, **limits)
            for seed in range(6)
        ]

    assert max(map(longest_note, pieces())) <= 16
    assert max(map(longest_note, pieces(max_note_beats=None))) > 16


def test_notes_last_no_longer_than_those_that_the_model_learned_from(generator, tmp_path):
    """A piece to continue that has longer ones is held to what is usual for any model, or to nothing."""
    own = (1.0, *[0.5] * 14, 2.0)  # at least a beat counts
    checkpoint = generator.checkpoint
    config = dataclasses.replace(checkpoint.model.config, longest_notes=own)
    model = build_model(config, checkpoint.tokenizer_config)
    model.load_state_dict(checkpoint.model.state_dict())
    amt.save_checkpoint(
        tmp_path / "model", model, checkpoint.tokenizer_config, checkpoint.text_spec, GenerationConfig()
    )
    opened = amt.load(tmp_path / "model")
    assert opened.checkpoint.model.config.longest_notes == own

    def write(seed, **more):
        return amt.generate(
            "music", model=opened, seed=seed, max_new_tokens=399, temperature=0.3, instruments=None, **more
        )

    pieces = [write(seed) for seed in range(6)]
    assert max(map(longest_note, pieces)) == 2
    for piece in pieces:
        notes = piece.notes[~piece.notes.is_drum & (piece.notes.program < 120)]
        assert int((notes.end_ticks - notes.start_ticks).max(initial=0)) <= piece.music.ticks_per_beat
        assert "max_note_beats" not in {row.name for row in piece.report}
    named = [write(seed, max_note_beats={127: 8}) for seed in range(6)]
    assert max(map(longest_note, named)) <= 8
    assert all(row.is_met for piece in named for row in piece.report)
    for beats, most in ((4, 16), (20, 1000)):
        start = amt.MidiData([Note(0, beats * 480, 60, 80)])
        longest = longest_note(write(2, prompt_midi=start.to_bytes()))
        assert beats <= longest <= most


def test_no_piece_is_empty_whatever_the_model_prefers(generator):
    """A model that hardly ever plays a note is left with fillers; the grammar has the last word."""
    from amt.midi.vocabulary import vocabulary_of

    kinds = np.array([event.kind for event in vocabulary_of(amt.TokenizerConfig()).events])
    musical = np.isin(kinds, ["note_on", "velocity"])

    def shy(token_ids, scores):
        scores[:, musical] -= 50
        return scores

    free = {"max_rest_beats": None, "max_filler_tokens": None, "required_instruments": []}
    for seed in range(3):
        options = {"model": generator, "instruments": ["fiddle"], "seed": seed, "max_new_tokens": 120}
        options |= {"logits_processor": [shy]}
        assert len(amt.generate("music", **options).notes) > 0
        assert len(amt.generate("music", **options, **free).notes) == 0


def test_what_is_required_plays(generator):
    for seed in range(3):
        piece = amt.generate(
            "music", model=generator, seed=seed, max_new_tokens=200, instruments=["oboe", "cello", "drums"]
        )
        assert piece.instruments == ["Cello", "Oboe", "Drums"]
        (row,) = piece.report
        assert row.is_met
