"""The last bar: one chord that everybody comes to rest on."""

from __future__ import annotations

from amt.arranger.bass import root_of
from amt.arranger.chords import Chord, nearest
from amt.arranger.comping import bass_note, drone_tones, voiced
from amt.arranger.drum_names import DRUM_PITCHES, drum_velocity
from amt.arranger.drums import HIT
from amt.arranger.stage import PartNote, Player, Stage

_BASSES = "RFOTS"


def final_notes(stage: Stage, player: Player, chord: Chord, last_pitch: int | None) -> list[PartNote]:
    """What a part plays in the last bar.

    Args:
        last_pitch: the last note of its line; None: it has played nothing.
    """
    if last_pitch is None:
        return []
    spec, ring = player.spec, stage.style.ending.ring
    length = max(12, int(stage.metre.bar * ring) - 2)
    volume = int(player.volume)
    if spec.play in ("bass", "walk") or (spec.role == "bass" and spec.play != "chords"):
        return [(0, length, root_of(player, chord), volume, False)]
    if spec.play in ("melody", "double", "harmony", "answer", "counter", "imitation"):
        if not stage.style.ending.lead and spec.play != "double":
            return []
        tones = (
            (chord.root, chord.root, chord.third, chord.fifth) if spec.play == "melody" else (chord.third, chord.fifth)
        )
        tone = stage.key.tonic if stage.key.tonic in chord.tones and spec.play == "melody" else stage.rng.choice(tones)
        return [(0, length, nearest(tone, last_pitch, player.low, player.high), volume, False)]
    if spec.play == "riff":
        root = nearest(chord.root, player.low + 5, player.low, player.high)
        pitches = [root, root + 7, root + 12] if any(s in "Pp" for s in _letters(player)) else [root]
        return [(0, length, pitch, volume, False) for pitch in pitches if pitch <= player.high + 7]
    if spec.play == "chorale":
        return []
    if spec.play == "drone":  # it goes on, if it can
        drones = drone_tones(player, chord.root)
        sounding = {pitch for symbol in _letters(player) for pitch in drones.get(symbol, ())}
        return [(0, length, pitch, volume, False) for pitch in sorted(sounding)]
    notes = [(0, length, pitch, volume, False) for pitch in voiced(stage, player, chord)]
    if any(symbol in _BASSES for symbol in _letters(player)):
        root = bass_note(spec.bass_low, "R", chord)
        notes = [note for note in notes if note[2] > root + 2]
        notes.append((0, length, root, volume, False))
    return notes


def _letters(player: Player) -> str:
    return "".join(text for pool in player.spec.patterns.values() for text in pool)


def final_hits(stage: Stage) -> list[PartNote]:
    """The drums of the last bar."""
    spec = stage.style.drums
    assert spec is not None, "final_hits of a style without drums"
    return [(0, HIT, DRUM_PITCHES[drum], int(spec.volume * drum_velocity(drum, "x")), False) for drum in spec.ending]
