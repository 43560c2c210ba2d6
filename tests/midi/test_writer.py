"""What is written is read back the same, here and by mido, symusic and pretty_midi."""

import io
import runpy
import warnings
from collections import defaultdict, deque
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.native import native
from amt.midi.reader import read_midi

build = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("malformed.py"))))
MAX_TICKS = 2**31 - 1
only_native = pytest.mark.skipif(native is None, reason="amt._midi is not built; the reference knows what mido knows")
REAL_FILES = slice(None, None, 1 if native else 40)  # the reference takes seconds for some

ticks = st.one_of(st.integers(0, 12), st.integers(0, 2000), st.integers(0, MAX_TICKS))
lengths = st.one_of(st.integers(0, 6), st.integers(0, 500))
programs = st.sampled_from([0, 1, 5, 127])


@st.composite
def notes(draw: st.DrawFn) -> Note:
    start = draw(ticks)
    end = min(start + draw(lengths), MAX_TICKS)
    return Note(
        start,
        end,
        draw(st.sampled_from([0, 60, 61, 127])),
        draw(st.integers(1, 127)),
        draw(programs),
        draw(st.booleans()),
    )


@st.composite
def pedals(draw: st.DrawFn) -> PedalSpan:
    start = draw(ticks)
    return PedalSpan(start, min(start + draw(lengths), MAX_TICKS), draw(programs), draw(st.booleans()))


midi_data = st.builds(
    MidiData,
    st.lists(notes(), max_size=30),
    st.lists(pedals(), max_size=8),
    st.lists(st.builds(Tempo, ticks, st.integers(1, 0xFFFFFF)), max_size=5),
    st.lists(
        st.builds(TimeSignature, ticks, st.integers(1, 255), st.sampled_from([1 << i for i in range(31)])), max_size=5
    ),
    st.lists(st.builds(KeySignature, ticks, st.integers(-7, 7), st.booleans()), max_size=5),
    ticks_per_beat=st.integers(1, 32767),
    end_ticks=ticks,
)


@only_native
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(midi_data)
def test_round_trip(midi):
    data = midi.to_bytes()
    again = read_midi(data, strict=True)
    assert again == midi
    assert again.to_bytes() == data


@only_native
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(midi_data, st.randoms(use_true_random=False))
def test_bytes_do_not_depend_on_the_order_of_notes(midi, rng):
    order = list(range(len(midi.notes)))
    rng.shuffle(order)
    module = midi.native()
    module.set_note_columns(*(column[order] for column in midi.notes.columns))
    assert native.write(module) == MidiData.to_bytes(read_midi(midi.to_bytes()))


def test_real_files(corpus_files):
    for name, data in corpus_files[REAL_FILES]:
        midi = read_midi(data)
        assert read_midi(midi.to_bytes(), strict=True) == midi, name


def mido_notes(data: bytes) -> list[tuple[int, ...]]:
    found = []
    for part in mido.MidiFile(file=io.BytesIO(data)).tracks:
        now, program, sounding = 0, defaultdict(int), defaultdict(deque)
        for message in part:
            now += message.time
            if message.type == "program_change":
                program[message.channel] = message.program
            elif message.type == "note_on" and message.velocity > 0:
                note = (now, message.velocity, program[message.channel], message.channel == 9)
                sounding[message.channel, message.note].append(note)
            elif message.type in ("note_on", "note_off"):
                start, velocity, *rest = sounding[message.channel, message.note].popleft()
                found.append((start, now, message.note, velocity, *rest))
    return sorted(found)


def symusic_notes(data: bytes) -> list[tuple[int, ...]]:
    symusic = pytest.importorskip("symusic")
    tracks = symusic.Score.from_midi(data).tracks
    return sorted((n.start, n.end, n.pitch, n.velocity, t.program, t.is_drum) for t in tracks for n in t.notes)


def pretty_midi_notes(data: bytes) -> list[tuple[int, ...]]:
    pretty_midi = pytest.importorskip("pretty_midi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns of maps outside the first track
        midi = pretty_midi.PrettyMIDI(io.BytesIO(data))
    return sorted(
        (midi.time_to_tick(n.start), midi.time_to_tick(n.end), n.pitch, n.velocity, t.program, t.is_drum)
        for t in midi.instruments
        for n in t.notes
    )


READERS = {"mido": mido_notes, "symusic": symusic_notes, "pretty_midi": pretty_midi_notes}
by_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())


def rows(midi: MidiData, min_length: int = 0) -> list[tuple[int, ...]]:
    found = zip(*(column.tolist() for column in midi.notes.columns), strict=True)
    return sorted(row for row in found if row[1] - row[0] >= min_length)


@by_reader
def test_other_readers_find_the_same_notes_in_real_files(reader, corpus_files):
    step = 20 if reader is pretty_midi_notes else 4
    for name, data in corpus_files[REAL_FILES][::step]:
        midi = read_midi(data)
        # pretty_midi knows no empty notes.
        assert reader(midi.to_bytes()) == rows(midi, min_length=reader is pretty_midi_notes), name


@by_reader
def test_other_readers_find_the_same_notes_in_overlaps(reader):
    rng = np.random.default_rng(4)
    starts = rng.integers(0, 200, 400)
    ends = starts + rng.integers(1, 60, 400)
    pitch, velocity = rng.integers(60, 64, 400), rng.integers(1, 128, 400)
    midi = MidiData(NoteTable(starts, ends, pitch, velocity, [0, 5] * 200, [False, False, True, True] * 100))
    assert reader(midi.to_bytes()) == rows(midi)


@by_reader
def test_other_readers_find_the_same_notes_of_many_programs(reader):
    midi = MidiData(Note(10 * i, 10 * i + 25, 60, 64, i % 128, i >= 128) for i in range(140))
    assert reader(midi.to_bytes()) == rows(midi)


def channels(data: bytes) -> list[int]:
    parts = mido.MidiFile(file=io.BytesIO(data)).tracks[1:]
    return [next(message.channel for message in part if message.type == "program_change") for part in parts]


def test_channels():
    few = MidiData([Note(0, 9, 60, 64, program) for program in range(15)] + [Note(0, 9, 38, 64, 0, True)])
    assert channels(few.to_bytes()) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 9]
    overlapping = MidiData([Note(0, 9, 60, 64, 3), Note(5, 12, 60, 64, 3), Note(9, 12, 60, 64, 3)])
    assert channels(overlapping.to_bytes()) == [0, 0]


@only_native
def test_the_next_note_of_a_pitch_starts_after_the_last_one_ended():
    midi = MidiData([Note(0, 5, 60, 64), Note(5, 5, 60, 65), Note(5, 9, 60, 66)], [PedalSpan(0, 5), PedalSpan(5, 9)])
    part = mido.MidiFile(file=io.BytesIO(midi.to_bytes())).tracks[1]
    at_5 = [message for i, message in enumerate(part) if sum(m.time for m in part[: i + 1]) == 5]
    assert [(m.type, getattr(m, "velocity", getattr(m, "value", None))) for m in at_5] == [
        ("note_on", 0),
        ("control_change", 0),
        ("control_change", 127),
        ("note_on", 65),
        ("note_on", 0),
        ("note_on", 66),
    ]  # fmt: skip


@only_native
def test_bytes():
    midi = MidiData([Note(0, 480, 60, 64), Note(480, 1000, 60, 64)], tempos=[Tempo(0, 500_000)])
    conductor = build.track((0, build.meta(0x51, b"\x07\xa1\x20")), end=1000)
    events = [(0, b"\xc0\0"), (0, build.note_on(60)), (480, b"\x3c\0"), (0, b"\x3c\x40"), (520, b"\x3c\0")]
    assert midi.to_bytes() == build.smf(conductor, build.track(*events))


def test_empty_piece():
    assert read_midi(MidiData().to_bytes(), strict=True) == MidiData()
    assert read_midi(MidiData(end_ticks=MAX_TICKS).to_bytes(), strict=True).end_ticks == MAX_TICKS


def test_save(tmp_path):
    midi = MidiData([Note(0, 9, 60, 64)])
    midi.save(tmp_path / "a.mid")
    assert read_midi(tmp_path / "a.mid") == midi
    assert read_midi(midi.to_mido()) == midi


@only_native
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ticks_per_beat": 0}, "0 ticks per beat"),
        ({"ticks_per_beat": 32768}, "32768 ticks per beat"),
        ({"tempos": [(0, 0)]}, "a tempo of 0 us"),
        ({"tempos": [(-1, 1)]}, "an event at tick -1"),
        ({"time_signatures": [(0, 3, 5)]}, "time signature 3/5"),
        ({"key_signatures": [(0, 8, False)]}, "8 sharps"),
        ({"pedals": [(5, 4, 0, False)]}, "pedal 0 from tick 5 to 4"),
    ],
)
def test_what_cannot_be_written(change, what):
    module = native.MidiData()
    for name, value in change.items():
        setattr(module, name, value)
    with pytest.raises(ValueError, match=f"cannot write MIDI: .*{what}"):
        native.write(module)


@only_native
@pytest.mark.parametrize(
    "wrong", [(-1, 5, 60, 64, 0), (5, 4, 60, 64, 0), (0, 5, 128, 64, 0), (0, 5, 60, 0, 0), (0, 5, 60, 64, 128)]
)
def test_notes_that_cannot_be_written(wrong):
    module = native.MidiData()
    module.set_note_columns(*([value] for value in wrong), [False])
    with pytest.raises(ValueError, match="cannot write MIDI: note 0"):
        native.write(module)


@only_native
def test_too_deep_an_overlap_is_refused():
    nested = MidiData(Note(i, 2000 - i, 60, 64) for i in range(300))
    with pytest.raises(ValueError, match="more than 255 spans"):
        nested.to_bytes()
    in_order = MidiData(Note(i, 2000 + i, 60, 64) for i in range(1000))
    assert read_midi(in_order.to_bytes()) == in_order
