"""What each token id stands for, in plain Python. docs/tokens.md is the definition.

Its twin is csrc/midi/vocabulary.cpp.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from amt.midi.config import TokenizerConfig

PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
NUM_PITCHES = 128
DRUMS = 128  # the "program" of drum notes
NUM_PROGRAMS = 129
DENOMINATORS = (1, 2, 4, 8, 16)
MAX_NUMERATOR = 16
NUM_TIME_SIGNATURES = MAX_NUMERATOR * len(DENOMINATORS)
# Of plans and edits, which version 2 has.
SECTIONS = (
    *("intro", "verse", "pre-chorus", "chorus", "bridge", "solo", "break", "build", "drop", "outro"),
    *("A", "B", "C", "D", "other"),
)
NUM_CHORDS = 97  # none, then 12 roots times 8 qualities
MAX_HALF_BARS = 32  # that one chord of a plan lasts
NUM_HOLE_PLACES = 4  # where a hole begins and ends: of the program in force, of all


class Event(NamedTuple):
    """What one token says: `value` is a pitch, a number of steps, a bin, a program or an index; 0 if it has none."""

    kind: str
    value: int


class Vocabulary:
    """Ids to events and back for one configuration.

    Args:
        config: the preset and its numbers.
    """

    def __init__(self, config: TokenizerConfig):
        self.config = config
        kinds = [("pad", range(1)), ("bos", range(1)), ("eos", range(1))]
        kinds += [("note_on", range(NUM_PITCHES)), ("note_off", range(NUM_PITCHES))]
        kinds += [("time_shift", range(1, config.max_time_shift + 1)), ("velocity", range(config.num_velocities))]
        if config.preset == "score":
            kinds += [("program", range(NUM_PROGRAMS)), ("tempo", range(len(config.tempos_bpm)))]
            kinds += [("time_signature", range(MAX_NUMERATOR * len(DENOMINATORS)))]
            kinds += [("pedal_off", range(1)), ("pedal_on", range(1))]
        if config.has_plans_and_edits:
            kinds += [("section", range(len(SECTIONS))), ("chord", range(NUM_CHORDS))]
            kinds += [("bars", range(1, MAX_HALF_BARS + 1))]
            kinds += [("edit", range(1)), ("hole", range(NUM_HOLE_PLACES)), ("fill", range(1))]
        self.events = [Event(kind, value) for kind, values in kinds for value in values]
        self._ids = {event: token_id for token_id, event in enumerate(self.events)}

    def __len__(self) -> int:
        return len(self.events)

    def event(self, token_id: int) -> Event:
        """The event of an id; ValueError if there is none."""
        if not 0 <= token_id < len(self.events):
            raise ValueError(f"token id {token_id} is not in the vocabulary of {len(self.events)}")
        return self.events[token_id]

    def token_id(self, kind: str, value: int = 0) -> int:
        """The id of an event; ValueError if the preset has none."""
        if (kind, value) not in self._ids:
            raise ValueError(f"the preset {self.config.preset!r} has no token {kind} {value}")
        return self._ids[Event(kind, value)]

    def velocity_bin(self, velocity: int) -> int:
        """The bin of a velocity 0..127."""
        return velocity * self.config.num_velocities // 128

    def bin_velocity(self, velocity_bin: int) -> int:
        """The middle of a bin."""
        return (2 * velocity_bin + 1) * 128 // (2 * self.config.num_velocities)

    def tempo_us_per_beat(self, index: int) -> int:
        """Microseconds a beat of a tempo bin, rounded to the nearest."""
        bpm = self.config.tempos_bpm[index]
        return (60_000_000 + bpm // 2) // bpm

    def tempo_index(self, us_per_beat: int) -> int:
        """The bin whose tempo is nearest on a logarithmic scale."""
        last = len(self.config.tempos_bpm) - 1
        for index in range(last):
            # Slower than the geometric mean of this bin and the next faster one.
            if us_per_beat**2 >= self.tempo_us_per_beat(index) * self.tempo_us_per_beat(index + 1):
                return index
        return last


@functools.lru_cache(maxsize=16)
def vocabulary_of(config: TokenizerConfig) -> Vocabulary:
    """The vocabulary of a configuration, made once."""
    return Vocabulary(config)


def time_signature_index(numerator: int, denominator: int) -> int | None:
    """The index of a time signature, or None if it has no token."""
    if not 1 <= numerator <= MAX_NUMERATOR or denominator not in DENOMINATORS:
        return None
    return (numerator - 1) * len(DENOMINATORS) + DENOMINATORS.index(denominator)


def time_signature(index: int) -> tuple[int, int]:
    """The numerator and denominator of an index."""
    return index // len(DENOMINATORS) + 1, DENOMINATORS[index % len(DENOMINATORS)]
