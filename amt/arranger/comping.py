"""Chords of accompanying parts: struck in a rhythm, plucked note by note, strummed, as arpeggios or pads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from amt.arranger.chords import Chord, nearest
from amt.arranger.form import Section, lookup
from amt.arranger.harmony import Harmony
from amt.arranger.patterns import Bar, altered, bars, decided, for_metre, reordered
from amt.arranger.stage import PartNote, Player, Stage
from amt.arranger.voicing import Voicing, lead

LOUD = {"x": 1.0, "^": 1.0, "o": 0.86, "g": 0.62, "d": 1.0, "u": 0.84, "b": 0.9}
PADS = (*range(16, 24), *range(40, 56), *range(88, 104))  # what does not fade: it is held as long as it is written
MAX_ATTACKS = 8  # with one note on top; then the chord is turned


def section_bars(stage: Stage, player: Player, section: Section) -> Iterator[Bar]:
    """The events of each bar: a pattern for most, another one in every fourth bar."""
    pool = for_metre(lookup(player.spec.patterns, section.name), stage.metre, stage.is_first_metre)
    key = ("patterns", tuple(pool))
    if key not in player.memo:
        change = altered if player.spec.play == "riff" else reordered
        chosen = [change(decided(stage.rng.choice(pool), stage.rng), stage.rng) for _ in range(2)]
        player.memo[key] = chosen if stage.rng.random() < 0.7 else [chosen[0], chosen[0]]
    every = 2 if player.spec.play == "riff" and section.bars <= 8 else 4
    main, other = (bars(text, stage.metre.bar, player.spec.holds_on) for text in player.memo[key])
    for bar in range(section.bars):
        if bar % every == every - 1 and section.bars > 3 and len(main) == len(other) == 1:
            yield other[0]
        elif bar % 8 >= 4 and len(other) > 1 and section.bars >= 8:
            yield other[bar % len(other)]
        else:
            yield main[bar % len(main)]


def voiced(stage: Stage, player: Player, chord: Chord, other_top: bool = False) -> Voicing:
    """The chord as the part plays it next."""
    spec = player.spec
    before = player.memo.get("voicing")
    made = lead(chord, before, player.low, player.high, spec.voices, spec.voicing, stage.has_bass, other_top)
    player.memo["voicing"] = made
    return made


def play_chords(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Chords, single notes of them and bass notes, in the part's patterns."""
    notes: list[PartNote] = []
    add = notes.append
    spec, volume, changes = player.spec, player.volume, harmony.changes
    holds = player.program in PADS
    shapes: dict[int, Voicing] = {}
    attacks, top = 0, -1
    bar_steps = stage.metre.bar

    def shape(index: int) -> Voicing:
        if index not in shapes:
            is_same = index > 0 and changes[index - 1][2].tones == changes[index][2].tones
            shapes[index] = voiced(stage, player, changes[index][2], is_same and attacks >= MAX_ATTACKS)
        return shapes[index]

    for number, row in enumerate(section_bars(stage, player, section)):
        base = number * bar_steps
        for cell in row:
            start = base + cell.start
            end = min(start + cell.length, harmony.steps)
            index = harmony.index(start)
            symbol = cell.symbol
            if symbol == "^":  # the chord to come, early
                if changes[index][1] - start > bar_steps // 2 or index + 1 >= len(changes):
                    symbol = "o"
                else:
                    index += 1
            while start < end:
                chord_end = changes[index][1]
                stop = min(end, chord_end) if chord_end > start else end
                length = stop - start
                if not holds:
                    length = max(3, int(length * spec.gate)) if length <= 24 else length - 2
                velocity = int(volume * LOUD.get(symbol, 0.94) * stage.accent(start))
                if symbol in LOUD:
                    pitches = shape(index)
                    if attacks >= MAX_ATTACKS and pitches[-1] == top and spec.voicing not in ("power", "guitar"):
                        shapes[index] = pitches = voiced(stage, player, changes[index][2], True)
                    if attacks >= MAX_ATTACKS and pitches[-1] == top and len(pitches) > 1:
                        pitches = pitches[:-1]  # power chords and open shapes cannot be turned
                    attacks = attacks + 1 if pitches[-1] == top else 0
                    top = pitches[-1]
                    if symbol == "u":
                        pitches = pitches[-3:]
                    elif symbol == "b":
                        pitches = pitches[:2]
                    for pitch in pitches:
                        add((start, length, pitch, velocity, False))
                elif symbol.isdigit():
                    pitches = shape(index)
                    octave, voice = divmod(int(symbol) - 1, len(pitches))
                    pitch = pitches[voice] + 12 * octave
                    add((start, length, pitch if pitch <= player.high + 4 else pitch - 12, velocity, False))
                else:
                    pitch = bass_note(spec.bass_low, symbol, changes[index][2])
                    add((start, length, pitch, velocity, False))
                start = stop
                if start < end:
                    index = harmony.index(start)
                    if symbol.isdigit() or symbol not in LOUD:
                        break  # a single note ends with its chord
    return notes


def bass_note(low: int, symbol: str, chord: Chord) -> int:
    """A bass note of a chord in a two-handed pattern: R root, F fifth, O octave, T third, S seventh."""
    root = nearest(chord.bass, low + 5, low, low + 11)
    if symbol == "R":
        return root
    if symbol == "O":
        return root + 12
    if symbol == "F":
        fifth = nearest(chord.fifth, root + 6, root + 1, root + 12)
        return fifth if fifth <= low + 14 else fifth - 12 if fifth - 12 >= low - 3 else fifth
    tone = chord.third if symbol == "T" else chord.root if chord.seventh is None else chord.seventh
    return nearest(tone, root + 9, root + 1, root + 17)


_SHAPES = {"alberti": (0, 2, 1, 2), "broken": (0, 1, 2, 1), "skip": (0, 2, 1, 3, 2, 4)}


def arpeggio_order(shape: str, count: int, draws: Sequence[float]) -> list[int]:
    """The places of `count` chord tones in one round of an arpeggio.

    Args:
        draws: the order of "free", an arpeggio of its own for every piece.
    """
    up = list(range(count))
    if shape == "free":
        return sorted(up, key=lambda place: draws[place]) + [int(draw * count) for draw in draws[count : 2 * count]]
    if shape in _SHAPES:
        return [min(place, count - 1) for place in _SHAPES[shape]]
    rounds = {
        "up": up,
        "down": up[::-1],
        "updown": up + up[-2:0:-1],
        "downup": up[::-1] + up[1:-1],
        "wave": [0, *up[2:], *up[-2:0:-1]] if count > 3 else up,
    }
    return rounds[shape]


def play_arpeggio(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Chord tones one after the other, `grid` to a whole note, beginning anew with every chord."""
    notes: list[PartNote] = []
    spec = player.spec
    width = 96 // spec.grid
    if ("shape", section.name) not in player.memo:
        player.memo["shape", section.name] = stage.rng.choice(spec.shapes)
    shape = player.memo["shape", section.name]
    if ("free", section.name) not in player.memo:
        player.memo["free", section.name] = [stage.rng.random() for _ in range(16)]
    length = max(2, int(width * spec.gate))
    for start, end, chord in harmony.changes[:-1]:
        pitches = list(voiced(stage, player, chord))
        for _ in range(spec.octaves - 1):
            pitches += [pitch + 12 for pitch in pitches[-spec.voices :] if pitch + 12 <= player.high + 5]
        order = arpeggio_order(shape, len(pitches), player.memo["free", section.name])
        for place, step in enumerate(range(start, end, width)):
            velocity = int(player.volume * stage.accent(step))
            notes.append((step, min(length, end - step), pitches[order[place % len(order)]], velocity, False))
    return notes


def drone_tones(player: Player, tonic: int) -> dict[str, tuple[int, ...]]:
    """The pitches of a drone's events."""
    root = nearest(tonic, player.low + 5, player.low, player.high)
    fifth = root + 7 if root + 7 <= player.high else root - 5
    return {"R": (root,), "F": (fifth,), "x": (root, fifth)}


def play_drone(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """Tonic and fifth of the key, whatever the chords are: R, F, or x for both."""
    tones = drone_tones(player, stage.key.tonic)
    return [
        (start, min(cell.length, harmony.steps - start), pitch, int(player.volume * stage.accent(start)), False)
        for number, row in enumerate(section_bars(stage, player, section))
        for cell in row
        for start in [number * stage.metre.bar + cell.start]
        for pitch in tones[cell.symbol]
    ]
