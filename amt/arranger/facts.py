"""What is known of a piece, by the columns of a corpus' table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from amt.arranger.plan import Plan
from amt.midi.programs import DRUMS, program_name

LICENCE = "CC0 1.0"
# Up to so many beats a minute.
SPEEDS = ((60, "very slow"), (84, "slow"), (116, "moderate"), (152, "fast"))
DENSITIES = ((3.0, "sparse"), (7.0, "moderate"), (12.0, "busy"))  # notes a second


def word_for(value: float, table: Sequence[tuple[float, str]], above: str) -> str:
    """The word of the first limit that a value does not pass."""
    return next((word for limit, word in table if value <= limit), above)


def make_facts(planned: Plan, notes: np.ndarray, tempos: Sequence[tuple[int, float]], seconds: float) -> dict[str, Any]:
    """The facts of a piece: plain values that JSON can hold."""
    start, end, pitch, velocity, program, _ = notes.T
    pitched = program != DRUMS
    programs = [int(each) for each in np.unique(program)]
    lengths = (end - start)[pitched].astype(float)
    sounding = _covered(start[pitched], end[pitched])
    notes_per_s = len(notes) / seconds
    velocity_mean = float(velocity.mean())
    mode = "minor" if planned.key.is_minor else "major"
    moods = [mood for mood, needs in planned.style.moods.items() if needs in ("any", mode)]
    used = set(programs)
    parts = {player.spec.name: player.program for player in planned.players if player.program in used}
    if DRUMS in used:
        parts["drums"] = DRUMS
    energy = 0.4 * planned.quarter_bpm / 180 + 0.3 * notes_per_s / 14 + 0.3 * velocity_mean / 100
    facts: dict[str, Any] = {
        "source": "arranger",
        "form": planned.style.name,
        "style": planned.style.name,
        "substyle": planned.style.substyle,
        "family": planned.style.family,
        "seed": planned.seed,
        "licence": LICENCE,
        "attribution": "AMT arranger",
        "share_alike": False,
        "tempo_source": "as composed",
        "has_dynamics": True,
        "duration_s": round(seconds, 1),
        "n_notes": len(notes),
        "notes_per_s": round(notes_per_s, 2),
        "meter": planned.metre.name,
        "meter_changes": 0,
        "tempo_bpm": _plain(planned.tempo_bpm),
        "tempo_unit": "dotted quarter" if planned.metre.is_compound else "quarter",
        "quarter_bpm": _plain(planned.quarter_bpm),
        "tempo_changes": len(tempos) - 1,
        "speed": word_for(planned.tempo_bpm, SPEEDS, "very fast"),
        "programs": programs,
        "instruments": [program_name(each) for each in programs],
        "n_parts": len(programs),
        "drums": DRUMS in used,
        "parts": parts,
        "lead": next((p.program for p in planned.players if p.spec.role == "lead" and p.program in used), None),
        "pitch_min": int(pitch[pitched].min()) if pitched.any() else None,
        "pitch_max": int(pitch[pitched].max()) if pitched.any() else None,
        "pitch_mean": round(float(pitch[pitched].mean()), 1) if pitched.any() else None,
        "polyphony": round(float(lengths.sum()) / sounding, 2) if sounding else None,
        "velocity_mean": round(velocity_mean, 1),
        "velocity_std": round(float(velocity.std()), 1),
        "key": planned.key.name if pitched.any() else None,
        "mode": planned.key.mode if pitched.any() else None,
        "key_source": "source",
        "mood": moods,
        "bars": planned.bars,
        "sections": planned.section_column,
        "chords": planned.chord_column,
        "swing": planned.style.swing is not None,
        "promises": list(planned.style.promises),
        "density": word_for(notes_per_s, DENSITIES, "very busy"),
        "energy": "low" if energy < 0.52 else "medium" if energy < 0.74 else "high",
    }
    if not pitched.any():
        facts["chords"] = []
    return facts


def _plain(value: float) -> float | int:
    return int(value) if value == int(value) else round(value, 2)


def _covered(start: np.ndarray, end: np.ndarray) -> int:
    """Steps at which at least one note sounds."""
    if not len(start):
        return 0
    count = np.zeros(int(end.max()) + 1, np.int32)
    np.add.at(count, start, 1)
    np.add.at(count, end, -1)
    return int((count.cumsum() > 0).sum())
