"""Improvised lines: runs, arpeggios and approach notes that arrive on chord tones, with pauses to breathe."""

from __future__ import annotations

from amt.arranger.harmony import Harmony
from amt.arranger.stage import Player, Stage


def solo_line(stage: Stage, player: Player, bars: int, harmony: Harmony) -> list[tuple[int, int, int]]:
    """A line over the chords as (start, length, pitch)."""
    rng, spec = stage.rng, player.spec
    low, high = player.low, player.high
    unit = 96 // spec.grid
    total = bars * stage.metre.bar
    beat = stage.metre.beats[1]
    line: list[tuple[int, int, int]] = []
    at = rng.choice((0, unit, beat))
    pitch, up = (low + high) // 2, 1
    lick: list[int] | None = None
    while at < total - beat:
        length = rng.choice((5, 6, 7, 9, 11, 13)) if lick is None or rng.random() > 0.3 else len(lick)
        is_arpeggio = rng.random() < 0.3
        moves: list[int] = []
        again = lick if lick is not None and len(lick) == length else None
        for place in range(length):
            if at >= total - unit:
                break
            chord = harmony.at(at)
            steps = stage.ladder(chord, low, high, spec.scale)
            if pitch > high - 4:
                up = -1
            elif pitch < low + 4:
                up = 1
            elif again is None and rng.random() < 0.2:
                up = -up
            if again is not None:
                up = 1 if again[place] > 0 else -1
            is_beat = at % beat == 0
            own = [p for p in steps if p % 12 in chord.tones] or list(steps)
            pool = own if is_beat or (is_arpeggio and place < 4) else steps
            ahead = [p for p in pool if (p - pitch) * up > 0]
            ahead.sort(key=lambda p: abs(p - pitch))
            if not ahead:
                up = -up
                ahead = sorted((p for p in pool if (p - pitch) * up > 0), key=lambda p: abs(p - pitch)) or [pitch]
            chosen = ahead[0]
            if len(ahead) > 1 and not is_beat and rng.random() < 0.15 and abs(ahead[1] - pitch) <= 5:
                chosen = ahead[1]
            moves.append(chosen - pitch)
            pitch = chosen
            is_end = place == length - 1
            held = unit
            if is_end:
                own_near = min(own, key=lambda p: (abs(p - pitch), p))
                pitch = own_near
                held = beat if rng.random() < 0.6 else unit
            elif again is None and unit < beat and rng.random() < 0.12 and is_beat:
                held = min(2 * unit, beat)
            line.append((at, min(held, total - at), pitch))
            at += held
        if len(moves) >= 5:
            lick = moves
        at += rng.choice((unit, beat, beat, 2 * beat))
        at -= at % unit
    return line
