"""Four voices: a melody on top, a bass of roots and thirds, inner voices that move little, without parallel fifths."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from amt.arranger.chords import Chord, nearest
from amt.arranger.comping import section_bars
from amt.arranger.form import Section
from amt.arranger.harmony import Harmony
from amt.arranger.melody import compose_line
from amt.arranger.stage import PartNote, Player, Stage

RANGES = ((60, 79), (53, 72), (48, 67), (41, 60))  # soprano, alto, tenor, bass
Voices = tuple[int, int, int, int]
_PAIRS = tuple(itertools.combinations(range(4), 2))


def _is_parallel(one: Voices, two: Voices) -> bool:
    """Whether two voices go from fifth to fifth or octave to octave."""
    for high, low in _PAIRS:
        if one[high] == two[high]:
            continue
        before, after = (one[high] - one[low]) % 12, (two[high] - two[low]) % 12
        if before == after and before in (0, 7):
            return True
    return False


def _voiced(chord: Chord, soprano: int, before: Voices | None) -> Voices:
    """The other three voices under a soprano: all tones, small steps, no unisons and no parallel fifths if it may be.

    Costs only grow, so what costs more than the best already is left before the rest is counted.
    """
    best_cost, best = math.inf, None
    low, high = RANGES[3]
    last_alto, last_tenor, last_bass = (62, 56, 50) if before is None else before[1:]
    ease = 0.2 if before is None else 1.0
    roots = [nearest(chord.bass, last_bass, low, high)]
    roots.append(roots[0] - 12 if roots[0] - 12 >= low else roots[0] + 12 if roots[0] + 12 <= high else roots[0])
    if chord.bass == chord.root and before is not None:
        roots.append(nearest(chord.third, last_bass, low, high))
    tones = chord.tones
    altos = [p for p in range(*RANGES[1]) if p % 12 in tones and soprano - 12 <= p <= soprano]
    tenors = [p for p in range(*RANGES[2]) if p % 12 in tones and p <= soprano]
    for bass in roots:
        bass_cost = 1.5 * (bass % 12 != chord.bass) + (0.0 if before is None else 0.4 * abs(bass - last_bass))
        for alto in altos:
            if alto <= bass:
                continue
            alto_cost = bass_cost + ease * abs(alto - last_alto) + 2.0 * (alto == soprano)
            if alto_cost >= best_cost:
                continue
            for tenor in tenors:
                if not (bass <= tenor <= alto and alto - tenor <= 12):
                    continue
                cost = alto_cost + ease * abs(tenor - last_tenor) + 3.0 * (tenor == bass) + 2.0 * (tenor == alto)
                if cost >= best_cost:
                    continue
                sounding = (soprano % 12, alto % 12, tenor % 12, bass % 12)
                thirds = sounding.count(chord.third)
                cost += 6.0 * (not thirds) + 3.0 * (thirds > 1)
                cost += 2.0 * (chord.root not in sounding) + 1.0 * (chord.fifth not in sounding)
                voices = (soprano, alto, tenor, bass)
                if cost < best_cost and before is not None and _is_parallel(before, voices):
                    cost += 25.0
                if cost < best_cost:
                    best_cost, best = cost, voices
    if best is None:
        bass = nearest(chord.bass, 48, low, high)
        return (
            soprano,
            nearest(chord.third, soprano - 4, 50, max(soprano, 62)),
            nearest(chord.fifth, soprano - 9, 45, 60),
            bass,
        )
    return best


def compose_chorale(stage: Stage, player: Player, section: Section, harmony: Harmony) -> tuple[list[PartNote], ...]:
    """The four voices of a section, each a list of notes."""
    singer = Player(player.spec, player.program, 62, 77, True, player.memo)
    line = compose_line(stage, singer, section, harmony)
    onsets = {start: (length, pitch) for start, length, pitch in line}
    moments = sorted(set(onsets) | {start for start, _, _ in harmony.changes[:-1]})
    voices: tuple[list[list[int]], ...] = ([], [], [], [])
    before: Voices | None = None
    soprano = 69
    for index, start in enumerate(moments):
        end = moments[index + 1] if index + 1 < len(moments) else harmony.steps
        chord = harmony.at(start)
        if start in onsets:
            soprano = onsets[start][1]
        elif soprano % 12 not in chord.tones:
            soprano = min((nearest(tone, soprano, *RANGES[0]) for tone in chord.tones), key=lambda p: abs(p - soprano))
        if before is not None and soprano % 12 not in chord.tones:  # a passing note: the others wait
            made: Voices = (soprano, *before[1:])
        else:
            made = _voiced(chord, soprano, before)
        for voice, pitch in zip(voices, made, strict=True):
            is_new = (
                start in onsets
                if voice is voices[0]
                else stage.metre.strength(start) > 0 and harmony_changes(harmony, start)
            )
            if voice and voice[-1][2] == pitch and not is_new and voice[-1][0] + voice[-1][1] == start:
                voice[-1][1] += end - start
            else:
                voice.append([start, end - start, pitch])
        before = made
    for index, chance in ((1, 0.25), (2, 0.25), (3, 0.5)):
        voices[index][:] = _passing(stage, harmony, voices[index], chance)
    return tuple(
        [
            (s, max(3, n - 2), p, int(player.volume * (1.0 if v == 0 else 0.92) * stage.accent(s)), False)
            for s, n, p in voice
        ]
        for v, voice in enumerate(voices)
    )


def _passing(stage: Stage, harmony: Harmony, voice: list[list[int]], chance: float) -> list[list[int]]:
    """A voice with passing notes in some of its thirds: the step between, in the second half of the first note."""
    made: list[list[int]] = []
    for (start, length, pitch), following in zip(voice, [*voice[1:], None], strict=True):
        gap = 0 if following is None else following[2] - pitch
        steps = [
            p for p in stage.ladder(harmony.at(start), pitch - 4, pitch + 4) if min(0, gap) < p - pitch < max(0, gap)
        ]
        if len(steps) == 1 and length in (24, 48) and stage.rng.random() < chance:
            made += [[start, length - 12, pitch], [start + length - 12, 12, steps[0]]]
        else:
            made.append([start, length, pitch])
    return made


def _struck(stage: Stage, player: Player, section: Section, voice: Sequence[PartNote]) -> list[PartNote]:
    """The long notes of a voice struck again in the part's patterns; short notes stay as they are."""
    bar = stage.metre.bar
    cells = [
        (number * bar + cell.start, cell.length)
        for number, row in enumerate(section_bars(stage, player, section))
        for cell in row
    ]
    made: list[PartNote] = []
    for start, length, pitch, _, mark in voice:
        end = start + length + 2
        inside = [(begin, size) for begin, size in cells if start <= begin < end]
        if length < 22 or not inside:
            made.append((start, length, pitch, int(player.volume * stage.accent(start)), mark))
            continue
        if inside[0][0] > start and voice[0][0] < start < inside[0][0] - 12:  # a change between two strokes is heard
            inside.insert(0, (start, inside[0][0] - start))
        for begin, size in inside:
            sound = max(3, int(min(size, end - begin) * player.spec.gate))
            made.append((begin, sound, pitch, int(player.volume * stage.accent(begin)), mark))
    return made


def harmony_changes(harmony: Harmony, step: int) -> bool:
    """Whether a chord begins at a step."""
    return harmony.changes[harmony.index(step)][0] == step


def play_chorale(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """All voices, or the one that the part sings; every part of the style sings the same four."""
    key = ("chorale", section.start)
    if key not in stage.memo:
        memo = stage.memo.setdefault("chorale voices", player)
        stage.memo[key] = compose_chorale(stage, memo, section, harmony)
    voices = stage.memo[key]
    chosen = range(4) if player.spec.voice == 0 else (player.spec.voice - 1,)
    notes: list[PartNote] = []
    for index in chosen:
        voice = voices[index]
        if player.spec.patterns and section.name != "end":
            voice = _struck(stage, player, section, voice)
        for start, length, pitch, velocity, mark in voice:
            moved = pitch + player.spec.transpose
            while moved > player.high:
                moved -= 12
            while moved < player.low:
                moved += 12
            notes.append((start, length, moved, velocity, mark))
    return notes
