"""MIDI files as facts and tokens, in several processes where there are many."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from amt.errors import MidiError
from amt.midi.config import TokenizerConfig
from amt.midi.facts import Facts, measure
from amt.midi.reader import read_midi
from amt.midi.tokenizer import EventTokenizer
from amt.retrieval.embedding import parts_of

BLOCK_FILES = 64  # that go to a process together
MAX_PARTS = 4  # of a piece, that its embedding for a search is made of

Contents = tuple[str, bytes]  # a file's sha256 and its bytes


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read of one file: facts and the first parts of its tokens, or the reason why there are none."""

    sha256: str
    facts: Facts | None
    parts: list[np.ndarray]
    reason: str | None


def read_pieces(
    contents: Iterable[Contents], tokenizer_config: TokenizerConfig, max_len: int, jobs: int
) -> Iterator[Reading]:
    """Read files in their order.

    Args:
        contents: taken one after the other, no more than keep all processes busy.
        max_len: tokens in a part.
        jobs: processes; they start when there are two blocks. 1: this one.
    """
    rest = iter(contents)
    blocks = iter(lambda: list(itertools.islice(rest, BLOCK_FILES)), [])
    if jobs == 1:
        for block in blocks:
            yield from _read_block(block, tokenizer_config, max_len)
        return
    first = list(itertools.islice(blocks, 2))
    if len(first) < 2:
        for block in first:
            yield from _read_block(block, tokenizer_config, max_len)
        return
    pool = concurrent.futures.ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    running: deque[concurrent.futures.Future[list[Reading]]] = deque()
    try:
        for block in itertools.chain(first, blocks):
            running.append(pool.submit(_read_block, block, tokenizer_config, max_len))
            if len(running) > 2 * jobs:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _read_block(block: list[Contents], tokenizer_config: TokenizerConfig, max_len: int) -> list[Reading]:
    tokenizer = EventTokenizer(tokenizer_config)
    return [_read(sha256, contents, tokenizer, max_len) for sha256, contents in block]


def _read(sha256: str, contents: bytes, tokenizer: EventTokenizer, max_len: int) -> Reading:
    try:
        data = read_midi(contents)
        parts = parts_of(data, tokenizer, max_len, MAX_PARTS)
    except (MidiError, ValueError) as error:
        return Reading(sha256, None, [], str(error))
    if not parts:
        return Reading(sha256, None, [], "it has no notes that the model can read")
    return Reading(sha256, measure(data), parts, None)
