"""Who plays: the parts of a piece and their instruments, drawn, or as the user wants them."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

from amt.arranger.instruments import instruments
from amt.arranger.stage import Player
from amt.arranger.style import PartSpec, Style
from amt.midi.programs import DRUMS, program_name

# The order in which parts take instruments that none of them is written for.
_ROLES = ("lead", "chords", "counter", "pad", "bass")
_OTHER_RANGE = (40, 88)  # of instruments that the arranger does not know


def make_player(spec: PartSpec, program: int) -> Player:
    """A part played by an instrument: its register, as far as the instrument reaches."""
    known = instruments().get(program)
    lowest, highest = (known.low, known.high) if known else _OTHER_RANGE
    low, high = max(spec.low, lowest), min(spec.high, highest)
    if high - low < 11:  # another register than the part was written for
        span = max(12, spec.high - spec.low)
        middle = min(max((spec.low + spec.high) // 2, lowest + span // 2), highest - span // 2)
        low, high = max(lowest, middle - span // 2), min(highest, middle + span // 2)
    return Player(spec, program, low, high, bool(known and known.has_breath))


def cast(style: Style, rng: random.Random) -> tuple[list[Player], bool]:
    """The players of a piece, and whether there are drums."""
    chosen: list[PartSpec] = []
    taken: set[str] = set()
    usable = [part for part in style.parts if not part.substyles or style.substyle in part.substyles]
    groups = {part.group for part in usable if part.group}
    picks = {
        group: rng.choices(
            [part.name for part in usable if part.group == group],
            [part.chance for part in usable if part.group == group],
        )[0]
        for group in sorted(groups)
    }
    for part in usable:
        if part.group:
            if picks[part.group] != part.name:
                continue
        elif rng.random() >= part.chance:
            continue
        if part.follows and part.follows not in taken:
            continue
        chosen.append(part)
        taken.add(part.name)
    has_drums = style.drums is not None and rng.random() < style.drums.chance
    if not chosen and not has_drums:
        chosen = [usable[0]]
    programs: dict[str, int] = {}
    for part in chosen:
        if part.like in programs:
            programs[part.name] = programs[part.like]
            continue
        free = [program for program in part.programs if program not in programs.values()] or list(part.programs)
        programs[part.name] = rng.choice(free)
    return [make_player(part, programs[part.name]) for part in chosen], has_drums


def cast_for(style: Style, wanted: Sequence[int]) -> tuple[list[Player], bool]:
    """The players where just these instruments shall play: each takes the part that suits it best.

    Raises:
        ValueError: the style has no part for one of them.
    """
    free = [part for part in style.parts if not part.substyles or style.substyle in part.substyles]
    has_drums = DRUMS in wanted
    if has_drums and style.drums is None:
        raise ValueError(f"{style.name} has no drums")
    chosen: list[tuple[PartSpec, int]] = []
    pitched = [program for program in dict.fromkeys(wanted) if program != DRUMS]
    rest: list[int] = []
    for program in pitched:
        fitting = [part for part in free if program in part.programs]
        for part in fitting[:1] if all(part.like == "" for part in fitting) else fitting:
            chosen.append((part, program))
            free.remove(part)
        if not fitting:
            rest.append(program)
    for program in rest:
        kin = [part for part in free if any(other // 8 == program // 8 for other in part.programs)]
        is_bass = program // 8 == 4 or program in (43, 58)
        suited = [part for role in _ROLES for part in free if part.role == role and (role == "bass") == is_bass]
        pool = kin or suited or free
        if pool:
            chosen.append((pool[0], program))
            free.remove(pool[0])
        elif chosen:
            leader = chosen[0][0]
            spec = dataclasses.replace(leader, name=f"{leader.name} with {program_name(program)}", play="double")
            chosen.append((dataclasses.replace(spec, follows=leader.name, role="counter"), program))
        else:
            raise ValueError(f"{style.name} has no part for {program_name(program)}")
    names = {part.name for part, _ in chosen}
    for part in list(free):  # what a chosen part follows, or the other hand of it
        if part.like in names:
            program = next(program for other, program in chosen if other.name == part.like)
            chosen.append((part, program))
    order = {part.name: index for index, part in enumerate(style.parts)}
    chosen.sort(key=lambda pair: order.get(pair[0].name, len(order)))
    made = []
    for spec, program in chosen:
        if spec.follows and spec.follows not in names:  # its leader does not play: it leads itself
            by_name = {part.name: part for part in style.parts}
            leader = by_name[spec.follows]
            while leader.follows:
                leader = by_name[leader.follows]
            names.add(spec.name)
            spec = dataclasses.replace(leader, name=spec.name, low=spec.low, high=spec.high, programs=spec.programs)
        made.append(make_player(dataclasses.replace(spec, chance=1.0), program))
    if made and not any(set(player.spec.sections) == set() and not player.spec.not_sections for player in made):
        # Somebody plays throughout.
        first = made[0]
        first.spec = dataclasses.replace(first.spec, sections=(), not_sections=())
    return made, has_drums
