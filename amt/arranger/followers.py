"""Parts that listen to another: doublings, thirds and sixths, counter-lines, answers in its pauses."""

from __future__ import annotations

from amt.arranger.chords import nearest
from amt.arranger.form import Section
from amt.arranger.harmony import Harmony
from amt.arranger.stage import PartNote, Player, Stage


def _outline(notes: list[PartNote], is_top: bool) -> list[PartNote]:
    """One note at each start: the highest or the lowest."""
    best: dict[int, PartNote] = {}
    for note in notes:
        other = best.get(note[0])
        if other is None or (note[2] > other[2]) == is_top:
            best[note[0]] = note
    return [best[start] for start in sorted(best)]


def _folded(pitches: list[int], low: int, high: int, transpose: int) -> int:
    """How far to move a line so that it lies in a register: by the wish and whole octaves."""
    middle = (min(pitches) + max(pitches)) / 2 + transpose
    return transpose + 12 * round(((low + high) / 2 - middle) / 12)


def play_double(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """The other part's line in octaves, where the register wants it."""
    leader = _outline(stage.lines.get(player.spec.follows, []), player.spec.role != "bass")
    if not leader:
        return []
    move = _folded([note[2] for note in leader], player.low, player.high, player.spec.transpose)
    notes = []
    for start, length, pitch, _, is_passing in leader:
        moved = pitch + move
        while moved > player.high:
            moved -= 12
        while moved < player.low:
            moved += 12
        notes.append((start, length, moved, int(player.volume * stage.accent(start)), is_passing))
    return notes


def play_harmony(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """A third or sixth below the other part, on chord tones where it has them; above it with `transpose` over 0."""
    leader = _outline(stage.lines.get(player.spec.follows, []), True)
    side = 1 if player.spec.transpose > 0 else -1
    notes: list[PartNote] = []
    before: int | None = None
    for start, length, pitch, _, _ in leader:
        chord = harmony.at(start)
        steps = stage.ladder(chord, player.low, player.high)
        near = [p for p in steps if 3 <= (p - pitch) * side <= 9]
        if not near:
            before = None
            continue
        is_chord_tone = pitch % 12 in chord.tones and length >= 12
        costs = []
        for p in near:
            far = abs(p - pitch)
            cost = 0.5 * abs(far - 4) + (6.0 if far == 6 else 0.0)
            cost += 4.0 if is_chord_tone and p % 12 not in chord.tones else 0.0
            cost += 0.0 if before is None else 0.5 * abs(p - before)
            costs.append(cost)
        chosen = near[costs.index(min(costs))]
        notes.append((start, length, chosen, int(player.volume * stage.accent(start)), False))
        before = chosen
    return notes


def play_counter(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Thirds and sevenths in long notes, one a chord, moving as little as can be; a passing note leads on."""
    notes: list[PartNote] = []
    before = player.memo.get("counter", (player.low + player.high) // 2)
    busy = {start // 24 for start, *_ in stage.lines.get(player.spec.follows, [])}
    for index, (start, end, chord) in enumerate(harmony.changes[:-1]):
        guides = [chord.third, chord.fifth if chord.seventh is None else chord.seventh]
        pitch = min(
            (nearest(tone, before, player.low, player.high) for tone in guides), key=lambda p: (abs(p - before), p)
        )
        following = harmony.changes[index + 1][2]
        length = min(end - start, 2 * stage.metre.bar)
        velocity = int(player.volume * stage.accent(start))
        target = min(
            (nearest(t, pitch, player.low, player.high) for t in (following.third, following.fifth)),
            key=lambda p: abs(p - pitch),
        )
        steps = [p for p in stage.ladder(chord, player.low, player.high) if min(pitch, target) < p < max(pitch, target)]
        last = (end - 24) // 24
        if steps and length >= 72 and last not in busy and end - start == length:
            notes.append((start, length - 24 - 2, pitch, velocity, False))
            notes.append((end - 24, 22, min(steps, key=lambda p: abs(p - target)), int(velocity * 0.95), False))
        else:
            notes.append((start, length - 2, pitch, velocity, False))
        before = pitch
    player.memo["counter"] = before
    return notes


_ANSWERS = ((0, 12, 24), (0, 6, 12, 24), (0, 24, 36), (0, 12, 18, 24), (0, 6, 12, 18, 24), (0, 36, 48))


def play_answer(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Short figures in the pauses of the other part, the same one moved with the chords."""
    leader = sorted((note[0], note[0] + note[1]) for note in stage.lines.get(player.spec.follows, []))
    pauses = []
    end = 0
    for start, stop in [*leader, (harmony.steps, harmony.steps)]:
        if start - end >= 42:
            pauses.append((end, start))
        end = max(end, stop)
    if "answer" not in player.memo:
        rhythm = stage.rng.choice(_ANSWERS)
        player.memo["answer"] = (rhythm, [stage.rng.choice((-1, 1, 1, 2, -2)) for _ in rhythm])
    rhythm, moves = player.memo["answer"]
    notes: list[PartNote] = []
    for begin, stop in pauses:
        begin = -(-(begin + 6) // 12) * 12
        if begin % 24 and stop - begin > 60:
            begin += 12
        if stop - begin < rhythm[-1] + 12 or stage.rng.random() < 0.15:
            continue
        chord = harmony.at(begin)
        middle = (player.low + player.high) // 2
        pitch = nearest(stage.rng.choice((chord.third, chord.fifth, chord.root)), middle, player.low, player.high)
        for index, (place, move) in enumerate(zip(rhythm, moves, strict=True)):
            at = begin + place
            steps = stage.ladder(harmony.at(at), player.low, player.high, player.spec.scale)
            is_last = index == len(rhythm) - 1
            if is_last:
                steps = tuple(p for p in steps if p % 12 in harmony.at(at).tones) or steps
            here = min(range(len(steps)), key=lambda i: abs(steps[i] - pitch))
            pitch = steps[min(max(here + (move if index else 0), 0), len(steps) - 1)]
            length = (stop - at - 6 if stop - at < 48 else 22) if is_last else rhythm[index + 1] - place - 1
            notes.append((at, max(5, length), pitch, int(player.volume * stage.accent(at)), False))
    return notes
