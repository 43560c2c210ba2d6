"""What generation returns: notes that can be saved, plotted, and played in a notebook."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.generation.keys import moved
from amt.midi.canonical import transposed
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import Tempo
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.plan import Plan
from amt.midi.programs import DRUMS, program_name
from amt.request.reading import Reading, read
from amt.request.report import compare
from amt.request.rows import ReportRow
from amt.views.playable import Playable

if TYPE_CHECKING:
    import mido

    from amt.request.request import Prompt


@dataclasses.dataclass(frozen=True)
class Piece(Playable):
    """A piece of music that a model wrote.

    Attributes:
        tokens: the token ids, from bos to eos (if it was reached); in the canonical key, if the model writes there.
        music: notes, tempos, time signatures, pedals.
        text: what was asked for.
        seed: repeats this result with the same text, options and model; None where nothing was drawn.
        warnings: what the user should know, one line each.
        token_log_probs: for each generated token the model's log-probability.
        backend, backend_reason: what ran, and why that.
        report: what was asked for, by options and in the text, and what the notes are; see `amt.request.report`.
        text_cosine: with `rerank`, how near the model's MIDI -> text direction finds it to the text, -1..1.

    Example:
        >>> amt.generate("a slow sad waltz in D minor for piano", seed=7).save("waltz.mid")
    """

    tokens: tuple[int, ...]
    music: MidiData
    text: str | None = None
    seed: int | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)
    token_log_probs: tuple[float, ...] = ()
    backend: str = ""
    backend_reason: str = ""
    report: list[ReportRow] = dataclasses.field(default_factory=list)
    text_cosine: float | None = None

    @classmethod
    def from_tokens(
        cls, tokens: tuple[int, ...], tokenizer_config: TokenizerConfig, *, text: str | None = None, **facts: Any
    ) -> Piece:
        """The music of token ids; `facts` are other attributes."""
        from amt.midi.tokenizer import EventTokenizer

        music = EventTokenizer(tokenizer_config).decode(tokens)
        reading = Reading() if text is None else read(text)
        rows = compare(reading, None, None, music, tokenizer_config)
        return cls(tuple(tokens), music, text, report=rows, **facts)

    @classmethod
    def of_prompt(cls, tokens: tuple[int, ...], tokenizer_config: TokenizerConfig, prompt: Prompt) -> Piece:
        """The music of token ids that were written for a prompt; no drum sounds on behind the length that it has."""
        from amt.midi.tokenizer import EventTokenizer

        music = transposed(EventTokenizer(tokenizer_config).decode(tokens), prompt.semitones)
        constraints = prompt.grammar.constraints if isinstance(prompt.grammar, Grammar) else Constraints()
        last_tick = music.end_ticks
        if tokenizer_config.preset == "score":
            last_tick = _last_tick(music, constraints, tokenizer_config)
        if prompt.continued is None:
            music = _ended_at(music, last_tick)
            exact_us = prompt.limits.tempo_us_per_beat
            if exact_us is not None and tokenizer_config.preset == "score":  # the tokens have its nearest mark
                music = music.replace(tempos=[Tempo(0, exact_us)])
        else:
            music = prompt.continued.joined(tokens[len(prompt.prefix) :], last_tick, prompt.semitones)
        asked = moved(constraints, prompt.semitones)
        rows = compare(prompt.reading, prompt.limits, asked, music, tokenizer_config, prompt.said)
        return cls(tuple(tokens), music, prompt.text, prompt.seed, report=rows)

    @property
    def plan(self) -> Plan | None:
        """The sections and chords that the model or the call decided before the notes; None without them."""
        return self.music.plan

    @property
    def instruments(self) -> list[str]:
        """The General MIDI names of the instruments that play, drums last."""
        programs = np.where(self.notes.is_drum, DRUMS, self.notes.program)
        return [program_name(program) for program in np.unique(programs).tolist()]

    @property
    def log_prob(self) -> float:
        """The sum of `token_log_probs`."""
        return math.fsum(self.token_log_probs)

    def to_mido(self) -> mido.MidiFile:
        """The same music as a `mido.MidiFile`."""
        return self.music.to_mido()

    def _repr_html_(self) -> str:
        from amt.views.player import player_html

        facts = [f"seed {self.seed}"] if self.seed is not None else []
        facts += [str(row) for row in self.report]
        return player_html(self.music, title=self.text or "", facts=facts, warnings=self.warnings)

    def __repr__(self) -> str:
        instruments = ", ".join(self.instruments) or "no instruments"
        seed = f", seed={self.seed}" if self.seed is not None else ""
        return f"Piece({self.text!r}: {len(self.notes)} notes, {self.duration_s:.1f} s, {instruments}{seed})"


def _last_tick(music: MidiData, constraints: Constraints, config: TokenizerConfig) -> int:
    """By when the constraints let the music end."""
    ticks = music.end_ticks
    if constraints.max_steps is not None:
        ticks = min(ticks, constraints.max_steps * (music.ticks_per_beat // config.steps_per_beat))
    if constraints.max_us is not None:
        left = constraints.max_us * music.ticks_per_beat
        changes = [*music.tempos, Tempo(music.end_ticks, 1)]
        for tempo, following in itertools.pairwise(changes):
            fits = left // tempo.us_per_beat
            if tempo.tick + fits < following.tick:
                return min(ticks, tempo.tick + fits)
            left -= (following.tick - tempo.tick) * tempo.us_per_beat
    return ticks


def _ended_at(music: MidiData, last_tick: int) -> MidiData:
    """The music with all notes ended by a tick: drum tokens say where a hit is, and decoding gives it a length."""
    notes = music.notes
    if music.end_ticks <= last_tick or bool((notes.start_ticks >= last_tick).any()):
        return music
    start_ticks, end_ticks, *others = notes.columns
    return music.replace(notes=NoteTable(start_ticks, np.minimum(end_ticks, last_tick), *others), end_ticks=0)
