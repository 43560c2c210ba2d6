"""Hard limits: one table, of which the checks, the command line and the docs are made; and what they are for tokens.

A new limit is a field of `Limits` and of `LimitOptions` here, one of `amt.midi.limits.Constraints`, its meaning in
`amt.midi.reference.grammar`, the same in csrc/midi/grammar.h and .cpp, and a row in `amt.request.report`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TypedDict

from amt.config import setting
from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.metres import bar_length
from amt.midi.programs import program_number
from amt.midi.theory import parse_key
from amt.midi.vocabulary import Vocabulary, time_signature, time_signature_index

MAX_BEATS = 1 << 20
MAX_BARS = 1 << 16
MAX_DURATION_S = 86_400
# What a length needs, so that it is a number of steps: the words of an error.
NEEDS = {"duration": "tempo", "bars": "time_signature"}


@dataclasses.dataclass(frozen=True)
class Limits:
    """Hard limits of a generation, as a musician names them; None leaves the choice to the model.

    `instruments` are General MIDI names ("violin", "drums") or program numbers 0..127 (128 = drums). `tempo` is kept
    throughout, as its nearest metronome mark, and so is `time_signature`. `duration` needs a tempo and `bars` a time
    signature, which a text may name (see `amt.request.request.completed`).
    """

    instruments: Sequence[str | int] | None = setting(
        None, 'Only these play, like "violin,cello" or "piano,drums".', only_score=True
    )
    tempo: float | None = setting(None, "Quarter notes a minute.", only_score=True)
    time_signature: str | None = setting(None, "Like 3/4.", only_score=True)
    key: str | None = setting(None, 'Like "D minor" or "Bb major": no pitch outside its scale.')
    max_beats: float | None = setting(None, "Length in quarter notes, at most.", only_score=True)
    max_polyphony: int | None = setting(None, "Notes that sound at once, at most; drums do not count.")
    duration: float | None = setting(None, "Length, at most; at --tempo, or at the BPM of TEXT.", metavar="SECONDS")
    bars: int | None = setting(
        None, "Length in bars, at most; of --time-signature, or of that of TEXT.", only_score=True
    )

    def constraints(self, config: TokenizerConfig) -> Constraints:
        """The constraints for a tokenizer.

        Raises:
            ValueError: a limit that cannot be understood or kept.
        """
        if config.preset != "score":
            for field in dataclasses.fields(self):
                if field.metadata.get("only_score") and getattr(self, field.name) is not None:
                    raise ValueError(f"{field.name} needs a model of the preset score; this one is of {config.preset}")
        tempo_index = None if self.tempo is None else _tempo_index(self.tempo, config)
        signature_index = None if self.time_signature is None else _signature_index(self.time_signature)
        lengths = [
            None if self.max_beats is None else _num_steps(self.max_beats, config),
            None if self.duration is None else _steps_in_time(self.duration, tempo_index, config),
            None if self.bars is None else _steps_in_bars(self.bars, signature_index, config),
        ]
        return Constraints(
            programs=None if self.instruments is None else _programs(self.instruments),
            tempo_index=tempo_index,
            time_signature_index=signature_index,
            pitch_classes=None if self.key is None else pitch_classes(self.key),
            max_steps=min((steps for steps in lengths if steps is not None), default=None),
            max_polyphony=None if self.max_polyphony is None else _polyphony(self.max_polyphony),
        )


class LimitOptions(TypedDict, total=False):
    """The fields of `Limits` as keyword arguments, for editors and type checkers."""

    instruments: Sequence[str | int] | None
    tempo: float | None
    time_signature: str | None
    key: str | None
    max_beats: float | None
    max_polyphony: int | None
    duration: float | None
    bars: int | None


def _programs(instruments: Sequence[str | int]) -> tuple[int, ...]:
    if isinstance(instruments, (str, int)):
        instruments = [instruments]
    if not instruments:
        raise ValueError("instruments must name at least one; leave it out to allow all")
    return tuple(sorted({program_number(instrument) for instrument in instruments}))


def _tempo_index(tempo: float, config: TokenizerConfig) -> int:
    slowest, fastest = config.tempos_bpm[0], config.tempos_bpm[-1]
    if not _is_number(tempo) or not slowest <= tempo <= fastest:
        raise ValueError(f"tempo must be between {slowest} and {fastest} beats a minute, got {tempo!r}")
    return Vocabulary(config).tempo_index(round(60_000_000 / tempo))


def _signature_index(text: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text) if isinstance(text, str) else None
    index = time_signature_index(int(match[1]), int(match[2])) if match else None
    if index is None:
        raise ValueError(f"time_signature must be like 3/4, 1 to 16 over 1, 2, 4, 8 or 16; got {text!r}")
    return index


def pitch_classes(key: str) -> tuple[int, ...]:
    """The pitch classes 0..11 of a key, major or minor.

    Raises:
        ValueError: not a key.
    """
    parsed = parse_key(key)
    if parsed is None or parsed.mode not in ("major", "minor"):
        raise ValueError(f'key must be like "D minor" or "F# major", got {key!r}')
    return parsed.pitch_classes


def _num_steps(beats: float, config: TokenizerConfig) -> int:
    if not _is_number(beats) or not 0 < beats <= MAX_BEATS:
        raise ValueError(f"max_beats must be above 0 and at most {MAX_BEATS}, got {beats!r}")
    return max(1, round(beats * config.steps_per_beat))


def _steps_in_time(duration: float, tempo_index: int | None, config: TokenizerConfig) -> int:
    if not _is_number(duration) or not 0 < duration <= MAX_DURATION_S:
        raise ValueError(f"duration must be above 0 and at most {MAX_DURATION_S} seconds, got {duration!r}")
    if config.preset != "score":
        us_per_step = Fraction(1000 * config.step_ms)
    elif tempo_index is None:
        raise ValueError('duration needs tempo=, or a text that names a BPM, like "at 96 BPM"')
    else:
        us_per_step = Fraction(Vocabulary(config).tempo_us_per_beat(tempo_index), config.steps_per_beat)
    steps = math.floor(Fraction(repr(float(duration))) * 1_000_000 / us_per_step)  # 0.3, not 0.29999…
    if steps < 1:
        shortest = math.ceil(us_per_step / 1000) / 1000
        raise ValueError(f"duration must be at least {shortest} seconds at this tempo, got {duration!r}")
    return steps


def _steps_in_bars(bars: int, signature_index: int | None, config: TokenizerConfig) -> int:
    if not isinstance(bars, int) or isinstance(bars, bool) or not 1 <= bars <= MAX_BARS:
        raise ValueError(f"bars must be a whole number between 1 and {MAX_BARS}, got {bars!r}")
    if signature_index is None:
        raise ValueError('bars needs time_signature=, or a text that names one, like "in 3/4 time"')
    return max(1, math.floor(bars * bar_beats(signature_index) * config.steps_per_beat))


def bar_beats(signature_index: int) -> Fraction:
    """Quarter notes in a bar of a time signature."""
    return bar_length(time_signature(signature_index))


def _polyphony(notes: int) -> int:
    if not isinstance(notes, int) or isinstance(notes, bool) or notes < 1:
        raise ValueError(f"max_polyphony must be a whole number of notes, at least 1; got {notes!r}")
    return notes


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
