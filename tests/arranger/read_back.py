"""What captions say, read back: where a reading of one says something else than the piece's facts or notes.

    python tests/arranger/read_back.py [--num 5000] [--seed 77] [--examples 3]

composes pieces in all styles, reads each caption with `amt.request.reading` and prints every kind of contradiction. It
ends with an error if there is one.
"""

from __future__ import annotations

import argparse
import collections
import functools
import sys
from collections.abc import Iterator
from typing import Any

from amt.arranger.arrangement import Arrangement
from amt.arranger.compose import compose
from amt.arranger.library import styles
from amt.midi.chords import parse_chord
from amt.midi.metres import Metre
from amt.midi.sanity import has_feel
from amt.midi.theory import parse_key
from amt.request.lexicon.styles import STYLES
from amt.request.reading import Reading, read
from amt.request.stated import DURATION_TOLERANCE, MEASURED_FEELS

# A dance that is played in others than its usual metre; saying it says no metre.
OTHER_METRES: dict[str, tuple[Metre, ...]] = {"march": ((2, 4), (6, 8), (2, 2)), "ragtime": ((4, 4),)}
# What may be said of any piece: a style that is only a kind of song, a use that is none.
OF_ANY = {"styles": ("anthem", "ballad", "dance"), "uses": ("background",)}
# What a word for the density cannot be said of: the piece's own words for it.
DENSITIES = {
    "sparse": ("busy", "very busy"),
    "busy": ("sparse", "moderate"),
}
SOFT_BELOW, LOUD_ABOVE = 76.0, 66.0  # mean velocity


def contradictions(text: str, piece: Arrangement) -> Iterator[tuple[str, str]]:
    """What a caption says that is not so, as (kind, in words).

    Words for moods, uses, eras, playing and textures may only be those that the piece's own moods, and its style's
    names and uses, are read as.
    """
    reading, facts = read(text), piece.facts
    yield from _players(reading, facts)
    yield from _keys(reading, facts)
    yield from _tempo(reading, facts)
    yield from _lengths(reading, facts)
    yield from _chords_and_form(reading, facts)
    yield from _feels(reading, piece)
    yield from _words(reading, facts)


def _players(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    programs = set(facts["programs"])
    for part in reading.parts:
        if not programs & set(part.programs):
            yield "part", part.name
    allowed = reading.allowed_programs
    if allowed is not None and programs - allowed:
        yield "others", str(sorted(programs - allowed))
    if programs & reading.forbidden_programs:
        yield "refused", str(sorted(programs & reading.forbidden_programs))
    if reading.size is not None and reading.size.value != len(programs):
        yield "size", f"{reading.size.value}, has {len(programs)}"
    if reading.voices is not None and reading.voices.value > max(facts["polyphony"] or 0, len(facts["parts"])) + 1:
        yield "voices", str(reading.voices.value)


def _keys(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = parse_key(facts["key"]) if facts["key"] else None
    if reading.key is not None:
        key = reading.key.value
        is_own = own is not None and key.tonic == own.tonic
        if not (is_own and own and _is_mode(key.mode, own.mode)):
            yield "key", f"{key.name}, is {facts['key']}"
    if reading.mode is not None and not (own is not None and _is_mode(reading.mode.value, own.mode)):
        yield "mode", f"{reading.mode.value}, is {facts['key']}"


def _is_mode(said: str, own: str) -> bool:
    return said == own or (said, own) == ("minor", "harmonic minor")


def _tempo(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    bpm = facts["quarter_bpm"]
    if reading.tempo is not None:
        tempo = reading.tempo.value
        around = 0.0 if tempo.word else 1.0
        if not tempo.low - around <= bpm <= tempo.high + around:
            yield "tempo", f"{tempo.word} {tempo.low:g}-{tempo.high:g}, is {bpm}"
    own = tuple(map(int, facts["meter"].split("/")))
    if reading.metre is not None:
        if reading.metre.value != own:
            yield "metre", f"{reading.metre.value}, is {own}"
        return
    for said in reading.styles:
        metre = STYLES[said.value].metre
        if metre not in (None, own) and own not in OTHER_METRES.get(said.value, ()):
            yield "metre", f"{said.value}: {metre}, is {own}"


def _lengths(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    seconds = facts["duration_s"]
    if reading.seconds is not None:
        low, high = reading.seconds.value
        if seconds < (1 - DURATION_TOLERANCE) * low or (high and seconds > (1 + DURATION_TOLERANCE) * high):
            yield "seconds", f"{reading.seconds.value}, is {seconds}"
    if reading.bars is not None and reading.bars.value != (facts["bars"], facts["bars"]):
        yield "bars", f"{reading.bars.value}, is {facts['bars']}"
    if reading.length is not None and (seconds > 60 if reading.length.value == "short" else seconds < 120):
        yield "length", f"{reading.length.value}, is {seconds}"


def _chords_and_form(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if reading.chords is not None:
        progression = reading.chords.value
        bars = [[parse_chord(word) for word in text.split(" ")] for text in facts["chords"][: len(progression.bars)]]
        if progression.is_movable or [list(bar) for bar in progression.bars] != bars:
            yield "chords", f"{progression}, are {facts['chords'][: len(bars)]}"
    letters = "".join(name[0] for name, _, _ in facts["sections"])
    names = [_as_form(name) for name, _, _ in facts["sections"]]
    own = _of_words(facts)["forms"]
    for form in reading.forms:
        parts = form.value.split(" ")
        if form.value not in (letters, *own) and not all(part in names for part in parts):
            yield "form", f"{form.value}, is {letters} {names}"


def _as_form(section: str) -> str:
    return {"pre": "pre-chorus", "break": "breakdown", "build": "build-up"}.get(section, section)


def _feels(reading: Reading, piece: Arrangement) -> Iterator[tuple[str, str]]:
    own = _of_words(piece.facts)["feels"]
    for said in reading.feels:
        if said.value in MEASURED_FEELS:
            if not has_feel(piece.music, MEASURED_FEELS[said.value]):
                yield "feel", said.value
        elif said.value == "straight":
            if piece.facts["swing"]:
                yield "feel", said.value
        elif said.value not in own:
            yield "feel", said.value
    implied = reading.implied_feel
    feel = None if implied is None else MEASURED_FEELS.get(implied.value)
    if implied is not None and feel is not None and not has_feel(piece.music, feel):
        yield "feel of style", f"{implied.value} ({reading.words(implied)})"


def _words(reading: Reading, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    own = _of_words(facts)
    for kind in ("moods", "uses", "eras", "playing", "textures"):
        for said in getattr(reading, kind):
            if said.value not in (*own[kind], *OF_ANY.get(kind, ())):
                yield kind, said.value
    families = {STYLES[name].family for name in own["styles"]}
    for said in reading.styles:
        if STYLES[said.value].family not in families and said.value not in OF_ANY["styles"]:
            yield "styles", said.value
    for said in reading.densities:
        if facts["density"] in DENSITIES.get(said.value, ()) or (
            said.value not in DENSITIES and said.value not in own["densities"]
        ):
            yield "densities", f"{said.value}, is {facts['density']}"
    for said in reading.dynamics:
        velocity = facts["velocity_mean"]
        is_so = {"soft": velocity < SOFT_BELOW, "loud": velocity > LOUD_ABOVE}.get(said.value, False)
        if not is_so:
            yield "dynamics", f"{said.value}, is {velocity}"
    for said in reading.registers:
        yield "registers", said.value


KINDS = ("moods", "uses", "eras", "playing", "textures", "styles", "densities", "feels", "forms")


def _of_words(facts: dict[str, Any]) -> dict[str, frozenset[str]]:
    own = _own_words(facts["style"], facts["substyle"], tuple(facts["mood"]))
    more = {
        "moods": {"energetic"} if facts["energy"] == "high" else set(),
        "playing": {"pizzicato"} if 45 in facts["programs"] else {"palm-muted"} if 28 in facts["programs"] else set(),
    }
    return {kind: words | more.get(kind, set()) for kind, words in own.items()}


@functools.cache
def _own_words(name: str, substyle: str, moods: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """What the words that a piece may be called by are read as.

    Its moods are facts; a style's names, uses and scenes are not measured: they are what its pieces are meant for.
    """
    style = styles()[name]
    style = next((each for each in style.substyles if each.substyle == substyle), style)
    names = [name, *style.names, f"{style.family} music"]
    words = {
        "moods": moods,
        "styles": names,
        "forms": names,
        "densities": (*names, *moods),
        "feels": (*names, *moods, *(style.drums.names if style.drums is not None else ())),
    }
    every = (*names, *moods, *style.uses, *style.scenes)
    return {
        kind: frozenset(said.value for text in words.get(kind, every) for said in getattr(read(text), kind))
        for kind in KINDS
    }


def pieces(num: int, seed: int) -> Iterator[Arrangement]:
    """So many pieces, all styles in turn, as `amt arrange -n` makes them."""
    known = list(styles().values())
    for index in range(num):
        yield compose(known[index % len(known)], seed + index)


def main() -> int:
    """Print what is not so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--examples", type=int, default=3)
    options = parser.parse_args()
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    examples: dict[tuple[str, str], list[str]] = {}
    num_captions = num_wrong = 0
    for piece in pieces(options.num, options.seed):
        is_wrong = False
        for text in piece.captions:
            num_captions += 1
            for kind, words in contradictions(text, piece):
                is_wrong = True
                row = kind, words.split(", ")[0]
                found[row] += 1
                shown = examples.setdefault(row, [])
                if len(shown) < options.examples:
                    shown.append(f"{words} | {piece.facts['style']} {piece.facts['programs']} | {text}")
        num_wrong += is_wrong
    kinds = collections.Counter()
    for row, count in found.items():
        kinds[row[0]] += count
    for row, count in sorted(found.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"{row[0]:12} {row[1]:28} {count}")
        for example in examples[row]:
            print(f"        {example}")
    print(dict(kinds))
    print(
        f"{sum(found.values())} contradictions in {num_captions} captions of {options.num} pieces ({num_wrong} wrong)"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
