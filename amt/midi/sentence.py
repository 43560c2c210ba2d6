"""A piece in one English sentence, said of its facts alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from amt.midi.facts import Facts, key_name
from amt.midi.programs import DRUMS, PROGRAMS

MAX_INSTRUMENTS = 4  # more are counted

# Up to so many notes a second; above the last: very busy. About 15, 50, 30 and 5 % of real pieces.
_DENSITIES = ((3.0, "sparse"), (7.0, "moderately busy"), (12.0, "busy"))

# Where General MIDI says it differently from people.
_SPOKEN = {
    0: "piano", 1: "piano", 2: "electric piano", 3: "honky-tonk piano", 43: "double bass", 46: "harp",
    48: "strings", 49: "strings", 52: "choir", 53: "voice", 54: "synth voice", 60: "French horn", 69: "English horn",
    103: "sci-fi effect", DRUMS: "drums",
}  # fmt: skip


def sentence(facts: Facts) -> str:
    """Like "A piece for violin and piano in D minor, 3/4 time, 96 BPM, moderately busy, about 35 seconds long."

    How busy: notes a second, drums too: up to 3 is sparse, up to 7 moderately busy, up to 12 busy, else very busy.
    """
    if not facts.num_notes:
        return "An empty piece: it has no notes."
    key = "" if facts.key is None else f" in {key_name(facts.key)}"
    words = [
        f"A piece for {_instruments(facts.programs)}{key}",
        "{}/{} time".format(*facts.time_signature),
        f"{facts.tempo_bpm:.0f} BPM",
    ]
    if facts.notes_per_s is not None:
        words.append(next((name for most, name in _DENSITIES if facts.notes_per_s <= most), "very busy"))
    return f"{', '.join([*words, _length(facts.duration_s)])}."


def spoken_program(program: int) -> str:
    """What people call a program: "piano" for 0, "square lead" for 80, "drums" for 128."""
    if program in _SPOKEN:
        return _SPOKEN[program]
    family = re.fullmatch(r"(Lead|Pad|FX) \d \((.*)\)", PROGRAMS[program])
    if family:
        return f"{family[2]} {'effect' if family[1] == 'FX' else family[1].lower()}"
    return re.sub(r" (\(.*\)|\d)$", "", PROGRAMS[program]).lower()


def _instruments(programs: Sequence[int]) -> str:
    names = list(dict.fromkeys(map(spoken_program, programs)))
    if len(names) > MAX_INSTRUMENTS:
        more = len(names) - MAX_INSTRUMENTS + 1
        names = [*names[: MAX_INSTRUMENTS - 1], f"{more} more instruments"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _length(duration_s: float) -> str:
    if duration_s < 0.5:
        return "less than a second long"
    if duration_s < 90:
        number, unit = round(duration_s), "second"
    else:
        number, unit = round(duration_s / 60), "minute"
    number = max(number, 1)
    return f"about {number} {unit}{'' if number == 1 else 's'} long"
