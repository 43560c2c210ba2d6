"""Real files give symusic's notes; every rule of the reader is shown on a file of a few bytes."""

import io
import os
import runpy
import struct
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest

from amt.errors import MidiError
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.native import native
from amt.midi.reader import read_midi

build = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("malformed.py"))))
track, smf, meta, note_on, note_off = build.track, build.smf, build.meta, build.note_on, build.note_off

repairs_only_in_native = pytest.mark.skipif(
    native is None, reason="amt._midi is not built; the reference repairs little"
)


def spans(data: bytes) -> list[tuple[int, int, int]]:
    """(start, end, velocity) of each note."""
    return [(note.start_ticks, note.end_ticks, note.velocity) for note in read_midi(data, strict=True).notes]


# Where symusic 0.6 differs: it drops notes without a note-off and pedals that are not released, which here end with
# their track; it takes a pedal-up at tick 0, with no pedal down, for an empty span; it refuses SMPTE time and RIFF,
# reads only as many tracks as the header says, and plays the tracks of format 2 together. A track without a program of
# its own is a piano there, and has here what the other tracks say of its channel.
def test_real_files_give_the_notes_of_symusic(corpus_files):
    symusic = pytest.importorskip("symusic")
    files = corpus_files if native else corpus_files[::40]  # the reference takes seconds for some
    num_notes = 0
    for name, data in files:
        midi = read_midi(data)
        score = symusic.Score.from_midi(data)
        rows = [
            (note.start, note.end, note.pitch, note.velocity, part.program, part.is_drum)
            for part in score.tracks
            for note in part.notes
        ]
        unclosed = [repair for repair in midi.repairs if "note-off" in repair.reason]
        assert not unclosed, name
        actual = list(zip(*(column.tolist() for column in midi.notes.columns), strict=True))
        others, ours = Counter(rows), Counter(actual)
        assert {row[4] for row in others - ours} <= {0}, name
        assert sorted(row[:4] for row in actual) == sorted(row[:4] for row in rows), name
        assert midi.ticks_per_beat == score.ticks_per_quarter, name
        assert {t.tick: t.us_per_beat for t in midi.tempos} == {t.time: t.mspq for t in score.tempos}, name
        metres = {s.time: (s.numerator, s.denominator) for s in score.time_signatures}
        assert {s.tick: (s.numerator, s.denominator) for s in midi.time_signatures} == metres, name
        pedals = {(p.time, p.time + p.duration, part.program) for part in score.tracks for p in part.pedals}
        our_pedals = {(p.start_ticks, p.end_ticks, p.program) for p in midi.pedals}
        assert {pedal for pedal in our_pedals ^ pedals if pedal[:2] != (0, 0)} == set() or midi.repairs, name
        num_notes += len(rows)
    assert num_notes > 1000 * len(files)


def test_columns_are_sorted_and_cannot_be_written():
    midi = read_midi(build.small_file())
    columns = midi.notes.columns
    order = np.lexsort([columns[i] for i in (3, 1, 2, 4, 5, 0)])
    assert order.tolist() == list(range(len(midi.notes)))
    with pytest.raises(ValueError, match="read-only"):
        midi.notes.pitch[0] = 1


def test_small_file():
    midi = read_midi(build.small_file(), strict=True)
    assert midi.ticks_per_beat == 480
    assert midi.format == 1
    assert midi.end_ticks == 1440
    assert midi.tempos == (Tempo(0, 500_000), Tempo(960, 400_000))
    assert midi.time_signatures == (TimeSignature(0, 3, 4),)
    assert midi.key_signatures == (KeySignature(0, -2, True),)
    assert midi.pedals == (PedalSpan(0, 480, 5),)
    assert midi.notes[0] == Note(0, 480, 60, 64, 5)
    assert midi.notes[1] == Note(0, 240, 38, 90, 0, True)
    assert [note.pitch for note in midi.notes if not note.is_drum] == [60, 64, 67]


@pytest.mark.parametrize(
    ("events", "expected"),
    {
        "a note": ([(0, note_on(60, 1)), (9, note_off(60))], [(0, 9, 1)]),
        "velocity 0 ends it": ([(0, note_on(60, 1)), (9, note_on(60, 0))], [(0, 9, 1)]),
        "the oldest ends first": (
            [(0, note_on(60, 1)), (3, note_on(60, 2)), (3, note_off(60)), (3, note_off(60))],
            [(0, 6, 1), (3, 9, 2)],
        ),
        "also at one tick": (
            [(0, note_on(60, 1)), (5, note_on(60, 2)), (0, note_off(60)), (4, note_off(60))],
            [(0, 5, 1), (5, 9, 2)],
        ),
        "an empty note stays": ([(4, note_on(60, 1)), (0, note_off(60)), (5, note_off(60))], [(4, 4, 1)]),
        "a stray note-off": ([(4, note_off(60)), (0, note_on(60, 1)), (5, note_off(60))], [(4, 9, 1)]),
        "another pitch": (
            [(0, note_on(60, 1)), (0, note_on(61, 2)), (5, note_off(61)), (4, note_off(60))],
            [(0, 9, 1), (0, 5, 2)],
        ),
        "another channel": (
            [(0, note_on(60, 1)), (0, note_on(60, 2, 1)), (5, note_off(60, 1)), (4, note_off(60))],
            [(0, 5, 2), (0, 9, 1)],
        ),
        "running status": ([(0, note_on(60, 1)), (2, bytes((62, 2))), (3, bytes((60, 0))), (1, bytes((62, 0)))],
            [(0, 5, 1), (2, 6, 2)],
        ),
        "sysex and aftertouch are skipped": (
            [(0, note_on(60, 1)), (1, b"\xf0\x02\x01\xf7"), (1, b"\xa0\x3c\x09"), (1, b"\xd0\x09"),
             (1, b"\xe0\x00\x40"), (1, b"\xf7\x01\x05"), (4, note_off(60))],
            [(0, 9, 1)],
        ),
    }.values(),
    ids=lambda value: None,
)  # fmt: skip
def test_which_notes(events, expected):
    assert spans(smf(track(*events))) == expected


def test_a_note_off_in_another_track_ends_nothing():
    data = smf(track((0, note_on(60)), (9, note_off(60))), track((5, note_off(60))))
    assert spans(data) == [(0, 9, 64)]


def test_the_program_is_that_of_track_and_channel_at_the_start():
    data = smf(
        track(
            (0, b"\xc0\x05"), (0, note_on(60)), (1, b"\xc0\x06"), (1, note_off(60)), (0, note_on(61)), (1, note_off(61))
        ),
        track((0, note_on(62)), (0, b"\xc1\x07"), (1, note_off(62)), (0, note_on(63, 1, 1)), (1, note_off(63, 1))),
    )
    programs = {note.pitch: note.program for note in read_midi(data).notes}
    assert programs == {60: 5, 61: 6, 62: 5, 63: 7}  # 62: its track says nothing of the channel


def test_channel_10_is_drums_and_keeps_its_kit():
    data = smf(track((0, b"\xc9\x08"), (0, note_on(38, 64, 9)), (1, note_off(38, 9))))
    assert list(read_midi(data).notes) == [Note(0, 1, 38, 64, 8, True)]


def test_pedal():
    def control(value: int) -> bytes:
        return bytes((0xB0, 64, value))

    events = [
        (1, control(63)),
        (1, control(64)),
        (1, control(127)),
        (1, control(63)),
        (1, control(0)),
        (1, control(64)),
    ]
    data = smf(track(*events, (0, control(0)), end=0))
    assert read_midi(data, strict=True).pedals == (PedalSpan(2, 4), PedalSpan(6, 6))


def test_maps_of_all_tracks_are_merged_and_the_last_of_a_tick_counts():
    data = smf(
        track((0, meta(0x51, b"\0\0\1")), (5, meta(0x51, b"\0\0\2")), (0, meta(0x51, b"\0\0\3")),
              (5, meta(0x58, b"\x06\3\0\0"))),
        track((0, meta(0x51, b"\0\0\4")), (2, meta(0x51, b"\0\0\5")), (0, meta(0x59, b"\7\0"))),
    )  # fmt: skip
    midi = read_midi(data, strict=True)
    assert midi.tempos == (Tempo(0, 4), Tempo(2, 5), Tempo(5, 3))
    assert midi.time_signatures == (TimeSignature(10, 6, 8),)
    assert midi.key_signatures == (KeySignature(2, 7, False),)


@pytest.mark.parametrize(
    ("frames", "ticks", "ticks_per_beat", "us_per_beat"),
    [(24, 4, 96, 1_000_000), (25, 40, 1000, 1_000_000), (29, 80, 2400, 1_001_000), (30, 80, 2400, 1_000_000)],
)
def test_smpte_time_is_60_bpm(frames, ticks, ticks_per_beat, us_per_beat):
    division = struct.unpack(">H", struct.pack(">bB", -frames, ticks))[0]
    data = smf(track((0, meta(0x51, b"\1\1\1")), (0, note_on(60)), (9, note_off(60))), division=division)
    midi = read_midi(data, strict=True)
    assert midi.ticks_per_beat == ticks_per_beat
    assert midi.tempos == (Tempo(0, us_per_beat),)


def test_tracks_of_format_2_follow_one_another():
    first = track((0, meta(0x51, b"\0\0\1")), (0, meta(0x58, b"\3\2\0\0")), (0, note_on(60)), (7, note_off(60)), end=3)
    second = track((0, note_on(61)), (4, note_off(61)))
    third = track((0, meta(0x51, b"\0\0\2")), (0, note_on(62)), (5, note_off(62)))
    midi = read_midi(smf(first, second, third, format=2), strict=True)
    assert [(note.start_ticks, note.end_ticks) for note in midi.notes] == [(0, 7), (10, 14), (14, 19)]
    assert midi.tempos == (Tempo(0, 1), Tempo(10, 500_000), Tempo(14, 2))
    assert midi.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(10, 4, 4), TimeSignature(14, 4, 4))
    assert midi.end_ticks == 19


@repairs_only_in_native
def test_riff_and_unknown_chunks_and_a_longer_header_are_sound():
    sound = build.small_file()
    expected = read_midi(sound)
    wrapped = b"RIFF\0\0\0\0RMID" + b"junk\3\0\0\0abc\0" + b"data" + struct.pack("<I", len(sound)) + sound + b"tail"
    assert read_midi(wrapped, strict=True) == expected
    longer = sound[:7] + b"\x08" + sound[8:14] + b"\0\0" + build.chunk(b"XFIH", b"\0\1\2") + sound[14:]
    assert read_midi(longer, strict=True) == expected


@repairs_only_in_native
@pytest.mark.parametrize(
    ("data", "expected", "reason"),
    {
        "running status after meta": (
            smf(track((0, note_on(60)), (1, meta(1, b"x")), (8, bytes((60, 0))))), [(0, 9, 64)], "running status"),
        "running status after sysex": (
            smf(track((0, note_on(60)), (1, b"\xf0\1\xf7"), (8, bytes((60, 0))))), [(0, 9, 64)], "running status"),
        "no end of track": (smf(track((0, note_on(60)), (9, note_off(60)), end=None)), [(0, 9, 64)], "no end-of-track"),
        "no note-off": (smf(track((0, note_on(60)), (3, note_on(60)), end=6)), [(0, 9, 64), (3, 9, 64)], "2 times"),
        "more tracks": (
            smf(track((0, note_on(60)), (9, note_off(60))), num_tracks=0), [(0, 9, 64)], "1 tracks in the file, 0 in"),
        "fewer tracks": (smf(track((0, note_on(60)), (9, note_off(60))), num_tracks=2), [(0, 9, 64)], "1 tracks in"),
        "bytes between chunks": (
            smf() + b"\0\0" + track((0, note_on(60)), (9, note_off(60))), [(0, 9, 64)], "2 bytes that are no chunk"),
        "long delta time": (
            smf(build.chunk(b"MTrk", b"\x80\x80\x80\x80\x09" + note_on(60) + b"\1" + note_off(60) + b"\0\xff\x2f\0")),
            [(9, 10, 64)], "more than four bytes"),
        "data byte above 127": (
            smf(track((0, bytes((0x90, 60, 200))), (9, note_off(60)))), [(0, 9, 127)], "above 127"),
        "time beyond 2^31": (
            smf(track((0, note_on(60)), *[((1 << 28) - 1, meta(1, b""))] * 9, (9, note_off(60)))),
            [(0, (1 << 31) - 1, 64)], "beyond 2147483647"),
        "tempo of zero": (
            smf(track((0, meta(0x51, bytes(3))), (0, note_on(60)), (9, note_off(60)))), [(0, 9, 64)], "tempo"),
        "no ticks per beat": (smf(track((0, note_on(60)), (9, note_off(60))), division=0), [(0, 9, 64)], "read as 480"),
        "format 0 of two tracks": (
            smf(track(), track((0, note_on(60)), (9, note_off(60))), format=0), [(0, 9, 64)], "format 0"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_repairs(data, expected, reason):
    midi = read_midi(data)
    assert [(note.start_ticks, note.end_ticks, note.velocity) for note in midi.notes] == expected
    assert any(reason in repair.reason for repair in midi.repairs)
    first_reasons = {repair.reason.split(" (")[0] for repair in midi.repairs}
    with pytest.raises(MidiError) as refusal:
        read_midi(data, strict=True)
    assert refusal.value.reason.split(" (")[0] in first_reasons
    assert refusal.value.byte_offset >= 0


def test_sources(tmp_path):
    data = build.small_file()
    expected = read_midi(data)
    path = tmp_path / "a.mid"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), memoryview(data), mido.MidiFile(file=io.BytesIO(data))):
        assert read_midi(source) == expected


def test_missing_file_and_folder_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*no\.mid; check"):
        read_midi(tmp_path / "no.mid")
    with pytest.raises(IsADirectoryError, match="give the path of one MIDI file"):
        read_midi(tmp_path)
    with pytest.raises(TypeError, match="got int"):
        read_midi(3)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file is empty"),
        (b"ID3\x04rest", "it is an MP3 file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "it is a WAV file"),
        (b"%PDF-1.7", "it is a PDF file"),
        (b"PK\x03\x04rest", "zip archive"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><score-partwise>', "MusicXML"),
        (b"X:1\nT:Tune", "abc2midi"),
        (b"\0\0\0\0ftypM4A ", "M4A"),
        (b"nonsense", "does not start with MThd"),
    ],
)  # fmt: skip
def test_what_is_not_midi_is_named(data, what, tmp_path):
    with pytest.raises(MidiError, match=what):
        read_midi(data)
    path = tmp_path / "wrong.mid"
    path.write_bytes(data)
    with pytest.raises(MidiError, match=f"wrong.mid: .*{what}") as refusal:
        read_midi(os.fspath(path))
    assert refusal.value.byte_offset == 0


def test_a_file_without_tracks_is_refused():
    with pytest.raises(MidiError, match="no track"):
        read_midi(smf())


def test_the_reader_of_the_native_module_takes_any_buffer():
    module = pytest.importorskip("amt._midi")
    data = build.small_file()
    assert MidiData.from_native(module.read(np.frombuffer(data, np.uint8))) == read_midi(data)
    with pytest.raises(ValueError, match="contiguous"):
        module.read(np.frombuffer(data, np.uint8)[::2])
