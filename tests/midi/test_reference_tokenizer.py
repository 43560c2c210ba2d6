import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from losses import assert_nothing_lost

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, Tempo, TimeSignature
from amt.midi.reference.random_pieces import random_config, random_piece
from amt.midi.reference.tokenizer import DECODE_REPORT, ENCODE_REPORT, decode, encode
from amt.midi.vocabulary import Vocabulary, time_signature, time_signature_index

SCORE = TokenizerConfig()
PERFORMANCE = TokenizerConfig(preset="performance")
CONFIGS = {
    "score": SCORE,
    "performance": PERFORMANCE,
    "small_score": TokenizerConfig(max_time_shift=3, max_gap_steps=7, num_velocities=1, tempos_bpm=(60, 120)),
    "small_performance": TokenizerConfig(preset="performance", max_time_shift=3, max_gap_steps=6, num_velocities=2),
}
# "any": each example draws one of its own.
by_config = pytest.mark.parametrize("config", [*CONFIGS.values(), None], ids=[*CONFIGS, "any"])

DRUMS = 128
SCORE_HEADER = ["bos", "time_signature 17", "tempo 36"]


def few(num_examples: int) -> settings:
    return settings(max_examples=num_examples, deadline=None, derandomize=True, database=None)


def words_of(ids: list[int], config: TokenizerConfig) -> list[str]:
    """Tokens as text: "note_on 60"; no value where the kind has only one."""
    lone = ("pad", "bos", "eos", "pedal_on", "pedal_off")
    events = [Vocabulary(config).event(token_id) for token_id in ids]
    return [event.kind if event.kind in lone else f"{event.kind} {event.value}" for event in events]


def ids_of(words: list[str], config: TokenizerConfig) -> list[int]:
    ids = []
    for word in words:
        kind, _, value = word.partition(" ")
        ids.append(Vocabulary(config).token_id(kind, int(value or 0)))
    return ids


def encode_words(midi_data: MidiData, config: TokenizerConfig = SCORE) -> tuple[list[str], dict[str, int]]:
    """Tokens as text without the header and `eos`, and the counts that are not 0."""
    ids, report = encode(midi_data, config)
    assert tuple(report) == ENCODE_REPORT
    words = words_of(ids, config)
    assert words[-1] == "eos"
    return words[3 if config.preset == "score" else 1 : -1], {key: count for key, count in report.items() if count}


def decode_words(words: list[str], config: TokenizerConfig = SCORE) -> tuple[MidiData, dict[str, int]]:
    """The piece, and the counts that are not 0."""
    midi_data, report = decode(ids_of(words, config), config)
    assert tuple(report) == DECODE_REPORT
    return midi_data, {key: count for key, count in report.items() if count}


def test_vocabulary_ranges():
    assert (len(Vocabulary(SCORE)), len(Vocabulary(PERFORMANCE))) == (659, 391)
    for config, kind, value, token_id in [
        (SCORE, "note_on", 0, 3),
        (SCORE, "note_off", 0, 131),
        (SCORE, "time_shift", 1, 259),
        (SCORE, "velocity", 0, 355),
        (SCORE, "program", DRUMS, 515),
        (SCORE, "tempo", 0, 516),
        (SCORE, "time_signature", 0, 577),
        (SCORE, "pedal_off", 0, 657),
        (SCORE, "pedal_on", 0, 658),
        (PERFORMANCE, "velocity", 31, 390),
    ]:
        assert Vocabulary(config).token_id(kind, value) == token_id
        assert Vocabulary(config).event(token_id) == (kind, value)
    with pytest.raises(ValueError, match="'performance' has no token program 0"):
        Vocabulary(PERFORMANCE).token_id("program", 0)
    with pytest.raises(ValueError, match="token id 391 is not in the vocabulary of 391"):
        Vocabulary(PERFORMANCE).event(391)


def test_bins_say_themselves():
    for config in CONFIGS.values():
        vocabulary = Vocabulary(config)
        for velocity_bin in range(config.num_velocities):
            assert 1 <= vocabulary.bin_velocity(velocity_bin) <= 127
            assert vocabulary.velocity_bin(vocabulary.bin_velocity(velocity_bin)) == velocity_bin
        for index in range(len(config.tempos_bpm)):
            assert vocabulary.tempo_index(vocabulary.tempo_us_per_beat(index)) == index
    for index in range(80):
        assert time_signature_index(*time_signature(index)) == index
    assert time_signature_index(4, 4) == 17
    assert [time_signature_index(*wrong) for wrong in ((0, 4), (17, 4), (4, 3), (4, 32))] == [None] * 4


def test_tempo_bins_are_nearest_on_a_logarithmic_scale():
    vocabulary = Vocabulary(TokenizerConfig(tempos_bpm=(100, 400)))
    # The geometric mean of 600,000 and 150,000 microseconds is 300,000.
    assert [vocabulary.tempo_index(us) for us in (10**7, 300_000, 299_999, 1)] == [0, 0, 1, 1]


def test_empty_pieces():
    assert words_of(encode(MidiData(), SCORE)[0], SCORE) == [*SCORE_HEADER, "eos"]
    assert words_of(encode(MidiData(), PERFORMANCE)[0], PERFORMANCE) == ["bos", "eos"]
    waltz = MidiData(tempos=[Tempo(0, 1_000_000)], time_signatures=[TimeSignature(0, 3, 4)])
    assert words_of(encode(waltz, SCORE)[0], SCORE) == ["bos", "time_signature 12", "tempo 20", "eos"]


def test_one_canonical_order_within_a_step():
    piece = MidiData(
        notes=[
            Note(0, 480, 64, 80, 7),
            Note(0, 480, 60, 80, 7),
            Note(480, 960, 60, 80, 7),
            Note(480, 960, 62, 40, 3),
            Note(480, 500, 36, 80, 0, True),
        ],
        pedals=[PedalSpan(0, 480, 7), PedalSpan(480, 960, 7)],
        tempos=[Tempo(480, 1_000_000)],
        time_signatures=[TimeSignature(480, 3, 4)],
    )
    words, report = encode_words(piece)
    assert words == [
        *("program 7", "pedal_on", "velocity 20", "note_on 60", "note_on 64", "time_shift 24"),
        *("time_signature 12", "tempo 20"),
        *("program 3", "velocity 10", "note_on 62"),
        *("program 7", "note_off 60", "note_off 64", "pedal_off", "pedal_on", "velocity 20", "note_on 60"),
        *("program 128", "note_on 36", "time_shift 24"),
        *("program 3", "note_off 62", "program 7", "note_off 60", "pedal_off"),
    ]
    assert report == {"num_notes": 5, "kept_notes": 5, "dropped_drum_lengths": 1}


def test_performance_has_one_program_and_time():
    piece = MidiData([Note(0, 480, 60, 80, 7), Note(960, 1200, 62, 80, 7)], tempos=[Tempo(480, 250_000)])
    words, report = encode_words(piece, PERFORMANCE)
    assert words == [
        *("velocity 20", "note_on 60", "time_shift 50", "note_off 60"),
        *("time_shift 25", "note_on 62"),
        *("time_shift 13", "note_off 62"),  # 12.5 steps on: half up
    ]
    assert report == {"num_notes": 2, "kept_notes": 2, "moved_us_max": 5000}


def test_long_ways_are_shifted_largest_first():
    piece = MidiData([Note(480 * 8, 480 * 16, 60, 80), Note(480 * 18, 480 * 18 + 20, 60, 80)])
    words, _ = encode_words(piece)
    assert [word for word in words if word.startswith("time_shift")] == [
        *("time_shift 96", "time_shift 96"),
        *("time_shift 96", "time_shift 96"),
        "time_shift 48",
        "time_shift 1",
    ]


# The report, one count after the other.


def test_merged_notes():
    piece = MidiData([Note(0, 480, 60, 40), Note(1, 960, 60, 30), Note(0, 240, 60, 80), Note(0, 240, 60, 80, 1)])
    words, report = encode_words(piece)
    assert words == [
        *("program 0", "velocity 20", "note_on 60", "program 1", "note_on 60"),
        *("time_shift 12", "note_off 60", "time_shift 36", "program 0", "note_off 60"),
    ]
    assert report == {"num_notes": 4, "kept_notes": 2, "merged_notes": 2, "moved_us_max": 1041}


def test_merged_drums():
    piece = MidiData([Note(0, 480, 36, 40, 0, True), Note(0, 480, 36, 100, 8, True)])
    assert encode_words(piece) == (
        ["program 128", "velocity 25", "note_on 36"],
        {"num_notes": 2, "kept_notes": 1, "merged_notes": 1, "dropped_kits": 1, "dropped_drum_lengths": 2},
    )


def test_truncated_notes():
    piece = MidiData([Note(0, 960, 60, 80), Note(480, 720, 60, 80), Note(720, 960, 60, 80)])
    words, report = encode_words(piece)
    assert words == [
        *("program 0", "velocity 20", "note_on 60", "time_shift 24", "note_off 60", "note_on 60"),
        *("time_shift 12", "note_off 60", "note_on 60", "time_shift 12", "note_off 60"),
    ]
    assert report == {"num_notes": 3, "kept_notes": 3, "truncated_notes": 1}


def test_lengthened_notes():
    piece = MidiData([Note(480, 480, 60, 80), Note(480, 489, 62, 80), Note(480, 480, 36, 80, 0, True)])
    words, report = encode_words(piece)
    assert words[-3:] == ["program 0", "note_off 60", "note_off 62"]
    assert words[-4] == "time_shift 1"
    counts = {"num_notes": 3, "kept_notes": 3, "lengthened_notes": 2, "moved_us_max": 9375}
    assert report == counts | {"dropped_drum_lengths": 1}


def test_dropped_drums_and_merged_programs():
    piece = MidiData([Note(0, 480, 60, 80, 3), Note(0, 480, 64, 80, 5), Note(1, 480, 36, 80, 0, True)])
    words, report = encode_words(piece, PERFORMANCE)
    assert words == ["velocity 20", "note_on 60", "note_on 64", "time_shift 50", "note_off 60", "note_off 64"]
    assert report == {"num_notes": 3, "kept_notes": 2, "dropped_drums": 1, "merged_programs": 2}
    assert encode_words(MidiData([Note(0, 480, 60, 80, 3)]), PERFORMANCE)[1] == {"num_notes": 1, "kept_notes": 1}
    counts = {"num_notes": 3, "kept_notes": 3, "moved_us_max": 1041}
    assert encode_words(piece)[1] == counts | {"dropped_drum_lengths": 1}


@pytest.mark.parametrize(
    ("pedals", "end", "sustained"),
    [
        ([], 50, 0),
        ([PedalSpan(0, 960)], 100, 1),
        ([PedalSpan(480, 960)], 100, 1),  # on <= end
        ([PedalSpan(0, 480)], 50, 0),  # end < off
        ([PedalSpan(500, 960)], 50, 0),
        ([PedalSpan(0, 960), PedalSpan(960, 1920)], 100, 1),  # touching: not twice
        ([PedalSpan(0, 960), PedalSpan(950, 1440)], 150, 1),  # overlapping: one
        ([PedalSpan(0, 960, 5), PedalSpan(950, 1440, 6)], 150, 1),  # of all programs together
        ([PedalSpan(0, 960, 0, True)], 50, 0),  # drums have none
        ([PedalSpan(0, 960), PedalSpan(480, 481)], 100, 1),
        ([PedalSpan(0, 1920)], 180, 1),  # to the next start of the pitch
    ],
    ids=str,
)
def test_sustained_notes(pedals, end, sustained):
    later = Note(1728, 1920, 60, 80)  # steps 180 to 200
    ids, report = encode(MidiData([Note(0, 480, 60, 80), later], pedals), PERFORMANCE)
    notes = list(decode(ids, PERFORMANCE)[0].notes)
    assert [note.end_ticks for note in notes] == [end * 10, 2000]
    assert report["sustained_notes"] == sustained


def test_a_note_cut_by_the_next_one_is_not_sustained():
    piece = MidiData([Note(0, 960, 60, 80), Note(480, 960, 60, 80)], [PedalSpan(0, 960)])
    assert encode_words(piece, PERFORMANCE)[1] == {"num_notes": 2, "kept_notes": 2, "truncated_notes": 1}


def test_pedals_of_the_score():
    pedals = [
        *(PedalSpan(0, 480, 4), PedalSpan(240, 960, 4), PedalSpan(960, 1000, 4)),  # overlap, touch
        PedalSpan(100, 101, 4),  # inside
        PedalSpan(2000, 2001, 4),  # no step long
        PedalSpan(0, 960, 0, True),  # drums
        PedalSpan(240, 480, 2),
    ]
    assert encode_words(MidiData([], pedals)) == (
        [
            *("program 4", "pedal_on", "time_shift 12", "program 2", "pedal_on", "time_shift 12", "pedal_off"),
            *("time_shift 24", "program 4", "pedal_off", "pedal_on", "time_shift 2", "pedal_off"),
        ],
        {"dropped_pedals": 3},
    )


def test_dropped_time_signatures():
    signatures = [(0, 3, 4), (3, 17, 4), (480, 4, 32), (960, 6, 8), (965, 5, 8), (1440, 5, 8)]
    piece = MidiData(time_signatures=[TimeSignature(*signature) for signature in signatures])
    ids, report = encode(piece, SCORE)
    # 17/4 on the step of 3/4 is left out before the last of the step is chosen; the second 5/8 changes nothing.
    assert words_of(ids, SCORE) == ["bos", "time_signature 12", "tempo 36", "time_shift 48", "time_signature 23", "eos"]
    assert report["dropped_time_signatures"] == 2
    assert encode(piece, PERFORMANCE)[1]["dropped_time_signatures"] == 0


def test_the_last_tempo_of_a_step_counts():
    piece = MidiData(tempos=[Tempo(480, 1_000_000), Tempo(481, 400_000), Tempo(700, 399_000), Tempo(960, 500_000)])
    words, _ = encode_words(piece)
    assert words == ["time_shift 24", "tempo 41", "time_shift 24", "tempo 36"]


@pytest.mark.parametrize(
    ("config", "beats", "clamped_steps"), [(SCORE, 65, 24), (PERFORMANCE, 121, 50)], ids=["score", "performance"]
)
def test_clamped_gaps(config, beats, clamped_steps):
    piece = MidiData([Note(480 * beats, 480 * (2 * beats), 60, 80)])
    words, report = encode_words(piece, config)
    largest = f"time_shift {config.max_time_shift}"
    assert words.count(largest) == 2 * (config.max_gap_steps // config.max_time_shift)
    expected = {"num_notes": 1, "kept_notes": 1, "clamped_gaps": 2, "clamped_steps": 2 * clamped_steps}
    assert report == expected
    assert "clamped_gaps" not in encode_words(MidiData([Note(480 * (beats - 1), 480 * beats, 60, 80)]), config)[1]


def test_moved_us_max():
    tempos = [Tempo(480, 1_000_000)]
    # Tick 489 is 24.45 steps, 0.45 of a step of 1/24 s.
    assert encode_words(MidiData([Note(489, 960, 60, 80)], tempos=tempos))[1]["moved_us_max"] == 18_750
    assert encode_words(MidiData([Note(9, 480, 60, 80)], tempos=tempos))[1]["moved_us_max"] == 9_375
    # 0.5 s and 9 ticks of 1/480 s: 518.75 ms, 1.25 ms from 52 steps.
    assert encode_words(MidiData([Note(489, 960, 60, 80)], tempos=tempos), PERFORMANCE)[1]["moved_us_max"] == 1_250
    assert "moved_us_max" not in encode_words(MidiData([Note(0, 489, 36, 80, 0, True)]))[1]


# From ids to notes.


def test_decoded_values():
    words = ["time_shift 2", "program 5", "velocity 3", "note_on 60", "time_shift 1", "note_off 60"]
    score, report = decode_words([*SCORE_HEADER, *words, "eos"])
    assert report == {}
    assert list(score.notes) == [Note(40, 60, 60, 14, 5)]
    assert (score.ticks_per_beat, score.end_ticks) == (480, 60)
    assert (score.tempos, score.time_signatures) == ((Tempo(0, 500_000),), (TimeSignature(0, 4, 4),))

    words.remove("program 5")
    performance, report = decode_words(["bos", *words, "eos"], PERFORMANCE)
    assert report == {}
    assert list(performance.notes) == [Note(20, 30, 60, 14)]
    assert (performance.ticks_per_beat, performance.end_ticks) == (500, 30)
    assert (performance.tempos, performance.time_signatures) == ((Tempo(0, 500_000),), (TimeSignature(0, 4, 4),))


def test_decoded_defaults():
    midi_data, report = decode_words(["note_on 60", "time_shift 4", "note_off 60"])
    assert list(midi_data.notes) == [Note(0, 80, 60, 66)]
    assert report == {}


def test_decoded_changes():
    changes = ["tempo 0", "tempo 20", "time_shift 1", "tempo 3", "tempo 20", "time_shift 1", "tempo 3", "tempo 4"]
    midi_data, _ = decode_words([*changes, "time_signature 12", "time_shift 1", "time_signature 12"])
    assert midi_data.tempos == (Tempo(0, 1_000_000), Tempo(40, 2_142_857))
    assert midi_data.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(40, 3, 4))
    assert midi_data.end_ticks == 40


def test_decoded_drums():
    hits = ["program 128", "note_on 36", "time_shift 2", "note_on 36", "note_on 38", "time_shift 60"]
    midi_data, report = decode_words(hits)
    assert report == {}
    assert list(midi_data.notes) == [
        Note(0, 40, 36, 66, 0, True),  # to the next hit
        Note(40, 160, 36, 66, 0, True),  # a quarter of a beat
        Note(40, 160, 38, 66, 0, True),
    ]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["note_off 60"], 1),
        (["note_on 60", "program 1", "note_off 60"], 1),
        (["program 128", "note_on 60", "time_shift 1", "note_off 60"], 1),
        (["program 128", "note_on 60", "note_on 60", "note_on 61"], 1),
        (["program 128", "pedal_on", "pedal_off"], 2),
        (["pedal_off", "pedal_on", "pedal_on", "pedal_off", "pedal_off"], 3),
        (["pad", "bos", "note_on 60", "pad", "eos", "note_off 61"], 0),
    ],
    ids=str,
)
def test_ignored_tokens(words, count):
    assert decode_words(words)[1].get("ignored_tokens", 0) == count


def test_dropped_notes():
    midi_data, report = decode_words(
        ["note_on 60", "note_on 60", "note_off 60", "note_on 62", "time_shift 1", "note_off 62"]
    )
    assert list(midi_data.notes) == [Note(0, 20, 62, 66)]
    assert report == {"dropped_notes": 2}


def test_closed_notes():
    midi_data, report = decode_words(["pedal_on", "note_on 60", "time_shift 3", "note_on 62", "program 1", "pedal_on"])
    assert list(midi_data.notes) == [Note(0, 60, 60, 66), Note(60, 80, 62, 66)]
    assert midi_data.pedals == (PedalSpan(0, 60),)
    assert report == {"closed_notes": 2}


def test_wrong_ids_are_refused_with_their_position():
    for wrong in (-1, 659):
        with pytest.raises(ValueError, match=f"token id {wrong} at position 2 is not in the vocabulary of 659"):
            decode([1, 0, wrong], SCORE)
        assert len(decode([1, 2, wrong], SCORE)[0].notes) == 0


@by_config
@few(60)
@given(data=st.data())
def test_any_ids_decode_and_settle(config, data):
    config = config or random_config(data.draw(st.randoms(use_true_random=False)))
    ids = data.draw(st.lists(st.integers(0, len(Vocabulary(config)) - 1), max_size=50))
    midi_data, _ = decode(ids, config)
    canonical, report = encode(midi_data, config)
    for key in ("merged_notes", "truncated_notes", "lengthened_notes", "moved_us_max", "dropped_time_signatures"):
        assert report[key] == 0
    assert encode(decode(canonical, config)[0], config)[0] == canonical


@by_config
@few(60)
@given(rng=st.randoms(use_true_random=False))
def test_encoding_again_changes_nothing(config, rng):
    config = config or random_config(rng)
    ids, _ = encode(random_piece(rng), config)
    midi_data, decode_report = decode(ids, config)
    assert not any(decode_report.values())
    again, report = encode(midi_data, config)
    assert again == ids
    assert_nothing_lost(report, midi_data, config)


@st.composite
def quantised_pieces(draw: st.DrawFn, config: TokenizerConfig) -> MidiData:
    """Notes and pedals on steps, velocities in the middle of their bins, none of a pitch at once, no long rests."""
    is_score = config.preset == "score"
    ticks = 20 if is_score else config.step_ms
    vocabulary = Vocabulary(config)
    velocities = st.sampled_from([vocabulary.bin_velocity(b) for b in range(config.num_velocities)])
    notes, pedals = [], []
    for program in draw(st.sets(st.integers(0, 128 if is_score else 0), max_size=3)):
        is_drum = program == DRUMS
        for pitch in draw(st.sets(st.integers(0, 127), max_size=3)):
            now = 0
            for gap, length in draw(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=4)):
                start, now = now + gap, now + gap + (6 if is_drum else length)
                velocity = draw(velocities)
                notes.append(Note(start * ticks, now * ticks, pitch, velocity, 0 if is_drum else program, is_drum))
        now = 0
        if is_score and not is_drum:
            for gap, length in draw(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 6)), max_size=3)):
                start, now = now + gap, now + gap + length
                pedals.append(PedalSpan(start * ticks, now * ticks, program))
    tempo = vocabulary.tempo_us_per_beat(draw(st.integers(0, len(config.tempos_bpm) - 1))) if is_score else 500_000
    return MidiData(
        notes,
        pedals,
        [Tempo(0, tempo)],
        [TimeSignature(0, 4, 4)],
        ticks_per_beat=480 if is_score else 500,
    )


@pytest.mark.parametrize("config", [SCORE, PERFORMANCE], ids=["score", "performance"])
@few(60)
@given(data=st.data())
def test_quantised_music_comes_back_as_it_was(config, data):
    piece = data.draw(quantised_pieces(config))
    ids, report = encode(piece, config)
    midi_data, decode_report = decode(ids, config)
    assert list(map(dataclasses.astuple, midi_data.notes)) == list(map(dataclasses.astuple, piece.notes))
    assert set(midi_data.pedals) == set(piece.pedals)
    assert (midi_data.tempos, midi_data.time_signatures) == (piece.tempos, piece.time_signatures)
    assert not any(decode_report.values())
    assert report == {**dict.fromkeys(ENCODE_REPORT, 0), "num_notes": len(piece.notes), "kept_notes": len(piece.notes)}


LAST = 2**31 - 1
ENDS = {
    "drum": {"notes": [Note(0, LAST, 36, 64, is_drum=True)]},
    "pedal": {"pedals": [PedalSpan(0, LAST)]},
    "tempo": {"tempos": [Tempo(LAST, 500_000)]},
    "time_signature": {"time_signatures": [TimeSignature(LAST, 3, 4)]},
}


@pytest.mark.parametrize("contents", ENDS.values(), ids=ENDS.keys())
def test_a_piece_whose_steps_are_too_many_is_refused(contents):
    with pytest.raises(ValueError, match="ends at step 2147483647, which must be below"):
        encode(MidiData(ticks_per_beat=24, **contents), SCORE)
    encode(MidiData(ticks_per_beat=25, **contents), SCORE)


def test_version_2_says_the_velocity_of_a_program_once():
    notes = [Note(240 * i, 240 * i + 240, 60, 80 if i % 2 else 40, i % 2) for i in range(6)]
    midi_data = MidiData(notes, ticks_per_beat=480)
    ids = {version: encode(midi_data, TokenizerConfig(version=version))[0] for version in (1, 2)}
    vocabulary = Vocabulary(TokenizerConfig())
    num_velocities = {v: sum(vocabulary.event(i).kind == "velocity" for i in row) for v, row in ids.items()}
    assert num_velocities == {1: 6, 2: 2}
    for version, row in ids.items():
        assert list(decode(row, TokenizerConfig(version=version))[0].notes.velocity) == [42, 82] * 3
    with pytest.raises(ValueError, match="version 2 is one of the preset score"):
        TokenizerConfig(preset="performance", version=2)
