"""Whether pieces do what prompts ask: a table of prompts with checks, and what each check means.

A table is JSON lines: a `text` and the checks that hold for it; docs/evaluation.md defines them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from amt.evaluation.rows import Row, row
from amt.midi.chords import parse_chord
from amt.midi.data import MidiData
from amt.midi.facts import KEY_PROFILES, Facts, best_keys, measure
from amt.midi.programs import DRUMS, program_number
from amt.midi.sanity import FEELS, has_feel, sanity
from amt.midi.theory import parse_key
from amt.request.phrases import programs_of

if TYPE_CHECKING:
    from amt.models.opened import OpenedModel

OWN = "prompts"  # names the table of the package
CHECKS = ("parts", "only", "without", "key", "mode", "tempo", "metre", "seconds", "bars", "chords", "feel")
# What a decoder can be held to; the others are for the model.
LIMITS = ("parts", "only", "without", "tempo", "metre", "seconds", "bars")

TEMPO_AROUND = 0.5  # quarter notes a minute
HELD_BEATS = 8  # a longer note says no more about the key
CHORD_SHARE, CHORD_BARS = 0.55, 0.6


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A text and what must be true of a piece for it; None or () where nothing must.

    Attributes:
        text: as a person types it.
        parts: sets of programs (128 = drums): of each at least one plays.
        only: whether nothing but these programs plays.
        without: programs that must not play.
        key: like "D minor"; mode: "major" or "minor".
        tempo: quarter notes a minute, from and to.
        metre: like (3, 4).
        seconds, bars: length, from and to.
        chords: names of triads, one a bar, half a bar or two bars, over and over.
        feel: of `amt.midi.sanity.FEELS`.
    """

    text: str
    parts: tuple[frozenset[int], ...] = ()
    only: bool = False
    without: frozenset[int] = frozenset()
    key: str | None = None
    mode: str | None = None
    tempo: tuple[float, float] | None = None
    metre: tuple[int, int] | None = None
    seconds: tuple[float, float] | None = None
    bars: tuple[float, float] | None = None
    chords: tuple[str, ...] = ()
    feel: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, values: Any) -> Prompt:
        """A row of a table.

        Raises:
            ValueError: a check that there is not, or whose value means nothing.
        """
        if not isinstance(values, dict) or not isinstance(values.get("text"), str) or not values["text"].strip():
            raise ValueError("expected an object with a text")
        unknown = sorted(set(values) - {"text", *CHECKS})
        if unknown:
            raise ValueError(f"there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
        try:
            return cls(
                text=values["text"],
                parts=tuple(frozenset(_programs(part)) for part in _list(values.get("parts", []))),
                only=values.get("only", False) is True,
                without=frozenset(_programs(values.get("without", []))),
                key=None if "key" not in values else _key(values["key"]),
                mode=None if "mode" not in values else _one_of(values["mode"], ("major", "minor")),
                tempo=None if "tempo" not in values else _range(values["tempo"]),
                metre=None if "metre" not in values else _metre(values["metre"]),
                seconds=None if "seconds" not in values else _range(values["seconds"]),
                bars=None if "bars" not in values else _range(values["bars"]),
                chords=tuple(_chord(name) for name in _list(values.get("chords", []))),
                feel=tuple(_one_of(name, FEELS) for name in _list(values.get("feel", []))),
            )
        except (TypeError, ValueError) as error:
            raise ValueError(f"{values['text'][:40]!r}: {error}") from error


def read_prompts(path: str | Path) -> list[Prompt]:
    """The prompts of a table; "prompts" is that of the package.

    Raises:
        FileNotFoundError: no such table. ValueError: a line that is no prompt, with its number.
    """
    table: Any = resources.files("amt.evaluation") / "prompts.jsonl" if str(path) == OWN else Path(path)
    prompts = []
    for number, line in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), 1):
        if line.strip():
            try:
                prompts.append(Prompt.from_row(json.loads(line)))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    if not prompts:
        raise ValueError(f"{path} has no prompt: put a JSON object with a text and its checks on each line")
    return prompts


def check(prompt: Prompt, midi: MidiData) -> dict[str, bool]:
    """Each check of a prompt by its name, "part 0", "part 1" and so on for the parts, and whether it holds."""
    facts = measure(midi)
    found: dict[str, bool] = {}
    played = set(facts.programs)
    for number, part in enumerate(prompt.parts):
        found[f"part {number}"] = bool(played & part)
    if prompt.parts and prompt.only:
        found["only"] = bool(played) and played <= frozenset().union(*prompt.parts)
    if prompt.without:
        found["without"] = bool(played) and not played & prompt.without
    found |= _checks_of_key(prompt, midi)
    if prompt.tempo is not None:
        low, high = prompt.tempo
        found["tempo"] = bool(played) and low - TEMPO_AROUND <= facts.tempo_bpm <= high + TEMPO_AROUND
    if prompt.metre is not None:
        found["metre"] = bool(played) and facts.time_signature == prompt.metre
    if prompt.seconds is not None:
        found["seconds"] = prompt.seconds[0] <= facts.duration_s <= prompt.seconds[1]
    if prompt.bars is not None:
        found["bars"] = prompt.bars[0] <= math.ceil(facts.num_beats / _bar(facts) - 0.01) <= prompt.bars[1]
    if prompt.chords:
        found["chords"] = chords_fit(prompt.chords, midi, facts) >= CHORD_BARS
    for feel in prompt.feel:
        found[feel] = bool(played) and has_feel(midi, feel)
    return found


def evaluate_prompts(prompts: Sequence[Prompt], pieces: Iterable[MidiData], table: str, model: str) -> list[Row]:
    """The share of checks that hold, all together, for each kind and for those that are limits; of sane pieces."""
    by_kind: dict[str, list[bool]] = {}
    shares, counts, sane, whole, empty = [], [], [], [], []
    for prompt, midi in zip(prompts, pieces, strict=True):
        checks = check(prompt, midi)
        is_sane = not sanity(midi)
        for name, holds in checks.items():
            by_kind.setdefault(_kind(name), []).append(holds)
        if checks:
            shares.append(sum(checks.values()) / len(checks))
            counts.append(len(checks))
        sane.append(is_sane)
        whole.append(is_sane and all(checks.values()))
        empty.append(not len(midi.notes))
    held = [holds for kind in LIMITS for holds in by_kind.get(kind, ())]
    rows = [row("prompt_checks", shares, table, model, counts), row("prompt_limits", held, table, model)]
    rows += [row(f"prompt_{kind}", by_kind[kind], table, model) for kind in CHECKS if kind in by_kind]
    rows += [row("prompt_sane", sane, table, model), row("prompt_empty", empty, table, model)]
    rows.append(row("prompt_everything", whole, table, model))
    return [found for found in rows if found is not None]


def write_for_prompts(
    opened: OpenedModel,
    prompts: Sequence[Prompt],
    seed: int = 0,
    progress: Callable[[str, int], object] | None = None,
    **options: Any,
) -> list[MidiData]:
    """A piece for each prompt, read again from the bytes of its file; each prompt has the seed after the last one's."""
    from amt.api import generate
    from amt.midi.reader import read_midi

    found = []
    for place, prompt in enumerate(prompts):
        piece = generate(prompt.text, model=opened, seed=seed + place, **options)
        found.append(read_midi(piece.to_bytes()))
        if progress is not None:
            progress("pieces", 1)
    return found


def _kind(name: str) -> str:
    """Of a check's name."""
    return "parts" if name.startswith("part ") else "feel" if name in FEELS else name


def _bar(facts: Facts) -> float:
    """Quarter notes in a bar."""
    return 4.0 * facts.time_signature[0] / facts.time_signature[1]


def _checks_of_key(prompt: Prompt, midi: MidiData) -> dict[str, bool]:
    if prompt.key is None and prompt.mode is None:
        return {}
    notes = midi.notes[~midi.notes.is_drum]
    lengths = np.minimum(notes.end_ticks - notes.start_ticks, HELD_BEATS * midi.ticks_per_beat)
    weights = np.bincount(notes.pitch % 12, lengths.astype(np.float64), 12)
    keys = best_keys(weights, KEY_PROFILES["kostka-payne"])
    if len(notes) < 8 or not keys:
        return {"key" if prompt.key is not None else "mode": False}
    (tonic, is_minor), _ = keys[0]
    found = {}
    if prompt.key is not None:
        wanted = parse_key(prompt.key)
        assert wanted is not None
        same = (tonic + 3 * is_minor) % 12 == (wanted.tonic + 3 * wanted.is_minor) % 12
        found["key"] = same  # the notes of A minor are those of C major
    if prompt.mode is not None:
        found["mode"] = is_minor == (prompt.mode == "minor")
    return found


def chords_fit(names: Sequence[str], midi: MidiData, facts: Facts, lengths: Sequence[float] = (1.0, 0.5, 2.0)) -> float:
    """The share of places that mostly have the notes of their triad; the triads come again and again.

    Args:
        names: of the triads.
        facts: of the music.
        lengths: how many bars a place may have; the length that fits best counts.
    """
    triads = []
    for name in names:
        chord = parse_chord(name)
        assert chord is not None
        third = 3 if name.endswith("m") else 4
        triads.append([chord.root, (chord.root + third) % 12, (chord.root + 7) % 12])
    notes = midi.notes[~midi.notes.is_drum]
    start, end = notes.start_ticks / midi.ticks_per_beat, notes.end_ticks / midi.ticks_per_beat
    best = 0.0
    for length in (bars * _bar(facts) for bars in lengths):
        fits = []
        for place in range(int(facts.num_beats // length)):
            sounds = np.minimum(end, (place + 1) * length) - np.maximum(start, place * length)
            heard = sounds > 0
            weights = np.bincount(notes.pitch[heard] % 12, sounds[heard], 12)
            if weights.sum() > 0:
                fits.append(weights[triads[place % len(triads)]].sum() / weights.sum() >= CHORD_SHARE)
        best = max(best, float(np.mean(fits)) if fits else 0.0)
    return best


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {value!r}")
    return value


def _programs(value: Any) -> list[int]:
    """Programs, by number, General MIDI name or the name of an instrument, of which all of its programs count."""
    programs: list[int] = []
    for each in _list(value):
        if isinstance(each, str):
            try:
                programs += programs_of(each)
            except KeyError:
                programs.append(program_number(each))
        elif isinstance(each, int) and not isinstance(each, bool) and 0 <= each <= DRUMS:
            programs.append(each)
        else:
            raise ValueError(f"expected programs 0 to {DRUMS} or names of instruments, got {each!r}")
    return programs


def _key(value: Any) -> str:
    key = parse_key(str(value))
    if key is None or key.mode not in ("major", "minor"):
        raise ValueError(f'key must be like "D minor", got {value!r}')
    return str(value)


def _one_of(value: Any, names: Sequence[str]) -> str:
    if value not in names:
        raise ValueError(f"expected one of {', '.join(names)}; got {value!r}")
    return str(value)


def _range(value: Any) -> tuple[float, float]:
    low, high = map(float, _list(value))
    if not 0 <= low <= high < math.inf:
        raise ValueError(f"expected two numbers, the smaller first; got {value!r}")
    return low, high


def _metre(value: Any) -> tuple[int, int]:
    numerator, _, denominator = str(value).partition("/")
    return int(numerator), int(denominator)


def _chord(value: Any) -> str:
    if parse_chord(str(value)) is None:
        raise ValueError(f"expected the name of a chord, got {value!r}")
    return str(value)
