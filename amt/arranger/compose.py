"""One piece, from its plan to its notes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from amt.arranger.arrangement import Arrangement
from amt.arranger.bass import play_bass, play_walk
from amt.arranger.captions import make_captions
from amt.arranger.chorale import compose_chorale, play_chorale
from amt.arranger.comping import play_arpeggio, play_chords, play_drone
from amt.arranger.drums import play_drums
from amt.arranger.ending import final_hits, final_notes
from amt.arranger.facts import make_facts
from amt.arranger.followers import play_answer, play_counter, play_double, play_harmony
from amt.arranger.form import LEVELS, Section
from amt.arranger.harmony import Harmony
from amt.arranger.imitation import play_imitation
from amt.arranger.melody import play_melody
from amt.arranger.performance import TICKS_PER_STEP, Chunk, as_rows, assemble, seconds_at, slowed
from amt.arranger.plan import Plan, Wanted, plan
from amt.arranger.riffs import play_riff
from amt.arranger.stage import PartNote, Player, Stage
from amt.arranger.style import Style
from amt.midi.data import MidiData, NoteTable
from amt.midi.elements import KeySignature, Tempo, TimeSignature
from amt.midi.programs import DRUMS

PLAYS: dict[str, Callable[[Stage, Player, Section, Harmony], list[PartNote]]] = {
    "chords": play_chords,
    "arpeggio": play_arpeggio,
    "bass": play_bass,
    "walk": play_walk,
    "melody": play_melody,
    "riff": play_riff,
    "double": play_double,
    "harmony": play_harmony,
    "counter": play_counter,
    "answer": play_answer,
    "imitation": play_imitation,
    "drone": play_drone,
    "chorale": play_chorale,
}
# What plays the same again when a section comes back with the same chords.
_SAME_AGAIN = ("chords", "arpeggio", "bass", "riff", "drone", "counter")


def compose(style: Style, seed: int, wanted: Wanted | None = None) -> Arrangement:
    """Compose one piece; the same style, seed and wishes give the same piece."""
    planned = plan(style, seed, wanted or Wanted())
    rng = random.Random(f"{planned.style.name}/{seed}/notes")
    stage = Stage(
        style=planned.style,
        rng=rng,
        metre=planned.metre,
        is_first_metre=planned.metre.name == planned.style.plain_metre,
        key=planned.key,
        quarter_bpm=planned.quarter_bpm,
        has_bass=any(player.spec.role == "bass" for player in planned.players),
    )
    chunks = _play_sections(stage, planned)
    notes = assemble(chunks, planned.style.swing)
    tempos: list[tuple[int, float]] = [(0, planned.quarter_bpm)]
    if planned.style.ending.has_ritardando and planned.bars > 3:
        tempos = slowed(planned.quarter_bpm, planned.bars, planned.metre.bar)
    score, is_passing = _score(notes, tempos, planned)
    seconds = seconds_at(int(notes[:, 1].max()), tempos)
    facts = make_facts(planned, notes, tempos, seconds)
    return Arrangement(score, facts, tuple(make_captions(planned, facts)), is_passing)


def _play_sections(stage: Stage, planned: Plan) -> list[Chunk]:
    chunks: list[Chunk] = []
    cache: dict[tuple[object, ...], tuple[list[PartNote], np.ndarray]] = {}
    bar = planned.metre.bar
    levels = {**LEVELS, **planned.style.levels}
    last_pitches: dict[str, int] = {}
    for number, section in enumerate(planned.sections):
        following = planned.final
        if number + 1 < len(planned.sections):
            following = planned.progression[number + 1][0][0]
        harmony = Harmony(planned.progression[number], planned.metre, following)
        level, offset = levels.get(section.name, 0.95), section.start * bar
        stage.lines = {}
        if planned.has_drums:
            before = planned.sections[number - 1] if number else None
            hits = play_drums(stage, section, before, number + 1 == len(planned.sections))
            chunks.append(Chunk(as_rows(hits), offset, level, DRUMS))
        for player in planned.players:
            if not player.spec.plays_in(section.name):
                continue
            key = (player.spec.name, section.name, harmony.bars, following)
            if player.spec.play in _SAME_AGAIN and key in cache:
                notes, rows = cache[key]
            else:
                notes = PLAYS[player.spec.play](stage, player, section, harmony)
                rows = as_rows(notes)
                cache[key] = notes, rows
            stage.lines[player.spec.name] = notes
            if notes:
                last_pitches[player.spec.name] = notes[-1][2]
                chunks.append(Chunk(rows, offset, level, player.program))
    chunks += _play_ending(stage, planned, last_pitches, levels.get(planned.sections[-1].name, 0.95))
    return chunks


def _play_ending(stage: Stage, planned: Plan, last_pitches: dict[str, int], level: float) -> list[Chunk]:
    offset = planned.sections[-1].end * planned.metre.bar
    chunks = []
    last = planned.sections[-1].name
    singers = [player for player in planned.players if player.spec.play == "chorale"]
    end = Section("end", False, planned.sections[-1].end, 1)
    harmony = Harmony(((planned.final,),), planned.metre, planned.final)
    if singers:
        memo = stage.memo.setdefault("chorale voices", singers[0])
        voices = compose_chorale(stage, memo, end, harmony)
        stage.memo["chorale", end.start] = tuple(
            [(0, max(24, planned.metre.bar - 2), voice[-1][2], voice[-1][3], False)] for voice in voices
        )
    for player in planned.players:
        if not player.spec.plays_in(last) and player.spec.role != "bass":
            continue
        if player.spec.play == "chorale":
            notes = play_chorale(stage, player, end, harmony)
        else:
            notes = final_notes(stage, player, planned.final, last_pitches.get(player.spec.name))
        chunks.append(Chunk(as_rows(notes), offset, level, player.program))
    if planned.has_drums:
        chunks.append(Chunk(as_rows(final_hits(stage)), offset, level, DRUMS))
    return chunks


def _score(notes: np.ndarray, tempos: Sequence[tuple[int, float]], planned: Plan) -> tuple[MidiData, np.ndarray]:
    start, end, pitch, velocity, program, passing = notes.T
    is_drum = program == DRUMS
    kit = np.where(is_drum, 0, program)
    start, end = start * TICKS_PER_STEP, end * TICKS_PER_STEP
    order = np.lexsort((velocity, end, pitch, kit, is_drum, start))
    columns = (
        start[order].astype(np.int32),
        end[order].astype(np.int32),
        pitch[order].astype(np.uint8),
        velocity[order].astype(np.uint8),
        kit[order].astype(np.uint8),
        is_drum[order],
    )
    score = MidiData(
        NoteTable.from_sorted_columns(columns),
        tempos=[Tempo(step * TICKS_PER_STEP, round(60e6 / bpm)) for step, bpm in tempos],
        time_signatures=[TimeSignature(0, planned.metre.numerator, planned.metre.denominator)],
        key_signatures=[KeySignature(0, planned.key.signature, planned.key.is_minor)],
        ticks_per_beat=480,
    )
    return score, passing[order].astype(bool)
