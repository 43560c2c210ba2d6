"""MIDI files from wherever they come."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from amt.errors import MidiError
from amt.midi.data import MidiData
from amt.midi.native import native

if TYPE_CHECKING:
    import mido


class HasMusic(Protocol):
    """Something that holds notes, like `amt.Piece`."""

    @property
    def music(self) -> MidiData: ...


MidiSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | mido.MidiFile | MidiData | HasMusic"

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
        source: a path, the file's bytes, a mido.MidiFile, or what holds the music already: `MidiData`, a `Piece`.
        strict: refuse files that need a repair.

    Raises:
        MidiError: not a MIDI file, or damaged beyond repair; it says where. OSError: the file cannot be opened.
    """
    if isinstance(source, MidiData):
        return source
    if isinstance(music := getattr(source, "music", None), MidiData):
        return music
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        try:
            return _read_bytes(_load(path), strict)
        except MidiError as error:
            raise MidiError(f"{path}: {error.reason}", error.byte_offset) from None
    mido = sys.modules.get("mido")
    if mido is not None and isinstance(source, mido.MidiFile):
        buffer = io.BytesIO()
        source.save(file=buffer)
        return _read_bytes(buffer.getvalue(), strict)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_bytes(bytes(source), strict)
    raise TypeError(f"source must be a path, bytes or a mido.MidiFile, got {type(source).__name__}")


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
