"""Standard MIDI Files to MidiData, in plain Python on mido.

The twin of csrc/midi/smf_reader.cpp. It says the same of well-formed files; damaged ones, which the C++ reader puts
right, it mostly refuses.
"""

from __future__ import annotations

import dataclasses
import io
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

import mido

from amt.errors import MidiError
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Repair, Tempo, TimeSignature
from amt.midi.plan import MAX_PLAN_HALF_BARS, Row, plan_of_markers, row_of_marker
from amt.midi.reference.channel_voices import ChannelVoices, Voice
from amt.midi.theory import name_in_fifths

Span = TypeVar("Span", Note, PedalSpan)

DRUM_CHANNEL = 9
MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
PEDAL_CONTROL = 64
RESET_CONTROLLERS = 121
END_NOTES = (120, 123, 124, 125, 126, 127)  # all sound off, all notes off, and the changes of mode, which do that, too
DEFAULT_US_PER_BEAT = 500_000
# The names that mido gives to key signatures, from seven flats to seven sharps.
MAJOR_KEYS = tuple(name_in_fifths(sharps) for sharps in range(-7, 8))
MINOR_KEYS = tuple(f"{name_in_fifths(sharps + 3)}m" for sharps in range(-7, 8))


def read_midi(data: bytes, strict: bool = False) -> MidiData:
    """The notes, pedals and maps of a file of format 0, 1 or 2.

    A note ends with the first note-off of its channel and pitch in its track, the oldest sounding note first; its
    program is the last one that its track gave the channel, or, if it gave none, that of the other tracks. The tracks
    of format 2 follow one another.

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


@dataclasses.dataclass
class _Pedal:
    """A pedal that is down: since when, for which voice, and how many notes of its track began before its own."""

    start_ticks: int
    voice: Voice
    num_notes: int


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
        self.markers: list[tuple[int, Row]] = []  # of a plan, with their ticks
        self.end_ticks = 0

    def read(self) -> MidiData:
        if not self.file.tracks:
            raise MidiError("no track in the file")
        if self.smpte_us_per_beat is not None:
            self.tempos.append(Tempo(0, self.smpte_us_per_beat))
        starts, tracks = [], []
        end_ticks = 0
        for track in self.file.tracks:
            tick = end_ticks if self.file.type == 2 else 0
            starts.append(tick)
            timed = []
            for message in track:
                tick += message.time
                timed.append((tick, message))
            tracks.append(timed)
            end_ticks = max(end_ticks, tick)
        self.voices = ChannelVoices(tracks, self.file.type != 2)
        for index, (start_ticks, messages) in enumerate(zip(starts, tracks, strict=True)):
            if self.file.type == 2 and index > 0:
                # Each pattern begins with the defaults.
                if self.tempos and self.smpte_us_per_beat is None:
                    self.tempos.append(Tempo(start_ticks, DEFAULT_US_PER_BEAT))
                if self.time_signatures:
                    self.time_signatures.append(TimeSignature(start_ticks, 4, 4))
            self.read_track(index, messages, start_ticks)
        data = MidiData(
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
        metre = next(((s.numerator, s.denominator) for s in data.time_signatures if s.tick == 0), (4, 4))
        plan = plan_of_markers(self.markers, metre, data.ticks_per_beat, data.end_ticks)
        return data if plan is None else data.replace(plan=plan)

    def read_track(self, index: int, messages: Sequence[tuple[int, Any]], start_ticks: int) -> None:
        tick = start_ticks
        num_programs: dict[int, int] = defaultdict(int)  # by channel: changes in this track so far
        sounding: dict[tuple[int, int], list[Note]] = defaultdict(list)  # by channel and pitch, oldest first
        pedal_down: dict[int, _Pedal] = {}  # by channel
        begun: list[Voice] = []  # of each note so far

        def voice_of(channel: int) -> Voice:
            voice = self.voices.at(index, channel, tick, num_programs[channel])
            pedal = pedal_down.get(channel)
            if pedal is not None and voice != pedal.voice:
                # The pedal came before its program, or holds for two.
                if tick > pedal.start_ticks and pedal.voice in begun[pedal.num_notes :]:
                    self.pedals.append(PedalSpan(pedal.start_ticks, tick, *pedal.voice))
                    pedal.start_ticks = tick
                pedal.voice, pedal.num_notes = voice, len(begun)
            return voice

        def end_note(channel: int, pitch: int) -> None:
            if sounding[channel, pitch]:
                note = sounding[channel, pitch].pop(0)
                self.notes.append(
                    Note(note.start_ticks, tick, note.pitch, note.velocity, note.program, note.is_drum),
                )

        def end_pedal(channel: int) -> None:
            if channel in pedal_down:
                pedal = pedal_down.pop(channel)
                self.pedals.append(PedalSpan(pedal.start_ticks, tick, *pedal.voice))

        def control(channel: int, number: int, value: int) -> None:
            if number == PEDAL_CONTROL:
                voice = voice_of(channel)
                if value < 64:
                    end_pedal(channel)
                elif channel not in pedal_down:
                    pedal_down[channel] = _Pedal(tick, voice, len(begun))
            elif number == RESET_CONTROLLERS:
                voice_of(channel)
                end_pedal(channel)
            elif number in END_NOTES:
                for sounding_channel, pitch in list(sounding):
                    while sounding_channel == channel and sounding[channel, pitch]:
                        end_note(channel, pitch)

        for tick, message in messages:
            if message.type == "note_on" and message.velocity > 0:
                voice = voice_of(message.channel)
                sounding[message.channel, message.note].append(Note(tick, tick, message.note, message.velocity, *voice))
                begun.append(voice)
            elif message.type in ("note_on", "note_off"):
                end_note(message.channel, message.note)
            elif message.type == "program_change":
                num_programs[message.channel] += 1
                voice_of(message.channel)
            elif message.type == "control_change":
                control(message.channel, message.control, message.value)
            else:
                self.read_meta(message, tick)

        for channel in sorted(pedal_down):
            voice_of(channel)
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
        elif message.type == "marker" and len(self.markers) <= MAX_PLAN_HALF_BARS:
            row = row_of_marker(message.text)
            if row is not None:
                self.markers.append((tick, row))

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
