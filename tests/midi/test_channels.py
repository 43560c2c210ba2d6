"""Programs, banks, drum parts, pedals and channel modes: what holds on a channel, and for which track."""

import io
import random

import mido
import pytest

from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan
from amt.midi.native import native
from amt.midi.reader import read_midi
from amt.midi.reference import smf_reader

GS_RESET = (0x41, 0x10, 0x42, 0x12, 0x40, 0x00, 0x7F, 0x00, 0x41)
XG_RESET = (0x43, 0x10, 0x4C, 0x00, 0x00, 0x7E, 0x00)


def on(pitch: int, channel: int = 0, time: int = 0) -> mido.Message:
    return mido.Message("note_on", note=pitch, velocity=80, channel=channel, time=time)


def off(pitch: int, channel: int = 0, time: int = 0) -> mido.Message:
    return mido.Message("note_off", note=pitch, channel=channel, time=time)


def control(number: int, value: int, channel: int = 0, time: int = 0) -> mido.Message:
    return mido.Message("control_change", control=number, value=value, channel=channel, time=time)


def program(number: int, channel: int = 0, time: int = 0) -> mido.Message:
    return mido.Message("program_change", program=number, channel=channel, time=time)


def exclusive(*data: int, time: int = 0) -> mido.Message:
    return mido.Message("sysex", data=data, time=time)


def gs_part(part: int, drum_map: int) -> mido.Message:
    return exclusive(0x41, 0x10, 0x42, 0x12, 0x40, 0x10 | part, 0x15, drum_map, 0x0F)


def xg_part(part: int, mode: int) -> mido.Message:
    return exclusive(0x43, 0x10, 0x4C, 0x08, part, 0x07, mode)


def read(*tracks: list, type: int = 1) -> MidiData:
    """The same by both readers."""
    file = mido.MidiFile(type=type, ticks_per_beat=480)
    file.tracks += [mido.MidiTrack([*track, mido.MetaMessage("end_of_track", time=4800)]) for track in tracks]
    stream = io.BytesIO()
    file.save(file=stream)
    data = read_midi(stream.getvalue())
    assert data == smf_reader.read_midi(stream.getvalue())
    assert len(data.repairs) <= 2
    return data


def voices(data: MidiData) -> list[tuple[int, bool]]:
    return [(note.program, note.is_drum) for note in data.notes]


def hit(channel: int = 0) -> list[mido.Message]:
    return [on(36, channel), off(36, channel, 120)]


@pytest.mark.parametrize(
    ("tracks", "expected"),
    {
        "the other track's": ([[program(40)], hit()], [40]),
        "also when it comes later in the file": ([hit(), [program(40)]], [40]),
        "only up to the note": ([[program(40), program(41, time=121)], hit(), [on(60, time=121), off(60, time=9)]],
            [40, 41]),
        "a track keeps its own": ([[program(40)], [program(17), *hit()]], [17]),
        "before its own it has the others'": ([[program(40)], [*hit(), program(17), *hit()]], [40, 17]),
        "its own at the same tick counts from where it stands": ([[on(60), program(17), off(60, time=9)]], [0]),
        "another channel's is none": ([[program(40, channel=1)], hit()], [0]),
        "the last of a tick": ([[program(40), program(41)], [program(42)], hit()], [42]),
    }.values(),
    ids=lambda value: "",
)  # fmt: skip
def test_a_track_without_a_program_has_that_of_its_channel(tracks, expected):
    assert [note.program for note in read(*tracks).notes] == expected


def test_the_tracks_of_format_2_have_programs_of_their_own():
    assert [note.program for note in read([program(40), *hit()], hit(), type=2).notes] == [40, 0]


def test_the_kit_of_another_track_is_kept():
    data = read([program(25, channel=9)], hit(9))
    assert voices(data) == [(25, True)]
    assert read_midi(data.to_bytes()) == data


@pytest.mark.parametrize(
    ("events", "expected"),
    {
        "XG bank 127": ([control(0, 127), program(25), *hit()], (25, True)),
        "XG bank 126": ([control(0, 126), program(1), *hit()], (1, True)),
        "GM2 bank 120": ([control(0, 120, 10), program(8, 10), *hit(10)], (8, True)),
        "GM2 bank 121 on channel 10": ([control(0, 121, 9), program(40, 9), *hit(9)], (40, False)),
        "a bank counts from the next program on": ([control(0, 127), *hit()], (0, False)),
        "bank 0 on channel 10": ([control(0, 0, 9), program(40, 9), *hit(9)], (40, True)),
        "another bank": ([control(0, 8), program(40), *hit()], (40, False)),
        "bank 127 of a GS": ([exclusive(*GS_RESET), control(0, 127), program(5), *hit()], (5, False)),
        "a GS reset that comes later": ([control(0, 127), program(5), exclusive(*GS_RESET), *hit()], (5, False)),
        "bank 127 after both resets": (
            [exclusive(*GS_RESET), exclusive(*XG_RESET), control(0, 127), program(5), *hit()], (5, True)),
        "a GS rhythm part": ([gs_part(0xA, 2), *hit(10)], (0, True)),
        "GS part 1 is channel 1": ([gs_part(1, 1), *hit(0)], (0, True)),
        "GS part 0 is channel 10": ([gs_part(0, 0), program(3, 9), *hit(9)], (3, False)),
        "an XG drum part": ([xg_part(4, 2), *hit(4)], (0, True)),
        "an XG melodic part": ([xg_part(9, 0), *hit(9)], (0, False)),
        "a bank above a part": ([gs_part(1, 1), control(0, 121), program(3), *hit()], (3, False)),
    }.values(),
    ids=lambda value: "",
)  # fmt: skip
def test_what_is_drums(events, expected):
    channel = events[-1].channel
    assert voices(read(events)) == [expected]
    # The notes may stand in a track of their own.
    setup = [event for event in events if event.type not in ("note_on", "note_off")]
    assert voices(read(setup, hit(channel))) == [expected]
    assert voices(read(hit(channel), setup)) == [expected]


def test_a_part_changes_in_the_middle():
    data = read([gs_part(1, 1), gs_part(1, 0).copy(time=200)], [*hit(), on(60, time=80), off(60, time=9)])
    assert voices(data) == [(0, True), (0, False)]


@pytest.mark.parametrize("number", [120, 123, 124, 125, 126, 127])
def test_notes_end_with_all_notes_off(number):
    data = read([on(60), on(64), on(67, channel=1), control(number, 0, time=480), off(60, time=5), off(67, channel=1)])
    assert [(note.pitch, note.end_ticks) for note in data.notes] == [(60, 480), (64, 480), (67, 485)]
    assert data.repairs == ()


def test_all_notes_off_is_for_its_own_track():
    data = read([on(60), off(60, time=900)], [control(123, 0, time=480)])
    assert [note.end_ticks for note in data.notes] == [900]


def test_reset_all_controllers_lifts_the_pedal():
    data = read([control(64, 127), *hit(), control(121, 0, time=120), *hit()])
    assert data.pedals == (PedalSpan(0, 240),)
    assert data.repairs == ()


@pytest.mark.parametrize(
    ("tracks", "expected"),
    {
        "before its program": (
            [[control(64, 127), program(5), *hit(), control(64, 0)]], [PedalSpan(0, 120, 5)]),
        "a while before": (
            [[control(64, 127), program(5, time=60), *hit(), control(64, 0)]], [PedalSpan(0, 180, 5)]),
        "two programs": (
            [[program(3), control(64, 127), *hit(), program(5), *hit(), control(64, 0)]],
            [PedalSpan(0, 120, 3), PedalSpan(120, 240, 5)]),
        "the same program again": (
            [[program(3), control(64, 127), *hit(), program(3), *hit(), control(64, 0)]], [PedalSpan(0, 240, 3)]),
        "a track of pedals alone": (
            [[control(64, 127), control(64, 0, time=120)], [program(5), *hit()]], [PedalSpan(0, 120, 5)]),
        "before the program of another track": (
            [[control(64, 127), on(60, time=30), off(60, time=30), control(64, 0)], [program(5, time=10)]],
            [PedalSpan(0, 60, 5)]),
        "under drums": (
            [[control(64, 127), control(0, 127), program(0), *hit(), control(64, 0)]], [PedalSpan(0, 120, 0, True)]),
    }.values(),
    ids=lambda value: "",
)  # fmt: skip
def test_a_pedal_belongs_to_the_program_that_plays_under_it(tracks, expected):
    assert list(read(*tracks).pedals) == expected


@pytest.mark.skipif(native is None, reason="amt._midi is not built: there is nothing to compare")
@pytest.mark.parametrize("seed", range(60))
def test_random_channels_are_read_alike(seed):
    rng = random.Random(seed)
    channels = [*rng.sample(range(16), 2), 9]

    def event() -> mido.Message:
        channel, time = rng.choice(channels), rng.choice([0, 0, 0, 1, 7])
        kind = rng.randrange(12)
        if kind < 4:
            return on(rng.choice([36, 60]), channel, time)
        if kind < 6:
            return off(rng.choice([36, 60]), channel, time)
        if kind < 8:
            return program(rng.choice([0, 5, 40]), channel, time)
        if kind == 8:
            return control(0, rng.choice([0, 1, 120, 121, 126, 127]), channel, time)
        if kind == 9:
            return control(64, rng.choice([0, 127]), channel, time)
        if kind == 10:
            return control(rng.choice([120, 121, 122, 123, 127]), 0, channel, time)
        message = rng.choice(
            [gs_part(rng.randrange(16), rng.randrange(3)), xg_part(rng.choice(channels), rng.randrange(2)),
             exclusive(*GS_RESET), exclusive(*XG_RESET), exclusive(1, 2, 3)]
        )  # fmt: skip
        return message.copy(time=time)

    tracks = [[event() for _ in range(rng.randrange(30))] for _ in range(rng.randrange(1, 4))]
    file = mido.MidiFile(type=rng.choice([1, 1, 1, 2]), ticks_per_beat=24)
    file.tracks += [mido.MidiTrack(track) for track in tracks]
    stream = io.BytesIO()
    file.save(file=stream)
    data, expected = read_midi(stream.getvalue()), smf_reader.read_midi(stream.getvalue())
    assert data.notes == expected.notes
    assert data.pedals == expected.pedals


def test_many_tracks_that_need_each_other_are_read_in_time():
    """Work is in proportion to the file, also where each track asks for all programs of the others."""
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    file.tracks.append(mido.MidiTrack([program(number % 128, time=1) for number in range(30_000)]))
    file.tracks += [mido.MidiTrack([on(60, time=30_000), off(60, time=1)]) for _ in range(3000)]
    stream = io.BytesIO()
    file.save(file=stream)
    data = read_midi(stream.getvalue())
    assert data.notes == MidiData([Note(30_000, 30_001, 60, 80, 29_999 % 128)] * 3000).notes
