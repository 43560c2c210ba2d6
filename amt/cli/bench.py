"""`amt bench`: how fast AMT is on this machine, beside what else could be taken."""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from amt.cli.errors import FAILED, UsageError, checking_options
from amt.cli.progress import progress_bar

if TYPE_CHECKING:
    from amt.bench.rows import Row

bench = typer.Typer(help="Measure how fast AMT is on this machine, beside what else could be taken.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON: the machine and a row for each measurement.")]
Quick = Annotated[bool, typer.Option("--quick", help="Few, small cases and two rounds.")]
Cases = Annotated[
    str | None, typer.Option(metavar="NAMES", help="Only these, with commas between; * stands for anything.")
]
Threads = Annotated[str, typer.Option(metavar="NUMBERS", help="With how many threads, with commas between.")]
Rounds = Annotated[int | None, typer.Option(min=1, max=1000, help="Measured rounds; default: 5, with --quick 2.")]


@bench.command()
def decode(
    as_json: Json = False,
    quick: Quick = False,
    cases: Cases = None,
    threads: Threads = "1",
    rounds: Rounds = None,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Give up on a round that takes longer.")
    ] = 600,
    impls: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these implementations, with commas between.")
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="Print the cases and implementations; measure none.")
    ] = False,
) -> None:
    """Generate tokens with AMT and its peers, in turns. The whole list takes hours: see --cases and --quick."""
    from amt.bench.cases import FULL, QUICK, choose
    from amt.bench.decode import measure_decoding
    from amt.bench.peers import IMPLEMENTATIONS

    if show_list:
        print("\n".join(case.name for case in (QUICK if quick else FULL)))
        print("implementations:", ", ".join(implementation.name for implementation in IMPLEMENTATIONS))
        return
    with checking_options():
        chosen = choose(_words(cases), QUICK if quick else FULL)
    names = _words(impls)
    known = [implementation.name for implementation in IMPLEMENTATIONS]
    for name in names:
        if name not in known:
            raise UsageError(f"there is no implementation {name!r}; choose from {', '.join(known)}")
    num_threads = _numbers(threads)
    with progress_bar("things done") as bar:
        rows = measure_decoding(
            chosen,
            threads=num_threads,
            num_rounds=rounds or (2 if quick else 5),
            timeout_s=timeout,
            implementations=[item for item in IMPLEMENTATIONS if not names or item.name in names],
            progress=lambda what: (bar.set_description_str(what), bar.update()),
        )
        _report(rows, as_json)


@bench.command()
def tokenizer(
    as_json: Json = False,
    quick: Quick = False,
    cases: Cases = None,
    threads: Threads = "1",
    rounds: Rounds = None,
    folder: Annotated[
        str | None, typer.Option("--files", metavar="FOLDER", help="MIDI files; default: some that a script makes.")
    ] = None,
) -> None:
    """Turn MIDI files into tokens and back with AMT and its peers, in turns."""
    from amt.bench.tokenizer import CASES, made_files, measure_tokenizer

    chosen: list[str] = []
    for pattern in _words(cases) or ["*"]:
        fitting = fnmatch.filter(CASES, pattern)
        if not fitting:
            raise UsageError(f"there is no case {pattern!r}; choose from {', '.join(CASES)}")
        chosen += [case for case in fitting if case not in chosen]
    num_threads = _numbers(threads)
    files = made_files(10 if quick else 100) if folder is None else _midi_files(folder)
    with progress_bar("things done") as bar:
        rows = measure_tokenizer(
            chosen,
            files,
            threads=num_threads,
            num_rounds=rounds or (2 if quick else 5),
            progress=lambda what: (bar.set_description_str(what), bar.update()),
        )
        _report(rows, as_json)


@bench.command()
def attention(
    as_json: Json = False,
    quick: Quick = False,
    cases: Cases = None,
    threads: Threads = "1",
    rounds: Rounds = None,
) -> None:
    """Attention on the CPU by each backend, forward and with gradients, in turns."""
    from amt.bench.attention import CASES, AttentionCase, measure_attention

    listed = {case.name: case for case in (CASES[:4] if quick else CASES)}
    chosen: dict[str, AttentionCase] = {}
    for pattern in _words(cases) or ["*"]:
        with checking_options():
            names = fnmatch.filter(listed, pattern) or [AttentionCase.parse(pattern).name]
        chosen |= {name: AttentionCase.parse(name) for name in names}
    num_threads = _numbers(threads)
    with progress_bar("things done") as bar:
        rows = measure_attention(
            list(chosen.values()),
            threads=num_threads,
            num_rounds=rounds or (2 if quick else 5),
            progress=lambda what: (bar.set_description_str(what), bar.update()),
        )
        _report(rows, as_json)


def _midi_files(folder: str) -> list[bytes]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(2, "no such folder", folder)
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    if not paths:
        raise UsageError(f"{folder} holds no .mid or .midi files; name a folder that does")
    return [path.read_bytes() for path in paths]


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _numbers(text: str) -> list[int]:
    words = _words(text)
    if not words or not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 1024 for word in words):
        raise UsageError(f"--threads must be numbers from 1 to 1024 with commas between, as in 1,2; got {text!r}")
    return list(map(int, words))


def _report(rows: Iterable[Row], as_json: bool) -> None:
    from amt.bench.machine import machine

    facts = machine()
    if not as_json:
        print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, load {facts['load_average']}")
    measured = list(rows if as_json else _shown(rows))
    if as_json:
        print(json.dumps({"machine": facts, "rows": [row.to_dict() for row in measured]}, indent=1))
    if all(row.error for row in measured):
        raise typer.Exit(FAILED)


def _shown(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each printed when it is there: a run may take hours."""
    last = None
    for row in rows:
        if (row.case, row.threads) != last:
            last = row.case, row.threads
            print(f"\n{row.case}, {row.threads} thread{'' if row.threads == 1 else 's'}")
            print(f"  {'':22} {'dtype':9} {'ms/step':>9} {'min':>9} {'tokens/s':>10} {'x peer':>7} {'of limit':>9}")
        name = f"{row.impl} {row.setting}".rstrip()
        if row.error:
            print(f"  {name:22} {row.dtype or '':9} no number: {row.error}")
        else:
            print(
                f"  {name:22} {row.dtype or '':9} "
                f"{_number(row.ms_per_step, 9, 3)} {_number(row.ms_per_step_min, 9, 3)} "
                f"{_number(row.tokens_per_s, 10, 0)} {_number(row.ratio_to_best_peer, 7, 2)} "
                f"{_number(row.fraction_of_limit, 9, 2)}"
            )
        sys.stdout.flush()
        yield row


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'' if value is None else format(value, f',.{digits}f'):>{width}}"
