"""Tokens as events in time, one after the other, for those who cannot wait for the whole piece."""

from __future__ import annotations

from typing import NamedTuple

from amt.midi.config import TokenizerConfig
from amt.midi.units import DEFAULT_US_PER_BEAT
from amt.midi.vocabulary import DRUMS, vocabulary_of

PERFORMANCE_BEAT_MS = DEFAULT_US_PER_BEAT // 1000


class TimedEvent(NamedTuple):
    """What one token says, and where in the music.

    Attributes:
        kind, value: of the token, as in docs/tokens.md: a "note_on" has its pitch, a "time_shift" its steps.
        step: where it stands, in the tokenizer's steps; for a "time_shift" where that leads to.
        beat: the same in quarter notes from the start.
        time_s: the same in seconds from the start.
        program: 0..127, or 128 for drums: the instrument in force. Drum notes have no "note_off".
        velocity: 0..127: the velocity in force.
    """

    kind: str
    value: int
    step: int
    beat: float
    time_s: float
    program: int
    velocity: int

    @property
    def is_drum(self) -> bool:
        """Whether the instrument in force is the drums."""
        return self.program == DRUMS


class Timeline:
    """Takes tokens and says where they stand. The times are those of the notes that `EventTokenizer.decode` makes.

    Args:
        config: of the tokenizer.
    """

    def __init__(self, config: TokenizerConfig):
        self._config = config
        self._vocabulary = vocabulary_of(config)
        self._step = 0
        self._program = 0
        self._velocity = self._vocabulary.bin_velocity(config.num_velocities // 2)
        self._us_per_beat = DEFAULT_US_PER_BEAT
        # Where the tempo began: in steps, and in microseconds times steps a beat, which are whole.
        self._tempo_step, self._tempo_time = 0, 0

    def take(self, token_id: int) -> TimedEvent:
        """The event of the next token; ValueError if it is not in the vocabulary."""
        event = self._vocabulary.event(token_id)
        if event.kind == "time_shift":
            self._step += event.value
        elif event.kind == "program":
            self._program = event.value
        elif event.kind == "velocity":
            self._velocity = self._vocabulary.bin_velocity(event.value)
        elif event.kind == "tempo":
            self._tempo_step, self._tempo_time = self._step, self._time()
            self._us_per_beat = self._vocabulary.tempo_us_per_beat(event.value)
        if self._config.preset == "score":
            beat = self._step / self._config.steps_per_beat
            time_s = self._time() / (1_000_000 * self._config.steps_per_beat)
        else:
            beat = self._step * self._config.step_ms / PERFORMANCE_BEAT_MS
            time_s = self._step * self._config.step_ms / 1000
        return TimedEvent(*event, self._step, beat, time_s, self._program, self._velocity)

    def _time(self) -> int:
        return self._tempo_time + (self._step - self._tempo_step) * self._us_per_beat
