"""Which bars and which instruments of a piece an edit is about, from how a musician names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.edits import BarHole, BarLines, Holes, to_steps
from amt.midi.programs import DRUMS, program_name, program_number
from amt.midi.reference.holes import ALL
from amt.request.limits import NOT_IN_EDITS, Limits, program_numbers
from amt.request.reading import read

Bars = int | tuple[int, int] | Sequence[tuple[int, int]]
Tracks = str | int | Sequence[str | int]


def num_bars_of(midi: MidiData, config: TokenizerConfig) -> int:
    """How many bars a piece has, up to the end of its last note."""
    end = to_steps(int(midi.notes.end_ticks.max(initial=0)), midi.ticks_per_beat, config)
    return BarLines.of_midi(midi, config).num_bars(int(end))


def holes_of(
    midi: MidiData,
    config: TokenizerConfig,
    bars: Bars | None = None,
    tracks: Tracks | None = None,
    keep: Tracks | None = None,
) -> tuple[Holes, tuple[int, ...]]:
    """The holes of an edit, and the programs that have to play in them.

    Args:
        bars: the first and the last one, counted from 1; or a list of such pairs; or one bar. None: all.
        tracks: instruments, by name or number, which may be new to the piece; None: all.
        keep: instruments that stay, where all others are written anew.

    Raises:
        ValueError: it is about nothing, or about what the piece has not.
    """
    if bars is None and tracks is None and keep is None:
        raise ValueError('an edit needs bars or tracks, such as bars=(5, 8) or tracks=["bass"]')
    if tracks is not None and keep is not None:
        raise ValueError("tracks and keep say the same from two sides; leave one of them out")
    num_bars = num_bars_of(midi, config)
    if num_bars == 0:
        raise ValueError("the piece has no notes to edit; write one with amt.generate")
    spans = _spans(bars, num_bars)
    playing = _playing(midi)
    if tracks is None and keep is None:
        return Holes(BarHole(ALL, *span) for span in spans), ()
    if keep is not None:
        kept = {program for each in _each(keep, "keep") for program in _programs(each, playing, "keep")}
        missing = sorted(kept - {*playing})
        if missing:
            raise ValueError(f"keep names {program_name(missing[0])}, which does not play; {_who(playing)}")
        programs = [program for program in playing if program not in kept]
        if not programs:
            raise ValueError("keep names all instruments, so that nothing is left to edit")
        return Holes(BarHole(program, *span) for span in spans for program in programs), ()
    assert tracks is not None, "all programs, which came first"
    named = sorted({program for each in _each(tracks, "tracks") for program in _programs(each, playing, "tracks")})
    return Holes(BarHole(program, *span) for span in spans for program in named), tuple(named)


def own_instruments(midi: MidiData, text: str | None, limits: Limits) -> tuple[int, ...]:
    """The programs of a piece, those that a text names, and those that limits require: others do not join in."""
    named = {program for part in read(text).parts for program in part.programs} if text else set()
    required = {*program_numbers(limits.required_instruments or (), "required_instruments", may_be_empty=True)}
    return tuple(sorted({*_playing(midi)} | named | required))


def _playing(midi: MidiData) -> list[int]:
    found: list[int] = np.unique(np.where(midi.notes.is_drum, DRUMS, midi.notes.program)).tolist()
    return found


def check_limits(limits: Limits, programs: Sequence[int]) -> None:
    """Raise ValueError for a limit that an edit cannot have."""
    for name in NOT_IN_EDITS:
        if getattr(limits, name) is not None:
            raise ValueError(f"{name} is the piece's own in an edit; leave it out")
    for name in ("forbidden_instruments", "instruments"):
        given = getattr(limits, name)
        if given is None:
            continue
        wrong = [p for p in programs if (p in program_numbers(given, name)) == (name == "forbidden_instruments")]
        if wrong:
            verb = "forbids" if name == "forbidden_instruments" else "does not allow"
            raise ValueError(f"tracks names {program_name(wrong[0])}, which {name} {verb}; leave one of them out")


def _spans(bars: Bars | None, num_bars: int) -> list[tuple[int, int]]:
    """Pairs of first bar and end, from 0."""
    if bars is None:
        return [(0, num_bars)]
    wrong = ValueError(f"bars must be like (5, 8), the first and the last one, or a list of these; got {bars!r}")
    if isinstance(bars, str) or not isinstance(bars, (int, Sequence)):
        raise wrong
    is_one = isinstance(bars, int) or (len(bars) == 2 and all(isinstance(bar, int) for bar in bars))
    given: list[Any] = [bars] if is_one else list(cast(Sequence[Any], bars))
    spans: list[tuple[int, int]] = []
    for each in given:
        pair = (each, each) if isinstance(each, int) else each
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise wrong
        first, last = pair
        if not all(isinstance(bar, int) and not isinstance(bar, bool) for bar in (first, last)):
            raise wrong
        if not 1 <= first <= last:
            raise ValueError(f"bars are counted from 1, the first before the last; got {first} to {last}")
        if last > num_bars:
            raise ValueError(
                f"bars {first} to {last} lie beyond the piece, which has {num_bars} bars; name bars 1 to {num_bars},"
                " or continue it with amt.generate(prompt_midi=...)"
            )
        spans.append((first - 1, last))
    if not spans:
        raise wrong
    return spans


def _each(tracks: Tracks, name: str) -> list[str | int]:
    found = [tracks] if isinstance(tracks, (str, int)) else list(tracks)
    if not found:
        raise ValueError(f"{name} must name at least one instrument; leave it out for all")
    return found


def _programs(track: str | int, playing: Sequence[int], name: str) -> list[int]:
    """What a name means in a piece: "bass" is whichever basses play there, and if none does, the usual one."""
    if isinstance(track, str):
        parts = read(track).parts
        found = sorted({*(parts[0].programs if len(parts) == 1 else ())} & {*playing})
        if found:
            return found
    try:
        return [program_number(track)]
    except ValueError as error:
        raise ValueError(f"{name}: {error}; {_who(playing)}") from error


def _who(playing: Sequence[int]) -> str:
    return f"the piece has {', '.join(map(program_name, playing))}"
