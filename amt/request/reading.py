"""What a prompt asks for, read from its words by fixed rules: no model, nothing guessed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from amt.midi.metres import Metre
from amt.midi.theory import Key
from amt.request.eras import read_eras
from amt.request.forms import read_forms
from amt.request.harmony import read_chords
from amt.request.keys import read_keys
from amt.request.length import read_bars, read_seconds, read_size
from amt.request.lexicon.ensembles import ENSEMBLES
from amt.request.lexicon.moods import MOODS
from amt.request.lexicon.styles import STYLES
from amt.request.lexicon.tags import USE_TEMPOS
from amt.request.metre import read_metre
from amt.request.parts import read_players
from amt.request.phrases import programs_of
from amt.request.said import Part, Progression, Range, Said, Tempo
from amt.request.scan import Scan
from amt.request.tempos import read_tempo
from amt.request.words import MAX_LEN, read_words

NOTHING_UNDERSTOOD = "nothing in the text was understood as a wish; the music will be of any kind"


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a text asks for, each thing with the words that say it; None or () where it says nothing.

    Attributes:
        text: as it was written.
        english: the same with the words put into English that the lexicons know; titles are blank.
        language: that the text is written in.
        instruments: those that are named.
        ensembles: by name, such as "string quartet".
        refused: instruments that must not play.
        size: how many players ("trio": 3).
        voices: how many lines the music has ("four-part": 4).
        is_open: whether others may play beside those that are named.
        keys: in the order of the text; the first is that of the piece.
        mode: a mode that is named without a tonic, such as "minor" or "dorian".
        tempo: quarter notes a minute.
        metre: that is said; `implied_metre` has those of dances.
        seconds, bars: how long.
        length: "short" or "long".
        chords: a progression.
        forms, moods, styles, eras, uses, feels, densities, registers, dynamics, playing, textures: by the names of the
            lexicon.
        warnings: what the reader could not do, in words for a user.
    """

    text: str = ""
    english: str = ""
    language: str = "English"
    instruments: tuple[Said[Part], ...] = ()
    ensembles: tuple[Said[str], ...] = ()
    refused: tuple[Said[Part], ...] = ()
    size: Said[int] | None = None
    voices: Said[int] | None = None
    is_open: bool = True
    keys: tuple[Said[Key], ...] = ()
    mode: Said[str] | None = None
    tempo: Said[Tempo] | None = None
    metre: Said[Metre] | None = None
    seconds: Said[Range] | None = None
    bars: Said[Range] | None = None
    length: Said[str] | None = None
    chords: Said[Progression] | None = None
    forms: tuple[Said[str], ...] = ()
    moods: tuple[Said[str], ...] = ()
    styles: tuple[Said[str], ...] = ()
    eras: tuple[Said[str], ...] = ()
    uses: tuple[Said[str], ...] = ()
    feels: tuple[Said[str], ...] = ()
    densities: tuple[Said[str], ...] = ()
    registers: tuple[Said[str], ...] = ()
    dynamics: tuple[Said[str], ...] = ()
    playing: tuple[Said[str], ...] = ()
    textures: tuple[Said[str], ...] = ()
    warnings: tuple[str, ...] = ()

    def facts(self) -> Iterator[tuple[str, Said[str]]]:
        """Everything that was understood, as (kind, value in words), in the order of the fields."""
        for part in self.instruments:
            yield "instrument", part.of(_part_name(part.value))
        for ensemble in self.ensembles:
            yield "ensemble", ensemble
        for part in self.refused:
            yield "without", part.of(part.value.name)
        for kind, number in (("size", self.size), ("voices", self.voices)):
            if number is not None:
                yield kind, number.of(str(number.value))
        for key in self.keys:
            yield "key", key.of(key.value.name)
        if self.metre is not None:
            yield "metre", self.metre.of("{}/{}".format(*self.metre.value))
        for kind, said in (
            ("mode", self.mode), ("tempo", self.tempo), ("seconds", self.seconds), ("bars", self.bars),
            ("length", self.length), ("chords", self.chords),
        ):  # fmt: skip
            if said is not None:
                yield kind, said.of(str(said.value))
        for kind, values in (
            ("form", self.forms), ("mood", self.moods), ("style", self.styles), ("era", self.eras), ("use", self.uses),
            ("feel", self.feels), ("density", self.densities), ("register", self.registers),
            ("dynamics", self.dynamics), ("playing", self.playing), ("texture", self.textures),
        ):  # fmt: skip
            for value in values:
                yield kind, value

    def implied(self) -> dict[str, str]:
        """What is not said but follows from a style, a use or a mood, in words."""
        implied: dict[str, str] = {}
        if self.metre is None and self.implied_metre is not None:
            implied["metre"] = "{}/{}".format(*self.implied_metre)
        if self.tempo is None and self.implied_tempo is not None:
            implied["tempo"] = str(Range(self.implied_tempo.low, self.implied_tempo.high))
        if not self.keys and self.mode is None and self.implied_mode is not None:
            implied["mode"] = self.implied_mode
        return implied

    def to_dict(self) -> dict[str, Any]:
        """As JSON knows it: each fact with its kind, its value in words, and its place in the text."""
        allowed = self.allowed_programs
        return {
            "text": self.text,
            "language": self.language,
            "english": self.english,
            "facts": [
                {"kind": kind, "value": said.value, "start": said.start, "end": said.end, "words": self.words(said)}
                for kind, said in self.facts()
            ],
            "implied": self.implied(),
            "is_open": self.is_open,
            "allowed_programs": None if allowed is None else sorted(allowed),
            "forbidden_programs": sorted(self.forbidden_programs),
            "warnings": list(self.warnings),
        }

    def words(self, said: Said[Any]) -> str:
        """The words that say something."""
        return self.text[said.start : said.end]

    @property
    def key(self) -> Said[Key] | None:
        """The key of the piece: the first that is named."""
        return self.keys[0] if self.keys else None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Who must play: the instruments that are named, and the members of ensembles whose players are fixed.

        A member gives way to an instrument that the text names and that can be it: "jazz trio: piano, double bass and
        drums" has three players.
        """
        named = list(self.instruments)
        parts = list(named)
        for ensemble in self.ensembles:
            for name, count in () if ENSEMBLES[ensemble.value].is_open else ENSEMBLES[ensemble.value].members:
                member = Part(name, programs_of(name), count)
                if not any(set(said.value.programs) & set(member.programs) for said in named):
                    parts.append(ensemble.of(member))
        return tuple(said.value for said in sorted(parts, key=lambda said: said.start))

    @property
    def allowed_programs(self) -> frozenset[int] | None:
        """The programs that may play; None where the text leaves that open."""
        if self.is_open:
            return None
        return frozenset(program for part in self.parts for program in part.programs) - self.forbidden_programs

    @property
    def forbidden_programs(self) -> frozenset[int]:
        """The programs that must not play.

        What is narrower counts: "no guitar, but a nylon guitar" leaves that one, "strings without cello" the others.
        """
        forbidden: set[int] = set()
        for refused in self.refused:
            programs = set(refused.value.programs)
            named = [set(said.value.programs) for said in self.instruments]
            forbidden |= programs.difference(*(other for other in named if not other > programs))
        return frozenset(forbidden)

    @property
    def tempo_bpm(self) -> float | None:
        """Quarter notes a minute, where the text gives a number; the middle of a range."""
        if self.tempo is None or self.tempo.value.word:
            return None
        return (self.tempo.value.low + self.tempo.value.high) / 2

    @property
    def implied_metre(self) -> Metre | None:
        """The metre that is said, else that of the first style that has one: a waltz is in 3/4."""
        if self.metre is not None:
            return self.metre.value
        return next((metre for style in self.styles if (metre := STYLES[style.value].metre) is not None), None)

    @property
    def implied_tempo(self) -> Tempo | None:
        """The tempo that is said, else what is usual in the first style, or for the first use, that has one."""
        if self.tempo is not None:
            return self.tempo.value
        for said in (*self.styles, *self.uses):
            usual = STYLES[said.value].tempo if said in self.styles else USE_TEMPOS.get(said.value)
            if usual is not None:
                return Tempo(usual.low, usual.high, said.value)
        return None

    @property
    def implied_feel(self) -> Said[str] | None:
        """The feel of the first style that has one, where none is said; a single player need not have his band's."""
        if self.feels or (self.size is not None and self.size.value == 1):
            return None
        return next((said.of(feel) for said in self.styles if (feel := STYLES[said.value].feel)), None)

    @property
    def implied_mode(self) -> str | None:
        """ "minor" or "major" where the key, the mode or a mood says so."""
        if self.keys:
            return "minor" if self.keys[0].value.is_minor else "major"
        if self.mode is not None:
            return "minor" if Key(0, self.mode.value).is_minor else "major"
        return next((mode for mood in self.moods if (mode := MOODS[mood.value].mode)), None)

    @property
    def mood_of_mode(self) -> str:
        """The mood that implies a mode, or ""."""
        return next((mood.value for mood in self.moods if MOODS[mood.value].mode), "")


def check_text(text: object) -> None:
    """Raise ValueError unless this is a text that can be read."""
    if not isinstance(text, str):
        raise ValueError(f"a text must be a str, got {type(text).__name__}")
    if not text.strip():
        raise ValueError('the text is empty; describe the music, like "a slow sad waltz for piano"')
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text is damaged: it is not UTF-8; type it again")


def _ensembles(named: tuple[Said[str], ...], styles: tuple[Said[str], ...]) -> tuple[Said[str], ...]:
    """A piano trio has strings, but in jazz a double bass and drums."""
    is_jazz = any(STYLES[said.value].family == "jazz" for said in styles)
    return tuple(said.of("jazz trio") if is_jazz and said.value == "piano trio" else said for said in named)


def read(text: str) -> Reading:
    """What a text asks for.

    Example:
        >>> read("a slow sad waltz in D minor for piano, no drums").key.value.name
        'D minor'
    """
    scan = Scan(read_words(text))
    keys, mode = read_keys(scan)
    metre = read_metre(scan)
    styles = scan.of_kind("style")
    implied = metre.value if metre is not None else next((m for s in styles if (m := STYLES[s.value].metre)), None)
    usual = next((range_ for s in styles if (range_ := STYLES[s.value].tempo)), None)
    tempo = read_tempo(scan, implied, usual)
    chords = read_chords(scan, keys[0].value if keys else None)
    eras = read_eras(scan)
    seconds, bars = read_seconds(scan), read_bars(scan)
    players = read_players(scan)
    reading = Reading(
        text=text, english=scan.english, language=scan.words.language, instruments=players.instruments,
        ensembles=_ensembles(players.ensembles, styles),
        refused=players.refused, size=players.size, voices=players.voices,
        is_open=players.is_open, keys=tuple(keys), mode=mode, tempo=tempo, metre=metre, seconds=seconds, bars=bars,
        length=read_size(scan), chords=chords, forms=tuple(read_forms(scan)), eras=tuple(eras), styles=styles,
        moods=scan.of_kind("mood"), uses=scan.of_kind("use"),
        feels=scan.of_kind("feel"), densities=scan.of_kind("density"),
        registers=scan.of_kind("register"), dynamics=scan.of_kind("dynamics"),
        playing=scan.of_kind("playing"), textures=scan.of_kind("texture"),
    )  # fmt: skip
    return dataclasses.replace(reading, warnings=tuple(_warnings(reading)))


def _part_name(part: Part) -> str:
    return f"{part.name}*{part.count}" if part.count > 1 else part.name


def _warnings(reading: Reading) -> Iterator[str]:
    if reading.text.strip() and next(reading.facts(), None) is None:
        yield NOTHING_UNDERSTOOD
    if len(reading.text) > MAX_LEN:
        yield f"only the first {MAX_LEN} characters of the text were read"
