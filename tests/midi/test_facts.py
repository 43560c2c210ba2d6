import json
import math
import os
import random
from pathlib import Path

import pytest

from amt.data.corpus import read_corpus
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.midi.facts import KEY_PROFILES, estimate_key, estimate_keys, key_name, measure
from amt.midi.programs import DRUMS
from amt.midi.reader import read_midi
from amt.midi.reference.random_pieces import random_piece
from amt.testing import assert_same_numbers

MAJOR, HARMONIC_MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 11)


def scale(tonic, steps, first=60):
    """The scale up, with long tonic and fifth."""
    return [
        Note(tick, tick + (30 if step in (0, 7) else 10), first + tonic + step, 80) for tick, step in enumerate(steps)
    ]


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("steps", [MAJOR, HARMONIC_MINOR], ids=["major", "minor"])
def test_a_scale_has_its_key(tonic, steps):
    assert estimate_key(NoteTable.from_notes(scale(tonic, steps))) == (tonic, steps is HARMONIC_MINOR)


@pytest.mark.parametrize("name", KEY_PROFILES)
def test_what_sounds_like_a_profile_is_in_its_key(name):
    for is_minor, profile in enumerate(KEY_PROFILES[name]):
        for tonic in range(12):
            notes = [Note(0, round(1000 * part), 60 + (tonic + step) % 12, 80) for step, part in enumerate(profile)]
            (key, correlation), *_ = estimate_keys(NoteTable.from_notes(notes), name)
            assert key == (tonic, bool(is_minor))
            assert_same_numbers(correlation, 1.0)


@pytest.mark.parametrize("name", KEY_PROFILES)
def test_keys_that_fit_equally_well_are_in_order(name):
    """Of music that is the same a tritone, a major third or a minor third higher, rounding must not choose the key."""
    for period in (6, 4, 3):
        for first in range(period):
            pitches = [60 + (first + step + more) % 12 for step in (0, 1) for more in range(0, 12, period)]
            durations = [480 if index < 12 // period else 111 for index in range(len(pitches))]
            notes = [Note(0, ticks, pitch, 80) for pitch, ticks in zip(pitches, durations, strict=True)]
            keys = estimate_keys(NoteTable.from_notes(notes), name)
            best = [key for key, correlation in keys if correlation == keys[0][1]]
            assert len(best) == 12 // period and best == sorted(best)
            assert keys == sorted(keys, key=lambda fit: (-fit[1], fit[0][1], fit[0][0]))


def test_drums_have_no_key():
    drums = [Note(0, 10, 36, 80, 0, True), Note(10, 20, 38, 80, 0, True)]
    assert estimate_key(NoteTable.from_notes(drums)) is None
    with_drums = NoteTable.from_notes(scale(2, MAJOR) + drums * 50)
    assert estimate_key(with_drums) == (2, False)


def test_nothing_to_tell():
    assert estimate_key(NoteTable.from_notes([])) is None
    chromatic = [Note(0, 10, pitch, 80) for pitch in range(60, 72)]
    assert estimate_key(NoteTable.from_notes(chromatic)) is None


def test_names():
    assert key_name((2, True)) == "D minor" and key_name((10, False)) == "Bb major"


def onsets(steps, pitches=(60,), **options):
    """Notes of a sixteenth at these sixteenths, with the pitches in turns."""
    notes = [Note(120 * s, 120 * (s + 1), pitches[i % len(pitches)], 80) for i, s in enumerate(steps)]
    return MidiData(notes, **options)


def test_what_is_counted_and_averaged():
    notes = [Note(0, 480, 60, 50, 40), Note(480, 1440, 67, 100, 5), Note(960, 1920, 36, 120, 8, True)]
    facts = measure(MidiData(notes, tempos=[Tempo(0, 600_000)], end_ticks=9600))
    assert (facts.num_notes, facts.num_beats, facts.duration_s, facts.tempo_bpm) == (3, 4.0, 2.4, 100.0)
    assert_same_numbers(facts.notes_per_s, 1.25)
    assert facts.programs == (5, 40, DRUMS) and facts.instruments == ["Electric Piano 2", "Violin", "Drums"]
    assert (facts.lowest_pitch, facts.highest_pitch, facts.mean_pitch, facts.mean_velocity) == (60, 67, 63.5, 90.0)


def test_polyphony_is_over_the_time_in_which_something_sounds():
    notes = [Note(0, 480, 60, 80), Note(0, 480, 64, 80), Note(240, 960, 67, 80), Note(1440, 1920, 60, 80)]
    drums = [Note(0, 1920, 36, 80, 0, True)]
    # 240 ticks of 2 notes, 240 of 3, 480 of 1, 480 of none, 480 of 1
    assert_same_numbers(measure(MidiData(notes + drums)).polyphony, (240 * 2 + 240 * 3 + 480 + 480) / 1440)
    assert measure(MidiData(notes[:1])).polyphony == 1.0
    assert measure(MidiData([Note(0, 0, 60, 80)])).polyphony is None


@pytest.mark.parametrize(
    ("pitches", "entropy"),
    [([60], 0.0), ([60, 72, 64, 67], 1.5), ([60, 64], 1.0), (range(60, 72), math.log2(12))],
    ids=["one", "two of one", "two", "all"],
)
def test_entropy_of_the_pitch_classes(pitches, entropy):
    assert_same_numbers(measure(onsets(range(len(pitches)), pitches)).pitch_class_entropy, entropy)


@pytest.mark.parametrize(
    ("pitches", "share"),
    [
        ([60, 62, 64, 65, 67, 69, 71], 1.0),
        ([62, 64, 65, 67, 69, 70, 72], 1.0),  # D natural minor
        ([60, 62, 64, 65, 67, 69, 71, 66], 7 / 8),
        (range(60, 72), 7 / 12),
    ],
    ids=["C major", "D minor", "one foreign", "chromatic"],
)
def test_scale_consistency(pitches, share):
    assert_same_numbers(measure(onsets(range(len(pitches)), pitches)).scale_consistency, share)


@pytest.mark.parametrize(
    ("bars", "similarity"),
    [
        ([[0, 4, 8, 12], [0, 4, 8, 12]], 1.0),
        ([[0, 4, 8, 12], [0, 4, 8, 14]], 1 - 2 / 16),
        ([[0, 4, 8, 12], [0, 4, 8, 14], [0, 4, 8, 14]], 1 - (2 / 16 + 0) / 2),
        ([[0, 4], [], [0]], 1 - (2 / 16 + 1 / 16) / 2),
        ([[0, 4, 8, 12]], None),
    ],
    ids=["equal", "one moved", "three bars", "an empty bar", "one bar"],
)
def test_groove_similarity(bars, similarity):
    steps = [16 * number + step for number, bar in enumerate(bars) for step in bar]
    found = measure(onsets(steps)).groove_similarity
    assert (found is None) == (similarity is None)
    if similarity is not None:
        assert_same_numbers(found, similarity)


def test_groove_similarity_goes_by_the_metre():
    steps = [12 * bar + step for bar in range(4) for step in (0, 4, 8)]
    assert measure(onsets(steps, time_signatures=[TimeSignature(0, 3, 4)])).groove_similarity == 1.0
    steps = [12 * bar + step for bar in range(4) for step in (0, 4 + bar % 2)]
    found = measure(onsets(steps, time_signatures=[TimeSignature(0, 3, 4)])).groove_similarity
    assert_same_numbers(found, 1 - 2 / 12)


def test_repetition():
    # 3 literals in a block of fixed codes: 3 + 3 * 8 + 7 bits are 5 bytes, and zlib's frame has 6
    assert_same_numbers(measure(MidiData([Note(0, 480, 60, 80)])).repetition, 3 / 11)
    rng = random.Random(4)
    chance = onsets(range(200), [rng.randrange(30, 90) for _ in range(200)])
    pattern = onsets(range(200), (60, 64, 67, 72))
    assert measure(pattern).repetition > 10 > 4 > measure(chance).repetition


def test_tempo_and_metre_are_those_that_last_longest():
    tempos = [Tempo(0, 500_000), Tempo(480, 600_000), Tempo(1440, 500_000), Tempo(2000, 1_000_000)]
    metres = [TimeSignature(480, 3, 4), TimeSignature(1900, 2, 2), TimeSignature(2000, 6, 8)]
    facts = measure(MidiData([Note(0, 2000, 60, 80)], tempos=tempos, time_signatures=metres, end_ticks=96_000))
    # 120 BPM for 480 + 560 ticks, 100 for 960; 4/4, which is not written, for 480, 3/4 for 1420
    assert (facts.tempo_bpm, facts.time_signature) == (120.0, (3, 4))
    assert_same_numbers(facts.duration_s, (480 * 0.5 + 960 * 0.6 + 560 * 0.5) / 480)
    facts = measure(MidiData([Note(0, 470, 60, 80)], tempos=[Tempo(400, 600_000)], time_signatures=metres))
    assert (facts.tempo_bpm, facts.time_signature) == (120.0, (4, 4))


def test_drums_alone_and_nothing_at_all():
    facts = measure(MidiData([Note(0, 480, 36, 80, 0, True), Note(480, 960, 38, 90, 0, True)]))
    assert facts.programs == (DRUMS,) and facts.num_notes == 2 and facts.mean_velocity == 85.0
    of_pitch = ("key", "key_lead", "polyphony", "lowest_pitch", "mean_pitch", "pitch_class_entropy")
    assert [getattr(facts, name) for name in (*of_pitch, "scale_consistency")] == [None] * 7
    facts = measure(MidiData())
    assert (facts.num_notes, facts.duration_s, facts.programs, facts.time_signature) == (0, 0.0, (), (4, 4))
    assert facts.notes_per_s is facts.mean_velocity is facts.groove_similarity is facts.repetition is None


def test_facts_of_anything_are_json_and_in_range():
    rng = random.Random(12)
    for _ in range(100):
        facts = measure(random_piece(rng))
        row = json.loads(json.dumps(facts.to_dict(), allow_nan=False))
        assert row["instruments"] == facts.instruments and row["num_notes"] == facts.num_notes
        for value, low, high in (
            (facts.polyphony, 1, facts.num_notes),
            (facts.pitch_class_entropy, 0, math.log2(12)),
            (facts.scale_consistency, 7 / 12, 1),
            (facts.groove_similarity, 0, 1),
            (facts.key_lead, 0, 2),
        ):
            if value is not None:
                assert_same_numbers(value, min(max(value, low), high))  # in the range, but for rounding


def test_facts_of_real_music_are_those_that_are_known_of_it():
    """Metre, tempo and instruments of 165 pieces of nine collections, against their metadata: all were right."""
    folder = Path(os.environ.get("AMT_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
    if not folder.is_dir():
        pytest.skip(f"no corpus in {folder}; set AMT_CORPUS to a folder of SOURCE.tar.xz with MIDI files")
    num_pieces: dict[str, int] = {}
    is_right: dict[str, list[bool]] = {"meter": [], "quarter_bpm": [], "programs": []}
    for piece in read_corpus(folder):
        if piece.split != "valid" or num_pieces.setdefault(piece.source, 0) >= 22:
            continue
        num_pieces[piece.source] += 1
        facts = measure(read_midi(piece.midi))
        is_right["meter"].append("{}/{}".format(*facts.time_signature) == piece.row["meter"])
        is_right["quarter_bpm"].append(abs(facts.tempo_bpm / piece.row["quarter_bpm"] - 1) <= 0.05)
        melodic = [program for program in facts.programs if program != DRUMS]
        is_right["programs"].append(melodic == sorted(set(piece.row["programs"]) - {DRUMS}))
    assert sum(num_pieces.values()) >= 150
    for name, rights in is_right.items():
        assert sum(rights) / len(rights) >= 0.99, name
