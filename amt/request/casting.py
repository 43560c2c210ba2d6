"""Who plays what a text asks for: its parts, each with one General MIDI program."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from amt.midi.programs import DRUMS
from amt.request.lexicon.bands import BANDS, DRUM_FEELS, JOINERS, PROGRAMS_IN, USE_BANDS, USUAL_BY_SIZE, USUAL_PLAYERS
from amt.request.lexicon.ensembles import ENSEMBLES
from amt.request.lexicon.styles import STYLES
from amt.request.phrases import programs_of
from amt.request.reading import Reading
from amt.request.said import Part

# An orchestra or a band has so many of its members at least.
CORE = 4
# "A lofi beat", but not "120 beats per minute" and not "off beat".
_BEAT = re.compile(r"(?<!off )(?<!back )(?<!off-)(?<!back-)\bbeats?\b(?! (?:per|a) )(?![-/])", re.IGNORECASE)


class Role(NamedTuple):
    """A part that must play, and the program that plays it; `by` is the style or use that implies it, or ""."""

    part: Part
    program: int
    by: str = ""


def cast(reading: Reading, forbidden: Collection[int] = ()) -> tuple[Role, ...]:
    """The parts that a text asks for, each with the best of its programs that nobody else has.

    These are the instruments that the text names and the members of its ensembles; where it names nobody, the band that
    is usual in its style. Drums join where the text wants a beat that only they make.

    Args:
        forbidden: programs that must not play, beside those that the text refuses.
    """
    unwanted = {*forbidden, *reading.forbidden_programs}
    roles: list[Role] = []
    # Those with the fewest programs choose first: "double bass and bass".
    wanted = list(_parts(reading))
    for part, by in sorted(wanted, key=lambda each: len(each[0].programs)):
        taken = {role.program for role in roles}
        programs = [program for program in _in_style(part, reading) if program not in unwanted]
        free = [program for program in programs if program not in taken]
        if free:
            roles.append(Role(part, free[0], by))
    order = [part for part, _ in wanted]
    return tuple(sorted(roles, key=lambda role: order.index(role.part)))


def usual_players(
    reading: Reading, seed: int, forbidden: Collection[int] = (), most: int | None = None
) -> tuple[int, ...]:
    """The programs of all who are usual where a text names nobody: see `JOINERS` and `USUAL_PLAYERS`.

    Args:
        seed: decides among several that are usual.
        forbidden: programs that must not play, beside those that the text refuses.
        most: so many may there be.

    Returns:
        none where the text names somebody, or what is usual does not fit.
    """
    roles = cast(reading, forbidden)
    if not roles:
        bands = _usual_bands(reading)
    elif all(role.by for role in roles):
        band, by = ", ".join(role.part.name for role in roles), roles[0].by
        joiners = JOINERS.get(by, JOINERS.get(STYLES[by].family, ()) if by in STYLES else ())
        bands = tuple(f"{band}, {joiner}".strip(", ") for joiner in joiners)
    else:
        return ()
    first = seed % max(1, len(bands))
    bands = bands[first:] + bands[:first]
    if reading.size is not None:
        bands += USUAL_BY_SIZE.get(reading.size.value, ())
    unwanted = {*forbidden, *reading.forbidden_programs}
    for band in bands:
        players = [Part(name, programs_of(name)) for name in band.split(", ")]
        can_play = [[program for program in _in_style(each, reading) if program not in unwanted] for each in players]
        size = len(players) if reading.size is None else reading.size.value
        if all(can_play) and len(players) == size and (most is None or size <= most):
            return tuple(sorted({programs[0] for programs in can_play}))
    return ()


def _usual_bands(reading: Reading) -> tuple[str, ...]:
    """Where a text implies no band: those of the first thing that it says and that has any."""
    said = [
        *(said.value for said in reading.styles),
        *(STYLES[said.value].family for said in reading.styles),
        *("song form" if "chorus" in said.value else said.value for said in reading.forms),
        *(said.value for said in (*reading.uses, *reading.moods)),
        "",
    ]
    return next(USUAL_PLAYERS[each] for each in said if each in USUAL_PLAYERS)


def is_closed(reading: Reading) -> bool:
    """Whether only those play that the text names."""
    return not reading.is_open


def _parts(reading: Reading) -> Iterator[tuple[Part, str]]:
    names = set()
    for part in (*reading.parts, *_core(reading)):
        if part.name not in names:
            names.add(part.name)
            yield part, ""
    if not names:
        band, by = _band(reading)
        for name in band:
            names.add(name)
            yield Part(name, programs_of(name)), by
    has_beat = any(said.value in DRUM_FEELS for said in reading.feels) or _BEAT.search(reading.english)
    if has_beat and "drums" not in names and not any(DRUMS in part.programs for part in reading.parts):
        yield Part("drums", (DRUMS,)), "beat"


def _core(reading: Reading) -> Iterator[Part]:
    """The first members of ensembles that others may join, unless the text names who can be them."""
    named = [set(said.value.programs) for said in reading.instruments]
    for ensemble in reading.ensembles:
        if ENSEMBLES[ensemble.value].is_open:
            for name, count in ENSEMBLES[ensemble.value].members[:CORE]:
                programs = programs_of(name)
                if not any(each & set(programs) for each in named):
                    yield Part(name, programs, count)


def _band(reading: Reading) -> tuple[list[str], str]:
    """The band of the first style or use that has one, and its name."""
    for said in reading.styles:
        band = BANDS.get(said.value, BANDS.get(STYLES[said.value].family))
        if band is not None:
            return [name for name in band.split(", ") if name], said.value
    for said in reading.uses:
        if said.value in USE_BANDS:
            return USE_BANDS[said.value].split(", "), said.value
    return [], ""


def _in_style(part: Part, reading: Reading) -> list[int]:
    """The programs of a part, the one of the text's style first."""
    usual = PROGRAMS_IN.get(part.name, {})
    families = (STYLES[said.value].family for said in reading.styles)
    first = [usual[family] for family in families if family in usual and usual[family] in part.programs]
    return list(dict.fromkeys([*first, *part.programs]))
