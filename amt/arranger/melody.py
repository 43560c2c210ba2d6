"""Melodies: motifs that are repeated, moved, answered and brought to rest, over the chords.

Strong and long notes are tones of the chord; the notes between lead from one to the next by steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from amt.arranger.chords import nearest
from amt.arranger.form import Section, lookup
from amt.arranger.harmony import Harmony
from amt.arranger.motif import Motif, cadence, derived, make_motif
from amt.arranger.patterns import for_metre
from amt.arranger.solo import solo_line
from amt.arranger.stage import PartNote, Player, Stage

MAX_REPEATS = 3
LIFTED = ("chorus", "drop", "climax", "B", "C")
# How high the units of a phrase lie, in parts of the register around its middle.
_ARCHES = (
    (0.0, 0.25, 0.5, -0.1),
    (0.3, 0.1, -0.1, -0.2),
    (-0.2, 0.1, 0.3, 0.0),
    (0.1, 0.4, 0.1, 0.2),
    (0.2, -0.1, 0.3, -0.1),
)

# How unwelcome an interval is beside a note that is no strong one, by semitones: steps are best.
INTERVAL_COSTS = (1.3, 0.1, 0.0, 0.7, 0.9, 1.8, 3.5, 2.6, 4.0, 4.0, 5.0, 6.0, 4.5, *(8.0,) * 116)
Line = list[tuple[int, int, int]]  # start, length, pitch


def play_melody(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """The melody of a section; in solo sections of a part with `solos`, an improvised line."""
    if player.spec.has_solos and section.name == "solo":
        return _performed(stage, player, solo_line(stage, player, section.bars, harmony))
    key = ("line", section.name, section.bars)
    is_return = key in player.memo
    if not is_return:
        player.memo[key] = compose_line(stage, player, section, harmony), harmony
    line: Line = player.memo[key][0]
    if harmony.bars != player.memo[key][1].bars:
        line = [(start, length, refitted(stage, player, harmony, start, pitch)) for start, length, pitch in line]
    if is_return and (section.is_varied or stage.rng.random() < 0.4):
        line = ornamented(stage, player, harmony, line)
    return _performed(stage, player, line)


def refitted(stage: Stage, player: Player, harmony: Harmony, step: int, pitch: int) -> int:
    """A pitch of a line that comes back over other chords: the same, or the nearest that fits."""
    chord = harmony.at(step)
    steps = stage.ladder(chord, player.low, player.high, player.spec.scale)
    if pitch in steps or pitch % 12 in stage.scale(chord):
        return pitch
    return min(steps, key=lambda each: (abs(each - pitch), each))


def _performed(stage: Stage, player: Player, line: Sequence[tuple[int, int, int]]) -> list[PartNote]:
    notes = []
    breath = 3 if player.has_breath else 2
    # Chromatic notes of solos are passing notes; others are in the scale or the chord by construction.
    for start, length, pitch in line:
        velocity = int(player.volume * (stage.accent(start) if length < 36 else max(0.97, stage.accent(start))))
        short = length - (1 if length <= 12 else breath)
        notes.append(
            (
                start,
                max(3, short if player.spec.gate >= 0.9 else int(length * player.spec.gate)),
                pitch,
                velocity,
                False,
            )
        )
    return notes


def _plan(stage: Stage, player: Player, section: Section, count: int) -> str:
    plan = stage.rng.choice(player.spec.plans)
    return (plan * (count // len(plan) + 1))[:count]


def compose_line(stage: Stage, player: Player, section: Section, harmony: Harmony) -> Line:
    """A melody over the section's chords."""
    spec, rng, bar = player.spec, stage.rng, stage.metre.bar
    pool = for_metre(lookup(spec.rhythms, section.name), stage.metre, stage.is_first_metre)
    unit = min(spec.unit, section.bars)
    steps = unit * bar
    count = -(-section.bars // unit)
    letters = _plan(stage, player, section, count)
    arch = rng.choice(_ARCHES)
    lift = spec.lift if section.name in LIFTED else 0
    low, high = player.low, player.high
    middle = (low + high) / 2 + lift - 1
    room = (high - low) / 2
    motifs: dict[str, Motif] = player.memo.setdefault(("motifs", steps, section.name), {})
    source: dict[str, Motif] = player.memo.setdefault(("source", steps), {})
    line: Line = []
    heights: dict[str, int] = {}
    before: int | None = None
    beat = stage.metre.beats[1] if len(stage.metre.beats) > 1 else bar
    for number, letter in enumerate(letters):
        if letter == ".":
            continue
        if letter not in motifs:
            if letter == "a":
                akin = source.get("a") if rng.random() < 0.35 else None
                motifs["a"] = (
                    derived(akin, pool, spec.grid, steps, rng) if akin else make_motif(pool, spec.grid, steps, rng)
                )
                source.setdefault("a", motifs["a"])
            else:
                base = motifs.get("a")
                related = base is not None and rng.random() < 0.6
                motifs[letter] = (
                    derived(base, pool, spec.grid, steps, rng)
                    if related and base
                    else make_motif(pool, spec.grid, steps, rng)
                )
        motif = motifs[letter]
        is_last = number == count - 1 or (number % 4 == 3 and letter != "a")
        if is_last:
            motif = cadence(motif, steps, bar, beat, rng)
        offset = number * steps
        wish = middle + room * arch[number % 4] * 0.8
        if letter in heights and number % 4 and rng.random() < 0.75:  # the same again, or a step higher or lower
            wish = heights[letter] + rng.choice((0, 0, 2, -2))
        bottom, top = motif.span
        wish = min(max(wish, low + 1 - 1.7 * bottom), high - 1 - 1.7 * top) if top - bottom < 9 else middle
        if before is not None:
            wish = min(max(wish, before - 9), before + 9)
        placed = place_motif(stage, player, harmony, motif, offset, round(wish), before, is_last)
        if placed:
            heights.setdefault(letter, placed[0][2])
            before = placed[-1][2]
        line += placed
    line = [note for note in line if note[0] < harmony.steps]
    if line and line[-1][0] + line[-1][1] > harmony.steps:
        start, _, pitch = line[-1]
        line[-1] = (start, harmony.steps - start, pitch)
    return without_stutter(stage, player, harmony, line)


def place_motif(
    stage: Stage,
    player: Player,
    harmony: Harmony,
    motif: Motif,
    offset: int,
    wish: int,
    before: int | None,
    rests: bool,
) -> Line:
    """The pitches of a motif at its place.

    Args:
        wish: the pitch that its first note should be near to.
        before: the pitch that was sung last.
        rests: whether its last note is the end of a phrase.
    """
    low, high, scale = player.low, player.high, player.spec.scale
    count = len(motif.rhythm)
    strong: list[bool] = []
    drafts: list[int] = []
    ladders: list[tuple[int, ...]] = []
    tones: list[tuple[int, ...]] = []
    metre = stage.metre
    for (start, length), contour in zip(motif.rhythm, motif.contour, strict=True):
        at = offset + start
        strength = metre.strength(at)
        chord = harmony.at(at)
        if strength == 0 and length > 12 and start + length > 0:
            chord = harmony.at(at + 12)  # a syncopated long note belongs to what comes
        elif strength == 0 and length <= 12 and harmony.at(at + length) is not chord and at + length < harmony.steps:
            chord = harmony.at(at)
        steps = stage.ladder(chord, low - 5, high + 5, scale)
        if not drafts:
            base = min(range(len(steps)), key=lambda i: (abs(steps[i] - wish), i))
            anchor = steps[base]
        here = min(range(len(steps)), key=lambda i: abs(steps[i] - anchor))
        pitch = steps[min(max(here + contour, 0), len(steps) - 1)]
        is_strong = (
            strength >= 2 or length >= 24 or not drafts or (strength == 1 and length >= 12 and metre.is_compound)
        )
        own = chord.tones[:4]
        if is_strong and pitch % 12 not in own:
            left = drafts[-1] if drafts else pitch
            pitch = min(
                (p for p in range(pitch - 5, pitch + 6) if p % 12 in own),
                key=lambda p: (abs(p - pitch) + 0.6 * abs(p - left) + (1.5 if p == left else 0.0), p),
            )
        while pitch > high:
            pitch -= 12
        while pitch < low:
            pitch += 12
        strong.append(is_strong)
        drafts.append(pitch)
        ladders.append(steps)
        tones.append(own)
    if rests:
        drafts[-1] = nearest(
            _resting_tone(stage, harmony, offset + motif.rhythm[-1][0], tones[-1]),
            drafts[-2] if count > 1 else wish,
            low,
            high,
        )
    previous = before
    leap = player.spec.leap
    for i in range(count):  # leaps that are too wide come nearer
        pitch = drafts[i]
        limit = leap if i else 12
        if previous is not None and abs(pitch - previous) > limit:
            own = tones[i] if strong[i] else ladders[i]
            near = [
                p
                for p in range(max(low, previous - limit), min(high, previous + limit) + 1)
                if p % 12 in {t % 12 for t in own}
            ]
            if near:
                drafts[i] = min(near, key=lambda p: (abs(p - pitch), p))
        previous = drafts[i]
    for i in range(1, count - 1):  # notes between strong ones lead from one to the next
        if strong[i]:
            continue
        left, right, draft = drafts[i - 1], drafts[i + 1], drafts[i]
        best = float("inf")
        for p in ladders[i]:
            if not max(low, min(left, right) - 4) <= p <= min(high, max(left, right) + 4):
                continue
            cost = INTERVAL_COSTS[abs(p - left)] + INTERVAL_COSTS[abs(right - p)] + 0.3 * abs(p - draft)
            if p % 12 not in tones[i] and (abs(right - p) > 2 or abs(p - left) > 4):
                cost += 4.0
            if cost < best:
                best, drafts[i] = cost, p
    if count > 1 and not rests and not strong[-1] and drafts[-1] % 12 not in tones[-1]:
        near = [p for p in ladders[-1] if p % 12 in tones[-1] and low <= p <= high]
        if near:
            drafts[-1] = min(near, key=lambda p: abs(p - drafts[-2]) + (2 if p == drafts[-2] else 0))
    return [(offset + start, length, pitch) for (start, length), pitch in zip(motif.rhythm, drafts, strict=True)]


def _resting_tone(stage: Stage, harmony: Harmony, step: int, tones: Sequence[int]) -> int:
    """Where a phrase comes to rest: on the tonic if the chord has it, or on another of its tones."""
    tonic = stage.key.tonic
    if tonic in tones and (step > harmony.steps - 2 * stage.metre.bar or stage.rng.random() < 0.5):
        return tonic
    return stage.rng.choice(tones[:3])


def without_stutter(stage: Stage, player: Player, harmony: Harmony, line: Line) -> Line:
    """A line in which no pitch comes more than a few times in a row."""
    made: Line = []
    run = 0
    for start, length, pitch in line:
        run = run + 1 if made and made[-1][2] == pitch else 0
        if run >= MAX_REPEATS:
            steps = stage.ladder(harmony.at(start), player.low, player.high, player.spec.scale)
            others = [each for each in steps if each != pitch]
            pitch = min(others, key=lambda each: (each % 12 not in harmony.at(start).tones, abs(each - pitch)))
            run = 0
        made.append((start, length, pitch))
    return made


def ornamented(stage: Stage, player: Player, harmony: Harmony, line: Line) -> Line:
    """The line as it comes back: here and there a neighbour or a passing note on its long notes."""
    made: Line = []
    for index, (start, length, pitch) in enumerate(line):
        if length < 36 or stage.rng.random() > 0.35:
            made.append((start, length, pitch))
            continue
        following = line[index + 1][2] if index + 1 < len(line) else pitch
        steps = stage.ladder(harmony.at(start), player.low, player.high, player.spec.scale)
        side = [each for each in steps if 0 < abs(each - pitch) <= 3]
        if not side:
            made.append((start, length, pitch))
            continue
        neighbour = min(side, key=lambda each: (abs(each - following), each))
        short = 12
        if stage.rng.random() < 0.5:  # a passing note into the next
            made += [(start, length - short, pitch), (start + length - short, short, neighbour)]
        else:
            made += [
                (start, short, pitch),
                (start + short, short, neighbour),
                (start + 2 * short, length - 2 * short, pitch),
            ]
    return made
