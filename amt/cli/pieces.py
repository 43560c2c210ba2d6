"""Pieces that a model wrote: their files, and what is said of them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amt.cli import files
from amt.cli.errors import UsageError, warn

if TYPE_CHECKING:
    from amt.generation.piece import Piece


def names_of_pieces(output: str | None, default: str, num: int, *, as_json: bool) -> list[str]:
    """The names of new MIDI files, which can be written; those that nobody chose are not there yet."""
    if output == files.STANDARD and (num > 1 or as_json):
        raise UsageError("-o - writes one MIDI file to stdout and nothing else; name a file for --num or --json")
    names = files.numbered(output or default, num)
    for name in names:
        files.check_output(name)
        if output is None and Path(name).exists():
            raise FileExistsError(f"{name} is there already; name the new file, as in: -o {Path(name).stem}-new.mid")
    return names


def write_pieces(names: Sequence[str], pieces: Sequence[Piece], *, as_json: bool) -> None:
    """Write the files, and say what is in them."""
    for name, piece in zip(names, pieces, strict=False):  # beam search may find fewer
        files.write_music(name, piece.music)
        if as_json:
            print(json.dumps(_facts(name, piece), ensure_ascii=False))
        else:
            plan = [] if piece.plan is None else [f"  plan: {piece.plan}"]
            for line in (_sentence(name, piece), *plan, *(f"  {row}" for row in piece.report)):
                print(line, file=sys.stderr if name == files.STANDARD else sys.stdout)


def warn_of(pieces: Sequence[Piece]) -> None:
    """Print the warnings, each once."""
    for warning in dict.fromkeys(warning for piece in pieces for warning in piece.warnings):
        warn(warning)


def _facts(name: str, piece: Piece) -> dict[str, Any]:
    return {
        "path": name,
        "text": piece.text,
        "seed": piece.seed,
        "num_tokens": len(piece.tokens),
        "num_notes": len(piece.notes),
        "duration_s": round(piece.duration_s, 3),
        "instruments": piece.instruments,
        "plan": None if piece.plan is None else str(piece.plan),
        "backend": piece.backend,
        "backend_reason": piece.backend_reason,
        "report": [dataclasses.asdict(row) for row in piece.report],
        "warnings": piece.warnings,
    }


def _sentence(name: str, piece: Piece) -> str:
    from amt.cli import words

    facts = [
        words.duration(piece.duration_s),
        words.listing(piece.instruments) or "no instruments",
        words.count(len(piece.notes), "note"),
    ]
    facts += [] if piece.seed is None else [f"seed {piece.seed}"]
    return f"{name}: {', '.join(facts)}"
