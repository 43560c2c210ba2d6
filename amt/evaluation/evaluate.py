"""One evaluation of a model, or of MIDI files with captions."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from amt.data.corpus import CorpusPiece
from amt.errors import MidiError
from amt.evaluation.copying import longest_copies, note_codes
from amt.evaluation.following import METRICS, agreement, asked_of
from amt.evaluation.rows import Row, row
from amt.midi.data import MidiData
from amt.midi.facts import Facts, estimate_key, measure
from amt.midi.reader import read_midi

if TYPE_CHECKING:
    from amt.models.opened import OpenedModel

# Of `Facts`: what is compared with real music.
MUSIC = (
    "num_notes", "duration_s", "notes_per_s", "polyphony", "pitch_class_entropy", "scale_consistency",
    "groove_similarity", "repetition", "mean_velocity",
)  # fmt: skip
Progress = Callable[[str, int], object]


@dataclasses.dataclass(frozen=True)
class Example:
    """A piece beside what was asked for.

    Attributes:
        caption: the text.
        midi: the music, or None if the file could not be read.
        row: the corpus' columns of the caption.
    """

    caption: str
    midi: MidiData | None
    row: dict[str, Any]


def draw(pieces: list[CorpusPiece], split: str, num: int) -> list[CorpusPiece]:
    """Pieces of one split, the same ones every time, in about equal numbers from each source."""
    by_source: dict[str, list[CorpusPiece]] = {}
    for piece in pieces:
        if piece.split == split:
            by_source.setdefault(piece.source, []).append(piece)
    for rows in by_source.values():
        random.Random(0).shuffle(rows)
    drawn = [piece for turn in range(num) for rows in by_source.values() for piece in rows[turn : turn + 1]]
    return drawn[:num]


def caption_of(piece: CorpusPiece, index: int) -> str:
    """One of a piece's captions; pieces with fewer begin again."""
    return piece.captions[index % len(piece.captions)]


def read_pieces(pieces: Iterable[CorpusPiece], caption: int) -> list[Example]:
    """The pieces themselves, as examples."""
    examples = []
    for piece in pieces:
        try:
            midi: MidiData | None = read_midi(piece.midi)
        except MidiError:
            midi = None
        examples.append(Example(caption_of(piece, caption), midi, piece.row))
    return examples


def write_pieces(
    opened: OpenedModel,
    pieces: Sequence[CorpusPiece],
    caption: int,
    seed: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> list[Example]:
    """A piece by the model for the caption of each piece, read again from the bytes of its file.

    Args:
        seed: of the first; each following one has the next.
        options: of `amt.generate`.
    """
    from amt.api import generate

    examples: list[Example] = []
    for place, piece in enumerate(pieces):
        text = caption_of(piece, caption)
        midi = generate(text, model=opened, seed=seed + place, **options)
        examples.append(Example(text, read_midi(midi.to_bytes()), piece.row))
        if progress is not None:
            progress("pieces", 1)
    return examples


def evaluate_examples(examples: Sequence[Example], split: str, model: str) -> list[Row]:
    """Whether files are valid, how far captions are followed, and what the music is like."""
    readable = [example for example in examples if example.midi is not None]
    facts = [measure(example.midi) for example in readable if example.midi is not None]
    rows = [
        row("valid", [example.midi is not None for example in examples], split, model),
        row("empty", [fact.num_notes == 0 for fact in facts], split, model),
    ]
    followed = [_followed(example, fact) for example, fact in zip(readable, facts, strict=True)]
    for metric in METRICS:
        rows.append(row(metric, [values[metric] for values in followed if metric in values], split, model))
    for name in MUSIC:
        rows.append(row(name, _values(facts, name), split, model))
    return [found for found in rows if found is not None]


def evaluate_copying(examples: Sequence[Example], training: Sequence[MidiData], split: str, model: str) -> list[Row]:
    """The longest run of notes that a piece has from the training music: the mean over pieces, and the largest."""
    codes = [note_codes(example.midi) for example in examples if example.midi is not None]
    longest = longest_copies(codes, [note_codes(midi) for midi in training])
    mean = row("longest_copy", longest, split, model)
    if mean is None:
        return []
    most = float(longest.max())
    return [mean, Row("longest_copy_max", most, most, most, len(longest), split, model)]


def _followed(example: Example, facts: Facts) -> dict[str, float]:
    asked = asked_of(example.row, example.caption)
    values = agreement(asked, facts)
    if asked.key is not None and example.midi is not None:
        values["key_krumhansl"] = float(estimate_key(example.midi.notes, "krumhansl") == asked.key)
    return values


def _values(facts: Sequence[Facts], name: str) -> list[float]:
    return [float(value) for fact in facts if (value := getattr(fact, name)) is not None]
