"""What a musician asks for in words or numbers, as constraints on the tokens."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from amt.config import TokenizerConfig
from amt.midi.grammar import Constraints
from amt.midi.programs import program_number
from amt.midi.vocabulary import Vocabulary, time_signature_index

_PITCH_CLASSES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
# Minor has both its sevenths and both its sixths: harmonic and melodic minor are minor, too.
_SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 9, 10, 11)}


@dataclasses.dataclass(frozen=True)
class Wishes:
    """Hard limits of a generation; None leaves the choice to the model.

    Args:
        instruments: General MIDI names ("violin", "drums") or program numbers 0..127 (128 = drums); no others play.
        tempo: beats (quarter notes) a minute, kept throughout; the nearest metronome mark is taken.
        time_signature: like "3/4", kept throughout.
        key: like "D minor" or "F# major"; pitches outside its scale do not sound.
        max_beats: length in quarter notes, at most.
        max_polyphony: notes that sound at once, at most (drums do not count).
    """

    instruments: Sequence[str | int] | None = None
    tempo: float | None = None
    time_signature: str | None = None
    key: str | None = None
    max_beats: float | None = None
    max_polyphony: int | None = None

    def constraints(self, config: TokenizerConfig) -> Constraints:
        """The constraints for a tokenizer.

        Raises:
            ValueError: a wish that cannot be understood or kept.
        """
        vocabulary = Vocabulary(config)
        return Constraints(
            programs=None if self.instruments is None else _programs(self.instruments),
            tempo_index=None if self.tempo is None else _tempo_index(self.tempo, vocabulary),
            time_signature_index=None if self.time_signature is None else _signature_index(self.time_signature),
            pitch_classes=None if self.key is None else pitch_classes(self.key),
            max_steps=None if self.max_beats is None else _num_steps(self.max_beats, config),
            max_polyphony=self.max_polyphony,
        )


def _programs(instruments: Sequence[str | int]) -> tuple[int, ...]:
    if isinstance(instruments, (str, int)):
        instruments = [instruments]
    return tuple(sorted({program_number(instrument) for instrument in instruments}))


def _tempo_index(tempo: float, vocabulary: Vocabulary) -> int:
    slowest, fastest = vocabulary.config.tempos_bpm[0], vocabulary.config.tempos_bpm[-1]
    if not slowest <= tempo <= fastest:
        raise ValueError(f"tempo must be between {slowest} and {fastest} beats a minute, got {tempo!r}")
    return vocabulary.tempo_index(round(60_000_000 / tempo))


def _signature_index(text: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text)
    index = time_signature_index(int(match[1]), int(match[2])) if match else None
    if index is None:
        raise ValueError(f"time_signature must be like 3/4, 1 to 16 over 1, 2, 4, 8 or 16; got {text!r}")
    return index


def pitch_classes(key: str) -> tuple[int, ...]:
    """The pitch classes 0..11 (0 = C) of a key like "D minor", "Bb major" or "F#m".

    Raises:
        ValueError: not a key.
    """
    match = re.fullmatch(r"\s*([a-g])\s*(#|♯|b|♭|-?sharp|-?flat)?\s*(major|maj|minor|min|m)?\s*", key, re.IGNORECASE)
    if not match:
        raise ValueError(f'key must be like "D minor" or "F# major", got {key!r}')
    letter, accidental, mode = (part.lower() if part else "" for part in match.groups())
    if match[3] == "M":
        mode = "major"
    tonic = _PITCH_CLASSES[letter]
    if accidental:
        tonic += 1 if accidental in ("#", "♯") or "sharp" in accidental else -1
    scale = _SCALES["minor" if mode in ("minor", "min", "m") else "major"]
    return tuple(sorted((tonic + step) % 12 for step in scale))


def _num_steps(beats: float, config: TokenizerConfig) -> int:
    if config.preset != "score":
        raise ValueError("max_beats needs a model with the preset score")
    if not 0 < beats <= 1 << 20:
        raise ValueError(f"max_beats must be positive, got {beats!r}")
    return max(1, round(beats * config.steps_per_beat))
