"""From MIDI files and captions to token ids on disk.

A prepared folder has for each split `tokens.npy` (uint16, all segments one after the other), `segments.npy` (one row a
segment), `pieces.jsonl` (one row a piece: what training reads) and `facts.jsonl` (one row a piece: whatever else its
corpus says of it), and one `tokenizer.json`. Text embeddings lie in `embeddings/`. `corpora.json` is there if several
corpora were mixed with weights.

Pieces are tokenized in blocks, each a file of its own in `NAME.part` until all are put together: a stopped run goes on
after the last whole block.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amt.config import check_range
from amt.data.corpus import CorpusPiece, read_corpus
from amt.data.note_lengths import measure_longest_notes
from amt.data.plans import plan_of_piece
from amt.errors import MidiError
from amt.files import alone_in, empty_folder, explaining_errors, new_folder, remove_leftovers, write_atomically
from amt.midi.canonical import to_canonical
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.features import FeatureLayout, num_bars_of
from amt.midi.reader import read_midi
from amt.midi.segments import segments
from amt.midi.theory import parse_key
from amt.midi.tokenizer import EventTokenizer
from amt.request.attributes import FACTS
from amt.text.cache import EmbeddingCache
from amt.text.encoder import TextEncoderSpec
from amt.workers import Died, Workers, each_done

# `bars`: from the beginning of the segment to the end of its piece; 0: unknown.
SEGMENT_DTYPE = np.dtype([("start", "<i8"), ("length", "<i4"), ("piece", "<i4"), ("bars", "<i4"), ("is_start", "?")])
SPLITS = ("train", "valid", "test")
KEPT_FIELDS = ("licence", "attribution", "title", "composer", *FACTS)
BLOCK_PIECES = 256
MAX_VOCABULARY = 1 << 16  # ids are stored in 16 bits

Progress = Callable[[str, int], object]
Folder = str | os.PathLike[str]


def prepare(
    corpus: Folder | Sequence[Folder] | Mapping[Folder, float],
    out: Folder,
    *,
    tokenizer_config: TokenizerConfig | None = None,
    sources: tuple[str, ...] | None = None,
    max_len: int = 1025,
    embed: bool = True,
    jobs: int | None = None,
    ray: bool | str = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Turn a corpus into a prepared folder, which appears only when it is whole.

    A run that was stopped goes on where it was, if it is called again with the same settings.

    Args:
        corpus: a folder as for `amt.data.corpus.read_corpus`, or several: a list, which is as if they were one, or a
            mapping from each to its weight, which is its share of the draws in training.
        out: the folder to make.
        tokenizer_config: default: the score preset.
        sources: only pieces of these sources.
        max_len: tokens in a segment; one more than a model's positions, for the shifted target.
        embed: embed all captions now; otherwise training does it as it goes.
        jobs: processes that tokenize; default: one a core. The result is the same with any number.
        ray: whether they are workers of Ray, on any number of machines: True, or the cluster's address. They see no
            folder of this machine; captions are embedded here.
        progress: called with ("pieces" or "captions", how many more are done).

    Returns:
        counts of pieces, segments and tokens per split, how long notes are (`amt.data.note_lengths`), and the files
            that gave no piece, each with the reason.

    Raises:
        FileExistsError: `out` exists. FileNotFoundError, ValueError: as `read_corpus`, or nothing is left to prepare.
        DiskFullError: there is no room; what is done is kept, and a later call goes on from there.
        BlockingIOError: another process is preparing the same folder.
        OSError: `out` cannot be written. ImportError: Ray is not installed.
    """
    out = Path(out)
    sources = (sources,) if isinstance(sources, str) else sources
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder or remove it")
    config = tokenizer_config or TokenizerConfig()
    vocab_size = EventTokenizer(config).vocab_size
    if vocab_size > MAX_VOCABULARY:
        raise ValueError(f"a vocabulary of {vocab_size} does not fit the 16 bits of a prepared folder")
    if not ray:
        jobs = jobs or os.cpu_count() or 1
    check_range("jobs", 1 if jobs is None else jobs, 1, 1024)
    workers = Workers(jobs, ray)
    folders, weights = _corpora(corpus)
    folder = out.with_name(out.name + ".part")
    with alone_in(folder):
        part = _Part(folder, {"tokenizer": config.to_dict(), "max_len": max_len})
        try:
            return _prepare(part, folders, weights, out, config, sources, embed, workers, progress)
        except BaseException:
            part.remove_whole()
            part.remove_if_empty()
            raise


def _prepare(
    part: _Part,
    folders: dict[str, Path],
    weights: dict[str, float] | None,
    out: Path,
    config: TokenizerConfig,
    sources: tuple[str, ...] | None,
    embed: bool,
    workers: Workers,
    progress: Progress | None,
) -> dict[str, Any]:
    skipped: list[dict[str, str]] = []
    pieces = (
        dataclasses.replace(piece, corpus=name if len(folders) > 1 else "")
        for name, folder in folders.items()
        for piece in read_corpus(folder, sources, lambda name, reason: skipped.append({"file": name, "reason": reason}))
    )
    blocks = part.encode(_in_one_split(pieces, skipped), workers, progress)
    whole = part.folder / "whole"
    part.remove_whole()
    failures = skipped + [failure for block in blocks for failure in part.notes(block)["failures"]]
    if not any(part.notes(block)["pieces"] for block in blocks):
        chosen = f" of the sources {', '.join(sources)}" if sources else ""
        reason = f"; {failures[0]['file']}: {failures[0]['reason']}" if failures else ""
        part.remove()
        names = " and ".join(map(str, folders.values()))
        raise ValueError(f"{names} has no MIDI file{chosen} that its table names and that can be read{reason}")
    with new_folder(whole, part.joined_bytes(blocks)) as new:
        summary: dict[str, Any] = {split: part.join(blocks, split, new / split) for split in SPLITS}
        summary["failures"] = failures
        config.save(new / "tokenizer.json")
        summary["longest_notes"] = list(measure_longest_notes(new))
        if weights is not None:
            (new / "corpora.json").write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
        (new / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if embed:
        captions = {
            caption for block in blocks for piece in part.notes(block)["pieces"] for caption in piece["row"]["captions"]
        }
        # Beside the blocks, so that a stopped run keeps what it has.
        cache = EmbeddingCache(part.folder / "embeddings", TextEncoderSpec())
        cache.remove_leftovers()
        report = None if progress is None else lambda done: progress("captions", done)
        cache.get_many(sorted(captions), progress=report)
        os.replace(part.folder / "embeddings", whole / "embeddings")
    os.replace(whole, out)
    part.remove()
    return summary


def _in_one_split(pieces: Iterable[CorpusPiece], skipped: list[dict[str, str]]) -> Iterator[CorpusPiece]:
    """The pieces without those whose file is in another split already, under another name."""
    first: dict[bytes, tuple[str, str]] = {}
    for piece in pieces:
        split, name = first.setdefault(hashlib.sha256(piece.midi).digest(), (piece.split, piece.name))
        if split == piece.split:
            yield piece
        else:
            reason = f"the same file as {name}, which is {split}; left out of {piece.split}"
            skipped.append({"file": piece.name, "reason": reason})


def _corpora(
    corpus: Folder | Sequence[Folder] | Mapping[Folder, float],
) -> tuple[dict[str, Path], dict[str, float] | None]:
    """The folders by their names, and their weights, if there are any."""
    if isinstance(corpus, (str, os.PathLike)):
        return {"": Path(corpus)}, None
    paths = [Path(each) for each in corpus]
    if not paths or len(set(paths)) < len(paths):
        raise ValueError(f"name at least one corpus, and each once; got {', '.join(map(str, paths)) or 'none'}")
    short = [path.name for path in paths]
    names = [str(path) if short.count(path.name) > 1 else path.name for path in paths]
    folders = dict(zip(names, paths, strict=True))
    if not isinstance(corpus, Mapping):
        return folders, None
    for path, weight in corpus.items():
        if not isinstance(weight, (int, float)) or not 0 < weight < float("inf"):
            raise ValueError(f"the weight of {path} must be a number above 0, got {weight!r}")
    return folders, dict(zip(names, map(float, corpus.values()), strict=True))


class _Part:
    """The folder of a run that is not finished: its settings, and a file for each block of pieces."""

    def __init__(self, folder: Path, settings: dict[str, Any]):
        self.folder = folder
        self._settings = settings
        path = folder / "settings.json"
        wanted = json.dumps(settings, sort_keys=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:  # of another run, or of none
            empty_folder(folder)
            try:
                with explaining_errors(folder):
                    (folder / "blocks").mkdir(parents=True)
                write_atomically(path, wanted.encode())
            except OSError:
                self.remove()
                raise
        remove_leftovers(folder)
        remove_leftovers(folder / "blocks")

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_whole(self) -> None:
        """Give back the room of what was put together; embeddings are not made twice."""
        if (self.folder / "whole" / "embeddings").is_dir():
            os.replace(self.folder / "whole" / "embeddings", self.folder / "embeddings")
        shutil.rmtree(self.folder / "whole", ignore_errors=True)

    def remove_if_empty(self) -> None:
        """Nothing is left behind where there is nothing to go on from."""
        if not any((self.folder / "blocks").glob("*.npz")):
            self.remove()

    def encode(self, pieces: Iterable[CorpusPiece], workers: Workers, progress: Progress | None) -> list[Path]:
        """Tokenize pieces, by workers if there is more than one block; returns the blocks in order."""
        blocks: list[Path] = []

        def take(path: Path, encoded: _Encoded) -> None:
            if encoded.contents is not None:
                write_atomically(path, encoded.contents)
            if progress is not None and encoded.num_pieces:
                progress("pieces", encoded.num_pieces)

        def for_workers() -> Iterator[_Block]:
            config = TokenizerConfig.from_dict(self._settings["tokenizer"])
            for number, some in enumerate(_blocks(pieces)):
                path = self.folder / "blocks" / f"{number:06d}.npz"
                blocks.append(path)
                notes = self.notes(path) if path.is_file() else None
                done = None if notes is None else (notes["digest"], len(notes["pieces"]))
                block = _Block(path, some, done, config, self._settings["max_len"])
                if (workers.num == 1 and not workers.ray) or len(some) < BLOCK_PIECES:  # the only one, or the last one
                    take(path, _encode_block(block))
                else:
                    yield block

        for block, encoded in each_done(_encode_block, for_workers(), workers):
            if isinstance(encoded, Died):
                raise RuntimeError(f"{block.path.name}: {encoded.reason}; the same call goes on with what is done")
            take(block.path, encoded)
        return blocks

    def notes(self, block: Path) -> dict[str, Any]:
        """A block's pieces and failures."""
        with np.load(block, allow_pickle=False) as arrays:
            notes: dict[str, Any] = json.loads(arrays["notes"].tobytes())
        return notes

    def join(self, blocks: list[Path], split: str, folder: Path) -> dict[str, int]:
        """Write a split from all blocks into a new folder; returns its counts."""
        folder.mkdir()
        sizes = [sum(sum(p["lengths"]) for p in self.notes(b)["pieces"] if p["split"] == split) for b in blocks]
        header = {"descr": "<u2", "fortran_order": False, "shape": (sum(sizes),)}
        rows: list[tuple[int, int, int, int, bool]] = []
        end = num_pieces = 0
        # Written one after the other: a mapped file gets its room page by page, and a full disk kills by a signal.
        with (
            open(folder / "tokens.npy", "wb") as tokens,
            open(folder / "pieces.jsonl", "w", encoding="utf-8") as lines,
            open(folder / "facts.jsonl", "w", encoding="utf-8") as facts,
        ):
            np.lib.format.write_array_header_1_0(tokens, header)
            for block in blocks:
                with np.load(block, allow_pickle=False) as arrays:
                    ids, notes = arrays["tokens"], json.loads(arrays["notes"].tobytes())
                start = 0
                for piece in notes["pieces"]:
                    first = start
                    start += sum(piece["lengths"])
                    if piece["split"] != split:
                        continue
                    tokens.write(ids[first:start].astype("<u2").tobytes())
                    for place, (length, bars) in enumerate(zip(piece["lengths"], piece["bars"], strict=True)):
                        rows.append((end, length, num_pieces, bars, place == 0))
                        end += length
                    lines.write(_line(piece["row"]))
                    facts.write(_line(piece["facts"]))
                    num_pieces += 1
        contents = io.BytesIO()  # written straight to a file, NumPy would not say that the disk is full
        np.save(contents, np.array(rows, SEGMENT_DTYPE))
        (folder / "segments.npy").write_bytes(contents.getvalue())
        return {"pieces": num_pieces, "segments": len(rows), "tokens": end}

    def joined_bytes(self, blocks: list[Path]) -> int:
        """About how large all splits will be together."""
        pieces = [piece for block in blocks for piece in self.notes(block)["pieces"]]
        num_tokens, num_segments = sum(sum(p["lengths"]) for p in pieces), sum(len(p["lengths"]) for p in pieces)
        num_header_bytes = 128 * 2 * len(SPLITS)
        return (
            2 * num_tokens
            + SEGMENT_DTYPE.itemsize * num_segments
            + sum(len(_line(piece[part]).encode()) for piece in pieces for part in ("row", "facts"))
            + num_header_bytes
        )


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _blocks(pieces: Iterable[CorpusPiece]) -> Iterator[list[CorpusPiece]]:
    rest = iter(pieces)
    while block := list(itertools.islice(rest, BLOCK_PIECES)):
        yield block


@dataclasses.dataclass(frozen=True)
class _Block:
    """Pieces to tokenize into the file `path`; if that is there, the digest and the number of those that it has."""

    path: Path
    pieces: list[CorpusPiece]
    done: tuple[str, int] | None
    config: TokenizerConfig
    max_len: int


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """How many pieces a block has, and what its file is to have; None: it has that already."""

    num_pieces: int
    contents: bytes | None


def _encode_block(block: _Block) -> _Encoded:
    """Tokenize a block, unless that is done."""
    config = block.config
    digest = hashlib.sha256()
    for piece in block.pieces:
        digest.update(repr(dataclasses.astuple(piece)).encode())
    if block.done is not None and block.done[0] == digest.hexdigest():
        return _Encoded(block.done[1], None)
    tokenizer = EventTokenizer(config)
    layout = FeatureLayout(config, ()) if config.preset == "score" else None
    tokens: list[np.ndarray] = [np.zeros(0, np.uint16)]
    notes: dict[str, Any] = {"digest": digest.hexdigest(), "pieces": [], "failures": []}
    for piece in block.pieces:
        try:
            if piece.split not in SPLITS:
                raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {piece.split!r}")
            midi = read_midi(piece.midi)
            if config.has_plans_and_edits:
                midi = midi.replace(plan=plan_of_piece(midi, piece.row))
            midi, moved = in_written_key(midi, piece.row, config)
            parts = segments(midi, tokenizer, block.max_len)
            if not parts:
                raise ValueError(f"no note in it that the preset {config.preset!r} has a token for")
        except (MidiError, ValueError) as error:
            notes["failures"].append({"file": piece.name, "reason": str(error)})
            continue
        row: dict[str, Any] = {
            "file": piece.name,
            "source": piece.source,
            "form": piece.form,
            "captions": piece.captions,
        }
        row |= {field: piece.row[field] for field in KEPT_FIELDS if field in piece.row and field not in row}
        row |= moved
        row |= {"corpus": piece.corpus} if piece.corpus else {}
        bars = [0 if layout is None else num_bars_of(layout, part.ids) for part in parts]
        if layout is not None:
            row.setdefault("n_bars", sum(bars))
        facts = {name: value for name, value in piece.row.items() if name not in (*row, "caption", "location")}
        notes["pieces"].append(
            {
                "row": row,
                "facts": facts,
                "split": piece.split,
                "lengths": [len(part.ids) for part in parts],
                "bars": list(itertools.accumulate(reversed(bars)))[::-1],
            }
        )
        tokens += [part.ids.astype(np.uint16) for part in parts]
    stream = io.BytesIO()
    np.savez(
        stream, tokens=np.concatenate(tokens), notes=np.frombuffer(json.dumps(notes, default=str).encode(), np.uint8)
    )
    return _Encoded(len(notes["pieces"]), stream.getvalue())


def in_written_key(midi: MidiData, row: Mapping[str, Any], config: TokenizerConfig) -> tuple[MidiData, dict[str, Any]]:
    """The music as it is tokenized, and what its row says otherwise then."""
    if not config.canonical_key:
        return midi, {}
    midi, semitones, key = to_canonical(midi, parse_key(str(row.get("key", ""))))
    if key is None:
        return midi, {"key": None, "semitones": 0}
    changed: dict[str, Any] = {"key": key.name, "semitones": semitones}
    mean = row.get("pitch_mean")
    if isinstance(mean, (int, float)) and not isinstance(mean, bool):
        changed["pitch_mean"] = mean + semitones
    return midi, changed
