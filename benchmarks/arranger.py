"""How good the arranger's pieces are, style by style.

    python benchmarks/arranger.py [--num 200] [--seed 0] [--jobs 2] [STYLE ...]

For each style: the share of sane pieces, of pieces with the feels that the style promises, notes outside scale and
chords, notes out of their instrument's range, the largest share of bars that two pieces have in common, the share of
pairs without a common run of 25 notes in the lead, pieces a second of CPU time (captions and MIDI bytes included),
different captions, medians of length and notes. It ends with an error if a style misses what docs/arranger.md promises:
99 % sane, 97 % with each feel, no stray note, none out of range, 40 % of bars shared at most, 95 % of pairs distinct.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import multiprocessing
import statistics
import sys
import time
from typing import Any

from amt.arranger.compose import compose
from amt.arranger.library import find_style, styles
from amt.arranger.review import out_of_range, runs, stray_notes
from amt.midi.sanity import bar_contents, has_feel, sanity

MIN_SANE, MIN_FEEL, MAX_SHARED, MIN_DISTINCT = 0.99, 0.97, 0.40, 0.95
COLUMNS = ("style", "sane", "feel", "stray", "range", "shared", "distinct", "speed", "captions", "seconds", "notes")


def measure(name: str, num: int, first: int) -> dict[str, Any]:
    """The row of a style."""
    style = find_style(name)
    has_blues = any(part.scale == "blues" for part in style.parts)
    seconds = 0.0
    pieces = []
    for seed in range(first, first + num):
        start = time.process_time()
        piece = compose(style, seed)
        piece.to_bytes()
        seconds += time.process_time() - start
        pieces.append(piece)
    problems = [sanity(piece.music) for piece in pieces]
    feels: dict[str, list[bool]] = {}
    for piece in pieces:
        for feel in piece.facts["promises"]:
            feels.setdefault(feel, []).append(has_feel(piece.music, feel))
    bars = [[bar for bar in bar_contents(piece.music) if bar] for piece in pieces]
    sets = [set(each) for each in bars]
    pairs = itertools.permutations(range(num), 2)
    shared = max((sum(bar in sets[j] for bar in bars[i]) / len(bars[i]) for i, j in pairs), default=0.0)
    lines = [runs(piece) for piece in pieces]
    apart = [lines[i].isdisjoint(lines[j]) for i, j in itertools.combinations(range(num), 2)]
    is_sane = sum(not each for each in problems) / num
    stray = sum(stray_notes(piece, has_blues=has_blues) for piece in pieces)
    outside = sum(out_of_range(piece) for piece in pieces)
    distinct = sum(apart) / max(1, len(apart))
    met = {
        "sane": is_sane >= MIN_SANE,
        "feel": all(sum(values) / len(values) >= MIN_FEEL for values in feels.values()),
        "stray": stray == 0,
        "range": outside == 0,
        "shared": shared <= MAX_SHARED,
        "distinct": distinct >= MIN_DISTINCT,
    }
    return {
        "style": style.name,
        "sane": f"{is_sane:.3f}",
        "feel": ", ".join(f"{feel} {sum(values) / len(values):.3f}" for feel, values in feels.items()),
        "stray": stray,
        "range": outside,
        "shared": f"{shared:.2f}",
        "distinct": f"{distinct:.3f}",
        "speed": round(num / seconds),
        "captions": len({text for piece in pieces for text in piece.captions}),
        "seconds": round(statistics.median(piece.duration_s for piece in pieces)),
        "notes": round(statistics.median(len(piece.notes) for piece in pieces)),
        "cpu_s": seconds,
        "missed": [name for name, is_met in met.items() if not is_met],
        "problems": sorted({text for each in problems for text in each})[:3],
    }


def main() -> int:
    """Print the table, and what is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*")
    parser.add_argument("--num", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="that of the first piece")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    names = options.styles or list(styles())
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    context = multiprocessing.get_context("spawn")
    cpu_s, missed = 0.0, []
    with concurrent.futures.ProcessPoolExecutor(options.jobs, mp_context=context) as pool:
        for row in pool.map(measure, names, itertools.repeat(options.num), itertools.repeat(options.seed)):
            cells = " | ".join(str(row[column]) for column in COLUMNS)
            print(f"| {cells} | {'; '.join(row['problems'])}".rstrip(), flush=True)
            cpu_s += row["cpu_s"]
            missed += [f"{row['style']}: {name}" for name in row["missed"]]
    print(f"{len(names) * options.num} pieces, {len(names) * options.num / cpu_s:.0f} a second of CPU time")
    print(f"missed: {', '.join(missed) or 'nothing'}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
