"""Riffs: a figure of root and a few other notes that is made once and stays."""

from __future__ import annotations

from amt.arranger.chords import nearest
from amt.arranger.comping import section_bars
from amt.arranger.form import Section
from amt.arranger.harmony import Harmony
from amt.arranger.stage import PartNote, Player, Stage

MAX_SAME = 9  # times in a row that a riff has one note
SOFT = {"r": 0.82, "p": 0.82}


def _figure(stage: Stage, player: Player, name: str, count: int) -> list[int]:
    """Steps of the scale above the root for the notes m and M of a riff."""
    key = ("figure", name)
    if key not in player.memo:
        rng = stage.rng
        place, figure = rng.choice((2, 3, 4, 1)), []
        for _ in range(32):
            figure.append(place)
            place += rng.choice((-1, -1, 1, 1, -2, 2, 0))
            if not -1 <= place <= 7:
                place = rng.choice((1, 2, 3))
        player.memo[key] = figure[: rng.choice((3, 4, 5, 6))]
    figure = player.memo[key]
    return [figure[index % len(figure)] for index in range(count)]


def play_riff(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Patterns of R (root), O (its octave), m (a note of the riff), P and M (both as power chords).

    Small r and p are soft.
    """
    notes: list[PartNote] = []
    rows = list(section_bars(stage, player, section))
    run, last = 0, -1
    for number, row in enumerate(rows):
        count = sum(cell.symbol in "mM" for cell in row)
        figure = iter(_figure(stage, player, section.name, count + 1)[:count])
        for cell in row:
            start = number * stage.metre.bar + cell.start
            chord = harmony.at(start)
            root = nearest(chord.root, player.low + 5, player.low, player.high)
            symbol = cell.symbol
            pitch = root
            if symbol == "O":
                pitch = root + 12 if root + 12 <= player.high else root
            elif symbol in "mM":
                steps = stage.ladder(chord, root - 3, root + 15, player.spec.scale)
                base = min(range(len(steps)), key=lambda i: abs(steps[i] - root))
                pitch = steps[min(max(base + next(figure), 0), len(steps) - 1)]
                if pitch > player.high:
                    pitch -= 12
            length = min(cell.length, harmony.steps - start)
            length = max(3, int(length * player.spec.gate)) if length <= 24 else length - 2
            velocity = int(player.volume * SOFT.get(symbol, 1.0) * stage.accent(start))
            run = run + 1 if pitch == last else 0
            last = pitch
            if run >= MAX_SAME:  # not one note for ever
                other = root + 12 if root + 12 <= player.high and pitch != root + 12 else root - 2
                pitch = last = (
                    other if other % 12 in stage.scale(chord) else nearest(chord.fifth, root, player.low, player.high)
                )
                run = 0
            pitches = [pitch]
            if symbol in "PpM":
                fifth = pitch + 7
                is_clean = fifth % 12 in stage.scale(chord)
                pitches = [
                    p for p in ((pitch, fifth, pitch + 12) if is_clean else (pitch, pitch + 12)) if p <= player.high + 7
                ]
                pitches = pitches[: max(2, player.spec.voices)]
            for each in pitches:
                notes.append((start, length, each, velocity, False))
    return notes
