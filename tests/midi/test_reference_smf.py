import io

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amt
from amt.errors import MidiError
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.reference.random_pieces import random_piece
from amt.midi.reference.smf_reader import read_midi
from amt.midi.reference.smf_writer import write_midi

few = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def on(time, pitch, velocity=80, channel=0):
    return mido.Message("note_on", time=time, note=pitch, velocity=velocity, channel=channel)


def off(time, pitch, channel=0):
    return mido.Message("note_off", time=time, note=pitch, channel=channel)


def program(time, number, channel=0):
    return mido.Message("program_change", time=time, program=number, channel=channel)


def pedal(time, value, channel=0):
    return mido.Message("control_change", time=time, control=64, value=value, channel=channel)


def file_of(*tracks, type=1, ticks_per_beat=480):
    file = mido.MidiFile(type=type, ticks_per_beat=ticks_per_beat)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def test_the_oldest_note_ends_first():
    data = read_midi(file_of([on(0, 60, 10), on(5, 60, 20), off(5, 60), on(5, 60, 0), off(5, 60)]))
    assert list(data.notes) == [Note(0, 10, 60, 10), Note(5, 15, 60, 20)]
    assert (data.end_ticks, data.repairs) == (20, ())


def test_notes_pair_and_programs_hold_within_track_and_channel():
    first = [program(0, 7), on(0, 60), on(0, 60, channel=1), program(1, 8), off(4, 60), off(1, 60, channel=1)]
    second = [on(2, 60), program(0, 9), on(0, 36, channel=9), off(1, 60), off(3, 36, channel=9)]
    assert list(read_midi(file_of(first, second)).notes) == [
        Note(0, 6, 60, 80, 0),
        Note(0, 5, 60, 80, 7),
        Note(2, 3, 60, 80, 8),  # its track has no program before it, the other one has
        Note(2, 6, 36, 80, 0, True),
    ]


def test_pedals():
    track = [program(0, 3), pedal(1, 64), pedal(1, 127), program(0, 4), pedal(1, 63), pedal(1, 0), pedal(1, 127)]
    drums = [pedal(0, 100, channel=9), pedal(9, 0, channel=9)]
    data = read_midi(file_of([*track, on(2, 60)], drums))
    assert data.pedals == (PedalSpan(0, 9, 0, True), PedalSpan(1, 3, 4), PedalSpan(5, 7, 4))
    assert list(data.notes) == [Note(7, 7, 60, 80, 4)]
    assert [repair.reason for repair in data.repairs] == [
        "the sustain pedal is not released; it is at the end of the track",
        "a note has no note-off; it ends with the track",
    ]
    with pytest.raises(MidiError, match="pedal is not released"):
        read_midi(file_of(track), strict=True)


def test_maps_are_sorted_and_the_last_of_a_tick_counts():
    first = [
        mido.MetaMessage("set_tempo", tempo=400_000, time=9),
        mido.MetaMessage("time_signature", numerator=3, time=1),
    ]
    second = [
        mido.MetaMessage("set_tempo", tempo=300_000, time=2),
        mido.MetaMessage("set_tempo", tempo=200_000, time=7),
        mido.MetaMessage("key_signature", key="F#m", time=0),
        mido.MetaMessage("key_signature", key="Cb", time=1),
    ]
    data = read_midi(file_of(first, second))
    assert data.tempos == (Tempo(2, 300_000), Tempo(9, 200_000))
    assert data.time_signatures == (TimeSignature(10, 3, 4),)
    assert data.key_signatures == (KeySignature(9, 3, True), KeySignature(10, -7, False))


def test_tracks_of_format_2_follow_one_another():
    first = [mido.MetaMessage("set_tempo", tempo=400_000), on(0, 60), off(10, 60)]
    data = read_midi(file_of(first, [on(5, 62), off(10, 62)], type=2))
    assert list(data.notes) == [Note(0, 10, 60, 80), Note(15, 25, 62, 80)]
    assert data.tempos == (Tempo(0, 400_000), Tempo(10, 500_000))
    assert (data.format, data.end_ticks) == (2, 25)


@pytest.mark.parametrize(
    ("frames_per_second", "ticks_per_beat", "us_per_beat"),
    [(24, 960, 1_000_000), (25, 1000, 1_000_000), (29, 1200, 1_001_000), (30, 1200, 1_000_000)],
)
def test_smpte_time(frames_per_second, ticks_per_beat, us_per_beat):
    division = -frames_per_second * 256 + 40
    tempo = mido.MetaMessage("set_tempo", tempo=400_000)
    data = read_midi(file_of([tempo, on(0, 60), off(10, 60)], ticks_per_beat=division))
    assert (data.ticks_per_beat, data.tempos) == (ticks_per_beat, (Tempo(0, us_per_beat),))


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"MThd\0\0\0\6\0\1\0\0\0\x60", file_of([on(0, 60)])[:-5], file_of([on(0, 60)], ticks_per_beat=0)],
    ids=["empty", "riff", "no_track", "cut", "no_ticks"],
)
def test_bytes_that_cannot_be_read(data):
    with pytest.raises(MidiError):
        read_midi(data)


def test_data_bytes_above_127_are_clipped_or_refused():
    data = bytearray(file_of([on(0, 60, 99), off(10, 60)]))
    data[data.index(99)] = 200
    assert read_midi(bytes(data)).notes[0].velocity == 127
    with pytest.raises(MidiError):
        read_midi(bytes(data), strict=True)


@few
@given(rng=st.randoms(use_true_random=False))
def test_what_is_written_is_read_again(rng):
    piece = random_piece(rng)
    assert read_midi(write_midi(piece), strict=True) == piece


@pytest.mark.parametrize("number", [1, 2, 3])
def test_spans_of_no_length_stay_apart(number):
    """Also several at one tick, where a longer one ends and another begins."""
    pedals = [PedalSpan(0, 7, 9), *[PedalSpan(7, 7, 9)] * number, PedalSpan(7, 9, 9)]
    notes = [Note(0, 7, 60, 80, 9), *[Note(7, 7, 60, 80, 9)] * number, Note(7, 9, 60, 80, 9)]
    piece = MidiData(notes, pedals)
    for data in (write_midi(piece), piece.to_bytes()):
        assert read_midi(data, strict=True) == piece
        assert amt.read_midi(data, strict=True) == piece


def test_all_key_signatures_and_the_end_are_written():
    keys = [KeySignature(tick, (tick // 2) - 7, bool(tick % 2)) for tick in range(30)]
    piece = MidiData(key_signatures=keys, end_ticks=99)
    assert read_midi(write_midi(piece), strict=True) == piece


def test_programs_have_tracks_and_drums_have_channel_10():
    piece = MidiData([Note(0, 5, 60, 80, number) for number in range(20)] + [Note(0, 5, 36, 80, 0, True)])
    file = mido.MidiFile(file=io.BytesIO(write_midi(piece)))
    channels = [{message.channel for message in track if not message.is_meta} for track in file.tracks]
    assert channels == [
        set(),
        *({i % 16} for i in range(9)),
        *({i % 16} for i in range(10, 16)),
        *({i} for i in range(5)),
        {9},
    ]


@few
@given(rng=st.randoms(use_true_random=False))
def test_symusic_reads_the_same_notes(rng):
    symusic = pytest.importorskip("symusic", reason="symusic is not installed: no outside oracle")
    piece = random_piece(rng)
    score = symusic.Score.from_midi(write_midi(piece))
    found = [
        (note.start, note.end, note.pitch, note.velocity, track.program, track.is_drum)
        for track in score.tracks
        for note in track.notes
    ]
    expected = [
        (note.start_ticks, note.end_ticks, note.pitch, note.velocity, note.program, note.is_drum)
        for note in piece.notes
    ]
    assert sorted(found) == sorted(expected)


def test_two_empty_pedals_at_one_tick_stay_two():
    data = MidiData(
        [], [PedalSpan(0, 0, 0, True), PedalSpan(0, 0, 0, True), PedalSpan(0, 4, 0, True)], ticks_per_beat=1
    )
    assert read_midi(write_midi(data), strict=True).pedals == data.pedals
