"""From MIDI files and captions to token ids on disk.

A prepared folder has for each split `tokens.npy` (uint16, all segments one after the other), `segments.npy` (one row a
segment) and `pieces.jsonl` (one row a piece), and one `tokenizer.json`. Text embeddings lie in `embeddings/`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from amt.config import TokenizerConfig
from amt.data.corpus import Piece, read_corpus
from amt.data.segments import segments
from amt.errors import MidiError
from amt.midi.reader import read_midi
from amt.midi.tokenizer import EventTokenizer
from amt.text import EmbeddingCache, TextEncoderSpec

SEGMENT_DTYPE = np.dtype([("start", "<i8"), ("length", "<i4"), ("piece", "<i4"), ("is_start", "?")])
SPLITS = ("train", "valid", "test")
KEPT_FIELDS = ("licence", "attribution", "title", "composer", "key", "meter", "quarter_bpm", "programs", "duration_s")


class _SplitWriter:
    """Collects one split and writes its three files."""

    def __init__(self) -> None:
        self.tokens: list[np.ndarray] = []
        self.rows: list[tuple[int, int, int, bool]] = []
        self.pieces: list[dict[str, Any]] = []
        self.num_tokens = 0

    def add(self, piece: dict[str, Any], parts: list[Any]) -> None:
        for part in parts:
            self.rows.append((self.num_tokens, len(part.ids), len(self.pieces), part.is_start))
            self.tokens.append(part.ids.astype(np.uint16))
            self.num_tokens += len(part.ids)
        self.pieces.append(piece)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        np.save(folder / "tokens.npy", np.concatenate([np.zeros(0, np.uint16), *self.tokens]))
        np.save(folder / "segments.npy", np.array(self.rows, SEGMENT_DTYPE))
        with open(folder / "pieces.jsonl", "w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(piece, ensure_ascii=False) + "\n" for piece in self.pieces)


def prepare(
    corpus: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    tokenizer_config: TokenizerConfig | None = None,
    sources: tuple[str, ...] | None = None,
    max_len: int = 1025,
    embed: bool = True,
    progress: Callable[[str, int], object] | None = None,
) -> dict[str, Any]:
    """Turn a corpus into a prepared folder, which appears only when it is whole.

    Args:
        corpus: see `amt.data.corpus.read_corpus`.
        out: the folder to make.
        tokenizer_config: default: the score preset.
        sources: only pieces of these sources.
        max_len: tokens in a segment; one more than a model's positions, for the shifted target.
        embed: embed all captions now; otherwise training does it as it goes.
        progress: called with ("pieces" or "captions", how many more are done).

    Returns:
        counts of pieces, segments and tokens per split, and the files that could not be read.

    Raises:
        FileExistsError: `out` exists. FileNotFoundError, ValueError: as `read_corpus`, or nothing is left to prepare.
    """
    out = Path(out)
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another folder or remove it")
    config = tokenizer_config or TokenizerConfig()
    tokenizer = EventTokenizer(config)
    if tokenizer.vocab_size > 1 << 16:
        raise ValueError(f"a vocabulary of {tokenizer.vocab_size} does not fit the 16 bits of a prepared folder")
    temporary = out.with_name(out.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)  # before the work: a place that cannot be written to is found now
    try:
        writers, failures = _encode(read_corpus(corpus, sources), tokenizer, max_len, progress)
        if not any(writer.pieces for writer in writers.values()):
            chosen = f" of the sources {', '.join(sources)}" if sources else ""
            reason = f"; {failures[0]['file']}: {failures[0]['reason']}" if failures else ""
            raise ValueError(f"{corpus} has no MIDI file{chosen} that its table names and that can be read{reason}")
        summary: dict[str, Any] = {
            split: {"pieces": len(w.pieces), "segments": len(w.rows), "tokens": w.num_tokens}
            for split, w in writers.items()
        }
        summary["failures"] = failures
        for split, writer in writers.items():
            writer.write(temporary / split)
        config.save(temporary / "tokenizer.json")
        (temporary / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        if embed:
            captions = {
                caption for writer in writers.values() for piece in writer.pieces for caption in piece["captions"]
            }
            cache = EmbeddingCache(temporary / "embeddings", TextEncoderSpec())
            report = None if progress is None else lambda done: progress("captions", done)
            cache.get_many(sorted(captions), progress=report)
        os.replace(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already if it became `out`
    return summary


def _encode(
    pieces: Iterable[Piece], tokenizer: EventTokenizer, max_len: int, progress: Callable[[str, int], object] | None
) -> tuple[dict[str, _SplitWriter], list[dict[str, str]]]:
    """The pieces by split, and those that could not be read."""
    writers = {split: _SplitWriter() for split in SPLITS}
    failures: list[dict[str, str]] = []
    for piece in pieces:
        try:
            if piece.split not in writers:
                raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {piece.split!r}")
            parts = segments(read_midi(piece.midi), tokenizer, max_len)
        except (MidiError, ValueError) as error:
            failures.append({"file": piece.name, "reason": str(error)})
            continue
        row = {"file": piece.name, "source": piece.source, "form": piece.form, "captions": piece.captions}
        row |= {field: piece.row[field] for field in KEPT_FIELDS if field in piece.row}
        writers[piece.split].add(row, parts)
        if progress is not None:
            progress("pieces", 1)
    return writers, failures
