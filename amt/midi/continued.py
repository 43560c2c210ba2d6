"""Music that is continued: its tokens for the model, and the music itself, to which the rest is joined unchanged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from amt.midi.data import MidiData, NoteTable
from amt.midi.limits import Constraints
from amt.midi.tokenizer import EventTokenizer
from amt.midi.units import DEFAULT_US_PER_BEAT, ticks_to_seconds
from amt.midi.vocabulary import BOS_ID
from amt.midi.window import Written


class Continued:
    """Music to continue.

    Its tokens hold less than the music does: rests are cut, tempos are marks of a metronome. So the music stays what it
    is, and the tokens only say how it goes on. Lengths are those of the music.

    Args:
        data: the music.
        read: the same as the model reads it; it may be transposed.
        tokenizer: of the model.

    Attributes:
        ids: its tokens, without `eos`.

    Raises:
        ValueError: it has no notes.
    """

    def __init__(self, data: MidiData, read: MidiData, tokenizer: EventTokenizer):
        encoding = tokenizer.encode(read)
        if not encoding.report.kept_notes:
            raise ValueError("the MIDI file to continue has no notes that this model can play; give another one")
        self.data = data
        self.ids = tuple(int(token) for token in encoding.ids[:-1])
        self._tokenizer, self._config = tokenizer, tokenizer.config
        self._is_score = self._config.preset == "score"
        written = Written(self._config, self.ids)
        self._written = written
        self._cut_steps = encoding.report.clamped_steps
        # Where the last token stands in the music, exactly.
        if self._is_score:
            self._ticks_per_step = Fraction(data.ticks_per_beat, self._config.steps_per_beat)
            self._end_tick = (written.step + self._cut_steps) * self._ticks_per_step
            self._end_us = Fraction(round(1e6 * self._seconds(round(self._end_tick))))
        else:
            us_per_tick = Fraction(self._tempo_us(), data.ticks_per_beat)
            self._ticks_per_step = 1000 * self._config.step_ms / us_per_tick
            self._end_us = (written.step + self._cut_steps) * Fraction(1000 * self._config.step_ms)
            last = max(int(data.notes.end_ticks.max(initial=0)), *(tempo.tick for tempo in data.tempos), 0)
            self._end_tick = last + (self._end_us - round(1e6 * self._seconds(last))) / us_per_tick

    @property
    def seconds(self) -> float:
        """Its length, to where the continuation begins."""
        return float(self._end_us) / 1e6

    @property
    def bars(self) -> int:
        """Its length in bars."""
        if not self._is_score:
            return 0
        return self._written.num_bars + self._cut_bars

    def fitted(self, constraints: Constraints) -> Constraints:
        """The constraints of the whole music, for its tokens, which are shorter where rests were cut.

        Raises:
            ValueError: the music is longer already.
        """
        changed: dict[str, Any] = {}
        step_us = self._written.step_us
        real_step_us = Fraction(self._tempo_us(), self._config.steps_per_beat) if self._is_score else step_us
        if constraints.max_us is not None and constraints.max_us <= self._end_us:
            raise self._too_long(f"{self.seconds:.4g} seconds", f"at most {constraints.max_us / 1e6:.4g} seconds")
        for name in ("min_us", "max_us"):
            if (us := getattr(constraints, name)) is not None:
                steps = (us - self._end_us) / real_step_us
                changed[name] = max(int(name == "max_us"), round(self._written.elapsed_us + steps * step_us))
        if constraints.max_steps is not None:
            changed["max_steps"] = constraints.max_steps - self._cut_steps
            if changed["max_steps"] <= self._written.step:
                beats = float(self._end_tick) / self.data.ticks_per_beat
                at_most = constraints.max_steps / self._config.steps_per_beat
                raise self._too_long(f"{beats:.4g} beats", f"at most {at_most:.4g} beats")
        if constraints.max_bars is not None and constraints.max_bars < self.bars:
            raise self._too_long(f"{self.bars} bars", f"at most {constraints.max_bars} bars")
        for name in ("min_bars", "max_bars"):
            if (bars := getattr(constraints, name)) is not None:
                changed[name] = max(int(name == "max_bars"), bars - self._cut_bars)
        return dataclasses.replace(constraints, **changed)

    def joined(self, new_ids: Sequence[int], last_tick: int, semitones: int) -> MidiData:
        """The music, and behind it what these tokens say that follow its own.

        Args:
            new_ids: of the vocabulary.
            last_tick: of the decoded tokens, where all notes have ended.
            semitones: by how much the new notes are moved.
        """
        from amt.midi.canonical import transposed

        new = transposed(self._tokenizer.decode([BOS_ID, *self._written.in_force(), *new_ids]), semitones)
        step_ticks = new.ticks_per_beat // self._config.steps_per_beat if self._is_score else self._config.step_ms
        begun = self._written.step * step_ticks
        scale = self._ticks_per_step / step_ticks

        def placed(ticks: np.ndarray) -> np.ndarray:
            """On the grid of the music's own ticks, rounded half up; nothing before 0."""
            exact = self._end_tick.numerator * scale.denominator
            both = self._end_tick.denominator * scale.denominator
            rest = scale.numerator * self._end_tick.denominator
            return np.array([(2 * (exact + int(tick) * rest) + both) // (2 * both) for tick in ticks], np.int64)

        notes = new.notes
        starts = placed(notes.start_ticks)
        ends = np.maximum(placed(np.minimum(notes.end_ticks.astype(np.int64), max(last_tick - begun, 0))), starts + 1)
        starts, ends = self._without_overlaps(notes, starts, ends)
        own = self.data.notes
        kits = own.program[own.is_drum]
        program = np.where(notes.is_drum, kits[-1] if len(kits) else 0, notes.program)

        def moved(changes: Sequence[Any]) -> list[Any]:
            return [
                dataclasses.replace(change, tick=int(placed(np.array([change.tick]))[0]))
                for change in changes
                if change.tick > 0
            ]

        pedals = []
        for pedal in new.pedals:
            start, end = placed(np.array([pedal.start_ticks, pedal.end_ticks])).tolist()
            pedals.append(dataclasses.replace(pedal, start_ticks=start, end_ticks=max(end, start + 1)))
        columns = zip(own.columns, (starts, ends, notes.pitch, notes.velocity, program, notes.is_drum), strict=True)
        return self.data.replace(
            notes=NoteTable(*(np.concatenate(pair) for pair in columns)),
            pedals=[*self.data.pedals, *pedals],
            tempos=[*self.data.tempos, *moved(new.tempos)] if self._is_score else self.data.tempos,
            time_signatures=[*self.data.time_signatures, *moved(new.time_signatures)]
            if self._is_score
            else self.data.time_signatures,
        )

    def _without_overlaps(
        self, notes: NoteTable, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A new note waits for the end of an own one of its pitch, which a step's rounding may put behind its start."""
        own = self.data.notes
        starts = starts.copy()
        for index in np.flatnonzero(starts < own.end_ticks.max(initial=0)).tolist():
            is_same = (own.pitch == notes.pitch[index]) & (own.is_drum == notes.is_drum[index])
            is_same &= own.is_drum | (own.program == notes.program[index])
            free = int(own.end_ticks[is_same & (own.start_ticks <= starts[index])].max(initial=0))
            if starts[index] < free < ends[index]:
                starts[index] = free
        return starts, ends

    @property
    def _cut_bars(self) -> int:
        """How many bars of rest the tokens do not have, in the last metre."""
        return round(self._cut_steps / self._written.bar_steps)

    def _tempo_us(self) -> int:
        """Microseconds a beat at the end of the music."""
        return self.data.tempos[-1].us_per_beat if self.data.tempos else DEFAULT_US_PER_BEAT

    def _seconds(self, tick: int) -> float:
        return float(ticks_to_seconds(tick, self.data.tempos, self.data.ticks_per_beat))

    @staticmethod
    def _too_long(own: str, asked: str) -> ValueError:
        return ValueError(
            f"the MIDI file to continue is {own} long already, and the whole shall be {asked}; ask for more, or give a"
            " shorter file"
        )
