"""MIDI files from wherever they come."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from amt.errors import MidiError
from amt.midi.data import MidiData, NoteTable
from amt.midi.native import native

if TYPE_CHECKING:
    import mido


class HasMusic(Protocol):
    """Something that holds notes, like `amt.Piece`."""

    @property
    def music(self) -> MidiData: ...


class Stream(Protocol):
    """Something open to read from, like a file, `io.BytesIO`, or a member of a zip archive."""

    def read(self) -> bytes: ...


class Entry(Protocol):
    """A file that is no path of the system, like `zipfile.Path` or a resource of a package."""

    def read_bytes(self) -> bytes: ...


class Score(Protocol):
    """A score of symusic."""

    def dumps_midi(self) -> bytes: ...


class PrettyMidi(Protocol):
    """What pretty_midi calls `PrettyMIDI`."""

    def write(self, filename: Any) -> None: ...


MidiSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | mido.MidiFile | MidiData | NoteTable | HasMusic"
    " | Stream | Entry | Score | PrettyMidi"
)

# What other files start with, and what they are.
_FOREIGN = (
    (b"ID3", "an MP3 file"),
    (b"\xff\xfb", "an MP3 file"),
    (b"\xff\xf3", "an MP3 file"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"FORM", "an AIFF file"),
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a zip archive; unpack it, or export MIDI from the program that made it (.mxl, .mscz)"),
    (b"\x1f\x8b", "a gzip archive; unpack it"),
    (b"\xfd7zXZ", "an xz archive; unpack it"),
    (b"<!DOCTYPE html", "a web page; the download went wrong"),
    (b"<html", "a web page; the download went wrong"),
    (b"version https://git-lfs", "a Git LFS pointer; run `git lfs pull`"),
    (b"<?xml", "an XML file; if it is MusicXML, export MIDI from a notation program"),
    (b"<score-partwise", "a MusicXML file; export MIDI from a notation program"),
    (b"X:", "a tune in ABC notation; convert it with abc2midi"),
)


def read_midi(source: MidiSource, *, strict: bool = False) -> MidiData:
    """Read a Standard MIDI File of format 0, 1 or 2, also inside RIFF.

    What a sequencer would put right is put right and listed in `repairs`. A note's program is that of its track and
    channel where it starts; a note-off ends the oldest note that sounds on its track, channel and pitch.

    Args:
        source: a path, the file's bytes, an open stream of them, a `mido.MidiFile`, `pretty_midi.PrettyMIDI` or score
            of symusic, or what holds the music already: `MidiData`, a `NoteTable` (480 ticks per beat), a `Piece`.
        strict: refuse files that need a repair.

    Raises:
        MidiError: not a MIDI file, or damaged beyond repair; it says where. OSError: the file cannot be opened.
        TypeError: none of these.
    """
    if isinstance(source, MidiData):
        return source
    if isinstance(source, NoteTable):
        return MidiData(source)
    if isinstance(music := getattr(source, "music", None), MidiData):
        return music
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source))
        try:
            return _read_bytes(_load(path), strict)
        except MidiError as error:
            raise MidiError(f"{path}: {error.reason}", error.byte_offset) from None
    return _read_bytes(_bytes_of(source), strict)


def _bytes_of(source: Any) -> bytes:
    """The file that an object is, or would be written as."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    mido = sys.modules.get("mido")
    if mido is not None and isinstance(source, mido.MidiFile):
        return _bytes_of_mido(source, mido)
    if type(source).__module__.split(".")[0] == "pretty_midi" and hasattr(source, "write"):
        buffer = io.BytesIO()
        source.write(buffer)
        return buffer.getvalue()
    for name in ("dumps_midi", "read_bytes", "read"):
        if callable(method := getattr(source, name, None)):
            contents = method()
            if not isinstance(contents, (bytes, bytearray, memoryview)):
                raise TypeError(f"source must give bytes, got {type(contents).__name__}; open the file with mode 'rb'")
            return bytes(contents)
    raise TypeError(
        "source must be a path, bytes, an open file, or music of AMT, mido, pretty_midi or symusic, got"
        f" {type(source).__name__}"
    )


def _bytes_of_mido(file: mido.MidiFile, mido: Any) -> bytes:
    """The file as mido writes it; where its texts do not fit its encoding, in UTF-8."""
    buffer = io.BytesIO()
    try:
        file.save(file=buffer)
    except UnicodeEncodeError:
        copy = mido.MidiFile(type=file.type, ticks_per_beat=file.ticks_per_beat, charset="utf-8")
        copy.tracks += [mido.MidiTrack(map(_in_unicode, track)) for track in file.tracks]
        buffer = io.BytesIO()
        copy.save(file=buffer)
    return buffer.getvalue()


def _in_unicode(message: Any) -> Any:
    """A message of mido whose text is text: what was read of bytes in another encoding may not be."""
    texts = {
        name: value.encode("utf-8", "replace").decode("utf-8")
        for name in ("text", "name")
        if isinstance(value := getattr(message, name, None), str)
    }
    return message.copy(**texts) if texts else message


def _load(path: Path) -> bytes:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the path of one MIDI file")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no file {path}; check its name, and that {Path.cwd()} is the folder you mean"
        ) from None


def _read_bytes(data: bytes, strict: bool) -> MidiData:
    if not data:
        raise MidiError("the file is empty", 0)
    if not data.startswith(b"MThd") and not (data.startswith(b"RIFF") and data[8:12] == b"RMID"):
        raise MidiError(f"not a MIDI file: it does not start with MThd{_guess(data)}", 0)
    if native is not None:
        return MidiData.from_native(native.read(data, strict))
    from amt.midi.reference.smf_reader import read_midi as read_reference

    return read_reference(data, strict)


def _guess(data: bytes) -> str:
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    if data.startswith(b"RIFF"):
        return "; it is a WAV file" if data[8:12] == b"WAVE" else "; it is a RIFF file without MIDI"
    if data[4:8] == b"ftyp":
        return "; it is an MP4 or M4A file"
    return next((f"; it is {name}" for start, name in _FOREIGN if head.startswith(start)), "")
