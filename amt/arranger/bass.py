"""Bass lines: patterns of degrees with approach notes, and walking."""

from __future__ import annotations

from amt.arranger.chords import Chord, nearest
from amt.arranger.comping import section_bars
from amt.arranger.form import Section
from amt.arranger.harmony import Harmony
from amt.arranger.stage import PartNote, Player, Stage

MAX_SAME = 9  # times in a row that a bass has one note
# The beats of a walking bar between root and approach: degrees of the chord's scale, counted from the root.
_WALKS = ((1, 2), (2, 4), (4, 2), (4, 7), (7, 4), (2, 1), (-1, -2), (-3, -5), (-3, -1), (4, 5), (2, 3))


def root_of(player: Player, chord: Chord) -> int:
    """The chord's bass note in the middle of the lower part of the register."""
    return nearest(chord.bass, player.low + 6, player.low, player.high)


def approach(stage: Stage, player: Player, target: int, before: int, chord: Chord) -> tuple[int, bool]:
    """A note that leads to a target, and whether it is a passing note outside the scale."""
    scale = set(stage.scale(chord))
    near = [target + step for step in (-1, 1, -2, 2) if player.low <= target + step <= player.high]
    inside = [pitch for pitch in near if pitch % 12 in scale and pitch != before]
    chromatic = [pitch for pitch in near if abs(pitch - target) == 1 and pitch != before]
    pool = chromatic if (stage.rng.random() < 0.35 or not inside) and chromatic else inside or near
    pitch = min(pool, key=lambda each: (abs(each - before) > 7, stage.rng.random()))
    return pitch, pitch % 12 not in scale


def play_bass(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Degrees of the chords in the part's patterns: R root, F fifth, O octave, T third, S seventh, A approach, N next.

    U and D go a step of the scale up and down from the note before. Small letters are soft.
    """
    notes: list[PartNote] = []
    changes = harmony.changes
    before, run = root_of(player, changes[0][2]), 0
    for number, row in enumerate(section_bars(stage, player, section)):
        for cell in row:
            start = number * stage.metre.bar + cell.start
            end = start + cell.length
            index = harmony.index(start)
            chord, following = changes[index][2], changes[min(index + 1, len(changes) - 1)][2]
            symbol, is_passing = cell.symbol.upper(), False
            root = root_of(player, chord)
            if symbol == "R":
                pitch = root
            elif symbol == "O":
                pitch = root + 12 if root + 12 <= player.high + 3 else root
            elif symbol == "F":
                low = root - 5 >= player.low and (root > player.low + 7 or stage.rng.random() < 0.3)
                pitch = nearest(chord.fifth, root - 5 if low else root + 7, player.low, player.high)
            elif symbol == "T":
                pitch = nearest(chord.third, root + 4, player.low, player.high)
            elif symbol == "S":
                tone = (chord.root + 9) % 12 if chord.seventh is None else chord.seventh
                if tone not in stage.scale(chord):
                    tone = chord.fifth
                pitch = nearest(tone, root - 2 if root - 2 >= player.low else root + 10, player.low, player.high)
            elif symbol == "N":
                pitch, index = root_of(player, following), index + 1
            elif symbol == "A":
                target = root_of(player, following)
                if changes[index][1] - end > cell.width or following is chord:  # nothing to lead to yet
                    pitch = nearest(
                        chord.fifth, root - 5 if root - 5 >= player.low else root + 7, player.low, player.high
                    )
                else:
                    pitch, is_passing = approach(stage, player, target, before, chord)
            else:
                steps = stage.ladder(chord, player.low - 2, player.high + 2)
                if symbol == "U":
                    pitch = next((each for each in steps if each > before), before)
                else:
                    pitch = next((each for each in reversed(steps) if each < before), before)
            run = run + 1 if pitch == before else 0
            if run >= MAX_SAME:
                pitch = (
                    pitch + 12
                    if pitch + 12 <= player.high + 3
                    else nearest(chord.fifth, pitch - 5, player.low, player.high)
                )
                run = 0
            last = changes[min(index, len(changes) - 1)][1]
            end = min(end, harmony.steps, last if last > start else end)
            length = end - start
            length = max(3, int(length * player.spec.gate)) if length <= 24 else length - 2
            soft = 0.8 if cell.symbol.islower() else 1.0
            notes.append((start, length, pitch, int(player.volume * soft * stage.accent(start)), is_passing))
            before = pitch
    return notes


def play_walk(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """A note on every beat: roots where chords begin, approach notes before they change, the scale between."""
    notes: list[PartNote] = []
    rng, beats = stage.rng, stage.metre.beats
    low, high = player.low, player.high
    before = player.memo.get("walk", low + 9)
    for number, (start, end, chord) in enumerate(harmony.changes[:-1]):
        following = harmony.changes[number + 1][2]
        places = [
            bar * stage.metre.bar + beat
            for bar in range(start // stage.metre.bar, -(-end // stage.metre.bar))
            for beat in beats
            if start <= bar * stage.metre.bar + beat < end
        ]
        steps = stage.ladder(chord, low, high)
        root = nearest(chord.bass, before, low, high)
        if abs(root - before) > 7 or root < low + 2 or root > high - 4:
            root = nearest(chord.bass, (low + high) // 2 - 2, low, high)
        target = nearest(following.bass, root, low, high)
        walk = rng.choice(_WALKS)
        line: list[tuple[int, bool]] = []
        for index, _ in enumerate(places):
            if index == 0:
                line.append((root, False))
            elif index == len(places) - 1 and following is not chord:
                line.append(approach(stage, player, target, line[-1][0], chord))
            else:
                here = min(range(len(steps)), key=lambda i: abs(steps[i] - root))
                place = here + walk[(index - 1) % len(walk)] + (0 if index < 3 else rng.choice((-1, 1)))
                pitch = steps[min(max(place, 0), len(steps) - 1)]
                if pitch == line[-1][0] or abs(pitch - line[-1][0]) > 9:  # the nearest other tone of the chord
                    others = [each for each in steps if each % 12 in chord.tones and each != line[-1][0]]
                    pitch = min(others, key=lambda each: abs(each - line[-1][0])) if others else pitch
                line.append((pitch, False))
        for place, (pitch, is_passing) in zip(places, line, strict=True):
            velocity = int(player.volume * (1.0 if stage.metre.strength(place) >= 2 else 0.95))
            notes.append((place, 22, pitch, velocity, is_passing))
            before = pitch
    player.memo["walk"] = before
    if stage.metre.numerator == 4 and len(notes) > 8:  # now and then a skip before a beat
        skips = [note for note in notes[1:-1] if note[0] % 48 == 24 and rng.random() < 0.12]
        notes += [(start + 12, 8, pitch, int(velocity * 0.75), mark) for start, _, pitch, velocity, mark in skips]
        skipped = {note[0] for note in skips}
        notes = [(s, 11 if s in skipped and n == 22 else n, p, v, m) for s, n, p, v, m in notes]
    return notes
