"""MIDI bytes to tokens and back, beside what else a user could take. Files are in memory; all in one process.

A step is one file. The peers that only parse or only write do less than AMT does in the same case; symusic is the
fastest parser there is, so it is the bar.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from amt.bench.job import optional
from amt.bench.rows import Row, with_ratios, with_times
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, Tempo
from amt.midi.tokenizer import EventTokenizer
from amt.version import __version__

CASES = ("encode", "encode-many", "write")


@dataclasses.dataclass(frozen=True)
class _Way:
    """One implementation in one case: `prepare` returns what a round calls, and the tokens that a round makes."""

    impl: str
    package: str
    prepare: Callable[[Sequence[bytes], int], tuple[Callable[[], object], int]]
    is_peer: bool = True


def made_files(num_files: int = 100) -> list[bytes]:
    """MIDI files that a seeded script makes: four parts of some hundred notes, played a little off the beat."""
    rng = random.Random(0)
    return [_made_file(rng) for _ in range(num_files)]


def _made_file(rng: random.Random) -> bytes:
    notes, pedals = [], []
    for program in rng.sample(range(128), 4):
        tick = 0
        pitch = rng.randrange(40, 80)
        for _ in range(rng.randrange(50, 600)):
            tick += rng.choice([0, 60, 120, 240, 240, 480])
            pitch = min(max(pitch + rng.randint(-7, 7), 24), 100)
            start = max(0, tick + rng.randint(-10, 10))
            notes.append(Note(start, start + rng.randint(50, 400), pitch, rng.randint(40, 110), program))
        pedals += [PedalSpan(start, start + 900, program) for start in range(0, tick, 1920)]
    return MidiData(notes, pedals, [Tempo(0, 500_000), Tempo(9600, 450_000)]).to_bytes()


def measure_tokenizer(
    cases: Sequence[str],
    files: Sequence[bytes],
    *,
    threads: Sequence[int] = (1,),
    num_rounds: int = 5,
    progress: Callable[[str], object] | None = None,
) -> Iterator[Row]:
    """The rows of every case, as they come; more than one thread only for encode-many.

    Args:
        cases: some of CASES.
        files: MIDI files.
        threads: with how many threads each.
        num_rounds: measured rounds, after one that is not.
        progress: called with a word before each thing that takes time.
    """
    for case in cases:
        for num_threads in threads if case == "encode-many" else (1,):
            yield from _measure_case(case, files, num_threads, num_rounds, progress or (lambda _: None))


def _measure_case(
    case: str, files: Sequence[bytes], threads: int, num_rounds: int, progress: Callable[[str], object]
) -> list[Row]:
    rows: dict[str, Row] = {}
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    for way in _WAYS[case]:
        progress(f"{case}: preparing {way.impl}")
        row = Row("tokenizer", case, way.impl, "", threads, None)
        try:
            version = __version__ if way.package == "amt" else importlib.metadata.version(way.package)
            row = dataclasses.replace(row, version=version)
            calls[way.impl] = way.prepare(files, threads)
            calls[way.impl][0]()
        except (ImportError, importlib.metadata.PackageNotFoundError):
            row = dataclasses.replace(row, error=f"not installed: {way.package}")
        rows[way.impl] = row
    seconds: dict[str, list[float]] = {impl: [] for impl in calls}
    for turn in range(num_rounds):
        for impl, (call, _) in calls.items():
            progress(f"{case}: round {turn + 1} of {num_rounds}, {impl}")
            start = time.perf_counter()
            call()
            seconds[impl].append(time.perf_counter() - start)
    for impl, times in seconds.items():
        num_tokens = calls[impl][1]
        rows[impl] = with_times(rows[impl], times, num_steps=len(files), num_tokens=num_tokens)
        if not num_tokens:  # it makes none: it only parses
            rows[impl] = dataclasses.replace(rows[impl], tokens_per_s=None)
    return with_ratios(list(rows.values()), [way.impl for way in _WAYS[case] if way.is_peer])


def _amt_encode(preset: Any) -> Callable[[Sequence[bytes], int], tuple[Callable[[], object], int]]:
    def prepare(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
        tokenizer = EventTokenizer(preset)
        num_tokens = sum(len(tokenizer.encode(file)) for file in files)
        return lambda: [tokenizer.encode(file) for file in files], num_tokens

    return prepare


def _amt_encode_many(files: Sequence[bytes], threads: int) -> tuple[Callable[[], object], int]:
    tokenizer = EventTokenizer()
    num_tokens = sum(len(encoding) for encoding in tokenizer.encode_many(files).encodings if encoding)
    return lambda: tokenizer.encode_many(files, num_threads=threads), num_tokens


def _amt_write(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    tokenizer = EventTokenizer()
    ids = [tokenizer.encode(file).ids for file in files]
    return lambda: [tokenizer.to_midi_bytes(row) for row in ids], sum(map(len, ids))


def _symusic_parse(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    parse = optional("symusic").Score.from_midi
    return lambda: [parse(file) for file in files], 0


def _symusic_write(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    scores = [optional("symusic").Score.from_midi(file) for file in files]
    return lambda: [score.dumps_midi() for score in scores], 0


def _miditok_encode(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    miditok, parse = optional("miditok"), optional("symusic").Score.from_midi
    tokenizer = miditok.MIDILike(miditok.TokenizerConfig(use_programs=True, one_token_stream_for_programs=True))
    num_tokens = sum(len(tokenizer.encode(parse(file)).ids) for file in files)
    return lambda: [tokenizer.encode(parse(file)) for file in files], num_tokens


def _mido_parse(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    mido = optional("mido")
    return lambda: [mido.MidiFile(file=io.BytesIO(file), clip=True) for file in files], 0


def _mido_write(files: Sequence[bytes], _: int) -> tuple[Callable[[], object], int]:
    mido = optional("mido")
    parsed = [mido.MidiFile(file=io.BytesIO(file), clip=True) for file in files]

    def save() -> None:
        for midi in parsed:
            midi.save(file=io.BytesIO())

    return save, 0


_PARSERS = (_Way("symusic-parses-only", "symusic", _symusic_parse), _Way("mido-parses-only", "mido", _mido_parse))
_WAYS = {
    "encode": (
        _Way("amt-score", "amt", _amt_encode("score"), is_peer=False),
        _Way("amt-performance", "amt", _amt_encode("performance"), is_peer=False),
        _Way("miditok-midilike", "miditok", _miditok_encode),
        *_PARSERS,
    ),
    "encode-many": (
        _Way("amt-score", "amt", _amt_encode_many, is_peer=False),
        _PARSERS[0],
    ),
    "write": (
        _Way("amt-tokens", "amt", _amt_write, is_peer=False),
        _Way("symusic-scores", "symusic", _symusic_write),
        _Way("mido-files", "mido", _mido_write),
    ),
}
