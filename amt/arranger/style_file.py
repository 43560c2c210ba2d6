"""Style files: read, checked field by field, with one clear error for whatever is wrong."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

from amt.arranger.chords import MODES, numeral_chord
from amt.arranger.drum_names import DRUM_PITCHES
from amt.arranger.fields import Fields, StyleError, unknown
from amt.arranger.form import parse_form
from amt.arranger.instruments import instruments
from amt.arranger.metre import Metre, metre
from amt.arranger.patterns import bars, clean, split_metre
from amt.arranger.style import DrumSpec, EndingSpec, HarmonySpec, PartSpec, Style
from amt.midi.programs import program_number

PLAYS = (
    "chords", "arpeggio", "bass", "walk", "melody", "riff", "double", "harmony", "counter", "answer", "imitation",
    "drone", "chorale",
)  # fmt: skip
VOICINGS = ("close", "open", "power", "shell", "triad", "octaves", "guitar", "spread")
SCALE_NAMES = ("key", "pentatonic", "blues", "chord")
SHAPES = ("up", "down", "updown", "downup", "alberti", "broken", "skip", "wave", "free")
PROMISES = ("backbeat", "four", "swing", "walking", "offbeat")
ROLES = ("lead", "bass", "chords", "pad", "counter")
_PITCH = re.compile(r"([A-G])([#b]?)(-?\d)")
_SYMBOLS = {
    "chords": "xog^123456RFOTSdub", "bass": "RrFfOoTtSsANnUD", "riff": "RrPpmMO", "drone": "xRF", "chorale": "x",
}  # fmt: skip


class _Metres(NamedTuple):
    """The metres of a style: of patterns that name none, those that are played, and all of its file."""

    plain: Metre
    played: tuple[Metre, ...]
    known: dict[str, Metre]


def pitch(text: str) -> int:
    """The MIDI pitch of a name such as "C4" (60) or "Bb2".

    Raises:
        ValueError: it is none.
    """
    match = _PITCH.fullmatch(text)
    if match is None:
        raise ValueError(f'a pitch is like "C4" or "Bb2", got {text!r}')
    semitone = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[match[1]]
    return semitone + {"": 0, "#": 1, "b": -1}[match[2]] + 12 * (int(match[3]) + 1)


def _registers(fields: Fields, name: str, default: str | None) -> tuple[int, int]:
    words = fields.text(name, default).split()
    try:
        low, high = (pitch(word) for word in words)
    except ValueError as error:
        raise fields.error(name, f'expected two pitches like "C3 C5", got {" ".join(words)!r}') from error
    if high - low < 11:
        raise fields.error(name, f"must span an octave at least, got {' '.join(words)!r}")
    return low, high


def _check_patterns(
    fields: Fields, name: str, pools: dict[str, tuple[str, ...]], metres: _Metres, symbols: str
) -> None:
    """Every pattern fits a metre, and every pool has one for each metre that is played."""
    if "main" not in pools:
        raise fields.error(name, "has none for main, which sections without their own take")
    known = metres.known
    for section, pool in pools.items():
        for text in pool:
            own, _ = split_metre(text)
            if own is not None and own not in known:
                raise fields.error(f"{name}.{section}", unknown("metre of this style", own, known))
            place = known[own] if own else metres.plain
            try:
                rows = bars(clean(text), place.bar)
            except ValueError as error:
                raise fields.error(f"{name}.{section}", f"{text!r}: {error}") from error
            wrong = {cell.symbol for row in rows for cell in row} - set(symbols) - {"?"}
            if wrong:
                known_symbols = " ".join(symbols)
                raise fields.error(
                    f"{name}.{section}", f"{text!r} has {min(wrong)!r}; events are {known_symbols} ?, others . -"
                )
        _check_metres(fields, f"{name}.{section}", pool, metres)


def _check_metres(fields: Fields, name: str, pool: tuple[str, ...], metres: _Metres) -> None:
    for each in metres.played:
        if not any((split_metre(text)[0] or metres.plain.name) == each.name for text in pool):
            raise fields.error(name, f"has no pattern for {each.name}")


def _check_rhythms(fields: Fields, pools: dict[str, tuple[str, ...]], metres: _Metres, grid: int) -> None:
    if pools and "main" not in pools:
        raise fields.error("rhythms", "has none for main, which sections without their own take")
    known = metres.known
    for section, pool in pools.items():
        for text in pool:
            own, body = split_metre(text)
            place = known.get(own or metres.plain.name)
            if place is None:
                raise fields.error(f"rhythms.{section}", unknown("metre of this style", str(own), known))
            body = body.replace(" ", "")
            if set(body) - set("x-."):
                raise fields.error(f"rhythms.{section}", f"{text!r}: a rhythm is written with x - .")
            if not body or len(body) * (96 // grid) not in (place.bar, place.bar // 2, 2 * place.bar):
                cells = place.bar * grid // 96
                raise fields.error(
                    f"rhythms.{section}",
                    f"{text!r} has {len(body)} cells, expected {cells} (a bar) or half or twice that",
                )
        _check_metres(fields, f"rhythms.{section}", pool, metres)


def _part(table: Any, place: str, metres: _Metres, number: int) -> PartSpec:
    fields = Fields(table, f"{place}: part {number}")
    name = fields.text("name")
    fields.place = f"{place}: part {name!r}"
    play = fields.choice("play", PLAYS)
    programs = []
    for word in fields.texts("programs"):
        try:
            programs.append(program_number(word))
        except ValueError as error:
            raise fields.error("programs", str(error)) from error
        if programs[-1] not in instruments():
            raise fields.error("programs", f"{word!r} has no range and names in words/instruments.toml")
    default_role = {"bass": "bass", "walk": "bass", "melody": "lead", "riff": "chords", "drone": "pad"}
    role = fields.choice(
        "role", ROLES, default_role.get(play, "chords" if play in ("chords", "arpeggio") else "counter")
    )
    low, high = _registers(fields, "register", None)
    patterns = fields.pools("patterns", {} if play == "chorale" else None) if play in _SYMBOLS else {}
    if patterns:
        _check_patterns(fields, "patterns", patterns, metres, _SYMBOLS[play])
    grid = int(fields.number("grid", 4, 48, 16))
    rhythms = fields.pools("rhythms") if play in ("melody", "chorale") else {}
    _check_rhythms(fields, rhythms, metres, grid)
    plans = fields.texts("plans", ["abac", "aabc", "abab"])
    for plan in plans:
        if not re.fullmatch(r"[a-f.]+", plan):
            raise fields.error("plans", f'a plan is letters a to f and "." for a rest, got {plan!r}')
    shapes = fields.texts("shapes", ["up"])
    for shape in shapes:
        if shape not in SHAPES:
            raise fields.error("shapes", unknown("shape", shape, SHAPES))
    spec = PartSpec(
        name=name,
        play=play,
        role=role,
        programs=tuple(programs),
        names=fields.texts("names", []),
        low=low,
        high=high,
        bass_low=pitch(fields.text("bass_from", "E2")),
        chance=fields.number("chance", 0, 1, 1),
        volume=fields.number("volume", 10, 127, 80),
        sections=fields.texts("sections", []),
        not_sections=fields.texts("not", []),
        substyles=fields.texts("substyles", []),
        group=fields.text("group", ""),
        patterns=patterns,
        rhythms=rhythms,
        plans=plans,
        voices=int(fields.number("voices", 1, 6, 4)),
        voicing=fields.choice("voicing", VOICINGS, "close"),
        holds_on=fields.flag("holds"),
        grid=grid,
        unit=int(fields.number("unit", 1, 4, 2)),
        scale=fields.choice("scale", SCALE_NAMES, "key"),
        leap=int(fields.number("leap", 3, 12, 7)),
        lift=int(fields.number("lift", 0, 12, 0)),
        has_solos=fields.flag("solos"),
        follows=fields.text("follows", ""),
        delay=int(fields.number("delay", 0, 4, 0)),
        transpose=int(fields.number("transpose", -24, 24, 0)),
        shapes=shapes,
        octaves=int(fields.number("octaves", 1, 3, 1)),
        gate=fields.number("gate", 0.1, 4, 0.9),
        voice=int(fields.number("voice", 0, 4, 0)),
        like=fields.text("like", ""),
    )
    fields.done()
    if play in ("double", "harmony", "counter", "answer", "imitation") and not spec.follows:
        raise fields.error("follows", f"a part that plays {play!r} names the part that it follows")
    for program in spec.programs:
        instrument = instruments()[program]
        if min(high, instrument.high) - max(low, instrument.low) < 11:
            raise fields.error(
                "register",
                f"{instrument.names['en'][0]} plays MIDI pitches {instrument.low} to {instrument.high};"
                f" less than an octave of {low} to {high} is left",
            )
    return spec


def _drums(table: Any, place: str, metres: _Metres) -> DrumSpec:
    fields = Fields(table, f"{place}: drums")
    chance, volume = fields.number("chance", 0, 1, 1), fields.number("volume", 0.1, 1.3, 1)
    names = fields.texts("names", [])
    width = int(fields.number("fill_width", 2, 48, 6))
    fills = []
    for index, fill in enumerate(fields.tables("fill"), 1):
        row = Fields(fill, f"{place}: fill {index}")
        made: dict[str, str] = {}
        for drum in list(fill):
            if drum not in DRUM_PITCHES:
                raise row.error(drum, unknown("drum", drum, DRUM_PITCHES))
            text = row.text(drum).replace(" ", "")
            if set(text) - set("xog.-"):
                raise row.error(drum, f"{text!r}: a fill is written with x o g . -")
            made[drum] = text
        if len({len(text) for text in made.values()}) > 1:
            raise row.error("fill", "all its patterns must be of one length")
        fills.append(made)
    every = int(fields.number("fill_every", 1, 64, 8))
    variants = int(fields.number("variants", 1, 4, 1))
    crash = fields.flag("crash", True)
    solos = fields.texts("solos", [])
    steady = fields.flag("steady")
    ending = fields.texts("ending", ["kick", "crash"])
    for drum in ending:
        if drum not in DRUM_PITCHES:
            raise fields.error("ending", unknown("drum", drum, DRUM_PITCHES))
    grooves: dict[str, dict[str, tuple[str, ...]]] = {}
    groove_table = fields.table("groove")
    fields.done()
    for section, groove in groove_table.items():
        row = Fields(groove, f"{place}: drums.groove.{section}")
        grooves[section] = {}
        for drum in list(groove):
            if drum not in DRUM_PITCHES:
                raise row.error(drum, unknown("drum", drum, DRUM_PITCHES))
            pools = {"main": row.texts(drum)}
            _check_patterns(row, drum, pools, metres, "xog")
            grooves[section][drum] = pools["main"]
    if "main" not in grooves:
        raise fields.error("groove", "needs a groove named main")
    return DrumSpec(chance, volume, names, grooves, tuple(fills), width, every, variants, crash, solos, steady, ending)


def _harmony(table: Any, place: str) -> HarmonySpec:
    fields = Fields(table, place)
    symbols = {}
    for symbol in [name for name in table if isinstance(table[name], str) and name != "end"]:
        symbols[symbol] = tuple(fields.text(symbol).split())
    end = tuple(fields.text("end").split())
    phrases = {}
    for section in [name for name in table if not isinstance(table[name], str)]:
        phrases[section] = fields.texts(section)
    if "main" not in phrases:
        raise fields.error("main", "is missing: the phrases for sections without their own")
    for name, texts in [*symbols.items(), *phrases.items(), ("end", end)]:
        for word in (word for text in texts for token in text.split() for word in token.split("/")):
            if word in symbols and name not in symbols:
                continue
            try:
                numeral_chord(word, 0)
            except ValueError as error:
                raise fields.error(name, str(error)) from error
    fields.done()
    return HarmonySpec(symbols, phrases, end)


_OVERRIDES = (
    "names",
    "scenes",
    "uses",
    "moods",
    "tempo",
    "metres",
    "swing",
    "modes",
    "forms",
    "levels",
    "promises",
    "weight",
)


def _metres(fields: Fields, weights: dict[str, float]) -> dict[str, Metre]:
    try:
        return {each.name: each for each in map(metre, weights)}
    except ValueError as error:
        raise fields.error("metres", str(error)) from error


def parse_style(table: dict[str, Any], place: str, substyle: str = "", of_file: _Metres | None = None) -> Style:
    """A style from the contents of its file.

    Args:
        substyle: its name if it is one; then `of_file` has the metres of the file.

    Raises:
        StyleError: it cannot be used; the message names the file, the field, and what is wrong.
    """
    own = {name: value for name, value in table.items() if name != "substyle"}
    fields = Fields(own, place)
    metres_weights = fields.weights("metres", {"4/4": 1})
    played = _metres(fields, metres_weights)
    variants = Fields(table.get("substyle", {}), f"{place}: substyle")
    if of_file is None:
        known = dict(played)
        for changes in dict(table.get("substyle", {})).values():
            known |= _metres(fields, Fields(changes, f"{place}: substyle").weights("metres", {"4/4": 1}))
        of_file = _Metres(next(iter(played.values())), (), known)
    metres = of_file._replace(played=tuple(played.values()))
    swing = fields.pair("swing", 2, 23) if fields.has("swing") else None
    modes = fields.weights("modes")
    for mode in modes:
        if mode not in MODES:
            raise fields.error("modes", unknown("mode", mode, MODES))
    forms = []
    for text in fields.texts("forms"):
        try:
            forms.append(parse_form(text))
        except ValueError as error:
            raise fields.error("forms", str(error)) from error
    moods = fields.table("moods")
    for mood, needs in moods.items():
        if needs not in ("any", "major", "minor"):
            raise fields.error("moods", f"{mood!r} must be any, major or minor, got {needs!r}")
    tonics = tuple(numeral_tonic(fields, word) for word in fields.text("tonics", "C D E F G A Bb Eb B Ab").split())
    promises = fields.texts("promises", [])
    for promise in promises:
        if promise not in PROMISES:
            raise fields.error("promises", unknown("promise", promise, PROMISES))
    harmony_table = fields.table("harmony")
    harmony = {mode: _harmony(harmony_table[mode], f"{place}: harmony.{mode}") for mode in harmony_table}
    for mode in modes:
        if mode not in harmony:
            raise fields.error("harmony", f"has nothing for the mode {mode!r}")
    part_tables = fields.tables("part")
    parts = tuple(_part(part, place, metres, number) for number, part in enumerate(part_tables, 1))
    names = [part.name for part in parts]
    for part in parts:
        if names.count(part.name) > 1:
            raise StyleError(f"{place}: two parts are named {part.name!r}")
        if part.follows and part.follows not in names[: names.index(part.name)]:
            raise StyleError(f"{place}: part {part.name!r}: follows: no part {part.follows!r} stands before it")
        if part.like and part.like not in names[: names.index(part.name)]:
            raise StyleError(f"{place}: part {part.name!r}: like: no part {part.like!r} stands before it")
    drums = _drums(fields.table("drums"), place, metres) if fields.has("drums") else None
    if not parts and drums is None:
        raise StyleError(f"{place}: has neither parts nor drums")
    ending = Fields(fields.table("ending"), f"{place}: ending")
    ending_spec = EndingSpec(ending.flag("ritardando"), ending.number("ring", 0.1, 1, 1), ending.flag("lead", True))
    ending.done()
    levels = fields.table("levels")
    style = Style(
        name=fields.text("name"),
        substyle=substyle,
        family=fields.text("family"),
        names=fields.texts("names"),
        scenes=fields.texts("scenes"),
        uses=fields.texts("uses"),
        moods={str(mood): str(needs) for mood, needs in moods.items()},
        tempo=fields.pair("tempo", 20, 400),
        metres=metres_weights,
        plain_metre=metres.plain.name,
        swing=None if swing is None else (int(swing[0]), int(swing[1])),
        modes=modes,
        tonics=tonics,
        forms=tuple(forms),
        levels={name: float(level) for name, level in levels.items()},
        promises=promises,
        turnaround=fields.number("turnaround", 0, 1, 0.5),
        harmony=harmony,
        drums=drums,
        parts=parts,
        ending=ending_spec,
        weight=fields.number("weight", 0, 1000, 1),
        substyles=(),
    )
    fields.done()
    made = []
    for name, changes in dict(table.get("substyle", {})).items():
        for field in changes:
            if field not in _OVERRIDES:
                raise variants.error(name, unknown("field that a substyle may change", field, _OVERRIDES))
        made.append(parse_style({**own, **changes}, f"{place}: substyle {name!r}", name, metres))
    return dataclasses.replace(style, substyles=tuple(made))


def numeral_tonic(fields: Fields, word: str) -> int:
    """The pitch class of a tonic's name in a style file."""
    try:
        return pitch(f"{word}4") % 12
    except ValueError as error:
        raise fields.error("tonics", f"expected names of notes, got {word!r}") from error
