"""What a MIDI file says, without its bytes: notes, pedals, tempo and metre maps."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from amt.files import write_atomically
from amt.midi.elements import KeySignature, Note, PedalSpan, Repair, Tempo, TimeSignature
from amt.midi.native import native as native_module
from amt.midi.plan import Plan
from amt.midi.units import ticks_to_seconds

if TYPE_CHECKING:
    import mido

MAX_TICKS = 2**31 - 1


Event = TypeVar("Event", Tempo, TimeSignature, KeySignature)


class NoteTable(Sequence[Note]):
    """Notes as read-only NumPy columns of shape (num_notes,).

    Sorted by start_ticks, is_drum, program, pitch, end_ticks, velocity.

    Args:
        start_ticks, end_ticks: int32, 0 <= start <= end.
        pitch: uint8, 0..127. velocity: uint8, 1..127.
        program: uint8, 0..127; default 0. is_drum: bool; default False.

    Raises:
        ValueError: a value out of range, or columns of different lengths.

    Example:
        >>> NoteTable([0, 480], [480, 960], [60, 64], [80, 80])[1].pitch
        64
    """

    def __init__(
        self,
        start_ticks: Any,
        end_ticks: Any,
        pitch: Any,
        velocity: Any,
        program: Any = 0,
        is_drum: Any = False,
    ):
        num_notes = len(start_ticks)
        start = _column("start_ticks", start_ticks, num_notes, 0, MAX_TICKS, np.int32)
        end = _column("end_ticks", end_ticks, num_notes, 0, MAX_TICKS, np.int32)
        if (end < start).any():
            index = int(np.flatnonzero(end < start)[0])
            raise ValueError(f"note {index} must not end before it starts, got {start[index]} to {end[index]}")
        pitches = _column("pitch", pitch, num_notes, 0, 127, np.uint8)
        velocities = _column("velocity", velocity, num_notes, 1, 127, np.uint8)
        programs = _column("program", program, num_notes, 0, 127, np.uint8)
        drums = _column("is_drum", is_drum, num_notes, 0, 1, np.bool_)
        order = np.lexsort((velocities, end, pitches, programs, drums, start))
        self._set(tuple(values[order] for values in (start, end, pitches, velocities, programs, drums)))

    def _set(self, columns: tuple[np.ndarray, ...]) -> None:
        for values in columns:
            values.flags.writeable = False
        self.start_ticks, self.end_ticks, self.pitch, self.velocity, self.program, self.is_drum = columns

    @classmethod
    def from_sorted_columns(cls, columns: tuple[np.ndarray, ...]) -> NoteTable:
        """Take columns that are in order and in range already, in the order of `columns`, without a copy."""
        table = cls.__new__(cls)
        table._set(columns)
        return table

    @classmethod
    def from_notes(cls, notes: Iterable[Note]) -> NoteTable:
        """The table of these notes, in any order."""
        rows = [(n.start_ticks, n.end_ticks, n.pitch, n.velocity, n.program, n.is_drum) for n in notes]
        return cls(*zip(*rows, strict=True)) if rows else cls((), (), (), ())

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """start_ticks, end_ticks, pitch, velocity, program, is_drum."""
        return self.start_ticks, self.end_ticks, self.pitch, self.velocity, self.program, self.is_drum

    def __len__(self) -> int:
        return len(self.start_ticks)

    def __getitem__(self, index: Any) -> Any:
        """A Note for an integer; a NoteTable for a slice, a mask or indices."""
        if isinstance(index, (int, np.integer)):
            start, end, pitch, velocity, program, is_drum = (values[index].item() for values in self.columns)
            return Note(start, end, pitch, velocity, program, is_drum)
        return NoteTable(*(values[index] for values in self.columns))

    def __iter__(self) -> Iterator[Note]:
        return (Note(*row) for row in zip(*(values.tolist() for values in self.columns), strict=True))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NoteTable):
            return NotImplemented
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self.columns, other.columns, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"NoteTable({len(self)} notes)"


AUDIO = (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aiff")  # endings that nobody gives to MIDI


class MidiData:
    """The contents of a MIDI file. Immutable: make a new one to change something.

    Two are equal if their music is: `format` and `repairs` do not count.

    Args:
        notes: a NoteTable or Notes in any order.
        pedals: in any order; they are sorted by start, is_drum, program, end.
        tempos, time_signatures, key_signatures: in any order; sorted by tick, the last of equal ticks stays.
        ticks_per_beat: ticks a quarter note, 1..32767.
        format: of the file: 0, 1 or 2. It is always written as 1.
        end_ticks: where the piece ends; at least where its last event is.
        repairs: what the reader put right.
        plan: which sections and chords the piece has, if that was decided.

    Raises:
        ValueError: a value that no MIDI file can hold.

    Example:
        >>> MidiData([Note(0, 480, 60, 80)]).save("one_note.mid")
    """

    _LISTS = ("notes", "pedals", "tempos", "time_signatures", "key_signatures", "repairs")

    def __init__(
        self,
        notes: NoteTable | Iterable[Note] = (),
        pedals: Iterable[PedalSpan] = (),
        tempos: Iterable[Tempo] = (),
        time_signatures: Iterable[TimeSignature] = (),
        key_signatures: Iterable[KeySignature] = (),
        *,
        ticks_per_beat: int = 480,
        format: int = 1,
        end_ticks: int = 0,
        repairs: Iterable[Repair] = (),
        plan: Plan | None = None,
    ):
        _check("ticks_per_beat", ticks_per_beat, 1, 32767)
        _check("format", format, 0, 2)
        _check("end_ticks", end_ticks, 0, MAX_TICKS)
        self.ticks_per_beat = ticks_per_beat
        self.format = format
        self.notes = notes if isinstance(notes, NoteTable) else NoteTable.from_notes(notes)
        self.pedals = _in_order(pedals)
        self.tempos = _by_tick(tempos)
        self.time_signatures = _by_tick(time_signatures)
        self.key_signatures = _by_tick(key_signatures)
        self.repairs = tuple(repairs)
        self.plan = plan
        self._native: Any = None
        for pedal in self.pedals:
            _check("start_ticks of a pedal", pedal.start_ticks, 0, MAX_TICKS)
            _check("end_ticks of a pedal", pedal.end_ticks, pedal.start_ticks, MAX_TICKS)
            _check("program of a pedal", pedal.program, 0, 127)
        for tempo in self.tempos:
            _check("us_per_beat of a tempo", tempo.us_per_beat, 1, 0xFFFFFF)
        for signature in self.time_signatures:
            _check("numerator of a time signature", signature.numerator, 1, 255)
            if signature.denominator not in {1 << power for power in range(31)}:
                raise ValueError(
                    f"denominator of a time signature must be a power of two up to 2**30, got {signature.denominator!r}"
                )
        for key in self.key_signatures:
            _check("sharps of a key signature", key.sharps, -7, 7)
        ends = [int(self.notes.end_ticks.max(initial=0)), *(pedal.end_ticks for pedal in self.pedals)]
        maps = (self.tempos, self.time_signatures, self.key_signatures)
        self.end_ticks = max(end_ticks, *ends, *(event.tick for events in maps for event in events[-1:]))

    @classmethod
    def from_native(cls, native: Any) -> MidiData:
        """The face of an `amt._midi.MidiData`; Python objects are made when they are first asked for."""
        data = cls.__new__(cls)
        data.ticks_per_beat = native.ticks_per_beat
        data.format = native.format
        data.end_ticks = native.end_ticks
        data._native = native
        return data

    def replace(self, **changes: Any) -> MidiData:
        """The same music but for what is given: any argument of the constructor.

        `end_ticks` stays what it was, unless it is given: 0 is the end of the last event.

        Example:
            >>> faster = data.replace(tempos=[Tempo(0, 400_000)])
        """
        kept = {name: getattr(self, name) for name in ("ticks_per_beat", "format", "end_ticks", "plan", *self._LISTS)}
        return MidiData(**kept | changes)

    @functools.cached_property
    def notes(self) -> NoteTable:
        """All notes, sorted."""
        return NoteTable.from_sorted_columns(self._native.note_columns())

    @functools.cached_property
    def pedals(self) -> tuple[PedalSpan, ...]:
        """Where the sustain pedals are down."""
        return _in_order(PedalSpan(*row) for row in self._native.pedals)

    @functools.cached_property
    def tempos(self) -> tuple[Tempo, ...]:
        """Changes of tempo; 120 BPM before the first."""
        return tuple(Tempo(*row) for row in self._native.tempos)

    @functools.cached_property
    def time_signatures(self) -> tuple[TimeSignature, ...]:
        """Changes of metre; 4/4 before the first."""
        return tuple(TimeSignature(*row) for row in self._native.time_signatures)

    @functools.cached_property
    def key_signatures(self) -> tuple[KeySignature, ...]:
        """Changes of key."""
        return tuple(KeySignature(*row) for row in self._native.key_signatures)

    @functools.cached_property
    def repairs(self) -> tuple[Repair, ...]:
        """What the reader put right."""
        return tuple(Repair(*row) for row in self._native.repairs)

    @functools.cached_property
    def plan(self) -> Plan | None:
        """Which sections and chords the piece has, if that was decided."""
        return Plan.from_rows(self._native.plan)

    def native(self) -> Any:
        """The `amt._midi.MidiData` of the same contents, made once; needs the compiled module."""
        if self._native is None:
            assert native_module is not None, "native() without amt._midi"
            native = native_module.MidiData()
            native.ticks_per_beat, native.format, native.end_ticks = self.ticks_per_beat, self.format, self.end_ticks
            native.set_note_columns(*self.notes.columns)
            native.pedals = [(p.start_ticks, p.end_ticks, p.program, p.is_drum) for p in self.pedals]
            native.tempos = [(tempo.tick, tempo.us_per_beat) for tempo in self.tempos]
            native.time_signatures = [(s.tick, s.numerator, s.denominator) for s in self.time_signatures]
            native.key_signatures = [(key.tick, key.sharps, key.is_minor) for key in self.key_signatures]
            native.plan = self.plan.rows if self.plan is not None else []
            native.repairs = [(repair.byte_offset, repair.reason) for repair in self.repairs]
            self._native = native
        return self._native

    @property
    def duration_s(self) -> float:
        """Seconds from the start to `end_ticks`."""
        return float(ticks_to_seconds(self.end_ticks, self.tempos, self.ticks_per_beat))

    def to_bytes(self) -> bytes:
        """The bytes of a Standard MIDI File of format 1: a conductor track, then one track for each program.

        Notes that overlap another of their pitch and program go to further tracks. More than 15 melodic programs share
        channels: readers that keep tracks apart still see the right program, a synthesizer does not.

        Raises:
            ValueError: hundreds of overlapping notes of one pitch and program, not ending in order of their starts.
        """
        if native_module is not None:
            file: bytes = native_module.write(self.native())
            return file
        from amt.midi.reference.smf_writer import write_midi

        return write_midi(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Standard MIDI File; `path` becomes the whole new file or stays what it was.

        Raises:
            ValueError: as `to_bytes`, or the name is that of an audio file. OSError: it cannot be written there.
        """
        if Path(path).suffix.lower() in AUDIO:
            raise ValueError(f"{path} is the name of an audio file, and this writes MIDI; name a .mid file")
        write_atomically(Path(path), self.to_bytes())

    def to_mido(self) -> mido.MidiFile:
        """The same music as a `mido.MidiFile`."""
        import mido

        return mido.MidiFile(file=io.BytesIO(self.to_bytes()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MidiData):
            return NotImplemented
        names = ("ticks_per_beat", "end_ticks", "plan", *self._LISTS)
        return all(getattr(self, name) == getattr(other, name) for name in names if name != "repairs")

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        lists = {name: getattr(self, name) for name in self._LISTS}
        return {**self.__dict__, **lists, "plan": self.plan, "_native": None}

    def __repr__(self) -> str:
        repairs = f", {len(self.repairs)} repairs" if self.repairs else ""
        return (
            f"MidiData({len(self.notes)} notes, {self.duration_s:.1f} s, {self.ticks_per_beat} ticks per beat{repairs})"
        )


def _check(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ValueError(f"{name} must be an integer between {low} and {high}, got {value!r}")


def _in_order(pedals: Iterable[PedalSpan]) -> tuple[PedalSpan, ...]:
    return tuple(sorted(pedals, key=lambda p: (p.start_ticks, p.is_drum, p.program, p.end_ticks)))


def _by_tick(events: Iterable[Event]) -> tuple[Event, ...]:
    """Sorted by tick; of equal ticks the last stays."""
    last = {event.tick: event for event in events}
    for tick in last:
        _check("tick", tick, 0, MAX_TICKS)
    return tuple(last[tick] for tick in sorted(last))


def _column(name: str, values: Any, num_notes: int, low: int, high: int, dtype: type) -> np.ndarray:
    """One checked column; a single value stands for all notes."""
    array = np.asarray(values)
    if array.ndim == 0:
        array = np.full(num_notes, array)
    if array.shape != (num_notes,):
        raise ValueError(f"{name} must have shape ({num_notes},), got {array.shape}")
    if num_notes and array.dtype.kind not in "iub":
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    wrong = np.flatnonzero((array < low) | (array > high))
    if len(wrong):
        raise ValueError(f"{name} must be between {low} and {high}, got {array[wrong[0]]} for note {wrong[0]}")
    return array.astype(dtype)
