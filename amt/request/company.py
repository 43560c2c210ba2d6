"""Whether an everyday word means music here: by the words beside it."""

from __future__ import annotations

from typing import NamedTuple

from amt.request.lexicon import guards
from amt.request.lexicon.grammar import NUMBERS


class Company(NamedTuple):
    """The words before and behind a word ("," and "." at the ends), and whether phrases of music touch it."""

    before: str
    behind: str
    follows_phrase: bool
    precedes_phrase: bool


def is_meant(kind: str, word: str, company: Company) -> bool:
    """Whether a word says something of this kind here.

    "Keys" are an instrument in "keys, bass and drums", not in "all keys"; "house" is a style in "a house track", not in
    "the house on the hill"; "fast" is a tempo, but not in "fast attack".
    """
    before, behind = company.before, company.behind
    if word in ("lead", "leads") and company.follows_phrase:
        return False  # "sax lead" is the sax
    if kind == "instrument" and word in guards.EVERYDAY_INSTRUMENTS:
        is_near = company.follows_phrase or before in guards.BEFORE_INSTRUMENT or before.isdigit() or before in NUMBERS
        is_described = before.endswith(("ing", "ed")) and word != "keys"  # "a stomping kick"
        return (is_near or is_described) and (behind in guards.BEHIND_INSTRUMENT or company.precedes_phrase)
    if kind == "style" and word in guards.EVERYDAY_STYLES:
        if behind in guards.MUSIC_WORDS or (behind not in guards.SMALL_WORDS and company.precedes_phrase):
            return True
        return before not in guards.DETERMINERS and (behind in guards.JOINTS or behind.isdigit())
    guard = guards.GUARDS.get((kind, word))
    return guard is None or (
        behind not in guard.not_before
        and before not in guard.not_after
        and (not guard.only_before or behind in guard.only_before)
    )
