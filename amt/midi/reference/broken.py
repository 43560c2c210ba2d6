"""Which constraints a token sequence breaks, read from its tokens alone: what judges the grammar in tests."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from amt.midi.config import TokenizerConfig
from amt.midi.limits import Constraints
from amt.midi.plan import SAME_SECTION
from amt.midi.vocabulary import DRUMS, vocabulary_of

# Those that yield where they cannot be kept: no token left, no voice free, no time.
DEMANDS = (
    "min_steps",
    "min_us",
    "max_rest_steps",
    "max_filler_tokens",
    "required_programs",
    "entry_by_step",
)
# What may stand between the last filler that is allowed and the note: program and velocity.
FILLERS_BEFORE_A_NOTE = 2


def broken(ids: Sequence[int], config: TokenizerConfig, given: Constraints) -> set[str]:
    """The names of the constraints that the sequence, up to `eos`, does not keep."""
    vocabulary = vocabulary_of(config)
    is_broken: dict[str, bool] = {}

    def check(name: str, is_kept: bool) -> None:
        is_broken[name] = is_broken.get(name, False) or not is_kept

    def at_most(name: str, value: int) -> None:
        limit = getattr(given, name)
        check(name, limit is None or value <= limit)

    now = elapsed_us = last_sound = 0
    us_scale, step_us = (config.steps_per_beat, 0) if config.preset == "score" else (1, 1000 * config.step_ms)
    program, num_fillers = 0, 0
    starts: dict[tuple[int, int], int] = {}
    tops: dict[int, int] = {}  # step: the highest non-drum pitch that begins there
    entries: dict[int, int] = {}
    users: set[int] = set()
    sections: list[int] = []  # of each half bar of the plan the section that begins there, and the chord
    chords: list[int] = []
    half_bars = 0
    for position, (kind, value) in enumerate(map(vocabulary.event, ids)):
        is_filler = kind not in ("note_on", "note_off", "section", "chord", "bars")
        num_fillers += is_filler and position > (2 if config.preset == "score" else 0)
        if kind == "time_shift":
            now += value
            elapsed_us += value * step_us
            last_sound = now if starts else last_sound
            at_most("max_rest_steps", now - last_sound)
        elif kind == "program":
            program = value
        elif kind == "tempo":
            step_us = vocabulary.tempo_us_per_beat(value)
            if given.tempo_index is not None:
                check("tempo_index", value == given.tempo_index)
            else:
                at_most("tempo_max_index", value)
                check("tempo_min_index", value >= (given.tempo_min_index or 0))
        elif kind == "time_signature" and given.time_signature_index is not None:
            check("time_signature_index", value == given.time_signature_index)
        elif kind == "section":
            sections += [value]
        elif kind == "bars":
            half_bars = value
        elif kind == "chord":
            chords += [value] * half_bars
            sections += [SAME_SECTION] * (len(chords) - len(sections))
        elif kind == "note_on":
            at_most("max_filler_tokens", num_fillers - FILLERS_BEFORE_A_NOTE)
            num_fillers, last_sound = 0, now
            entries.setdefault(program, now)
            check("playable", value in given.playable(program))
            if program != DRUMS:
                starts[program, value] = now
                tops[now] = max(value, tops.get(now, 0))
                at_most("max_polyphony", len(starts))
                voices = sum(other == program for other, _ in starts)
                check("max_voices", given.max_voices is None or voices <= given.max_voices[program])
        elif kind == "note_off":
            longest, length = given.longest_note(program), now - starts.pop((program, value))
            check("max_note_steps", longest is None or length <= longest)
        if kind in ("note_on", "pedal_on"):
            users.add(program)
            check("programs", bool(given.playable(program)))
    if not any(len(given.playable(each)) == 1 for each in range(DRUMS)):
        at_most("max_top_run", max((sum(1 for _ in run) for _, run in groupby(tops.values())), default=0))
    at_most("max_plan_half_bars", len(chords))
    check("plan_sections", given.plan_sections in (None, tuple(sections)))
    check("plan_chords", given.plan_chords in (None, tuple(chords)))
    at_most("max_programs", len(users))
    at_most("max_steps", now)
    check("max_us", given.max_us is None or elapsed_us <= given.max_us * us_scale)
    check("min_steps", now >= (given.min_steps or 0))
    check("min_us", elapsed_us >= (given.min_us or 0) * us_scale)
    for required in given.required_programs or ():
        check("required_programs", required in entries)
        at_most("entry_by_step", entries.get(required, 0))
    return {name for name, is_so in is_broken.items() if is_so}
