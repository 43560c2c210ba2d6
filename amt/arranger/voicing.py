"""Where the tones of a chord lie, and how one chord leads to the next."""

from __future__ import annotations

import functools

from amt.arranger.chords import Chord, nearest

Voicing = tuple[int, ...]


def chosen_tones(chord: Chord, voices: int, has_bass: bool) -> tuple[int, ...]:
    """Which tones are played: with a bass beside them the root may go, then the fifth; third and seventh stay."""
    tones = list(chord.tones)
    if has_bass and len(tones) > max(voices, 3):
        tones.remove(chord.root)
    if len(tones) > voices and chord.fifth in tones:
        tones.remove(chord.fifth)
    return tuple(tones[:voices])


@functools.lru_cache(maxsize=65536)
def voicings(chord: Chord, low: int, high: int, voices: int, kind: str, has_bass: bool) -> tuple[Voicing, ...]:
    """All voicings of a kind between two pitches, at least one."""
    made: set[Voicing] = set()
    if kind == "power":
        for root in range(low, high + 1):
            if root % 12 == chord.root:
                made.add(tuple(p for p in (root, root + 7, root + 12)[:voices] if p <= max(high, root + 7)))
    elif kind == "octaves":
        for tone in chord.tones[:3]:
            made |= {(p, p + 12) for p in range(low, high - 11) if p % 12 == tone}
    elif kind in ("guitar", "spread"):
        wide: tuple[int, ...] = (chord.root, chord.fifth, chord.root, chord.third, chord.fifth)
        if kind == "spread":
            wide = (chord.root, chord.fifth, chord.third, chord.root if chord.seventh is None else chord.seventh)
        elif chord.seventh is not None:
            wide = (chord.root, chord.fifth, chord.seventh, chord.third, chord.fifth)
        for root in range(low, min(low + 13, high)):
            if root % 12 == wide[0]:
                row = [root]
                for tone in wide[1:]:
                    row.append(row[-1] + ((tone - row[-1]) % 12 or 12))
                made.add(tuple(p for p in row if p <= high)[:voices])
    else:
        tones = chosen_tones(chord, 3 if kind == "triad" else voices, has_bass)
        if kind == "shell":
            tones = tuple(dict.fromkeys((chord.third, chord.fifth if chord.seventh is None else chord.seventh)))
        for turn in range(len(tones)):
            row = sorted(tones, key=lambda tone: (tone - tones[turn]) % 12)
            while len(row) < voices and kind not in ("shell", "triad"):
                row.append(row[len(row) - len(tones)])
            for base in range(low, high + 1):
                if base % 12 != row[0]:
                    continue
                pitches = [base]
                for tone in row[1:]:
                    pitches.append(pitches[-1] + ((tone - pitches[-1]) % 12 or 12))
                if kind == "open" and len(pitches) > 2:  # the second from the top an octave down
                    pitches[-2] -= 12
                    pitches.sort()
                has_semitone = len(pitches) > 1 and pitches[-1] - pitches[-2] == 1  # harsh at the top
                if pitches[0] >= low and pitches[-1] <= high and not has_semitone:
                    made.add(tuple(pitches))
    if not made:
        made.add(tuple(sorted({nearest(tone, (low + high) // 2, low, high) for tone in chord.tones[:voices]})))
    return tuple(sorted(made))


@functools.lru_cache(maxsize=131072)
def lead(
    chord: Chord, before: Voicing | None, low: int, high: int, voices: int, kind: str, has_bass: bool, other_top: bool
) -> Voicing:
    """The voicing that is nearest to the one before it, and not far from the middle of the register.

    Args:
        other_top: the highest voice should move, as when one chord is struck again and again.
    """
    middle = (low + high) / 2
    best: tuple[float, Voicing] | None = None
    for pitches in voicings(chord, low, high, voices, kind, has_bass):
        cost = 0.35 * abs((pitches[0] + pitches[-1]) / 2 - middle) + 0.12 * (pitches[-1] - pitches[0])
        if before is not None:
            if len(before) == len(pitches):
                cost += sum(abs(a - b) for a, b in zip(before, pitches, strict=True))
            else:
                cost += abs(before[-1] - pitches[-1]) + abs(before[0] - pitches[0])
            if before[-1] == pitches[-1]:
                cost += 14 if other_top else 1
        if best is None or cost < best[0]:
            best = (cost, pitches)
    assert best is not None
    return best[1]
