"""The plan that a piece of a corpus is prepared with: what its table says, or what its notes let one guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amt.midi.data import MidiData
from amt.midi.plan import Plan
from amt.midi.plan_columns import plan_of_columns
from amt.midi.plan_estimate import estimate_plan, only_metre


def plan_of_piece(midi: MidiData, row: Mapping[str, Any]) -> Plan | None:
    """The plan of a piece: that of its file, of the columns `sections` and `chords`, or an estimate.

    None if the metre changes.
    """
    if midi.plan is not None:
        return midi.plan
    if only_metre(midi) is None:
        return None
    return plan_of_columns(row.get("sections"), row.get("chords")) or estimate_plan(midi)
