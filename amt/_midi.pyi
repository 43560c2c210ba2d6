"""The compiled module over csrc/midi. Use amt.midi, which wraps it."""

import numpy as np

# csrc/python/bind_smf.cpp

class MidiData:
    """The contents of a MIDI file; amt.midi.MidiData is its face. Lists go in and out as copies."""

    ticks_per_beat: int
    format: int
    end_ticks: int
    pedals: list[tuple[int, int, int, bool]]  # start_ticks, end_ticks, program, is_drum
    tempos: list[tuple[int, int]]  # tick, us_per_beat
    time_signatures: list[tuple[int, int, int]]  # tick, numerator, denominator
    key_signatures: list[tuple[int, int, bool]]  # tick, sharps, is_minor
    repairs: list[tuple[int, str]]  # byte_offset, reason
    def __init__(self) -> None: ...
    @property
    def num_notes(self) -> int: ...
    def note_columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]: ...
    def set_note_columns(
        self,
        start_ticks: np.ndarray,
        end_ticks: np.ndarray,
        pitch: np.ndarray,
        velocity: np.ndarray,
        program: np.ndarray,
        is_drum: np.ndarray,
    ) -> None: ...

def read(source: bytes | bytearray | memoryview | np.ndarray, strict: bool = False) -> MidiData: ...
def write(data: MidiData) -> bytes: ...

# csrc/python/bind_tokenizer.cpp

class Tokenizer:
    """Notes to token ids and back, by one vocabulary."""

    def __init__(
        self,
        *,
        is_score: bool,
        step_ms: int,
        steps_per_beat: int,
        max_time_shift: int,
        num_velocities: int,
        max_gap_steps: int,
        tempos_bpm: list[int],
    ) -> None: ...
    @property
    def vocab_size(self) -> int: ...
    def encode(self, data: MidiData) -> tuple[np.ndarray, tuple[int, ...]]: ...
    def encode_bytes(self, data: bytes, strict: bool = False) -> tuple[np.ndarray, tuple[int, ...]]: ...
    def encode_many(
        self, files: list[bytes], strict: bool = False, num_threads: int = 1
    ) -> list[tuple[np.ndarray, tuple[int, ...]] | tuple[str, int]]: ...
    def decode(self, ids: np.ndarray) -> tuple[MidiData, tuple[int, ...]]: ...
    def decode_bytes(self, ids: np.ndarray) -> bytes: ...

class Grammar:
    """Which token may come next, under constraints."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_polyphony: int | None = None,
        max_steps: int | None = None,
        programs: tuple[int, ...] | list[int] | None = None,
        pitch_classes: tuple[int, ...] | list[int] | None = None,
        tempo_index: int | None = None,
        time_signature_index: int | None = None,
    ) -> None: ...

class GrammarState:
    """A place in a token sequence."""

    def __init__(self, grammar: Grammar) -> None: ...
    def advance(self, token_id: int) -> None: ...
    def is_allowed(self, token_id: int) -> bool: ...
    def allowed(self, remaining: int | None, vocab_size: int) -> np.ndarray: ...
    def copy(self) -> GrammarState: ...
    @property
    def tokens_to_close(self) -> int: ...
    @property
    def num_sounding(self) -> int: ...
    @property
    def now(self) -> int: ...
    @property
    def is_finished(self) -> bool: ...
