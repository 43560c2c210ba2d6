"""Standard MIDI Files to MidiData and back, in plain Python on mido.

On well-formed files this says what csrc/midi says; damaged ones, which the C++ reader puts right, it mostly refuses.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import mido

from amt.errors import MidiError
from amt.midi.data import KeySignature, MidiData, Note, PedalSpan, Repair, Tempo, TimeSignature

Span = TypeVar("Span", Note, PedalSpan)

DRUM_CHANNEL = 9
MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
PEDAL_CONTROL = 64
DEFAULT_US_PER_BEAT = 500_000
# The names that mido gives to key signatures, from seven flats to seven sharps.
MAJOR_KEYS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_KEYS = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


def read_midi(data: bytes, strict: bool = False) -> MidiData:
    """The notes, pedals and maps of a file of format 0, 1 or 2.

    A note ends with the first note-off of its channel and pitch in its track, the oldest sounding note first; its
    program is the last one that its track gave the channel. The tracks of format 2 follow one another.

    Args:
        data: the bytes of the file.
        strict: refuse what else would be put right.

    Raises:
        MidiError: the bytes cannot be read.
    """
    try:
        file = mido.MidiFile(file=io.BytesIO(data), clip=not strict)
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise MidiError(f"mido cannot read this file: {error!r}") from error
    return _Reader(file, strict).read()


class _Reader:
    """The tracks of one file, read one after the other."""

    def __init__(self, file: Any, strict: bool):
        self.file = file
        self.strict = strict
        self.ticks_per_beat, self.smpte_us_per_beat = _time_division(file.ticks_per_beat)
        self.notes: list[Note] = []
        self.pedals: list[PedalSpan] = []
        self.tempos: list[Tempo] = []
        self.time_signatures: list[TimeSignature] = []
        self.key_signatures: list[KeySignature] = []
        self.repairs: list[Repair] = []
        self.end_ticks = 0

    def read(self) -> MidiData:
        if not self.file.tracks:
            raise MidiError("no track in the file")
        if self.smpte_us_per_beat is not None:
            self.tempos.append(Tempo(0, self.smpte_us_per_beat))
        for index, track in enumerate(self.file.tracks):
            start_ticks = 0
            if self.file.type == 2 and index > 0:
                start_ticks = self.end_ticks
                # Each pattern begins with the defaults.
                if self.tempos and self.smpte_us_per_beat is None:
                    self.tempos.append(Tempo(start_ticks, DEFAULT_US_PER_BEAT))
                if self.time_signatures:
                    self.time_signatures.append(TimeSignature(start_ticks, 4, 4))
            self.read_track(track, start_ticks)
        return MidiData(
            self.notes,
            self.pedals,
            self.tempos,
            self.time_signatures,
            self.key_signatures,
            ticks_per_beat=self.ticks_per_beat,
            format=self.file.type,
            end_ticks=self.end_ticks,
            repairs=self.repairs,
        )

    def read_track(self, track: Iterable[Any], start_ticks: int) -> None:
        tick = start_ticks
        program: dict[int, int] = defaultdict(int)  # by channel
        sounding: dict[tuple[int, int], list[Note]] = defaultdict(list)  # by channel and pitch, oldest first
        pedal_down: dict[int, PedalSpan] = {}  # by channel

        def end_note(channel: int, pitch: int) -> None:
            if sounding[channel, pitch]:
                note = sounding[channel, pitch].pop(0)
                self.notes.append(
                    Note(note.start_ticks, tick, note.pitch, note.velocity, note.program, note.is_drum),
                )

        def end_pedal(channel: int) -> None:
            pedal = pedal_down.pop(channel)
            self.pedals.append(PedalSpan(pedal.start_ticks, tick, pedal.program, pedal.is_drum))

        for message in track:
            tick += message.time
            if message.type == "note_on" and message.velocity > 0:
                is_drum = message.channel == DRUM_CHANNEL
                sounding[message.channel, message.note].append(
                    Note(tick, tick, message.note, message.velocity, program[message.channel], is_drum)
                )
            elif message.type in ("note_on", "note_off"):
                end_note(message.channel, message.note)
            elif message.type == "program_change":
                program[message.channel] = message.program
            elif message.type == "control_change" and message.control == PEDAL_CONTROL:
                channel = message.channel
                if message.value >= 64 and channel not in pedal_down:
                    pedal_down[channel] = PedalSpan(tick, tick, program[channel], channel == DRUM_CHANNEL)
                elif message.value < 64 and channel in pedal_down:
                    end_pedal(channel)
            else:
                self.read_meta(message, tick)

        for channel in sorted(pedal_down):
            end_pedal(channel)
            self.repair("the sustain pedal is not released; it is at the end of the track")
        for (channel, pitch), notes in sorted(sounding.items()):
            while notes:
                end_note(channel, pitch)
                self.repair("a note has no note-off; it ends with the track")
        self.end_ticks = max(self.end_ticks, tick)

    def read_meta(self, message: Any, tick: int) -> None:
        if message.type == "set_tempo":
            if message.tempo == 0:
                self.repair("a tempo of no microseconds a beat; ignored")
            elif self.smpte_us_per_beat is None:
                self.tempos.append(Tempo(tick, message.tempo))
        elif message.type == "time_signature":
            if message.numerator == 0 or message.denominator > 1 << 30:
                self.repair("a time signature that makes no sense; ignored")
            else:
                self.time_signatures.append(TimeSignature(tick, message.numerator, message.denominator))
        elif message.type == "key_signature":
            is_minor = message.key in MINOR_KEYS
            keys = MINOR_KEYS if is_minor else MAJOR_KEYS
            self.key_signatures.append(KeySignature(tick, keys.index(message.key) - 7, is_minor))

    def repair(self, reason: str) -> None:
        if self.strict:
            raise MidiError(reason)
        self.repairs.append(Repair(-1, reason))


def _time_division(division: int) -> tuple[int, int | None]:
    """Ticks a beat, and for SMPTE times, which know no beat, the microseconds of one."""
    if division > 0:
        return division, None
    if division == 0:
        raise MidiError("no ticks per beat", 12)
    frames_per_second, ticks_per_frame = -(division >> 8), division & 0xFF
    if ticks_per_frame == 0:
        raise MidiError("no ticks per frame", 13)
    if frames_per_second == 29:  # 29.97, thirty frames a second of 1.001 s
        return 30 * ticks_per_frame, 1_001_000
    return frames_per_second * ticks_per_frame, 1_000_000


def write_midi(midi_data: MidiData) -> bytes:
    """A file of format 1: a conductor track, then a track for each program in use, drums on channel 10.

    Notes of one pitch that overlap, and pedal spans that do, go to further tracks of their program, so that
    `read_midi` finds the same ones.
    """
    file = mido.MidiFile(type=1, ticks_per_beat=midi_data.ticks_per_beat)
    conductor: list[tuple[int, int, Any]] = []  # (tick, order within the tick, message)
    for tempo in midi_data.tempos:
        conductor.append((tempo.tick, 0, mido.MetaMessage("set_tempo", tempo=tempo.us_per_beat)))
    for metre in midi_data.time_signatures:
        message = mido.MetaMessage("time_signature", numerator=metre.numerator, denominator=metre.denominator)
        conductor.append((metre.tick, 0, message))
    for key in midi_data.key_signatures:
        name = (MINOR_KEYS if key.is_minor else MAJOR_KEYS)[key.sharps + 7]
        conductor.append((key.tick, 0, mido.MetaMessage("key_signature", key=name)))
    file.tracks.append(_track(conductor, midi_data.end_ticks))

    notes_of: dict[tuple[bool, int], list[Note]] = defaultdict(list)
    pedals_of: dict[tuple[bool, int], list[PedalSpan]] = defaultdict(list)
    for note in midi_data.notes:
        notes_of[note.is_drum, note.program].append(note)
    for pedal in midi_data.pedals:
        pedals_of[pedal.is_drum, pedal.program].append(pedal)

    num_melodic = 0
    for is_drum, program in sorted({*notes_of, *pedals_of}):
        channel = DRUM_CHANNEL if is_drum else MELODIC_CHANNELS[num_melodic % len(MELODIC_CHANNELS)]
        num_melodic += not is_drum
        layers: list[list[tuple[int, int, Any]]] = []
        by_pitch: dict[int, list[Note]] = defaultdict(list)
        for note in notes_of[is_drum, program]:
            by_pitch[note.pitch].append(note)
        for notes in by_pitch.values():
            for layer, note in _without_overlap(notes):
                begin = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
                end = mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)
                _add_span(layers, layer, note, begin, end)
        for layer, pedal in _without_overlap(pedals_of[is_drum, program]):
            begin = mido.Message("control_change", channel=channel, control=PEDAL_CONTROL, value=127)
            end = mido.Message("control_change", channel=channel, control=PEDAL_CONTROL, value=0)
            _add_span(layers, layer, pedal, begin, end)
        for messages in layers:
            change = mido.Message("program_change", channel=channel, program=program)
            file.tracks.append(_track([(0, -1, change), *messages], midi_data.end_ticks))

    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _without_overlap(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with the first layer in which all earlier ones have ended."""
    layer_ends: list[int] = []
    for span in sorted(spans, key=lambda span: (span.start_ticks, span.end_ticks)):
        layer = next((i for i, end in enumerate(layer_ends) if end <= span.start_ticks), len(layer_ends))
        layer_ends[layer : layer + 1] = [span.end_ticks]
        yield layer, span


def _add_span(
    layers: list[list[tuple[int, int, Any]]], layer: int, span: Note | PedalSpan, begin: Any, end: Any
) -> None:
    """At equal ticks the longer spans' ends come first, then spans of no length, then the longer spans' beginnings."""
    while len(layers) <= layer:
        layers.append([])
    begin_order, end_order = (1, 1) if span.start_ticks == span.end_ticks else (2, 0)  # equal ones as they are added
    layers[layer].append((span.start_ticks, begin_order, begin))
    layers[layer].append((span.end_ticks, end_order, end))


def _track(messages: list[tuple[int, int, Any]], end_ticks: int) -> Any:
    """A track of messages in order of ticks that lasts to `end_ticks`."""
    track = mido.MidiTrack()
    now = 0
    for tick, _, message in sorted(messages, key=lambda item: item[:2]):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end_ticks - now)))
    return track
