"""One piece, from its plan to its notes."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

import numpy as np

from amt.arranger.arrangement import Arrangement
from amt.arranger.bass import play_bass, play_walk
from amt.arranger.captions import make_captions
from amt.arranger.casting import cast, cast_for
from amt.arranger.chorale import compose_chorale, play_chorale
from amt.arranger.chords import Chord
from amt.arranger.comping import play_arpeggio, play_chords, play_drone
from amt.arranger.drums import play_drums
from amt.arranger.ending import final_hits, final_notes
from amt.arranger.facts import make_facts
from amt.arranger.followers import play_answer, play_counter, play_double, play_harmony
from amt.arranger.form import LEVELS, MAX_BARS, Section, fitted
from amt.arranger.harmony import Bars, Harmony, plan_harmony
from amt.arranger.imitation import play_imitation
from amt.arranger.melody import play_melody
from amt.arranger.metre import Metre, metre
from amt.arranger.performance import TICKS_PER_STEP, Chunk, as_rows, assemble, seconds_at, slowed
from amt.arranger.riffs import play_riff
from amt.arranger.stage import PartNote, Player, Stage
from amt.arranger.style import Style
from amt.midi.data import KeySignature, MidiData, NoteTable, Tempo, TimeSignature
from amt.midi.programs import DRUMS
from amt.midi.theory import Key

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


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the caller of `compose` has fixed; None leaves it to the style.

    Args:
        key: in a mode of the style.
        tempo_bpm: of the beat that the metre counts.
        bars: in all, the last chord's bar included.
        seconds: length, about.
        chords: of bars, again and again.
        programs: General MIDI programs, 128 for drums; no others play.
    """

    key: Key | None = None
    tempo_bpm: float | None = None
    metre: str | None = None
    bars: int | None = None
    seconds: float | None = None
    chords: tuple[tuple[Chord, ...], ...] | None = None
    programs: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is decided before the first note."""

    style: Style
    seed: int
    metre: Metre
    key: Key
    tempo_bpm: float
    sections: tuple[Section, ...]
    progression: tuple[tuple[tuple[Chord, ...], ...], ...]
    final: Chord
    players: tuple[Player, ...]
    has_drums: bool

    @property
    def bars(self) -> int:
        """All bars, that of the last chord included."""
        return self.sections[-1].end + 1

    @property
    def quarter_bpm(self) -> float:
        """Quarter notes a minute."""
        return self.tempo_bpm * self.metre.beat_quarters


def draw(weights: dict[str, float], rng: random.Random) -> str:
    """One of the names, by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def _tempo(style: Style, rng: random.Random) -> int:
    low, high = round(style.tempo[0]), round(style.tempo[1])
    round_ones = [bpm for bpm in range(low, high + 1) if bpm % 5 == 0 or bpm % 4 == 0]
    return rng.choice(round_ones) if round_ones and rng.random() < 0.7 else rng.randint(low, high)


# How long pieces are: (share, shortest, longest) in seconds; the rest takes its form whole.
_LENGTHS = ((0.3, 12.0, 40.0), (0.4, 40.0, 100.0))
MIN_SECONDS, MAX_SECONDS = 12.0, 300.0
MIN_BARS = 12  # or the whole form


def plan(style: Style, seed: int, wanted: Wanted) -> Plan:
    """Decide on everything but the notes."""
    rng = random.Random(f"{style.name}/{style.substyle}/{seed}")
    if style.substyles:
        options = [style, *style.substyles]
        style = rng.choices(options, [option.weight for option in options])[0]
    beat = metre(wanted.metre or draw(style.metres, rng))
    tempo_bpm: float = _tempo(style, rng)
    if wanted.tempo_bpm is not None:
        tempo_bpm = wanted.tempo_bpm
    tonic, mode = rng.choice(style.tonics), draw(style.modes, rng)
    key = wanted.key or Key(tonic, mode)
    form = rng.choice(style.forms)
    bar_seconds = beat.bar / 24 * 60 / (tempo_bpm * beat.beat_quarters)
    bars = wanted.bars
    if bars is None and wanted.seconds is not None:
        bars = max(2, round(wanted.seconds / bar_seconds))
    if bars is None:
        bars = _usual_bars(form, bar_seconds, rng)
    if wanted.bars is not None or wanted.seconds is not None:
        sections = fitted(form, bars - 1, is_exact=True)
    else:
        sections = fitted(form, bars, is_exact=False)
        if sections[-1].end * bar_seconds < MIN_SECONDS:
            sections = fitted(form, bars, is_exact=True)
        last = sections[-1]
        sections = (*sections[:-1], dataclasses.replace(last, bars=max(1, last.bars - 1)))  # the last chord has a bar
    spec = style.harmony.get(key.mode) or next(iter(style.harmony.values()))  # with given chords any mode will do
    rows, final = plan_harmony(spec, sections, key.tonic, style.turnaround, rng, wanted.chords)
    players, has_drums = cast(style, rng) if wanted.programs is None else cast_for(style, wanted.programs)
    return Plan(
        style=style,
        seed=seed,
        metre=beat,
        key=key,
        tempo_bpm=tempo_bpm,
        sections=sections,
        progression=tuple(tuple(row) for row in rows),
        final=final,
        players=tuple(players),
        has_drums=has_drums,
    )


def _usual_bars(form: Sequence[Section], bar_seconds: float, rng: random.Random) -> int:
    """How many bars a piece has: some are short, some as long as their form, none longer than five minutes."""
    whole = form[-1].end
    most = max(4, int(MAX_SECONDS / bar_seconds))
    share = rng.random()
    for chance, low, high in _LENGTHS:
        if share < chance:
            bars = rng.uniform(low, high) / bar_seconds
            step = 4 if bars > 8 else 2
            bars = max(step, round(bars / step) * step)
            while bars < MIN_BARS or bars * bar_seconds < MIN_SECONDS:
                bars += 2
            return min(bars, whole, most)
        share -= chance
    return min(whole, most, MAX_BARS)


def compose(style: Style, seed: int, wanted: Wanted | None = None) -> Arrangement:
    """Compose one piece; the same style, seed and wishes give the same piece."""
    planned = plan(style, seed, wanted or Wanted())
    rng = random.Random(f"{planned.style.name}/{seed}/notes")
    stage = Stage(
        style=planned.style,
        rng=rng,
        metre=planned.metre,
        is_first_metre=planned.metre.name == next(iter(planned.style.metres)),
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


__all__ = ["Bars", "Plan", "Wanted", "compose", "plan"]
