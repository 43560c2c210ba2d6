"""Hard limits: one table, of which the checks, the command line and the docs are made; and what they are for tokens.

A new limit is a field of `Limits` and of `LimitOptions` here, one of `amt.midi.limits.Constraints`, its meaning in
`amt.midi.reference.grammar`, the same in csrc/midi/grammar.h and .cpp, and a row in `amt.request.report`.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypedDict

from amt.config import make_plain, setting
from amt.midi.config import TokenizerConfig
from amt.midi.limits import MANY, Constraints
from amt.midi.metres import bar_length
from amt.midi.programs import DRUMS, program_name, program_number
from amt.midi.ranges import HIGHEST, LOWEST, VOICES
from amt.midi.theory import parse_key
from amt.midi.vocabulary import (
    NUM_PITCHES,
    NUM_TIME_SIGNATURES,
    time_signature,
    time_signature_index,
    vocabulary_of,
)
from amt.request.note_lengths import (
    USUAL_BEATS,
    NoteBeats,
    note_steps_of_programs,
    usual_note_beats,
    with_others,
)
from amt.request.pitches import pitch_of_programs
from amt.request.plans import plan_asked, said_plan
from amt.request.reading import Reading

MAX_BEATS = 1 << 20
MAX_BARS = 1 << 16
MAX_DURATION_S = 86_400
LENGTHS = ("max_beats", "duration", "bars")
# In an edit: what a piece has already, or what is about a whole piece.
NOT_IN_EDITS = ("tempo", "time_signature", "duration", "bars", "max_beats", "entry_by_beats", "max_instruments")
# A length that is asked for is met within these.
BARS_AROUND = 1
# So many may join those that must play.
OTHERS = 3
DURATION_AROUND = Fraction(5, 100)

Pitches = int | str | Mapping[str | int, int | str]
Voices = int | Mapping[str | int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Hard limits of a generation, as a musician names them; None leaves the choice to the model.

    `instruments` are General MIDI names ("violin", "drums") or program numbers 0..127 (128 = drums); they all play,
    unless `required_instruments` says which must. `tempo` is kept throughout, or is a metronome mark between two
    (`(90, 110)`); `time_signature` is kept throughout. `bars` and `duration` are what the piece comes to: it ends
    in that bar, or within 5 % of the seconds. `min_pitch` and `max_pitch` are numbers or names ("C4"), for all
    instruments but drums or for some (`{"cello": "C2"}`). So is `max_note_beats` a number, or numbers for some
    (`{"piano": 4, "strings": 16}`). `chords` and `form` are a plan that the music is written over, by a model that
    has plans. It fills `bars`, or the `duration` at the `tempo`; else it has 16 bars, or 4 for each section. What
    has a `usual` value in its row has that in a generation that does not name it.
    """

    instruments: Sequence[str | int] | None = setting(
        None, 'Only these play, like "violin,cello" or "piano,drums"; "none" for any.', only_score=True, written="list"
    )
    required_instruments: Sequence[str | int] | None = setting(
        None, 'These play before the end; default: all of --instruments; "" for none.', only_score=True, written="list"
    )
    forbidden_instruments: Sequence[str | int] | None = setting(
        None, 'These do not play, like "drums".', only_score=True, written="list"
    )
    max_instruments: int | None = setting(
        None, "How many instruments play, at most; usually three more than must play, or 10.", only_score=True, usual=10
    )
    entry_by_beats: float | None = setting(
        None, "When required instruments have begun, in quarter notes; usually 32.", only_score=True, usual=32.0
    )
    tempo: float | tuple[float, float] | None = setting(
        None, "Quarter notes a minute; 90-110: between them.", only_score=True, written="range"
    )
    time_signature: str | None = setting(None, "Like 3/4.", only_score=True)
    key: str | None = setting(None, 'Like "D minor" or "Bb major": no pitch outside its scale.')
    min_pitch: Pitches | None = setting(  # noqa: RUF009 (a field)
        None, 'Lowest pitch, like "C2" or "violin:G3,cello:C2"; usually that of the instrument.', written="pitches"
    )
    max_pitch: Pitches | None = setting(  # noqa: RUF009 (a field)
        None, 'Highest pitch, like "C6" or "flute:C7"; usually that of the instrument.', written="pitches"
    )
    max_beats: float | None = setting(None, "Length in quarter notes, at most.", only_score=True)
    max_polyphony: int | None = setting(
        None, "Notes that sound at once, at most; drums do not count; usually 24.", usual=24
    )
    max_voices: Voices | None = setting(  # noqa: RUF009 (a field)
        None,
        'Notes of one instrument that sound at once, at most, like 4 or "piano:10,flute:1"; usually what one can play;'
        ' "none" for any.',
        written="voices",
    )
    max_top_run: int | None = setting(
        None,
        'How often in a row the highest note may have the same pitch; usually 12; "none" for any number.',
        only_score=True,
        usual=12,
    )
    max_note_beats: NoteBeats | None = setting(  # noqa: RUF009 (a field)
        None,
        'The longest note in quarter notes, like 4 or "piano:4,strings:16"; usually what the model learned from, or'
        ' 16, and 8 where nobody sustains; "none" for any.',
        only_score=True,
        usual=USUAL_BEATS,
        written="beats",
    )
    max_rest_beats: float | None = setting(
        None, 'The longest silence in quarter notes; usually 8; "none" for any.', only_score=True, usual=8.0
    )
    max_filler_tokens: int | None = setting(
        None, 'Tokens without a new note, at most; usually 24; "none" for any number.', usual=24
    )
    duration: float | None = setting(None, "Length: the piece ends within 5 % of it.", metavar="SECONDS")
    bars: int | None = setting(None, "Length: the piece ends in that bar.", only_score=True)
    chords: str | None = setting(
        None, 'Chords, a bar each, again and again, like "C Am F G" or "ii-V-I in F".', only_score=True
    )
    form: str | None = setting(
        None, 'Sections, like "verse chorus verse chorus", "AABA" or "intro 4 A8 B8 A8".', only_score=True
    )

    @property
    def tempo_us_per_beat(self) -> int | None:
        """The tempo of the file where a single one is asked for, whatever the nearest metronome mark of the tokens."""
        return round(60_000_000 / self.tempo) if isinstance(self.tempo, (int, float)) else None

    def __post_init__(self) -> None:
        make_plain(self)

    def constraints(self, config: TokenizerConfig) -> Constraints:
        """The constraints for a tokenizer.

        Raises:
            ValueError: a limit that cannot be understood or kept, or two that contradict each other.
        """
        if config.preset != "score":
            for field in dataclasses.fields(self):
                if field.metadata.get("only_score") and getattr(self, field.name) is not None:
                    raise ValueError(f"{field.name} needs a model of the preset score; this one is of {config.preset}")
        tempo: dict[str, int] = {} if self.tempo is None else _tempo(self.tempo, config)
        signature_index = None if self.time_signature is None else _signature_index(self.time_signature)
        programs, required = self._programs()
        found: dict[str, Any] = {
            "programs": programs,
            "required_programs": required or None,
            "max_programs": self._whole_number("max_instruments", "instruments"),
            "entry_by_step": self._steps("entry_by_beats", config) if required else None,
            "time_signature_index": signature_index,
            "pitch_classes": None if self.key is None else pitch_classes(self.key),
            "min_pitch": None if self.min_pitch is None else pitch_of_programs(self.min_pitch, "min_pitch", 0),
            "max_pitch": None if self.max_pitch is None else pitch_of_programs(self.max_pitch, "max_pitch", 127),
            "max_polyphony": self._whole_number("max_polyphony", "notes"),
            "max_voices": self._voices(),
            "max_top_run": self._whole_number("max_top_run", "notes"),
            "max_note_steps": self._note_steps(config),
            "max_rest_steps": self._steps("max_rest_beats", config),
            "max_filler_tokens": self._whole_number("max_filler_tokens", "tokens"),
        }
        _check_pitches(programs, found["min_pitch"], found["max_pitch"])
        found |= tempo | self._window(tempo, config)
        found |= self._plan(signature_index, config)
        return Constraints(**found)

    def _programs(self) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
        """Which may play, and which must."""
        allowed = None if self.instruments is None else program_numbers(self.instruments, "instruments")
        forbidden = {*program_numbers(self.forbidden_instruments or (), "forbidden_instruments", may_be_empty=True)}
        if self.required_instruments is not None:
            required = program_numbers(self.required_instruments, "required_instruments", may_be_empty=True)
        else:
            required = allowed or ()
            if self.max_instruments is not None and len(required) > self.max_instruments:
                required = ()
        for program in required if self.required_instruments is not None else ():
            if allowed is not None and program not in allowed:
                raise ValueError(f"required_instruments names {program_name(program)}, which instruments does not")
        for name, programs in (("required_instruments", required), ("instruments", allowed or ())):
            for program in programs if getattr(self, name) is not None else ():
                if program in forbidden:
                    raise ValueError(f"{name} and forbidden_instruments both name {program_name(program)}")
        if self.max_instruments is not None and len(required) > self.max_instruments:
            raise ValueError(
                f"required_instruments names {len(required)} instruments, max_instruments is {self.max_instruments}"
            )
        if forbidden:
            allowed = tuple(sorted({*(range(DRUMS + 1) if allowed is None else allowed)} - forbidden))
        return allowed, required

    def _window(self, tempo: Mapping[str, int], config: TokenizerConfig) -> dict[str, Any]:
        """When the piece ends."""
        high = self._steps("max_beats", config)
        window: dict[str, Any] = {"max_steps": high}
        shortest_bar, longest_bar = self._bar_steps(config)
        if self.bars is not None:
            if not isinstance(self.bars, int) or isinstance(self.bars, bool) or not 1 <= self.bars <= MAX_BARS:
                raise ValueError(f"bars must be a whole number between 1 and {MAX_BARS}, got {self.bars!r}")
            if high is not None and high <= (self.bars - 1) * shortest_bar:
                raise ValueError(
                    f"max_beats {self.max_beats:g} ends the piece before bar {self.bars}; leave one of them out"
                )
            # With a duration, too, that decides among the bars around.
            around_it = 0 if self.duration is None else BARS_AROUND
            window |= {"min_bars": max(1, self.bars - around_it), "max_bars": self.bars + around_it}
        if self.duration is None:
            return window
        if not _is_number(self.duration) or not 0 < self.duration <= MAX_DURATION_S:
            raise ValueError(f"duration must be above 0 and at most {MAX_DURATION_S} seconds, got {self.duration!r}")
        min_us, max_us = around(self.duration, DURATION_AROUND)
        # The fewest and the most microseconds that a step can last.
        steps_us = [Fraction(1000 * config.step_ms)] * 2
        if config.preset == "score":
            indices = (tempo.get("tempo_max_index", len(config.tempos_bpm) - 1), tempo.get("tempo_min_index", 0))
            if "tempo_index" in tempo:
                indices = (tempo["tempo_index"],) * 2
            vocabulary = vocabulary_of(config)
            steps_us = [Fraction(vocabulary.tempo_us_per_beat(i), config.steps_per_beat) for i in indices]
            if self.tempo_us_per_beat is not None:  # tokens count their mark, the file has the tempo itself
                mark = Fraction(vocabulary.tempo_us_per_beat(indices[0]), self.tempo_us_per_beat)
                min_us, max_us = math.ceil(min_us * mark), max(1, math.floor(max_us * mark))
        if max_us < steps_us[0]:
            shortest = math.ceil(steps_us[0] / 1000) / 1000
            raise ValueError(f"duration must be at least {shortest} seconds at this tempo, got {self.duration!r}")
        low = 0
        if self.bars is not None:
            low = max(0, window["min_bars"] - 1) * shortest_bar + 1
            high = min(window["max_bars"] * longest_bar, MANY if high is None else high)
        if low * steps_us[0] > max_us or (high is not None and high * steps_us[1] < min_us):
            other = "max_beats" if self.max_beats is not None else "bars"
            raise ValueError(
                f"duration {self.duration:g} and {other} {getattr(self, other):g} cannot both be met; leave one of them"
                " out, or give another tempo or time_signature"
            )
        return window | {"min_us": min_us, "max_us": max_us, "whole_bars": True if config.preset == "score" else None}

    def _bar_steps(self, config: TokenizerConfig) -> tuple[int, int]:
        """How many steps the shortest and the longest bar have that may come."""
        indices = range(NUM_TIME_SIGNATURES) if self.time_signature is None else [_signature_index(self.time_signature)]
        steps = [max(1, math.floor(bar_beats(index) * config.steps_per_beat)) for index in indices]
        return min(steps), max(steps)

    def _plan(self, signature_index: int | None, config: TokenizerConfig) -> dict[str, tuple[int, ...] | None]:
        """The plan for each half bar."""
        name = next((name for name in ("chords", "form") if getattr(self, name) is not None), None)
        if name is None:
            return {}
        if not config.has_plans_and_edits:
            raise ValueError(f"{name} needs a model that plans its music, and this one does not; leave it out")
        bar = bar_beats(time_signature_index(4, 4) if signature_index is None else signature_index)  # type: ignore[arg-type]
        num_bars = self.bars
        if num_bars is None and self.duration is not None and self.tempo is not None:
            bpm = self.tempo if _is_number(self.tempo) else sum(self.tempo) / 2  # type: ignore[arg-type]
            num_bars = max(1, round(self.duration * bpm / 60 / float(bar)))  # type: ignore[operator]
        key = None if self.key is None else parse_key(self.key)
        sections, chords = plan_asked(
            self.chords, self.form, key=key, num_bars=num_bars, is_exact=self.bars is not None
        )
        return {"plan_sections": sections, "plan_chords": chords}

    def _steps(self, name: str, config: TokenizerConfig) -> int | None:
        beats: float | None = getattr(self, name)
        return None if beats is None else _steps(name, beats, config)

    def _note_steps(self, config: TokenizerConfig) -> int | tuple[int, ...] | None:
        """The longest note: one, or one for each program."""
        given = self.max_note_beats
        if isinstance(given, Mapping):
            return note_steps_of_programs(given, lambda name, beats: _steps(name, beats, config))
        return None if given is None else _steps("max_note_beats", given, config)

    def _voices(self) -> tuple[int, ...] | None:
        """How many notes of each program may sound at once."""
        given = self.max_voices
        if given is None:
            return None
        if not isinstance(given, Mapping):
            return (_voices("max_voices", given),) * (DRUMS + 1)
        if not given:
            raise ValueError('max_voices names no instrument; give a number, or numbers like {"flute": 1}')
        of_all = [MANY] * (DRUMS + 1)
        for instrument, voices in given.items():
            of_all[program_number(instrument)] = _voices(f"max_voices of {instrument}", voices)
        return tuple(of_all)

    def _whole_number(self, name: str, of: str) -> int | None:
        number: int | None = getattr(self, name)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
            raise ValueError(f"{name} must be a whole number of {of}, at least 1; got {number!r}")
        return number


def with_usual(
    limits: Limits, named: Collection[str], config: TokenizerConfig, longest_notes: Sequence[float] = ()
) -> Limits:
    """The limits, with the usual values of those that a call does not name: no note hangs and no piece starves.

    Args:
        longest_notes: those that the model learned from; see `amt.ModelConfig`.
    """
    usual: dict[str, Any] = {
        field.name: field.metadata["usual"]
        for field in dataclasses.fields(limits)
        if "usual" in field.metadata
        and field.name not in named
        and (config.preset == "score" or not field.metadata.get("only_score"))
    }
    if "max_instruments" in usual and limits.required_instruments:
        usual["max_instruments"] = len(limits.required_instruments) + OTHERS
    elif limits.instruments is not None:  # all of them play
        usual.pop("max_instruments", None)
    given = limits.max_note_beats
    if "max_note_beats" in usual or isinstance(given, Mapping):
        programs = None if limits.instruments is None else program_numbers(limits.instruments, "instruments")
        longest = usual_note_beats(programs, longest_notes)
        usual["max_note_beats"] = with_others(given, longest) if isinstance(given, Mapping) else longest
    if config.preset == "score" and not {"min_pitch", "max_pitch"} & {*named}:
        usual |= {"min_pitch": LOWEST, "max_pitch": HIGHEST}
    if config.preset == "score" and "max_voices" not in named:
        usual["max_voices"] = VOICES
    return dataclasses.replace(limits, **usual)


def with_said_plan(limits: Limits, reading: Reading, named: Collection[str], config: TokenizerConfig) -> Limits:
    """The limits, with the progression and the form that a text states, as far as they fit what the call names."""
    if not config.has_plans_and_edits:
        return limits
    key = None if limits.key is None else parse_key(limits.key)
    said = said_plan(reading, key, named)
    for names in (("chords", "form"), ("chords",), ("form",)):
        if not set(names) <= set(said):
            continue
        chosen: dict[str, Any] = {name: said[name] for name in names}
        planned = dataclasses.replace(limits, **chosen)
        try:
            planned.constraints(config)
        except ValueError:  # too many sections for the bars
            continue
        return planned
    return limits


class PartLimitOptions(TypedDict, total=False):
    """The fields of `Limits` that hold for a part of a piece, as keyword arguments."""

    instruments: Sequence[str | int] | None
    required_instruments: Sequence[str | int] | None
    forbidden_instruments: Sequence[str | int] | None
    key: str | None
    min_pitch: Pitches | None
    max_pitch: Pitches | None
    max_polyphony: int | None
    max_voices: Voices | None
    max_note_beats: NoteBeats | None
    max_rest_beats: float | None
    max_filler_tokens: int | None


class LimitOptions(PartLimitOptions, total=False):
    """The fields of `Limits` as keyword arguments, for editors and type checkers."""

    max_instruments: int | None
    entry_by_beats: float | None
    tempo: float | tuple[float, float] | None
    time_signature: str | None
    max_beats: float | None
    max_top_run: int | None
    duration: float | None
    bars: int | None
    chords: str | None
    form: str | None


def program_numbers(instruments: Sequence[str | int], name: str, *, may_be_empty: bool = False) -> tuple[int, ...]:
    """The programs of one instrument or several, by number or name."""
    if isinstance(instruments, str):
        instruments = [name for name in instruments.split(",") if name.strip()]  # "violin, cello"
    elif isinstance(instruments, int):
        instruments = [instruments]
    if not instruments and not may_be_empty:
        raise ValueError(f"{name} must name at least one; leave it out to allow all")
    return tuple(sorted({program_number(instrument) for instrument in instruments}))


def _check_pitches(
    programs: tuple[int, ...] | None, lowest: tuple[int, ...] | None, highest: tuple[int, ...] | None
) -> None:
    for program in range(DRUMS + 1) if programs is None else programs:
        if lowest is not None and highest is not None and lowest[program] > highest[program]:
            raise ValueError(
                f"min_pitch {lowest[program]} is above max_pitch {highest[program]} for {program_name(program)}"
            )


def _tempo(tempo: float | Sequence[float], config: TokenizerConfig) -> dict[str, int]:
    if not isinstance(tempo, (tuple, list)):
        return {"tempo_index": _tempo_index(tempo, config)}  # type: ignore[arg-type]
    if len(tempo) != 2:
        raise ValueError(f"tempo must be one number or two, the slowest and the fastest; got {tempo!r}")
    low, high = (_tempo_index(bpm, config) for bpm in tempo)
    if tempo[0] > tempo[1]:
        raise ValueError(f"tempo must have the slowest first, got {tempo!r}")
    marks = config.tempos_bpm
    low += marks[low] < tempo[0]
    high -= marks[high] > tempo[1]
    if low > high:  # no mark lies between them
        low = high = _tempo_index((tempo[0] + tempo[1]) / 2, config)
    return {"tempo_min_index": low, "tempo_max_index": high}


def _tempo_index(tempo: float, config: TokenizerConfig) -> int:
    slowest, fastest = config.tempos_bpm[0], config.tempos_bpm[-1]
    if not _is_number(tempo) or not slowest <= tempo <= fastest:
        raise ValueError(f"tempo must be between {slowest} and {fastest} beats a minute, got {tempo!r}")
    return vocabulary_of(config).tempo_index(round(60_000_000 / tempo))


def _signature_index(text: str) -> int:
    match = re.fullmatch(r"\s*(\d{1,3})\s*/\s*(\d{1,3})\s*", text) if isinstance(text, str) else None
    index = time_signature_index(int(match[1]), int(match[2])) if match else None
    if index is None:
        raise ValueError(f"time_signature must be like 3/4, 1 to 16 over 1, 2, 4, 8 or 16; got {text!r}")
    return index


def pitch_classes(key: str) -> tuple[int, ...]:
    """The pitch classes 0..11 of a key, major or minor.

    Raises:
        ValueError: not a key.
    """
    parsed = parse_key(key)
    if parsed is None or parsed.mode not in ("major", "minor"):
        raise ValueError(f'key must be like "D minor" or "F# major", got {key!r}')
    return parsed.pitch_classes


def bar_beats(signature_index: int) -> Fraction:
    """Quarter notes in a bar of a time signature."""
    return bar_length(time_signature(signature_index))


def around(seconds: float, share: Fraction) -> tuple[int, int]:
    """Microseconds: such a share below and above a number of seconds."""
    us = Fraction(repr(float(seconds))) * 1_000_000  # 0.3, not 0.29999…
    return math.ceil(us * (1 - share)), max(1, math.floor(us * (1 + share)))


def _steps(name: str, beats: float, config: TokenizerConfig) -> int:
    """The nearest number of steps, at least one."""
    if not _is_number(beats) or not 0 < beats <= MAX_BEATS:
        raise ValueError(f"{name} must be above 0 and at most {MAX_BEATS}, got {beats!r}")
    if beats * config.steps_per_beat < 1 and name != "max_beats":
        raise ValueError(f"{name} must be at least a step, 1/{config.steps_per_beat} of a beat; got {beats!r}")
    return max(1, round(beats * config.steps_per_beat))


def _voices(name: str, number: int) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= NUM_PITCHES:
        raise ValueError(f"{name} must be a whole number of notes, 1 to {NUM_PITCHES}; got {number!r}")
    return number


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
