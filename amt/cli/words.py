"""Numbers as musicians say them."""

from __future__ import annotations

from collections.abc import Sequence

from amt.midi.elements import KeySignature
from amt.midi.plan import CHORD_NAMES, Plan
from amt.midi.programs import DRUM_NAMES, program_name
from amt.midi.theory import name_in_fifths
from amt.midi.vocabulary import SECTIONS, Event, Vocabulary, time_signature

MAX_LISTED = 6


def count(number: int, noun: str) -> str:
    """ "1 note", "1,234 notes"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """ "0.6 s", "42 s", "3 min 5 s"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def listing(names: Sequence[str]) -> str:
    """The names with commas between; the first few of many."""
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def pitch(number: int) -> str:
    """ "C4" for 60, "D♯4" for 63."""
    name = name_in_fifths((7 * number + 1) % 12 - 1)  # F to A sharp
    return f"{_with_signs(name)}{number // 12 - 1}"


def key_signature(signature: KeySignature) -> str:
    """ "D minor", "B♭ major"."""
    tonic = name_in_fifths(signature.sharps + (3 if signature.is_minor else 0))
    return f"{_with_signs(tonic)} {'minor' if signature.is_minor else 'major'}"


def plan_rows(plan: Plan) -> list[dict[str, object]]:
    """The sections of a plan: the bar where each begins, from 1, its bars, and the chords of each."""
    return [
        {
            "section": section.name,
            "bar": start / 2 + 1,
            "bars": section.half_bars / 2,
            "chords": section.bar_names,
        }
        for section, start in zip(plan.sections, plan.starts, strict=True)
    ]


def _with_signs(name: str) -> str:
    return name.replace("#", "♯").replace("b", "♭")


def event_value(event: Event, vocabulary: Vocabulary, *, is_drum: bool) -> str:
    """The value of a token's event: a pitch, a length, an instrument; "" if it has none."""
    kind, value = event
    config = vocabulary.config
    if kind == "note_on" and is_drum and value in DRUM_NAMES:
        return DRUM_NAMES[value]
    if kind in ("note_on", "note_off"):
        return pitch(value)
    if kind == "time_shift" and config.preset == "score":
        return f"{value / config.steps_per_beat:.4g} beats"
    if kind == "time_shift":
        return f"{value * config.step_ms} ms"
    if kind == "velocity":
        return str(vocabulary.bin_velocity(value))
    if kind == "program":
        return program_name(value)
    if kind == "tempo":
        return str(config.tempos_bpm[value])
    if kind == "time_signature":
        return "/".join(map(str, time_signature(value)))
    if kind == "section":
        return SECTIONS[value]
    if kind == "chord":
        return CHORD_NAMES[value]
    if kind == "bars":
        return f"{value / 2:g} bars"
    return ""
