"""What a mask of the grammar costs, plain and with every constraint.

    pytest benchmarks/bench_grammar.py --benchmark-only --benchmark-json=grammar.json
    python benchmarks/report.py grammar.json

A round makes the mask before each token of real pieces and takes the token, as a search does; CPU time of the process.
"""

import dataclasses
import time

import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.limits import Constraints
from amt.midi.native import native
from amt.midi.tokenizer import EventTokenizer

GROUP = "mask + advance, one thread"
NUM_TOKENS = 50_000
ALL = Constraints(
    max_polyphony=64,
    max_note_steps=16 * 24,
    min_steps=1 << 20,
    max_steps=1 << 21,
    min_us=1 << 37,
    max_us=1 << 38,
    max_rest_steps=8 * 24,
    max_filler_tokens=24,
    programs=tuple(range(129)),
    required_programs=(127,),
    max_programs=64,
    pitch_classes=tuple(range(12)),
    min_pitch=(0,) * 129,
    max_pitch=(127,) * 129,
    tempo_min_index=0,
    tempo_max_index=60,
)
# Programs next to each other differ, so that notes are due in another order than they began in.
OF_EACH = dataclasses.replace(ALL, max_note_steps=tuple(24 * (16 - program % 9) for program in range(129)))
CASES = {
    "plain": (Constraints(), 1_000_000),
    "all": (ALL, 1_000_000),
    "all, without a budget": (ALL, None),
    "all, a longest note for each program": (OF_EACH, 1_000_000),
}

pytestmark = [
    pytest.mark.benchmark(timer=time.process_time),
    pytest.mark.skipif(native is None, reason="amt._midi is not built"),
]


@pytest.fixture(scope="module")
def rows(midi_files):
    """Token ids of real pieces."""
    rows, tokenizer = [], EventTokenizer()
    for data in midi_files[1][::3]:
        rows.append(tokenizer.encode(data).ids.tolist())
        if sum(map(len, rows)) > NUM_TOKENS:
            break
    return rows


@pytest.mark.parametrize("case", CASES)
def test_mask(benchmark, rows, case):
    constraints, remaining = CASES[case]
    grammar = Grammar(TokenizerConfig(), constraints)

    def run():
        num_tokens = 0
        for row in rows:
            state = grammar.start()
            for token_id in row:
                state.allowed(remaining)
                num_tokens += 1
                try:
                    state.advance(token_id)
                except ValueError:  # a note that is longer than the constraint
                    break
        return num_tokens

    benchmark.group = GROUP
    num_tokens = benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    benchmark.extra_info["us_per_token"] = benchmark.stats.stats.min / num_tokens * 1e6
    assert num_tokens > 0
