"""The compiled module says what the plain-Python reference says."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan
from amt.midi.grammar import Grammar
from amt.midi.reader import read_midi
from amt.midi.reference import grammar as reference_grammar
from amt.midi.reference import smf_reader, smf_writer
from amt.midi.reference import tokenizer as reference_tokenizer
from amt.midi.reference.random_pieces import random_config, random_constraints, random_piece, random_walk
from amt.midi.tokenizer import EventTokenizer

pytest.importorskip("amt._midi", reason="amt._midi is not built: there is nothing to compare")

CONFIGS = {
    "score": TokenizerConfig(),
    "score_2": TokenizerConfig(version=2),
    "performance": TokenizerConfig(preset="performance"),
    # Everything small, so that limits are met.
    "small_score": TokenizerConfig(max_time_shift=3, max_gap_steps=7, num_velocities=1, tempos_bpm=(60, 120)),
    "small_score_2": TokenizerConfig(version=2, max_time_shift=3, max_gap_steps=7, num_velocities=2, tempos_bpm=(60,)),
    "small_performance": TokenizerConfig(
        preset="performance", step_ms=1, max_time_shift=3, max_gap_steps=6, num_velocities=2
    ),
}
# "any": each example draws one of its own.
by_config = pytest.mark.parametrize("config", [*CONFIGS.values(), None], ids=[*CONFIGS, "any"])


def few(num_examples: int) -> settings:
    return settings(max_examples=num_examples, deadline=None, derandomize=True, database=None)


def assert_same_music(native: MidiData, reference: MidiData) -> None:
    for name in ("ticks_per_beat", "end_ticks", "tempos", "time_signatures", "key_signatures", "plan"):
        assert getattr(native, name) == getattr(reference, name), name
    # Pedals are in order of their start; for equal ones the order says nothing.
    assert sorted(map(dataclasses.astuple, native.pedals)) == sorted(map(dataclasses.astuple, reference.pedals))
    assert list(native.notes) == list(reference.notes)


def assert_same_encoding(midi_data: MidiData, config: TokenizerConfig) -> list[int]:
    encoding = EventTokenizer(config).encode(midi_data)
    ids, report = reference_tokenizer.encode(midi_data, config)
    assert encoding.ids.tolist() == ids
    assert encoding.report._asdict() == report
    return ids


def assert_same_decoding(ids: list[int], config: TokenizerConfig) -> None:
    native, native_report = EventTokenizer(config).decode_with_report(ids)
    reference, reference_report = reference_tokenizer.decode(ids, config)
    assert_same_music(native, reference)
    assert native_report._asdict() == reference_report


@by_config
@few(80)
@given(rng=st.randoms(use_true_random=False))
def test_random_pieces_encode_and_decode_alike(config, rng):
    config = config or random_config(rng)
    ids = assert_same_encoding(random_piece(rng), config)
    assert_same_decoding(ids, config)


@pytest.mark.parametrize("preset", ["score", "performance"])
@pytest.mark.parametrize("max_gap_steps", [1, 9, 10, 11, 12, 13, 24])
def test_ways_are_cut_alike_also_where_one_shift_could_say_them(preset, max_gap_steps):
    config = TokenizerConfig(preset, max_time_shift=12, max_gap_steps=max_gap_steps)
    ticks = 20 if preset == "score" else 10
    starts = np.cumsum([0, *range(2, 30)]).tolist()  # the way from a note's end to the next start is 1, 2, 3, ...
    notes = [Note(ticks * start, ticks * (start + 1), 60, 80) for start in starts]
    ids = assert_same_encoding(MidiData(notes, ticks_per_beat=480 if preset == "score" else 500), config)
    report = EventTokenizer(config).encode(MidiData(notes, ticks_per_beat=480 if preset == "score" else 500)).report
    assert report.clamped_gaps == sum(way > max_gap_steps for way in range(1, 29))
    state = Grammar(config).start()
    for token_id in ids:
        state.advance(token_id)
    assert state.is_finished


@by_config
@few(80)
@given(data=st.data())
def test_any_ids_decode_alike(config, data):
    config = config or random_config(data.draw(st.randoms(use_true_random=False)))
    last_id = EventTokenizer(config).vocab_size - 1
    # Few pitches and many shifts: random ids alone seldom meet.
    some_id = st.one_of(st.integers(0, last_id), st.sampled_from([0, 1, 63, 191, 259, 260, 300, last_id - 1, last_id]))
    ids = data.draw(st.lists(some_id.filter(lambda token_id: token_id <= last_id), max_size=60))
    assert_same_decoding(ids, config)


@pytest.mark.parametrize("preset", ["score", "performance"])
def test_music_too_long_for_a_file_is_refused_alike(preset):
    config = TokenizerConfig(preset=preset, max_time_shift=4096, step_ms=100)
    tokenizer = EventTokenizer(config)
    ticks_per_step = 20 if preset == "score" else 100
    first_refused = (2**31 - 1) // ticks_per_step - 6  # a drum note lasts 6 steps
    num_largest, rest = divmod(first_refused - 1, 4096)
    shifts = [4096] * num_largest + [rest] * (rest > 0)
    longest = [tokenizer.vocabulary.token_id("time_shift", steps) for steps in shifts]
    longest.append(tokenizer.vocabulary.token_id("note_on", 60))
    assert_same_decoding(longest, config)
    for decode in (tokenizer.decode, lambda ids: reference_tokenizer.decode(ids, config)):
        with pytest.raises(ValueError, match="longer than a MIDI file can"):
            decode([*longest, tokenizer.vocabulary.token_id("time_shift", 1)])


@pytest.mark.parametrize("preset", ["score", "performance"])
def test_a_piece_of_too_many_steps_is_refused_alike(preset):
    config = TokenizerConfig(preset=preset, step_ms=1)
    for span in (PedalSpan(0, 2**31 - 1), PedalSpan(0, 2**31 - 1, is_drum=True)):
        midi_data = MidiData(ticks_per_beat=24 if preset == "score" else 500, pedals=[span])
        for encode in (EventTokenizer(config).encode, lambda data: reference_tokenizer.encode(data, config)):
            with pytest.raises(ValueError, match="ends at step 2147483647, which must be below"):
                encode(midi_data)
        assert_same_encoding(MidiData(ticks_per_beat=midi_data.ticks_per_beat + 1, pedals=[span]), config)


@by_config
@few(25)
@given(rng=st.randoms(use_true_random=False))
def test_grammars_allow_the_same_step_by_step(config, rng):
    config = config or random_config(rng)
    constraints = random_constraints(rng, config)
    ids = random_walk(reference_grammar.GrammarState(config, constraints), rng, 30)
    native = Grammar(config, constraints).start()
    reference = reference_grammar.GrammarState(config, constraints)
    for token_id in ids:
        assert native.now == reference.now
        assert native.tokens_to_close == reference.tokens_to_close
        np.testing.assert_array_equal(native.allowed(), reference.allowed())
        remaining = reference.tokens_to_close + rng.randrange(-1, 9)
        np.testing.assert_array_equal(native.allowed(remaining), reference.allowed(remaining))
        copy = native.copy()
        copy.advance(token_id)
        events = reference.vocabulary.events
        refused = [other for other, event in enumerate(events) if reference.refusal(event) is not None]
        for state in (native, reference):
            with pytest.raises(ValueError):
                state.advance(rng.choice(refused))
            state.advance(token_id)
        assert copy.tokens_to_close == native.tokens_to_close
    assert native.is_finished and reference.is_finished
    assert not native.allowed().any()


@few(60)
@given(rng=st.randoms(use_true_random=False))
def test_files_written_by_one_are_read_alike_by_both(rng):
    midi_data = random_piece(rng)
    for data in (smf_writer.write_midi(midi_data), midi_data.to_bytes()):
        assert_same_music(read_midi(data, strict=True), midi_data)
        assert_same_music(smf_reader.read_midi(data, strict=True), midi_data)


def test_real_files_are_read_and_encoded_alike(corpus_files):
    for _, data in corpus_files[::10]:
        native = read_midi(data)
        assert_same_music(native, smf_reader.read_midi(data))
        for config in (CONFIGS["score"], CONFIGS["score_2"], CONFIGS["performance"]):
            ids = assert_same_encoding(native, config)
            assert_same_decoding(ids, config)
            state = Grammar(config).start()
            for token_id in ids:
                state.advance(token_id)
            assert state.is_finished
