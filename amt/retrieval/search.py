"""Find the MIDI files of a folder that fit a text, or that are like another piece."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from amt.config import check_range
from amt.midi.facts import Facts
from amt.midi.reader import MidiSource, read_midi
from amt.midi.sentence import sentence
from amt.models.opened import DEFAULT_READER, ModelSource, OpenedModel, load
from amt.request.reading import check_text
from amt.retrieval.embedding import cosines, embed, reads_midi
from amt.retrieval.index.pieces import MAX_PARTS
from amt.retrieval.index.update import Progress, Update

INDEX_FOLDER = ".amt-index"


@dataclasses.dataclass(frozen=True)
class Match:
    """A file that was found.

    Attributes:
        path: relative to the folder, with slashes.
        score: the cosine of its embedding and that of the query, -1..1.
        facts: what was measured of its notes.
    """

    path: str
    score: float
    facts: Facts

    @property
    def sentence(self) -> str:
        """The facts in one English sentence."""
        return sentence(self.facts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "path": self.path,
            "score": round(self.score, 4),
            "sentence": self.sentence,
            "facts": self.facts.to_dict(),
        }


class Matches(list[Match]):
    """What `amt.search` returns: the matches, the best first, and what happened to the other files.

    Attributes:
        num_files: that were searched.
        skipped: for each file that cannot be searched its path and the reason.
        num_read: files that had to be read; the others were in the index.
        num_embedded: pieces that the model had to read.
    """

    def __init__(self, matches: list[Match], num_files: int, skipped: dict[str, str], num_read: int, num_embedded: int):
        super().__init__(matches)
        self.num_files = num_files
        self.skipped = skipped
        self.num_read = num_read
        self.num_embedded = num_embedded


def search(
    query: str | MidiSource,
    folder: str | os.PathLike[str],
    *,
    model: ModelSource = None,
    num_results: int = 10,
    index: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Matches:
    """Find the MIDI files of a folder, and of those below it, that fit a text or sound like a piece.

    The files' embeddings are kept in an index; the next search reads only files that are new or have changed. Of a long
    piece the first 4 parts of 512 tokens count.

    Args:
        query: a str is always a text; a piece is a Path, bytes, mido.MidiFile, or what `amt.read_midi` or
            `amt.generate` returned.
        folder: where the files are: *.mid, *.midi, *.kar, *.rmi.
        model: as for `amt.load`; it must read MIDI; default: "score-small".
        num_results: how many matches, at most.
        index: the folder of the index; default: .amt-index in `folder`.
        jobs: processes that read files where there are many; default: one a core. A script that may start some needs
            `if __name__ == "__main__":`.
        progress: called with (files done, files to read).

    Returns:
        a list of `Match`, the best first; equal scores by path. Its attribute `skipped` names the files that cannot be
        searched.

    Raises:
        ValueError: the model does not read MIDI; the text is empty; the piece has no notes. MidiError: the query's file
            cannot be read. OSError: the folder cannot be read or the index not be written.
        CheckpointError, TextEncoderError: the model or its text encoder is missing.

    Example:
        >>> for match in amt.search("a slow sad waltz", "music", model="my-model"):
        ...     print(f"{match.score:.2f} {match.path}")
    """

    check_range("num_results", num_results, 1, 1 << 20)
    check_range("jobs", 1 if jobs is None else jobs, 1, 1 << 10)
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a folder; give a folder with MIDI files")
    opened = load(model or DEFAULT_READER)
    listener = opened.checkpoint.model
    if not reads_midi(listener):
        raise ValueError(
            "this model only writes MIDI, and a search needs one that also reads it: give a model with the"
            ' architecture "music_text" (docs/training.md says how to train one)'
        )
    wanted = _embed_query(query, opened)
    place = folder / INDEX_FOLDER if index is None else Path(index)
    _make_folder(place)
    found = Update(folder, place, opened, listener, jobs or _num_cores(), progress).run()
    paths, embeddings = found.embeddings()
    matches = []
    if paths:
        scores = cosines(embeddings, wanted)
        for best in np.argsort(-scores, kind="stable")[:num_results].tolist():
            facts = found.entries[paths[best]].facts
            assert facts is not None
            matches.append(Match(paths[best], float(scores[best]), facts))
    return Matches(matches, len(paths), found.skipped, found.num_read, found.num_embedded)


def _embed_query(query: str | MidiSource, opened: OpenedModel) -> np.ndarray:
    if isinstance(query, str):
        check_text(query)
        vector: np.ndarray = opened.text_encoder.sentence_embeddings([query])[0]
        return vector
    embedding = embed(read_midi(query), opened, MAX_PARTS)
    if embedding is None:
        raise ValueError("the piece to search for has no notes that this model can read; give another one")
    return embedding


def _make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not os.access(place, os.W_OK):
            raise PermissionError("you may not write there")
    except OSError as error:
        raise type(error)(
            f"cannot write the index {place}: {error.strerror or error}; name another folder: index=FOLDER"
        ) from error


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
