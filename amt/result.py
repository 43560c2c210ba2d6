"""What generation returns: notes that can be saved, plotted, and played in a notebook."""

from __future__ import annotations

import dataclasses
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amt.config import TokenizerConfig
from amt.files import write_atomically
from amt.midi.data import MidiData, NoteTable
from amt.midi.programs import DRUMS, program_name

if TYPE_CHECKING:
    import mido
    from matplotlib.axes import Axes

    from amt.asked_got import AskedGot
    from amt.wishes import Wishes


@dataclasses.dataclass(frozen=True)
class Midi:
    """A piece of music that a model wrote.

    Attributes:
        tokens: the token ids, from bos to eos (if it was reached).
        score: the music: notes, tempos, time signatures, pedals.
        text: what was asked for.
        seed: repeats this result with the same text, options and model; None where nothing was drawn.
        warnings: what the user should know, one line each.
        token_log_probs: for each generated token the model's log-probability.
        backend: what ran.
        asked_got: what was asked for, by options and in the text, and what the notes are; see `amt.asked_got`.
        text_cosine: with `rerank`, how near the model's MIDI -> text direction finds it to the text, -1..1.

    Example:
        >>> amt.generate("a slow sad waltz in D minor for piano", seed=7).save("waltz.mid")
    """

    tokens: tuple[int, ...]
    score: MidiData
    text: str | None = None
    seed: int | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)
    token_log_probs: tuple[float, ...] = ()
    backend: str = ""
    asked_got: list[AskedGot] = dataclasses.field(default_factory=list)
    text_cosine: float | None = None

    @classmethod
    def from_tokens(
        cls,
        tokens: tuple[int, ...],
        tokenizer_config: TokenizerConfig,
        *,
        text: str | None = None,
        seed: int | None = None,
        warnings: list[str] | None = None,
        token_log_probs: tuple[float, ...] = (),
        backend: str = "",
        wishes: Wishes | None = None,
    ) -> Midi:
        """The music of token ids.

        Args:
            wishes: what the tokens were held to; no drum sounds on behind the length that they allow.
        """
        from amt.asked_got import compare
        from amt.midi.tokenizer import EventTokenizer

        score = EventTokenizer(tokenizer_config).decode(tokens)
        if wishes is not None and tokenizer_config.preset == "score":
            max_steps = wishes.constraints(tokenizer_config).max_steps
            if max_steps is not None:
                score = _ended_at(score, max_steps * (score.ticks_per_beat // tokenizer_config.steps_per_beat))
        asked_got = compare(text, wishes, score, tokenizer_config)
        return cls(tuple(tokens), score, text, seed, list(warnings or ()), tuple(token_log_probs), backend, asked_got)

    @property
    def notes(self) -> NoteTable:
        """All notes, sorted by start."""
        return self.score.notes

    @property
    def duration_s(self) -> float:
        """Seconds from the start to the end of the piece."""
        return self.score.duration_s

    @property
    def instruments(self) -> list[str]:
        """The General MIDI names of the instruments that play, drums last."""
        programs = np.where(self.notes.is_drum, DRUMS, self.notes.program)
        return [program_name(program) for program in np.unique(programs).tolist()]

    @property
    def log_prob(self) -> float:
        """The sum of `token_log_probs`."""
        return math.fsum(self.token_log_probs)

    def to_bytes(self) -> bytes:
        """The bytes of a Standard MIDI File."""
        return self.score.to_bytes()

    def to_mido(self) -> mido.MidiFile:
        """The same music as a `mido.MidiFile`."""
        return self.score.to_mido()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a Standard MIDI File; `path` becomes the whole new file or stays what it was.

        Raises:
            OSError: it cannot be written there.
        """
        write_atomically(Path(path), self.to_bytes())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the notes over time with matplotlib, one colour an instrument.

        Args:
            ax: where to; None makes a figure.

        Raises:
            ImportError: matplotlib is not installed (the extra "plot").
        """
        from amt.piano_roll import draw

        return draw(self.score, ax)

    def _repr_html_(self) -> str:
        from amt.player import player_html

        facts = [f"seed {self.seed}"] if self.seed is not None else []
        facts += [str(row) for row in self.asked_got]
        return player_html(self.score, title=self.text or "", facts=facts, warnings=self.warnings)

    def __repr__(self) -> str:
        instruments = ", ".join(self.instruments) or "no instruments"
        seed = f", seed={self.seed}" if self.seed is not None else ""
        return f"Midi({self.text!r}: {len(self.notes)} notes, {self.duration_s:.1f} s, {instruments}{seed})"


def _ended_at(score: MidiData, last_tick: int) -> MidiData:
    """The score with all notes ended by a tick: drum tokens say where a hit is, and decoding gives it a length."""
    notes = score.notes
    if score.end_ticks <= last_tick or bool((notes.start_ticks >= last_tick).any()):
        return score
    start_ticks, end_ticks, *others = notes.columns
    return MidiData(
        NoteTable(start_ticks, np.minimum(end_ticks, last_tick), *others),
        score.pedals,
        score.tempos,
        score.time_signatures,
        score.key_signatures,
        ticks_per_beat=score.ticks_per_beat,
    )
