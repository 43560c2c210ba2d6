"""A voice that says again what another has said, bars later and in its own register: canons, inventions."""

from __future__ import annotations

from amt.arranger.chords import nearest
from amt.arranger.form import Section
from amt.arranger.harmony import Harmony
from amt.arranger.melody import place_motif
from amt.arranger.motif import Motif
from amt.arranger.stage import PartNote, Player, Stage


def _motif(notes: list[PartNote], begin: int, end: int) -> Motif | None:
    """What stands between two steps, as a motif; contours are counted in scale steps of about 1.7 semitones."""
    chosen = [note for note in notes if begin <= note[0] < end]
    if not chosen:
        return None
    first = chosen[0][2]
    rhythm = tuple((start - begin, min(length + 3, end - start)) for start, length, *_ in chosen)
    return Motif(rhythm, tuple(round((pitch - first) / 1.7) for _, _, pitch, *_ in chosen))


def play_imitation(stage: Stage, player: Player, section: Section, harmony: Harmony) -> list[PartNote]:
    """The other part's line `delay` bars later, fitted to the chords there; roots and fifths before the entry."""
    leader = stage.lines.get(player.spec.follows, [])
    distance = max(1, player.spec.delay) * stage.metre.bar
    middle = (player.low + player.high) // 2
    line: list[tuple[int, int, int]] = []
    before: int | None = None
    if section.start > 0:  # the piece is on its way: bass notes until the entry
        for beat in range(
            0, min(distance, harmony.steps), stage.metre.bar // 2 if stage.metre.halves else stage.metre.bar
        ):
            chord = harmony.at(beat)
            tone = chord.bass if beat % stage.metre.bar == 0 else chord.fifth
            before = nearest(tone, middle - 4, player.low, player.high)
            line.append((beat, stage.metre.bar // 2 if stage.metre.halves else stage.metre.bar, before))
    for begin in range(0, harmony.steps - distance, distance):
        motif = _motif(leader, begin, begin + distance)
        if motif is None:
            continue
        low, high = motif.span
        wish = min(max(middle, player.low - 2 * low), player.high - 2 * high) if high - low < 12 else middle
        rests = begin + 2 * distance >= harmony.steps
        placed = place_motif(stage, player, harmony, motif, begin + distance, wish, before, rests)
        before = placed[-1][2]
        line += placed
    return [
        (start, max(3, min(length, harmony.steps - start) - 2), pitch, int(player.volume * stage.accent(start)), False)
        for start, length, pitch in line
        if start < harmony.steps
    ]
