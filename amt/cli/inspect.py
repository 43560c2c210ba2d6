"""`amt inspect`: what a MIDI file holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from amt.cli import files

if TYPE_CHECKING:
    from amt.midi.data import MidiData

MAX_ROWS = 20  # of a table; JSON has all


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A MIDI file; - is stdin.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a MIDI file holds: tempos, metres, keys, instruments, plan, and what had to be repaired."""
    facts = {"file": files.shown(file), **_facts(files.read_midi(file))}
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        _show(facts)


def _facts(data: MidiData) -> dict[str, Any]:
    import numpy as np

    from amt.cli import words
    from amt.midi.programs import DRUMS, program_name
    from amt.midi.units import ticks_to_seconds

    def timed(changes: Sequence[Any], name: str, value: Callable[[Any], object]) -> list[dict[str, Any]]:
        ticks = np.array([change.tick for change in changes], np.int64)
        times_s = ticks_to_seconds(ticks, data.tempos, data.ticks_per_beat).tolist()
        return [
            {"tick": change.tick, "time_s": round(time_s, 3), name: value(change)}
            for change, time_s in zip(changes, times_s, strict=True)
        ]

    programs = np.where(data.notes.is_drum, DRUMS, data.notes.program)
    instruments = []
    for program in np.unique(programs).tolist():
        pitches = data.notes.pitch[programs == program]
        instruments.append(
            {
                "name": program_name(program),
                "program": program,
                "notes": len(pitches),
                "lowest_pitch": int(pitches.min()),
                "highest_pitch": int(pitches.max()),
            }
        )
    return {
        "format": data.format,
        "ticks_per_beat": data.ticks_per_beat,
        "end_ticks": data.end_ticks,
        "duration_s": round(data.duration_s, 3),
        "num_notes": len(data.notes),
        "num_pedals": len(data.pedals),
        "tempos": timed(data.tempos, "bpm", lambda tempo: round(tempo.bpm, 3)),
        "time_signatures": timed(
            data.time_signatures, "time_signature", lambda metre: f"{metre.numerator}/{metre.denominator}"
        ),
        "key_signatures": timed(data.key_signatures, "key_signature", words.key_signature),
        "instruments": instruments,
        "plan": [] if data.plan is None else words.plan_rows(data.plan),
        "repairs": [{"byte_offset": repair.byte_offset, "reason": repair.reason} for repair in data.repairs],
    }


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from amt.cli import words

    console = Console(markup=False, emoji=False, highlight=False)

    def show(title: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        table = Table(*columns, title=title, title_justify="left")
        for row in rows[:MAX_ROWS]:
            table.add_row(*map(str, row))
        console.print(table)
        if len(rows) > MAX_ROWS:
            console.print(f"… and {len(rows) - MAX_ROWS} more; all of them: --json")

    summary = [
        words.duration(facts["duration_s"]),
        words.count(facts["num_notes"], "note"),
        words.count(facts["num_pedals"], "pedal"),
        f"format {facts['format']}",
        f"{facts['ticks_per_beat']} ticks a beat",
    ]
    console.print(f"{facts['file']}: {', '.join(summary)}", soft_wrap=True)
    instruments = [
        (
            row["name"],
            row["notes"],
            *(
                ("", "")
                if row["name"] == "Drums"
                else (words.pitch(row["lowest_pitch"]), words.pitch(row["highest_pitch"]))
            ),
        )
        for row in facts["instruments"]
    ]
    show("Instruments", ("instrument", "notes", "lowest", "highest"), instruments)
    for title, name, value in (
        ("Tempos", "tempos", "bpm"),
        ("Time signatures", "time_signatures", "time_signature"),
        ("Key signatures", "key_signatures", "key_signature"),
    ):
        rows = [(f"{row['time_s']:.2f} s", row["tick"], row[value]) for row in facts[name]]
        show(title, ("from", "tick", value.replace("_", " ")), rows)
    plan = [(row["section"], f"{row['bar']:g}", f"{row['bars']:g}", " ".join(row["chords"])) for row in facts["plan"]]
    show("Plan", ("section", "from bar", "bars", "chords"), plan)
    repairs = [(repair["byte_offset"], repair["reason"]) for repair in facts["repairs"]]
    show("Repairs", ("byte", "what was put right"), repairs)
