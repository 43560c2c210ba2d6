"""What a piece of music is, in facts and in words."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amt.config import check_range
from amt.files import encoding_of
from amt.midi.facts import Facts, measure
from amt.midi.plan import Plan
from amt.midi.reader import MidiSource, read_midi
from amt.midi.sentence import sentence
from amt.models.opened import CAPTION_EMBEDDINGS, DEFAULT_READER, ModelSource, OpenedModel, load
from amt.retrieval.embedding import cosines, embed
from amt.text.kept import digest_of, write

MAX_BANK_BYTES = 1 << 28


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """What `amt.describe` returns.

    Attributes:
        facts: what was measured of the notes.
        sentence: the facts in one English sentence.
        embedding: (text_embedding_dim,) float32 of unit length; None if the model does not read MIDI or the piece has
            no notes.
        captions: the texts of the bank that are nearest, each with its cosine, the best first, of equal ones the
            first of the bank.
        plan: the sections and chords that the file says, if it does.
    """

    facts: Facts
    sentence: str
    embedding: np.ndarray | None
    captions: list[tuple[str, float]]
    plan: Plan | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it."""
        return {
            "sentence": self.sentence,
            "captions": [{"caption": caption, "cosine": round(cosine, 4)} for caption, cosine in self.captions],
            "facts": self.facts.to_dict(),
            "plan": None if self.plan is None else str(self.plan),
            "embedding": None if self.embedding is None else [round(value, 6) for value in self.embedding.tolist()],
        }


def describe(
    midi: MidiSource,
    *,
    model: ModelSource = None,
    bank: Sequence[str] | str | os.PathLike[str] | None = None,
    num_captions: int = 5,
) -> Description:
    """Say what a piece is: facts that are measured, and captions that a model finds nearest.

    Args:
        midi: a MIDI file (path, bytes, mido.MidiFile), what `amt.read_midi` or `amt.generate` returned.
        model: as for `amt.load`; default: "score-small".
        bank: the captions to choose from: a list, or the path of a text file with one a line. None: captions.txt of
            the model's folder, if it has one.
        num_captions: how many, at most.

    Returns:
        a `Description`. From a model that only writes MIDI it has no embedding and no captions.

    Raises:
        ValueError: the bank is empty or not text. MidiError: the file cannot be read. OSError: a file cannot be opened.
        CheckpointError, TextEncoderError: the model or its text encoder is missing.

    Example:
        >>> amt.describe("waltz.mid").sentence
        'A piece for piano in D minor, 3/4 time, 96 BPM, moderately busy, about 35 seconds long.'
    """

    check_range("num_captions", num_captions, 0, 1 << 20)
    data = read_midi(midi)
    opened = load(model or DEFAULT_READER)
    texts = None if bank is None else read_bank(bank)
    facts = measure(data)
    embedding = embed(data, opened)
    captions: list[tuple[str, float]] = []
    if embedding is not None and num_captions:
        captions = _nearest(embedding, own_bank(opened) if texts is None else texts, opened, num_captions)
    return Description(facts, sentence(facts), embedding, captions, data.plan)


def read_bank(bank: Sequence[str] | str | os.PathLike[str]) -> list[str]:
    """The captions of a list or of a text file, each once; blank lines do not count."""
    if isinstance(bank, (str, os.PathLike)):
        name, lines = f"the bank {os.fspath(bank)}", _lines(Path(bank))
    else:
        name, lines = "the bank", list(bank)
    for line in lines:
        if not isinstance(line, str):
            raise ValueError(f"{name} must hold texts, got {type(line).__name__}")
    texts = list(dict.fromkeys(filter(None, map(str.strip, lines))))
    if not texts:
        raise ValueError(f"{name} has no captions; give a list of texts, or a text file with one a line")
    return texts


def own_bank(opened: OpenedModel) -> list[str]:
    """The captions that belong to a model; [] if it has none."""
    path = opened.checkpoint.captions
    return [] if path is None else read_bank(path)


def keep_own_bank(opened: OpenedModel) -> Path:
    """Write the embeddings of a model's captions.txt beside it, so that nobody who gets the model waits for them.

    Raises:
        ValueError: the model has no captions.txt. OSError: they cannot be written there.
    """
    captions = opened.checkpoint.captions
    if captions is None:
        raise ValueError("the model has no captions.txt; put one into its folder, with a caption a line")
    texts = own_bank(opened)
    path = captions.with_name(CAPTION_EMBEDDINGS)
    write(path, digest_of(texts, opened.checkpoint.text_spec), opened.text_encoder.sentence_embeddings(texts))
    return path


def _lines(path: Path) -> list[str]:
    if path.is_file() and path.stat().st_size > MAX_BANK_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BANK_BYTES} bytes; give fewer captions")
    try:
        contents = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there is no file {path} with a bank of captions; give the path of a text file, or a list of captions"
        ) from None
    try:
        return contents.decode(encoding_of(contents)).split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8; give a text file with one caption a line") from error


def _nearest(embedding: np.ndarray, texts: list[str], opened: OpenedModel, number: int) -> list[tuple[str, float]]:
    if not texts:
        return []
    found = cosines(opened.caption_embeddings(texts), embedding)
    best = np.argsort(-found, kind="stable")[:number]  # of equal ones the first of the bank
    return [(texts[index], float(found[index])) for index in best.tolist()]
