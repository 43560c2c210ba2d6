"""Music in another key, tempo or loudness is still canonical, and its caption says the same as its notes."""

import random
import re

import numpy as np
import pytest

from amt.data.augment import Augmentation, change_tempo, change_velocity, retimed_caption, transpose, transposed_caption
from amt.midi.config import TokenizerConfig
from amt.midi.reference.random_pieces import random_piece
from amt.midi.tokenizer import EventTokenizer
from amt.request.limits import pitch_classes
from amt.text.encoder import UNCONDITIONAL

CONFIG = TokenizerConfig()


def pieces(num=20):
    tokenizer = EventTokenizer(CONFIG)
    for seed in range(num):
        data = random_piece(random.Random(seed))
        yield tokenizer, tokenizer.encode(data).ids


def notes(tokenizer, ids):
    score = tokenizer.decode(ids)
    return score.notes, score


@pytest.mark.parametrize("semitones", [-5, -1, 1, 6])
def test_every_pitch_but_drums_moves(semitones):
    num_moved = 0
    for tokenizer, ids in pieces():
        moved, by = transpose(ids, semitones, CONFIG)
        before, after = notes(tokenizer, ids)[0], notes(tokenizer, moved)[0]
        extremes = before.pitch[~before.is_drum].astype(int) + semitones
        assert by == (semitones if extremes.size and extremes.min() >= 0 and extremes.max() <= 127 else 0)
        assert np.array_equal(np.sort(before.pitch + by * ~before.is_drum), np.sort(after.pitch))
        assert np.array_equal(tokenizer.encode(tokenizer.decode(moved)).ids, moved)
        num_moved += by != 0
    assert num_moved >= 5


def test_tempos_change_by_whole_bins():
    num_changed = 0
    for tokenizer, ids in pieces():
        changed, factor = change_tempo(ids, 1.15, CONFIG)
        before, after = notes(tokenizer, ids)[1].tempos, notes(tokenizer, changed)[1].tempos
        assert len(before) == len(after)
        bpm_after, bpm_before = (round(60_000_000 / tempos[0].us_per_beat) for tempos in (after, before))
        assert factor == bpm_after / bpm_before
        assert np.array_equal(tokenizer.encode(tokenizer.decode(changed)).ids, changed)
        num_changed += factor != 1.0
    assert num_changed >= 10


def test_two_tempos_that_would_fall_together_stay():
    tempos = [i for i, event in enumerate(EventTokenizer(CONFIG).vocabulary.events) if event.kind == "tempo"]
    ids = np.array([1, 583, tempos[-2], 300, tempos[-1], 2])
    assert change_tempo(ids, 1.5, CONFIG)[1] == 1.0


def test_velocities_move_together_or_not_at_all():
    num_moved = 0
    for tokenizer, ids in pieces(60):
        moved = change_velocity(ids, -2, CONFIG)
        assert np.array_equal(tokenizer.encode(tokenizer.decode(moved)).ids, moved)
        num_moved += not np.array_equal(moved, ids)
    assert num_moved >= 2
    vocabulary = EventTokenizer(CONFIG).vocabulary
    loudest = np.array([1, vocabulary.token_id("velocity", 31), 63])
    assert np.array_equal(change_velocity(loudest, 1, CONFIG), loudest)


@pytest.mark.parametrize(
    ("caption", "semitones", "expected"),
    [
        ("a waltz in A-flat major for piano", 1, "a waltz in A major for piano"),
        ("a waltz in A-flat major for piano", -1, "a waltz in G major for piano"),
        ("C# minor, then Bb major", 2, "Eb minor, then C major"),
        ("F sharp minor", -3, "E-flat minor"),
        ("A minor problem of major size", 3, "C minor problem of major size"),
        ("a major success in b minor", 5, "a major success in b minor"),
        ("Opus 3 in B major", 1, "Opus 3 in C major"),
        ("no key at all", 4, "no key at all"),
    ],
)
def test_keys_in_captions(caption, semitones, expected):
    assert transposed_caption(caption, semitones) == expected


def test_every_key_moves_to_the_right_place():
    for letter in "ABCDEFG":
        for accidental in ("", "-flat", "-sharp", "b", "#"):
            for mode in ("major", "minor"):
                for semitones in range(-6, 7):
                    key = f"{letter}{accidental} {mode}"
                    found = transposed_caption(f"in {key}.", semitones)[3:-1]
                    wanted = sorted((pitch + semitones) % 12 for pitch in pitch_classes(key))
                    assert list(pitch_classes(found)) == wanted, (key, semitones, found)
                    assert re.fullmatch(r"[A-G](-flat|-sharp|b|#)? (major|minor)", found)


def test_beats_a_minute_in_captions():
    assert retimed_caption("at 96 BPM (quarter), No. 12", 1.25) == "at 120 BPM (quarter), No. 12"
    assert retimed_caption("98.5 bpm", 2.0) == "196 bpm"
    assert retimed_caption("in 1984", 1.5) == "in 1984"


def test_modes_and_plain_tempos_in_captions():
    assert transposed_caption("a jig in A mixolydian", 2) == "a jig in B mixolydian"
    assert retimed_caption("funk, tempo 100", 1.1) == "funk, tempo 110"
    assert retimed_caption("mood: calm; tempo: 90; key: C major", 2.0) == "mood: calm; tempo: 180; key: C major"


@pytest.mark.parametrize("caption", ["Ein Stück in d-Moll", "ré mineur", "pop on the chords C Am F G", "sad song, Dm"])
def test_music_whose_caption_cannot_follow_is_not_transposed(caption):
    draws = np.array([0.99, 0.5, 0.5, 0.5])
    num_moved = 0
    for _, ids in pieces(6):
        same, text, *_ = Augmentation(transpose=5).apply(ids, caption, draws, CONFIG)
        assert np.array_equal(same, ids) and text == caption
        num_moved += not np.array_equal(Augmentation(transpose=5).apply(ids, "a waltz", draws, CONFIG)[0], ids)
    assert num_moved


def test_no_augmentation_changes_nothing():
    for _, ids in pieces(3):
        after, caption, *_ = Augmentation().apply(ids, "in C major at 90 BPM", np.array([0.9, 0.1, 0.5, 0.0]), CONFIG)
        assert np.array_equal(after, ids) and caption == "in C major at 90 BPM"


def test_the_caption_follows_what_happened():
    augmentation = Augmentation(transpose=6, tempo=0.2, velocity=2, caption_dropout=0.25)
    _, ids = next(pieces())
    after, caption, *_ = augmentation.apply(ids, "C major, 100 BPM", np.array([0.99, 0.99, 0.5, 0.5]), CONFIG)
    by = transpose(ids, 6, CONFIG)[1]
    factor = change_tempo(ids, 1.2, CONFIG)[1]
    assert caption == f"{'F-sharp' if by else 'C'} major, {round(100 * factor)} BPM"
    assert not np.array_equal(after, ids)
    assert augmentation.apply(ids, "C major", np.array([0.5, 0.5, 0.5, 0.2]), CONFIG)[1] == UNCONDITIONAL
