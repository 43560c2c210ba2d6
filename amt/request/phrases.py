"""The phrases of all lexicons in one table, and where a prompt has them: the longest phrase counts."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from amt.midi.metres import METRE_NAMES
from amt.midi.programs import PROGRAMS, SHORT_NAMES
from amt.midi.tempo_words import ENGLISH_TEMPOS, ITALIAN_TEMPOS
from amt.request.company import Company, is_meant
from amt.request.lexicon import ensembles, grammar, guards, instruments, moods, styles, tags
from amt.request.tokens import Token, split_words


class Meaning(NamedTuple):
    """What a phrase says: a kind of fact and its canonical value; of the kind "nothing", that it says nothing."""

    kind: str
    value: str


class Hit(NamedTuple):
    """A phrase in a text: tokens `first` up to `after`, where they stand, and whether one is a number."""

    meanings: tuple[Meaning, ...]
    first: int
    after: int
    start: int
    end: int
    has_number: bool

    def values(self, kind: str) -> list[str]:
        """The values of one kind."""
        return [meaning.value for meaning in self.meanings if meaning.kind == kind]


Table = dict[str, list[tuple[tuple[str, ...], tuple[Meaning, ...]]]]


@functools.cache
def _instrument_programs() -> dict[str, tuple[int, ...]]:
    """Every instrument by name: the lexicon's, then those of General MIDI that it does not have."""
    names = {name: programs for name, (programs, _) in instruments.INSTRUMENTS.items()}
    owners = _owners()
    general = {_spoken(name): (number,) for number, name in enumerate(PROGRAMS)}
    for name, programs in (general | {name: (number,) for name, number in SHORT_NAMES.items()}).items():
        if split_words(name) not in owners:
            names[name] = programs
    return names


@functools.cache
def _owners() -> dict[tuple[str, ...], str]:
    """The name of the lexicon's instrument for each of its phrases."""
    owners: dict[tuple[str, ...], str] = {}
    for name, (_, aliases) in instruments.INSTRUMENTS.items():
        for form in (name, _plural(name), *aliases.split(" | ")):
            owners.setdefault(split_words(form), name)
    return owners


def _spoken(name: str) -> str:
    """What people call a program: "warm pad" for "Pad 2 (warm)"."""
    family = re.fullmatch(r"(Lead|Pad|FX) \d \((.*)\)", name)
    if family:
        return f"{family[2]} {'effect' if family[1] == 'FX' else family[1].lower()}"
    return name.split(" (")[0].lower().removesuffix(" 1")


def programs_of(instrument: str) -> tuple[int, ...]:
    """The General MIDI programs of an instrument of the lexicon, the best first; 128 = drums."""
    return _instrument_programs()[instrument]


@functools.cache
def _table() -> Table:
    """First word -> the phrases that begin with it, the longest first."""
    found: dict[tuple[str, ...], dict[Meaning, None]] = {}
    plurals: dict[tuple[str, ...], dict[Meaning, None]] = {}

    def add(kind: str, value: str, names: str, *, has_plural: bool = False) -> None:
        for name in filter(None, names.split(" | ")):
            found.setdefault(split_words(name), {})[Meaning(kind, value)] = None
            if has_plural:
                plurals.setdefault(split_words(_plural(name)), {})[Meaning(kind, value)] = None

    for name in _instrument_programs():
        aliases = instruments.INSTRUMENTS.get(name, ((), ""))[1]
        add("instrument", name, f"{name} | {aliases}", has_plural=True)
    for name in PROGRAMS:
        if "(" in name and split_words(name) not in _owners():
            add("instrument", _owners().get(split_words(_spoken(name)), _spoken(name)), name)
    for name, ensemble in ensembles.ENSEMBLES.items():
        add("ensemble", name, f"{name} | {ensemble.aliases}", has_plural=True)
    for name, style in styles.STYLES.items():
        add("style", name, f"{name} | {style.aliases}", has_plural=True)
    for name, mood in moods.MOODS.items():
        add("mood", name, f"{name} | {mood.aliases}")
    for kind, table in grammar.TABLES.items():
        for name, aliases in table.items():
            own = "" if kind == "register" else name  # "low" alone is said of much else
            add(kind, name, f"{own} | {aliases}", has_plural=kind in ("section", "form", "use", "playing", "texture"))
    for name in ensembles.SIZES:
        add("size", name, name, has_plural=True)
    for name in METRE_NAMES:
        add("metre", name, name)
    for name in ITALIAN_TEMPOS | ENGLISH_TEMPOS:
        add("tempo", name, name)
    for kind, phrases in grammar.MARKS.items():
        add(kind, "", phrases)
    for phrases in (instruments.NO_INSTRUMENTS, styles.NO_STYLES, tags.NO_SECTIONS, guards.NOTHING):
        for phrase in phrases.split(" | "):
            found[split_words(phrase)] = {Meaning("nothing", ""): None}
    for (kind, value), phrases in grammar.ADDITIONS.items():
        add(kind, value, phrases)
    for strength, phrases in grammar.NEGATORS.items():
        for phrase in phrases.split(" | "):
            found[split_words(phrase)] = {Meaning("not", strength): None}
    for suffixed in ("drum", "bass", "piano", "guitar", "vocal", "beat"):
        refused = {"beat": "drums", "drum": "drums", "vocal": "voice"}.get(suffixed, suffixed)
        found[(suffixed + "less",)] = {Meaning("refused", refused): None}

    plurals.pop(("bass", "drums"))  # a list without its comma
    by_word: Table = {}
    for words, meanings in (plurals | found).items():
        by_word.setdefault(words[0], []).append((words, tuple(meanings)))
    for same in by_word.values():
        same.sort(key=lambda phrase: -len(phrase[0]))
    return by_word


_LIKE = re.compile(r"-(?:like|shaped|ish|esque)\b", re.IGNORECASE)
_JOINED = ("heavy", "driven", "led", "based")


def find_phrases(tokens: Sequence[Token], english: str) -> list[Hit]:
    """The phrases of a text from left to right; everyday words only where they mean music."""
    return list(_find(tokens, english))


def _find(tokens: Sequence[Token], english: str) -> Iterator[Hit]:
    table = _table()
    texts = tuple(token.text for token in tokens)
    place = last = 0
    while place < len(texts):
        for words, meanings in table.get(texts[place], ()):
            after = place + len(words)
            if texts[place:after] != words:
                continue
            start, end = tokens[place].start, tokens[after - 1].end
            if _LIKE.match(english, end) and meanings[0].kind != "style":
                continue  # "kora-like" is no kora
            if words[0] == "fm" and english[start : start + 2] == "Fm":
                continue  # "Fm piano solo" is in F minor
            if english[start - 1 : start] == "-" and words[0] in _JOINED:
                continue  # "synth-heavy"
            company = Company(
                before=texts[place - 1] if place else ",",
                behind=texts[after] if after < len(texts) else ".",
                follows_phrase=last == place > 0,
                precedes_phrase=_begins_phrase(texts, after),
            )
            if len(words) == 1:
                meanings = tuple(meaning for meaning in meanings if is_meant(meaning.kind, words[0], company))
            if meanings:
                has_number = any(word.isdigit() or word in grammar.NUMBERS for word in words)
                yield Hit(meanings, place, after, start, end, has_number)
                place, last = after - 1, after
                break
        place += 1


def _begins_phrase(texts: tuple[str, ...], place: int) -> bool:
    """Whether a phrase that says something begins here."""
    if place >= len(texts):
        return False
    return any(
        texts[place : place + len(words)] == words and meanings[0].kind not in ("nothing", "not")
        for words, meanings in _table().get(texts[place], ())
    )


@functools.cache
def known_words() -> frozenset[str]:
    """Every word of the phrases."""
    return frozenset(word for phrases in _table().values() for words, _ in phrases for word in words)


def _plural(name: str) -> str:
    """The plural of the last word; of what is a plural already, itself."""
    if name.endswith(("ss", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("s"):
        return name
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"
