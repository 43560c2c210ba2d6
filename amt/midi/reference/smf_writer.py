"""Music to Standard MIDI Files, in plain Python on mido: the twin of csrc/midi/smf_writer.cpp."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import mido

from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.plan import Plan, half_bar_tick, markers

Span = TypeVar("Span", Note, PedalSpan)

DRUM_CHANNEL = 9
MELODIC_CHANNELS = [channel for channel in range(16) if channel != DRUM_CHANNEL]
PEDAL_CONTROL = 64
DEFAULT_US_PER_BEAT = 500_000
# The names that mido gives to key signatures, from seven flats to seven sharps.
MAJOR_KEYS = ("Cb", "Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#")
MINOR_KEYS = ("Abm", "Ebm", "Bbm", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m", "G#m", "D#m", "A#m")


class Music(Protocol):
    """What is written: `amt.midi.data.MidiData`."""

    ticks_per_beat: int
    end_ticks: int

    @property
    def notes(self) -> Iterable[Note]: ...
    @property
    def pedals(self) -> Sequence[PedalSpan]: ...
    @property
    def tempos(self) -> Sequence[Tempo]: ...
    @property
    def time_signatures(self) -> Sequence[TimeSignature]: ...
    @property
    def key_signatures(self) -> Sequence[KeySignature]: ...
    @property
    def plan(self) -> Plan | None: ...


def write_midi(midi_data: Music) -> bytes:
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
    if midi_data.plan is not None:
        for half_bar, text in markers(midi_data.plan):
            tick = half_bar_tick(half_bar, *first_metre(midi_data.time_signatures), midi_data.ticks_per_beat)
            conductor.append((min(tick, midi_data.end_ticks), 1, mido.MetaMessage("marker", text=text)))
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


def first_metre(time_signatures: Sequence[TimeSignature]) -> tuple[int, int]:
    """The numerator and denominator at tick 0."""
    first = next((signature for signature in time_signatures if signature.tick == 0), None)
    return (4, 4) if first is None else (first.numerator, first.denominator)


def _without_overlap(spans: Iterable[Span]) -> Iterator[tuple[int, Span]]:
    """Each span with the first layer in which all earlier ones have ended, and no empty one lies at the same tick."""
    ends: list[tuple[int, bool]] = []  # of each layer: where its last span ends, and whether that one is empty
    for span in sorted(spans, key=lambda span: (span.start_ticks, span.end_ticks)):
        start, is_empty = span.start_ticks, span.start_ticks == span.end_ticks
        taken = (start, True) if is_empty else None
        free = (index for index, last in enumerate(ends) if last[0] <= start and last != taken)
        layer = next(free, len(ends))
        ends[layer : layer + 1] = [(span.end_ticks, is_empty)]
        yield layer, span


def _add_span(
    layers: list[list[tuple[int, int, Any]]], layer: int, span: Note | PedalSpan, begin: Any, end: Any
) -> None:
    """At equal ticks the longer spans' ends come first, then spans of no length, then the longer spans' beginnings."""
    while len(layers) <= layer:
        layers.append([])
    begin_order, end_order = (1, 2) if span.start_ticks == span.end_ticks else (3, 0)
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
