"""Damaged files give notes and a list of repairs, or one error that says where, in bounded time and memory."""

import random
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from amt.errors import MidiError
from amt.midi.data import MidiData
from amt.midi.reader import read_midi

pytest.importorskip("amt._midi", reason="amt._midi is not built; the reference repairs little")

SCRIPT = Path(__file__).with_name("malformed.py")
malformed = SimpleNamespace(**runpy.run_path(str(SCRIPT)))
SMALL_CASES = malformed.small_cases()
MAX_REPAIRS = 257
MAX_SECONDS = 1.0
MEASURE = """
import runpy, sys
import numpy  # note_columns imports it otherwise, and what that takes depends on its version
from amt import _midi
data = runpy.run_path(sys.argv[1])["LARGE_CASES"][sys.argv[2]]()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
before = peak()
try:
    columns = _midi.read(data).note_columns()
except ValueError:
    pass
print(len(data), peak() - before)
"""


def check(data: bytes) -> MidiData | None:
    """Read a file; whatever comes of it must be in order."""
    try:
        midi = read_midi(data)
    except MidiError as error:
        assert 0 <= error.byte_offset <= len(data)
        assert error.reason
        with pytest.raises(MidiError):
            read_midi(data, strict=True)
        return None
    assert len(midi.repairs) <= MAX_REPAIRS
    for repair in midi.repairs:
        assert -1 <= repair.byte_offset <= len(data)
    assert (midi.notes.start_ticks >= 0).all()
    assert (midi.notes.end_ticks >= midi.notes.start_ticks).all()
    assert (midi.notes.end_ticks <= midi.end_ticks).all()
    assert (midi.notes.velocity > 0).all()
    if midi.repairs:
        with pytest.raises(MidiError) as refusal:
            read_midi(data, strict=True)
        assert 0 <= refusal.value.byte_offset <= len(data)
    else:
        assert read_midi(data, strict=True) == midi
    assert read_midi(midi.to_bytes(), strict=True) == midi
    return midi


def test_the_small_file_is_sound():
    midi = check(malformed.small_file())
    assert midi is not None
    assert not midi.repairs
    assert len(midi.notes) == 9


@pytest.mark.parametrize("name", SMALL_CASES)
def test_small_case(name):
    check(SMALL_CASES[name])


def test_both_outcomes_happen():
    outcomes = [check(data) for data in SMALL_CASES.values()]
    assert any(midi is None for midi in outcomes)
    assert any(midi is not None and midi.repairs for midi in outcomes)


@pytest.mark.parametrize("name", malformed.LARGE_CASES)
def test_large_case_takes_little_time(name):
    data = malformed.LARGE_CASES[name]()
    start = time.process_time()
    try:
        midi = read_midi(data)
    except MidiError:
        midi = None
    assert time.process_time() - start <= MAX_SECONDS
    if midi is not None:
        assert len(midi.repairs) <= MAX_REPAIRS
        start = time.process_time()
        again = midi.to_bytes()
        assert time.process_time() - start <= MAX_SECONDS
        assert read_midi(again, strict=True).notes == midi.notes


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measures memory through /proc, as Linux has it")
@pytest.mark.parametrize("name", ["500000_notes", "500000_unclosed_notes", "20000_tracks", "500000_tempos_backwards"])
def test_large_case_takes_little_memory(name):
    run = subprocess.run([sys.executable, "-c", MEASURE, SCRIPT, name], capture_output=True, text=True, check=True)
    size, used = map(int, run.stdout.split())
    assert used <= 16 * size + (16 << 20)


@pytest.mark.parametrize("name", ["cut_at_60", "header_says_65535_tracks", "zeros_between_chunks", "chunk_1_says_0"])
def test_repairs_keep_what_there_is(name):
    midi = check(SMALL_CASES[name])
    assert midi is not None
    assert midi.repairs


def test_wrong_lengths_lose_nothing():
    sound = check(malformed.small_file())
    for name, data in SMALL_CASES.items():
        if name.startswith("chunk_") and name != "chunk_0_says_14":
            midi = check(data)
            assert midi is not None
            assert midi == sound, name


def test_mutated_real_files(corpus_files):
    rng = random.Random(3)
    for _, data in corpus_files[::2]:
        damaged = bytearray(data[:8000])
        for _ in range(4):
            place = rng.randrange(len(damaged) - 16)
            damaged[place : place + rng.randint(1, 4)] = rng.randbytes(rng.randint(0, 4))
        check(bytes(damaged))
