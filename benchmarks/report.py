"""pytest-benchmark's JSON as readable tables.

python benchmarks/report.py FILE.json [FILE.json ...]
"""

import json
import sys
from pathlib import Path
from typing import Any

Row = list[str]


def duration(seconds: float) -> str:
    """Three digits and the unit that fits."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def value(item: Any) -> str:
    """An extra_info value: large numbers in millions, other numbers with three digits."""
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return str(item)
    if abs(item) >= 1e6:
        return f"{item / 1e6:.3g} M"
    return str(item) if isinstance(item, int) else f"{item:.3g}"


def table(rows: list[Row]) -> str:
    """A Markdown table; the first row is its head. Columns are as wide as they need to be."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine(report: dict[str, Any]) -> str:
    """Where and with what it was measured."""
    info = report["machine_info"]
    cpu = info.get("cpu", {})
    packages = ", ".join(
        f"{name} {version}" for name, version in info.get("packages", {}).items() if version[0].isdigit()
    )
    commit = info.get("commit") or report.get("commit_info", {}).get("id", "unknown")
    lines = [
        f"- machine: {cpu.get('brand_raw', info.get('processor', 'unknown'))}, {cpu.get('count', '?')} cores, "
        f"{info['system']} {info['release']}, {info['machine']}",
        f"- versions: Python {info['python_version']}{', ' + packages if packages else ''}",
        f"- commit: {commit} (+: with changes); measured {report['datetime']}",
    ]
    if "gpu" in info:
        lines.insert(1, f"- GPU: {info['gpu']}")
    return "\n".join(lines)


def render(report: dict[str, Any]) -> str:
    """The machine, then a table for each group, fastest row first; a column for each key of extra_info."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for benchmark in report["benchmarks"]:
        groups.setdefault(benchmark["group"] or "", []).append(benchmark)
    parts = [machine(report)]
    for name, benchmarks in groups.items():
        benchmarks.sort(key=lambda benchmark: benchmark["stats"]["median"])
        extras = list(dict.fromkeys(key for benchmark in benchmarks for key in benchmark["extra_info"]))
        rows = [["benchmark", "median", "min", "rounds", *extras]]
        for benchmark in benchmarks:
            stats = benchmark["stats"]
            times = [duration(stats["median"]), duration(stats["min"]), str(stats["rounds"])]
            infos = [value(benchmark["extra_info"].get(key, "")) for key in extras]
            rows.append([benchmark["name"].removeprefix("test_"), *times, *infos])
        parts.append(f"## {name}\n\n{table(rows)}" if name else table(rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        print(render(json.loads(Path(path).read_text(encoding="utf-8"))), end="\n\n")
