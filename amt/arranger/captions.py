"""Captions of a piece: a grammar of phrases over its facts, so that no caption says what is not so.

The phrases are in `words/captions.toml`, other languages' words in `words/languages.toml`.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from typing import Any

from amt.arranger.instruments import WORDS
from amt.arranger.plan import Plan
from amt.arranger.speech import Speech
from amt.arranger.toml import read_toml

# The kinds of one piece's captions, in the order that they stand in; "en.any" of other languages are drawn behind them.
KINDS = (
    "bare", "list", "with", "sentence", "request", "scene", "keywords", "chords", "form", "negative", "only",
    "list", "with", "sentence", "bare", "scene",
)  # fmt: skip
LANGUAGES = ("de", "fr", "es", "it")
NUM_FOREIGN = 2
MIN_CAPTIONS = 12

Node = tuple[str, Any]  # ("text", str), ("slot", name), ("all", nodes), ("one", nodes)


def _parse(text: str, place: int = 0, end: str = "") -> tuple[Node, int]:
    """A phrase as a tree: texts, slots, and choices in brackets."""
    branches: list[Node] = []
    row: list[Node] = []
    while place < len(text) and text[place] not in end:
        if text[place] == "[":
            choice, place = _parse(text, place + 1, "]")
            row.append(choice)
            place += 1
        elif text[place] == "|" and end:
            branches.append(("all", tuple(row)))
            row = []
            place += 1
        elif text[place] == "{":
            close = text.index("}", place)
            row.append(("slot", text[place + 1 : close]))
            place = close + 1
        else:
            stop = place
            while stop < len(text) and text[stop] not in ("[{" + ("]|" if end else "")):
                stop += 1
            row.append(("text", text[place:stop]))
            place = stop
    branches.append(("all", tuple(row)))
    return (("one", tuple(branches)) if end else branches[0]), place


@functools.lru_cache(maxsize=1)
def rules() -> dict[str, dict[str, tuple[Node, ...]]]:
    """The phrases of each language by kind."""
    table = read_toml(WORDS / "captions.toml")
    return {
        language: {kind: tuple(_parse(text)[0] for text in texts) for kind, texts in kinds.items()}
        for language, kinds in table.items()
    }


def expand(node: Node, slot: Callable[[str], str | None], rng: random.Random) -> str | None:
    """The words of a phrase, or None if a fact is missing that it needs."""
    kind, value = node
    if kind == "text":
        return str(value)
    if kind == "slot":
        return slot(value)
    if kind == "all":
        words = ""
        for child in value:
            said = expand(child, slot, rng)
            if said is None:
                return None
            words += said
        return words
    chosen = expand(value[int(rng.random() * len(value))], slot, rng)
    if chosen is None:
        return (
            ""
            if ("all", ()) in value
            else next((w for w in (expand(v, slot, rng) for v in value) if w is not None), None)
        )
    return chosen


_ARTICLE = re.compile(r"\ba\(n\) (?=(\S))")
_CAPITAL = re.compile(r"\^(\W*)(\w)")
_VOWELS = "aeiouAEIO8"


def finished(text: str) -> str:
    """A phrase with its articles and capitals, and no blank too many."""
    text = _ARTICLE.sub(lambda match: "an " if match[1] in _VOWELS else "a ", text)
    text = _CAPITAL.sub(lambda match: match[1] + match[2].upper(), text)
    return " ".join(text.split()).replace(" ,", ",")


def say(speech: Speech, language: str, kind: str, rng: random.Random) -> str | None:
    """One caption of a kind, or None if the piece has no such facts."""
    for _ in range(8):
        phrases = rules()[language][kind]
        speech.begin()
        words = expand(phrases[int(rng.random() * len(phrases))], speech.slot, rng)
        if words is not None and words.strip():
            return finished(words)
    return None


def make_captions(planned: Plan, facts: dict[str, Any]) -> list[str]:
    """At least a dozen different captions, the first the shortest."""
    rng = random.Random(f"{planned.style.name}/{planned.seed}/captions")
    speech = Speech(planned.style, planned.players, facts, "en", rng)
    made: list[str] = []
    for kind in KINDS:
        words = say(speech, "en", kind, rng)
        if words is not None:
            made.append(words)
    for language in rng.sample(LANGUAGES, NUM_FOREIGN):
        words = say(Speech(planned.style, planned.players, facts, language, rng), language, "any", rng)
        if words is not None:
            made.append(words)
    made = list(dict.fromkeys(made))
    for _ in range(100):
        if len(made) >= MIN_CAPTIONS:
            break
        words = say(speech, "en", rng.choice(KINDS), rng)
        if words is not None and words not in made:
            made.append(words)
    return made
