"""Random music for tests: configurations of tokens, pieces in ticks, and walks through the grammar."""

from __future__ import annotations

import random
from typing import Any, Literal

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, Tempo, TimeSignature
from amt.midi.limits import MANY, Constraints
from amt.midi.plan import SAME_SECTION, Plan
from amt.midi.reference.edits import StepHole
from amt.midi.reference.grammar import GrammarState
from amt.midi.reference.holes import ALL
from amt.midi.vocabulary import DRUMS, NUM_CHORDS, SECTIONS


def random_config(rng: random.Random) -> TokenizerConfig:
    """Any legal configuration; limits lie so that pieces and walks meet them, or meet each other."""
    presets: tuple[Literal["score"], Literal["performance"]] = ("score", "performance")
    max_time_shift = rng.choice([0, 1, 2, 3, 10, 96, 1000, 4096])
    max_gap_steps = rng.choice([0, 1, 2, 7, 50, 1 << 20, *(max(1, max_time_shift + more) for more in (-1, 0, 1, 90))])
    bpm = rng.sample(range(4, 1001), rng.choice([1, 2, 2, 5, 61, 512]))
    preset = rng.choice(presets)
    return TokenizerConfig(
        preset,
        version=rng.choice([1, 2]) if preset == "score" else 1,
        step_ms=rng.choice([1, 2, 4, 5, 10, 20, 25, 50, 100]),
        steps_per_beat=rng.choice([1, 2, 3, 4, 5, 12, 24, 97, 480, 960]),
        max_time_shift=max_time_shift,
        num_velocities=rng.choice([1, 2, 4, 8, 16, 32, 64]),
        max_gap_steps=max_gap_steps,
        tempos_bpm=tuple(sorted(bpm)),
    )


def random_piece(rng: random.Random) -> MidiData:
    """A short piece in which everything happens: chords, repeated notes, overlaps, drums, pedals, rests, changes."""
    ticks_per_beat = rng.choice([1, 7, 24, 96, 480, 1000])
    unit = rng.choice([1, 2, 13, max(1, ticks_per_beat // 4), ticks_per_beat])

    def tick() -> int:
        rest = rng.choice([0] * 9 + [70 * ticks_per_beat])
        return unit * rng.randrange(20) + rest

    def span() -> tuple[int, int]:
        start = tick()
        return start, start + rng.choice([0, 1, unit, unit * rng.randrange(30)])

    programs = rng.sample(range(128), 3)
    pitches = rng.sample(range(128), 4)
    velocities = [1, 64, 65, 127]
    notes = []
    for _ in range(rng.randrange(30)):
        pitch, velocity, program = rng.choice(pitches), rng.choice(velocities), rng.choice(programs)
        notes.append(Note(*span(), pitch, velocity, program, rng.random() < 0.2))
    pedals = [PedalSpan(*span(), rng.choice(programs), rng.random() < 0.1) for _ in range(rng.randrange(5))]
    tempos = [Tempo(tick(), rng.choice([1, 250_000, 500_000, 512_345, 16_777_215])) for _ in range(rng.randrange(4))]
    signatures = [
        TimeSignature(tick(), rng.choice([1, 3, 4, 16, 17]), rng.choice([1, 4, 8, 32])) for _ in range(rng.randrange(4))
    ]
    plan = Plan.from_half_bars(*random_plan(rng, rng.choice([1, 2, 9, 80]))) if rng.random() < 0.5 else None
    return MidiData(notes, pedals, tempos, signatures, ticks_per_beat=ticks_per_beat, plan=plan)


def random_plan(rng: random.Random, half_bars: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For each half bar the section that begins there, or `SAME_SECTION`, and a chord; neighbours are often equal."""
    sections, chords = [rng.randrange(len(SECTIONS))], [rng.randrange(NUM_CHORDS)]
    rarely = rng.choice([0.02, 0.3, 0.8])
    while len(chords) < half_bars:
        sections.append(rng.randrange(len(SECTIONS)) if rng.random() < rarely else SAME_SECTION)
        chords.append(rng.choice([0, 1, 74, rng.randrange(NUM_CHORDS)]) if rng.random() < rarely else chords[-1])
    return tuple(sections), tuple(chords)


def random_walk(state: GrammarState, rng: random.Random, num_tokens: int) -> list[int]:
    """Advance a state to `eos` by at most `num_tokens` tokens: first a random kind that may follow, then its token."""
    ids: list[int] = []
    while not state.is_finished:
        ids_of_kind: dict[str, list[int]] = {}
        for token_id in np.flatnonzero(state.allowed(num_tokens - len(ids))):
            ids_of_kind.setdefault(state.vocabulary.events[token_id].kind, []).append(int(token_id))
        if len(ids_of_kind) > 1 and rng.random() < 0.8:
            ids_of_kind.pop("eos", None)
        candidates = ids_of_kind[rng.choice(sorted(ids_of_kind))]
        # Few different values, so that pitches and programs meet again.
        ids.append(rng.choice(candidates[:3] if rng.random() < 0.5 else candidates))
        state.advance(ids[-1])
    return ids


def random_holes(rng: random.Random, programs: list[int], unit: int) -> list[StepHole]:
    """Holes of some programs, and of all, as `edit_row` takes them: they overlap in time and touch each other."""
    times = sorted(unit * time for time in rng.sample(range(12), rng.choice([2, 2, 4])))
    of_all = [StepHole(ALL, times[0], times[1])] if rng.random() < 0.4 else []
    holes = list(of_all)
    for program in rng.sample(programs, rng.randrange(0 if of_all else 1, len(programs) + 1)):
        start, end = sorted(rng.sample(range(14), 2))
        hole = StepHole(program, unit * start, unit * end)
        for other in of_all:  # leave out what that covers
            if other.start <= hole.start < other.end:
                hole = hole._replace(start=other.end)
            elif hole.start < other.start < hole.end:
                hole = hole._replace(end=other.start)
        if hole.start < hole.end:
            holes.append(hole)
    return holes or [StepHole(programs[0], 0, unit)]


def _note_steps(rng: random.Random) -> tuple[int, ...]:
    """A longest note for each program, some of them free: notes are not due in the order in which they begin."""
    return tuple(rng.choice([1, 2, 3, 5, 12, 40, MANY]) for _ in range(DRUMS + 1))


def _voices(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.choice([1, 1, 2, 3, MANY]) for _ in range(DRUMS + 1))


def random_constraints(rng: random.Random, config: TokenizerConfig) -> Constraints:
    """Any constraints, most of them free, the others so tight that they meet."""

    def some(*values: Any) -> Any:
        return rng.choice([None, None, *values])

    while True:
        given = {
            "max_polyphony": some(1, 2, 3),
            "max_voices": some(_voices(rng), _voices(rng)),
            "max_top_run": some(1, 2, 3),
            "max_note_steps": some(1, 2, 3, 5, 12, _note_steps(rng), _note_steps(rng)),
            "min_steps": some(1, 5, 12),
            "max_steps": some(1, 2, 3, 5, 20),
            "min_us": some(100_000, 1_000_000),
            "max_us": some(100_000, 500_000, 3_000_000),
            "max_rest_steps": some(1, 2, 5, 9),
            "max_filler_tokens": some(1, 2, 5, 12),
            "pitch_classes": some((0,), (0, 4, 7)),
            "min_pitch": some((36,) * 129, tuple(program % 90 for program in range(129))),
            "max_pitch": some((80,) * 129, tuple(127 - program % 90 for program in range(129))),
        }
        if config.preset == "score":
            given |= {
                "min_bars": some(1, 2, 3),
                "max_bars": some(1, 2, 4),
                "whole_bars": some(True),
                "programs": some((DRUMS,), (3,), (0, 3, DRUMS), (0, 127)),
                "required_programs": some((3,), (0, DRUMS), (0, 3)),
                "entry_by_step": some(0, 1, 4),
                "max_programs": some(1, 2, 3),
                "tempo_index": some(1),
                "tempo_min_index": some(0, 1),
                "tempo_max_index": some(0, 1, 30),
                "time_signature_index": some(17),
            }
        if config.has_plans_and_edits:
            sections, chords = random_plan(rng, rng.choice([1, 2, 5, 40, 70]))
            given |= {
                "max_plan_half_bars": some(0, 3, 70),
                "plan_sections": some(sections),
                "plan_chords": some(chords),
            }
        try:
            constraints = Constraints(**given)
            constraints.check_for(config)
        except ValueError:  # they contradict each other
            continue
        return constraints
