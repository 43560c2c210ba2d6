"""The table at the end of `pytest benchmarks/`, and its hooks in a run of their own."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

from comparisons import PEERS, Case, Comparisons, Measured, Turns, in_turns, is_installed

ROOT = Path(__file__).parents[2]


def test_the_best_of_each_side_is_compared():
    comparisons = Comparisons()
    row = comparisons.case("decode", "int8")
    row.measured += [
        Measured("plain", True, 9.0, "9 s"),
        Measured("engine", True, 2.0, "2 s"),
        Measured("slow peer", False, 8.0, "8 s"),
        Measured("peer", False, 5.0, "5 s"),
    ]
    row.missing.append("ctranslate2")
    assert row.cells() == ("2 s", "peer 5 s", "2.50", "ctranslate2")
    head, rule, question, case, _, missing = comparisons.lines()
    assert head.split()[0] == "case" and set(rule) == {"-"} and question == "decode"
    assert case.split() == ["int8", "2", "s", "peer", "5", "s", "2.50", "ctranslate2"]
    assert missing == 'not installed: ctranslate2: pip install ".[bench]"'


def test_a_case_without_a_peer_or_with_a_ratio_of_its_own():
    assert Case([Measured("engine", True, 2.0, "2 s")]).cells() == ("2 s", "-", "-", "")
    pair = [Measured("stream", True, 2.0, "2 s"), Measured("generate", False, 3.0, "3 s")]
    assert Case(pair, ratio=1.25, note="as it is").cells() == ("2 s", "generate 3 s", "1.25", "as it is")
    assert Comparisons().lines() == []


def test_turns():
    turns = Turns([1.0, 2.0, 9.0], [2.0, 8.0, 9.0])
    assert (turns.medians, turns.ratio, turns.ratio_of_minima, turns.median_of_ratios) == ((2.0, 8.0), 4.0, 2.0, 0.5)


def test_two_functions_take_turns_and_the_first_round_is_not_counted():
    class Benchmark:
        def pedantic(self, function, *, rounds, warmup_rounds):
            for _ in range(rounds + warmup_rounds):
                function()

    calls = []
    ticks = itertools.count()
    turns = in_turns(
        Benchmark(), lambda: calls.append("ours"), lambda: calls.append("theirs"), rounds=2, clock=lambda: next(ticks)
    )
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert turns == Turns([1, 1], [1, 1])


def test_every_peer_has_a_command_that_installs_it():
    assert all(modules and command.startswith("pip install ") for modules, command in PEERS.values())
    assert is_installed("torch-loop")  # part of AMT


def test_a_run_says_what_starts_and_ends_with_the_table():
    selection = ["benchmarks/bench_attention.py", "-k", "k32-padding-forward", "--all", "--benchmark-only"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *selection]
    # Beside other tests pytest-benchmark would measure nothing.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [line for line in run.stdout.splitlines() if "/6 attention[float32-b4-q512-k32-padding-" in line]
    assert len(lines) == 6 and lines[0].startswith("  1/6 ") and lines[0].endswith(" s")
    table = run.stdout[run.stdout.index("AMT beside others") :]
    assert "float32-b4-q512-k32-padding-forward" in table and "torch " in table
