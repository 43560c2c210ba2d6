"""MIDI to token ids and back: the face of the C++ tokenizer, or of its plain-Python twin where that is not built."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from amt.errors import MidiError
from amt.files import standing
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData, NoteTable
from amt.midi.native import native
from amt.midi.reader import MidiSource, read_midi
from amt.midi.reference import tokenizer as reference
from amt.midi.reference.edits import StepHole, edit_row
from amt.midi.vocabulary import Vocabulary

FILES_PER_CALL = 64  # between two calls of a batch's progress


class EncodeReport(NamedTuple):
    """What encoding could not keep; docs/tokens.md defines each count."""

    num_notes: int = 0
    kept_notes: int = 0
    merged_notes: int = 0
    truncated_notes: int = 0
    lengthened_notes: int = 0
    dropped_drums: int = 0
    merged_programs: int = 0
    sustained_notes: int = 0
    dropped_time_signatures: int = 0
    clamped_gaps: int = 0
    clamped_steps: int = 0
    moved_us_max: int = 0
    dropped_kits: int = 0
    dropped_drum_lengths: int = 0
    dropped_pedals: int = 0
    dropped_key_signatures: int = 0
    clamped_tempos: int = 0
    tempo_ppm_max: int = 0

    @property
    def moved_ms_max(self) -> float:
        """How far a note was moved at most, in milliseconds."""
        return self.moved_us_max / 1000


class DecodeReport(NamedTuple):
    """What decoding had to put right; docs/tokens.md defines each count."""

    ignored_tokens: int = 0
    dropped_notes: int = 0
    closed_notes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Encoding:
    """Token ids, int32, and what could not be kept."""

    ids: np.ndarray
    report: EncodeReport

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class FailedFile:
    """A file of a batch that could not be read: its place in the batch, its name, and why."""

    index: int
    name: str
    reason: str
    byte_offset: int = -1


@dataclasses.dataclass(frozen=True)
class EncodedBatch:
    """The encodings of a batch, None where a file failed, and the failures."""

    encodings: list[Encoding | None]
    failures: list[FailedFile]


class EventTokenizer:
    """Turns notes into the ids of note_on, note_off, time_shift, velocity and, in the preset "score", more.

    Args:
        preset: "score" (default: several instruments, fractions of a beat), "performance" (one instrument, 10 ms), or
            a whole TokenizerConfig.

    Example:
        >>> tokenizer = amt.EventTokenizer()
        >>> tokenizer.decode(tokenizer.encode("song.mid").ids).save("copy.mid")
    """

    def __init__(self, preset: Literal["score", "performance"] | TokenizerConfig = "score"):
        self.config = preset if isinstance(preset, TokenizerConfig) else TokenizerConfig(preset=preset)
        self.vocabulary = Vocabulary(self.config)
        self._native: Any = None
        if native is not None:
            self._native = native.Tokenizer(self.config.to_text())

    def __reduce__(self) -> tuple[type[EventTokenizer], tuple[TokenizerConfig]]:
        return EventTokenizer, (self.config,)  # the compiled part is made anew

    @property
    def vocab_size(self) -> int:
        """The number of token ids."""
        return len(self.vocabulary)

    def encode(self, source: MidiSource | MidiData | NoteTable, *, strict: bool = False) -> Encoding:
        """The canonical token ids of a file, its bytes, or notes.

        Args:
            source: a path, bytes, a mido.MidiFile, what `read_midi` returned, or a NoteTable (480 ticks per beat).
            strict: refuse files that need a repair.

        Raises:
            MidiError: the bytes cannot be read. OSError: the file cannot.
        """
        if self._native is not None and isinstance(source, bytes):
            try:
                ids, report = self._native.encode_bytes(source, strict)
            except MidiError:
                read_midi(source, strict=strict)  # raises the same with a guess at what the bytes are
                raise
            return Encoding(ids, EncodeReport._make(report))
        if isinstance(source, NoteTable):
            source = MidiData(notes=source)
        data = source if isinstance(source, MidiData) else read_midi(source, strict=strict)
        if self._native is not None:
            ids, report = self._native.encode(data.native())
            return Encoding(ids, EncodeReport._make(report))
        token_ids, counts = reference.encode(data, self.config)
        return Encoding(np.asarray(token_ids, np.int32), EncodeReport(**counts))

    def decode(self, ids: Iterable[int] | np.ndarray, *, only_fill: bool = False) -> MidiData:
        """The music of token ids; any ids of the vocabulary decode.

        Args:
            only_fill: of an edit's notes and pedals those of the fill alone.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        return self.decode_with_report(ids, only_fill=only_fill)[0]

    def decode_with_report(
        self, ids: Iterable[int] | np.ndarray, *, only_fill: bool = False
    ) -> tuple[MidiData, DecodeReport]:
        """The music of token ids, and what had to be put right.

        Args:
            only_fill: of an edit's notes and pedals those of the fill alone.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        array = self._checked(ids)
        if self._native is not None:
            data, report = self._native.decode(array, only_fill)
            return MidiData.from_native(data), DecodeReport._make(report)
        data, counts = reference.decode(array.tolist(), self.config, only_fill=only_fill)
        return data, DecodeReport(**counts)

    def edit_row(
        self, ids: Sequence[int] | np.ndarray, holes: Iterable[StepHole], end_step: int | None = None
    ) -> np.ndarray:
        """A row of music as an edit, int32: a context with holes, and what fills them; docs/tokens.md, "Edits".

        Args:
            ids: of music; without its last notes, if it has no `eos`, they end where it does.
            holes: those of one program lie outside of those of all, and none touches another.
            end_step: the music is cut off there; None: nowhere.

        Raises:
            ValueError: the ids are no music with a header, the holes do not fit each other or are too many, or the
                vocabulary has no edits.
        """
        if not self.config.has_plans_and_edits:
            raise ValueError('there are edits in version 2 of the preset "score" only')
        array = self._checked(ids)
        if self._native is not None:
            row: np.ndarray = self._native.edit_row(array, list(holes), end_step)
            return row
        return np.array(edit_row(array.tolist(), holes, self.config, end_step), np.int32)

    def to_midi_bytes(self, ids: Iterable[int] | np.ndarray) -> bytes:
        """The MIDI file of token ids.

        Raises:
            ValueError: an id that is not in the vocabulary.
        """
        if self._native is not None:
            file: bytes = self._native.decode_bytes(self._checked(ids))
            return file
        return self.decode(ids).to_bytes()

    def encode_many(
        self,
        files: Sequence[bytes],
        *,
        num_threads: int | None = None,
        strict: bool = False,
        progress: bool | Callable[[int], object] = False,
        names: Sequence[str] | None = None,
    ) -> EncodedBatch:
        """Encode many files' bytes on several threads; a bad file never stops the others.

        Args:
            files: the bytes of each file.
            num_threads: default: one per core.
            strict: refuse files that need a repair.
            progress: True shows a bar; a function is called with how many more files are done.
            names: what to call the files in failures; default: their places.
        """
        if isinstance(files, (bytes, bytearray, memoryview, str)):
            raise TypeError("encode_many takes a list of the bytes of files; for one file use encode")
        names = names if names is not None else [f"file {index}" for index in range(len(files))]
        num_threads = num_threads or os.cpu_count() or 1
        with _Progress(progress, len(files)) as advance:
            batch = EncodedBatch([], [])
            per_call = FILES_PER_CALL * num_threads
            for first in range(0, len(files), per_call):
                part = files[first : first + per_call]
                for index, outcome in enumerate(self._encode_part(part, strict, num_threads), first):
                    if isinstance(outcome, Encoding):
                        batch.encodings.append(outcome)
                    else:
                        batch.encodings.append(None)
                        batch.failures.append(FailedFile(index, names[index], *outcome))
                advance(len(part))
        return batch

    def encode_files(
        self,
        paths: Sequence[str | os.PathLike[str]],
        *,
        num_threads: int | None = None,
        strict: bool = False,
        progress: bool | Callable[[int], object] = False,
    ) -> EncodedBatch:
        """Encode many files on several threads; see `encode_many`. A file that cannot be opened is a failure, too."""
        if isinstance(paths, (str, bytes, os.PathLike)):
            raise TypeError("encode_files takes a list of paths; for one file use encode")
        batch = EncodedBatch([], [])
        per_call = FILES_PER_CALL * (num_threads or os.cpu_count() or 1)
        with _Progress(progress, len(paths)) as advance:
            for first in range(0, len(paths), per_call):
                contents: dict[int, bytes] = {}
                for index, path in enumerate(paths[first : first + per_call], first):
                    try:
                        contents[index] = Path(path).read_bytes()
                    except OSError as error:
                        batch.failures.append(FailedFile(index, os.fspath(path), error.strerror or str(error)))
                part = self.encode_many(list(contents.values()), num_threads=num_threads, strict=strict)
                places = list(contents)
                found = dict(zip(places, part.encodings, strict=True))
                last = min(first + per_call, len(paths))
                batch.encodings.extend(found.get(index) for index in range(first, last))
                for failed in part.failures:
                    index = places[failed.index]
                    batch.failures.append(dataclasses.replace(failed, index=index, name=os.fspath(paths[index])))
                advance(last - first)
        batch.failures.sort(key=lambda failed: failed.index)
        return batch

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `tokenizer.json` into a folder, which is made if it is missing."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.config.save(Path(folder) / "tokenizer.json")

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str]) -> EventTokenizer:
        """The tokenizer of a folder's `tokenizer.json`.

        Raises:
            FileNotFoundError: there is none. ValueError: it is not a tokenizer's.
        """
        return cls(TokenizerConfig.load(standing(Path(folder)) / "tokenizer.json"))

    def _checked(self, ids: Iterable[int] | np.ndarray) -> np.ndarray:
        array = np.asarray(ids if isinstance(ids, (np.ndarray, list, tuple)) else list(ids))
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise ValueError(f"ids must be one row of integers, got shape {array.shape} of {array.dtype}")
        if array.dtype == np.int32 and self._native is not None:
            return array  # the native decoder checks every id
        wrong = np.flatnonzero((array < 0) | (array >= self.vocab_size)) if array.size else array
        if len(wrong):
            raise ValueError(
                f"token id {array[wrong[0]]} at position {wrong[0]} is not in the vocabulary of {self.vocab_size}"
            )
        return array.astype(np.int32)

    def _encode_part(
        self, files: Sequence[bytes], strict: bool, num_threads: int
    ) -> Iterable[Encoding | tuple[str, int]]:
        if self._native is not None:
            for first, second in self._native.encode_many(list(files), strict, num_threads):
                yield (first, second) if isinstance(first, str) else Encoding(first, EncodeReport._make(second))
            return
        for file in files:
            try:
                yield self.encode(file, strict=strict)
            except MidiError as error:
                yield error.reason, error.byte_offset
            except ValueError as error:  # music that is too long
                yield str(error), -1


class _Progress:
    """A progress bar, a user's function, or nothing."""

    def __init__(self, progress: bool | Callable[[int], object], total: int):
        self._progress, self._total = progress, total
        self._bar: Any = None

    def __enter__(self) -> Callable[[int], object]:
        if callable(self._progress):
            return self._progress
        if not self._progress:
            return lambda done: None
        from tqdm import tqdm

        self._bar = tqdm(total=self._total, unit="file", desc="tokenize")
        update: Callable[[int], object] = self._bar.update
        return update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
