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
