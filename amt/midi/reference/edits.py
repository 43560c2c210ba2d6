"""Rows that ask for an edit, in plain Python: a context with holes, and what fills them. docs/tokens.md, "Edits".

Its twin is csrc/midi/edits.cpp.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from amt.midi.config import TokenizerConfig
from amt.midi.reference.holes import ALL, MAX_HOLE_TOKENS, HoleTrack, is_missing
from amt.midi.vocabulary import DRUMS, Vocabulary, vocabulary_of

Key = tuple[int, int, int]
MAX_STEPS = 1 << 22  # where the last hole has ended
PLAN_KINDS = ("section", "chord", "bars")
# The order of a step: metre, tempo, holes of all, then program by program these.
HOLE, NOTE_OFF, PEDAL_OFF, PEDAL_ON, NOTE_ON = range(5)


class StepHole(NamedTuple):
    """A hole in steps: a program, or ALL, is missing from `start` up to `end`."""

    program: int
    start: int
    end: int


@dataclasses.dataclass
class _Note:
    program: int
    pitch: int  # -1: a pedal
    start: int
    bin: int
    end: int = -1  # drums have none


class _Music(NamedTuple):
    header: list[int]  # bos, time signature, tempo, plan: tokens
    changes: list[tuple[int, Key, int]]  # step, order, token
    notes: list[_Note]  # and pedals


def edit_row(
    ids: Sequence[int], holes: Iterable[StepHole], config: TokenizerConfig, end_step: int | None = None
) -> list[int]:
    """A row of music as an edit: what lies in the holes stands behind what does not.

    Args:
        ids: of music: the header, and whatever follows it.
        holes: those of one program lie outside of those of all, and none touches another.
        config: of the tokenizer.
        end_step: the music is cut off there; None: nowhere.

    Raises:
        ValueError: the ids are no music with a header, or the holes overlap or are too many.
    """
    vocabulary = vocabulary_of(config)
    track, starts = _track(holes)
    music = _read(ids, vocabulary, end_step)
    context = [(step, key, token, -1) for step, key, token in music.changes]
    for step, place, program in track.changes:
        key = (-1, 2, 0) if place >= 2 else (program, HOLE, 0)
        context.append((step, key, vocabulary.token_id("hole", place), -1))
    parts: list[list[tuple[int, Key, int, int]]] = [[] for _ in starts]
    for note in music.notes:
        if not is_missing(track.missing_at(note.start), note.program):
            context += _events(note, vocabulary, None)
            continue
        place = max(index for index, (start, _) in enumerate(starts) if start <= note.start)
        parts[place] += _events(note, vocabulary, starts[place][1])
    row = [*music.header, vocabulary.token_id("edit"), *_tokens(context, 0, vocabulary)]
    for (start, _), part in zip(starts, parts, strict=True):
        row += [vocabulary.token_id("fill"), *_tokens(part, start, vocabulary)]
    return [*row, vocabulary.token_id("eos")]


def _track(holes: Iterable[StepHole]) -> tuple[HoleTrack, list[tuple[int, int]]]:
    """What the hole tokens say, and the parts to be filled."""
    changes: list[tuple[int, int, int, int]] = []  # step, place of the group, value, program
    holes = sorted(holes)
    for before, hole in zip([None, *holes], holes, strict=False):
        if hole.end > MAX_STEPS:
            raise ValueError(f"a hole ends at step {MAX_STEPS} at the latest")
        if not 0 <= hole.start < hole.end or not ALL <= hole.program <= DRUMS:
            raise ValueError(f"a hole is a program, a first step and a later one, got {tuple(hole)}")
        if before is not None and before.program == hole.program and before.end >= hole.start:
            raise ValueError(f"holes of one program may not touch, got {tuple(before)} and {tuple(hole)}")
    of_all = [hole for hole in holes if hole.program == ALL]
    for hole in holes:
        is_of_all = hole.program == ALL
        group, value = (-1, 2) if is_of_all else (hole.program, 0)
        if not is_of_all and any(hole.start < other.end and other.start < hole.end for other in of_all):
            raise ValueError(f"a hole of all programs covers {tuple(hole)}; leave that out there")
        changes.append((hole.start, group, value, hole.program))
        # Where all are missing from there on, nobody says that one is back.
        if is_of_all or not any(other.start == hole.end for other in of_all):
            changes.append((hole.end, group, value + 1, hole.program))
    if not changes:
        raise ValueError("an edit needs a hole")
    if len(changes) > MAX_HOLE_TOKENS:
        raise ValueError(f"an edit has at most {MAX_HOLE_TOKENS} hole tokens, these holes need {len(changes)}")
    track = HoleTrack()
    for step, _, place, program in sorted(changes):
        assert track.take(step, place, program), "a hole that says nothing"
    return track, track.intervals()


def _read(ids: Sequence[int], vocabulary: Vocabulary, end_step: int | None) -> _Music:
    """The music of ids, as `decode` reads them."""
    events = [vocabulary.event(token_id) for token_id in ids]
    if [event.kind for event in events[:3]] != ["bos", "time_signature", "tempo"]:
        raise ValueError("an edit is made of music that begins with bos, time_signature, tempo")
    num_given = 3
    while num_given < len(events) and events[num_given].kind in PLAN_KINDS:
        num_given += 1
    music = _Music([int(token_id) for token_id in ids[:num_given]], [], [])
    now = program = 0
    bins: dict[int, int] = {}
    sounding: dict[tuple[int, int], _Note] = {}  # with pedals; of drums the last hit

    def end(note: _Note, step: int) -> None:
        note.end = step
        if step > note.start:
            music.notes.append(note)

    for position in range(num_given, len(ids)):
        kind, value = events[position]
        if kind == "eos":
            break
        if kind == "time_shift":
            if end_step is not None and now + value >= end_step:
                now = end_step
                break
            now += value
        elif kind == "program":
            program = value
        elif kind == "velocity":
            bins[vocabulary.config.velocity_holder(program)] = value
        elif kind in ("time_signature", "tempo"):
            music.changes.append((now, (-1, 0 if kind == "time_signature" else 1, 0), int(ids[position])))
        elif kind == "note_on":
            place = program, value
            held = bins.get(vocabulary.config.velocity_holder(program), vocabulary.config.num_velocities // 2)
            note = _Note(program, value, now, held)
            if program == DRUMS:
                if place not in sounding or sounding[place].start < now:
                    music.notes.append(note)
                    sounding[place] = note
                continue
            if place in sounding:
                end(sounding.pop(place), now)
            sounding[place] = note
        elif kind == "note_off":
            if program != DRUMS and (program, value) in sounding:
                end(sounding.pop((program, value)), now)
        elif kind == "pedal_on":
            if program != DRUMS and (program, -1) not in sounding:
                sounding[program, -1] = _Note(program, -1, now, 0)
        elif kind == "pedal_off":
            if (program, -1) in sounding:
                end(sounding.pop((program, -1)), now)
        elif kind in PLAN_KINDS or kind in ("edit", "hole", "fill"):
            raise ValueError(f"an edit is made of music alone, got {kind} at position {position}")
    for note in sounding.values():
        if note.program != DRUMS:
            end(note, now if note.pitch < 0 else max(now, note.start + 1))
    return music


def _events(note: _Note, vocabulary: Vocabulary, latest_end: int | None) -> Iterable[tuple[int, Key, int, int]]:
    """The events of a note or pedal: step, order, token, velocity bin (-1: none)."""
    is_pedal = note.pitch < 0
    on, off = (PEDAL_ON, PEDAL_OFF) if is_pedal else (NOTE_ON, NOTE_OFF)
    names = ("pedal_on", "pedal_off") if is_pedal else ("note_on", "note_off")
    value = max(note.pitch, 0)
    yield note.start, (note.program, on, value), vocabulary.token_id(names[0], value), -1 if is_pedal else note.bin
    if note.program != DRUMS:
        end = note.end if latest_end is None else min(note.end, latest_end)
        yield end, (note.program, off, value), vocabulary.token_id(names[1], value), -1


def _tokens(events: list[tuple[int, Key, int, int]], start: int, vocabulary: Vocabulary) -> Iterable[int]:
    """Events in order, with the ways between them and what is in force."""
    now, in_force = start, -1
    bins: dict[int, int] = {}
    largest = vocabulary.config.max_time_shift
    for step, (program, _, _), token, velocity_bin in sorted(events):
        while step > now:
            shift = min(step - now, largest)
            now += shift
            yield vocabulary.token_id("time_shift", shift)
        if program >= 0 and program != in_force:
            in_force = program
            yield vocabulary.token_id("program", program)
        holder = vocabulary.config.velocity_holder(program)
        if velocity_bin >= 0 and velocity_bin != bins.get(holder):
            bins[holder] = velocity_bin
            yield vocabulary.token_id("velocity", velocity_bin)
        yield token
