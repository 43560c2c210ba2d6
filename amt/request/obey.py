"""What a text says becomes limits: instruments, refusals, tempo, metre and length. Arguments of a call win over words.

Mode, mood, style and feel are what a model is told, and what candidates are judged by.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Any, Literal

from amt.midi.config import TokenizerConfig
from amt.midi.programs import program_number
from amt.midi.vocabulary import time_signature_index
from amt.request.casting import cast, usual_players
from amt.request.limits import Limits
from amt.request.reading import Reading
from amt.request.request import completed

Obey = Literal["said", "soft"]
OBEY: tuple[Obey, ...] = ("said", "soft")

# Limits that say the same thing: an argument of one of them takes the place of the words.
LENGTHS = ("bars", "duration", "max_beats")
# Words for a tempo and styles have loose ranges that overlap: the piece keeps to the middle of them, from this share of
# the way, in octaves, up to the same share from the end.
LOOSE = 1 / 6
USUAL_METRE = "4/4"  # of bars that are counted without a metre


@dataclasses.dataclass(frozen=True)
class Obeyed:
    """What holds for a piece.

    Attributes:
        limits: all of them.
        said: the names of those that the words gave.
        warnings: what cannot be kept, in words for a user.
    """

    limits: Limits
    said: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


def obeyed(
    limits: Limits, reading: Reading, named: Collection[str] | None, config: TokenizerConfig, obey: Obey = "said"
) -> Obeyed:
    """The limits of a call, completed by those that the text states.

    Args:
        limits: of the call.
        named: the limits that the call names: also None, which leaves the choice to the model. None: the words give no
            limits.
        obey: "soft": nor do they.

    Raises:
        ValueError: what the text says cannot all be kept, or not together with the limits of the call.
    """
    own = completed(limits, reading)
    if named is None or obey == "soft":
        own.constraints(config)
        return Obeyed(own)
    warnings: list[str] = []
    words: dict[str, Any] = {}
    if config.preset == "score":
        words |= _instruments(limits, reading, named)
        words |= _tempo(reading, named, config, warnings)
        words |= _metre(limits, reading, named, warnings)
    words |= _length(reading, named, config)
    if "bars" in words and words.get("time_signature", limits.time_signature) is None:
        words["time_signature"] = USUAL_METRE
    return Obeyed(_together(limits, reading, words, config), frozenset(words), tuple(warnings))


def with_usual_players(
    limits: Limits, reading: Reading, named: Collection[str], config: TokenizerConfig, seed: int
) -> Limits:
    """The limits with who is usual where neither the call nor the text says who plays.

    Args:
        limits: of the call and of the words.
        named: the limits that the call names.
        seed: decides among several that are usual.
    """
    is_said = limits.instruments is not None or not {"instruments", "required_instruments"}.isdisjoint(named)
    if config.preset != "score" or is_said:
        return limits
    forbidden = {program_number(each) for each in limits.forbidden_instruments or ()}
    programs = usual_players(reading, seed, forbidden, limits.max_instruments)
    if not programs:
        return limits
    return dataclasses.replace(limits, instruments=programs, required_instruments=programs, forbidden_instruments=None)


def middle(low: float, high: float) -> tuple[float, float]:
    """What all agree on who use a word for a range: without the ends."""
    way = math.log(high / low) * LOOSE
    return low * math.exp(way), high * math.exp(-way)


def _instruments(limits: Limits, reading: Reading, named: Collection[str]) -> dict[str, Any]:
    """Who plays, must play, and must not."""
    if "instruments" in named:
        return {}
    own_forbidden = {program_number(each) for each in limits.forbidden_instruments or ()}
    own_required = {program_number(each) for each in limits.required_instruments or ()}
    words: dict[str, Any] = {}
    refused = reading.forbidden_programs - own_required
    if refused and "forbidden_instruments" not in named:
        words["forbidden_instruments"] = tuple(sorted(refused))
    roles = cast(reading, own_forbidden)
    if not roles:
        return words
    programs = tuple(sorted({role.program for role in roles}))
    if not reading.is_open:
        words["instruments"] = tuple(sorted({*programs, *own_required}))
        words.pop("forbidden_instruments", None)
    too_many = limits.max_instruments is not None and len(programs) > limits.max_instruments
    if "required_instruments" not in named and not too_many:
        words["required_instruments"] = programs
    return words


def _tempo(reading: Reading, named: Collection[str], config: TokenizerConfig, warnings: list[str]) -> dict[str, Any]:
    tempo = reading.implied_tempo
    if "tempo" in named or tempo is None:
        return {}
    low, high = middle(tempo.low, tempo.high) if tempo.word else (tempo.low, tempo.high)
    slowest, fastest = config.tempos_bpm[0], config.tempos_bpm[-1]
    kept = tuple(min(max(bpm, slowest), fastest) for bpm in (low, high))
    if kept != (low, high):
        warnings.append(
            f"this model's tempos are {slowest} to {fastest} quarter notes a minute; the text asks for {tempo}"
        )
    return {"tempo": kept[0] if kept[0] == kept[1] else kept}


def _metre(limits: Limits, reading: Reading, named: Collection[str], warnings: list[str]) -> dict[str, Any]:
    metre = reading.implied_metre
    if "time_signature" in named or metre is None:
        return {}
    if time_signature_index(*metre) is None and limits.bars is None:
        warnings.append("this model does not know the metre {}/{}".format(*metre))
        return {}
    return {"time_signature": "{}/{}".format(*metre)}


def _length(reading: Reading, named: Collection[str], config: TokenizerConfig) -> dict[str, Any]:
    """A length that is a single number; of a range any will do, which is not for a limit to choose."""
    if any(name in named for name in LENGTHS):
        return {}
    words: dict[str, Any] = {}
    if reading.seconds is not None and reading.seconds.value.low == reading.seconds.value.high:
        words["duration"] = reading.seconds.value.low
    if reading.bars is not None and reading.bars.value.low == reading.bars.value.high and config.preset == "score":
        words["bars"] = max(1, round(reading.bars.value.low))
    return words


def _together(limits: Limits, reading: Reading, words: dict[str, Any], config: TokenizerConfig) -> Limits:
    """The limits with those of the words; what a style only implies gives way."""
    complete = dataclasses.replace(limits, **words)
    try:
        complete.constraints(config)
        return complete
    except ValueError as error:
        completed(limits, reading).constraints(config)  # it is the call's own fault
        is_implied = {"tempo": reading.tempo is None, "time_signature": reading.metre is None}
        for name in ("tempo", "time_signature"):
            if name in words and is_implied[name] and not (name == "time_signature" and "bars" in words):
                del words[name]
                return _together(limits, reading, words, config)
        said = [("bars", reading.bars), ("duration", reading.seconds), ("tempo", reading.tempo)]
        phrases = [f'"{reading.words(each)}"' for name, each in said if name in words and each is not None]
        says = " and ".join(phrases) or repr(reading.text)
        raise ValueError(f'the text says {says}, but {error}; change one of them, or give obey="soft"') from error
