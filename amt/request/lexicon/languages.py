"""The languages that prompts may be written in beside English: their words, inflected, and the English for each."""

from __future__ import annotations

import functools
from types import ModuleType

from amt.request.lexicon import french, german, italian, portuguese, spanish
from amt.request.phrases import known_words
from amt.request.tokens import split_words

LANGUAGES: dict[str, ModuleType] = {
    "German": german, "French": french, "Spanish": spanish, "Italian": italian, "Portuguese": portuguese,
}  # fmt: skip

# Words by which a text is known to be English, and words that tell nothing.
ENGLISH = frozenset(
    split_words(
        "the with for and of at on to without by an is it that this from about please make "
        "write my you some very slow fast sad happy song piece music not use like style key minor major but nor"
    )
)
NEUTRAL = frozenset(split_words("in a no me as per ma solo die so man minute minutes second seconds or"))

Phrases = dict[tuple[str, ...], str]


@functools.cache
def phrases(language: str) -> Phrases:
    """The phrases of a language with their English; inflected forms give way to words of their own."""
    module = LANGUAGES[language]
    stated: Phrases = {}
    for english, names in module.WORDS.items():
        for name in names.split(" | "):
            stated.setdefault(split_words(name), english)
    inflected: Phrases = {}
    for words, english in stated.items():
        for word in _forms(words[-1], module.ENDINGS, module.DROPPED):
            inflected.setdefault((*words[:-1], word), english)
    return inflected | stated


@functools.cache
def languages_of_words() -> dict[str, frozenset[str]]:
    """For each word that is not English, too, the languages that have it."""
    english = (ENGLISH | NEUTRAL | known_words()) - {"con"}  # that is of "allegro con brio"
    found: dict[str, set[str]] = {}
    for language in LANGUAGES:
        for words in phrases(language):
            for word in words:
                if len(word) > 1 and word not in english:
                    found.setdefault(word, set()).add(language)
    return {word: frozenset(names) for word, names in found.items()}


def compound(word: str) -> str | None:
    """The English of a German compound like "Orgelfuge", if both its halves are known."""
    words = phrases("German")
    for tail, english in german.TAILS.items():
        head = word.removesuffix(tail)
        if head not in ("", word):
            for stem in (head, head.removesuffix("s"), head.removesuffix("n"), head + "e"):
                if (stem,) in words:
                    return f"{words[(stem,)]} {english}"
    return None


def _forms(word: str, endings: tuple[str, ...], dropped: str) -> set[str]:
    if len(word) < 3:
        return set()
    stems = {word, word[:-1]} if dropped and word[-1] in dropped else {word}
    return {stem + ending for stem in stems for ending in endings}
