"""A prompt as the rules read it: without titles, in English, each word with its place in the text."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import re
from collections.abc import Iterator

from amt.midi.tempo_words import TEMPO_WORDS
from amt.midi.theory import parse_key
from amt.request.lexicon.languages import ENGLISH, compound, languages_of_words, phrases
from amt.request.phrases import known_words
from amt.request.tokens import Token, tokenize

MAX_LEN = 4_000  # characters; what follows is not read
_TITLE = re.compile(r'"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|(?<!\w)[\'‘](?=[^\W\d])[^\'’\n]{3,80}[\'’](?!\w)')
_CHORD = re.compile(r"[A-G]m")
_FOREIGN_KEY = re.compile(
    r"\b(?:(?:[ceghd](?:is|es)?|[fb]|fis|fes|a|as|ais|es|eis|his)[ -]?(?:dur|moll)"
    r"|(?:d[oó]|r[eé]|mi|f[aá]|sol|l[aá]|si)(?:[ -]?(?:sostenido|sustenido|b[eé]mol|bemolle|di[eè]se|diesis|[#b♯♭]))?"
    r"[ -](?:mayor|menor|majeur|mineur|maggiore|minore|maior))\b",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Words:
    """A text and its English.

    Attributes:
        text: as it was written.
        english: what the rules read; titles are blank.
        language: "English", or the one that was put into English.
        tokens: of `english`.
    """

    text: str
    english: str
    language: str
    tokens: tuple[Token, ...]
    _starts: tuple[int, ...] = ()  # in `english`, of the pieces that were translated or kept
    _origins: tuple[tuple[int, int], ...] = ()  # and where each stands in `text`

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where in `text` a part of `english` stands."""
        if not self._starts:
            return start, end
        first = max(bisect.bisect_right(self._starts, start) - 1, 0)
        last = max(bisect.bisect_left(self._starts, end), first + 1)
        return self._origins[first][0], max(place[1] for place in self._origins[first:last])


def read_words(text: str) -> Words:
    """The words of a text. A title in quotation marks asks nothing, unless there is nothing else."""
    text = text[:MAX_LEN]
    untitled = _TITLE.sub(lambda match: " " * len(match[0]), text)
    if not untitled.strip(" .,:;!?"):
        untitled = text
    tokens = tokenize(untitled)
    language = _language(untitled, tokens)
    if language == "English":
        return Words(text, untitled, language, tuple(tokens))
    english: list[str] = []
    starts: list[int] = []
    origins: list[tuple[int, int]] = []
    length = end = 0
    for start, stop, word in _translated(untitled, tokens, language):
        gap = untitled[end:start]
        gap = " " if gap in ("'", "’", "-") and word != untitled[start:stop] else gap
        english += [gap, word]
        starts.append(length + len(gap))
        origins.append((start, stop))
        length += len(gap) + len(word)
        end = stop
    joined = "".join([*english, untitled[end:]])
    return Words(text, joined, language, tuple(tokenize(joined)), tuple(starts), tuple(origins))


def _language(text: str, tokens: list[Token]) -> str:
    """The language with most words of its own, if these are more than the English ones and a third of the strange ones.

    Words that it shares with others, such as "con", and names that all have, such as "marimba", are no strange ones.
    """
    known = languages_of_words()
    counts: collections.Counter[str] = collections.Counter()
    for before, token in zip([None, *tokens], tokens, strict=False):
        if _is_chord(text, token) or (token.text == "con" and before is not None and before.text in TEMPO_WORDS):
            continue
        counts.update(known.get(token.text, ()))
        if token.text.isalpha() and compound(token.text):
            counts["German"] += 1
    for match in _FOREIGN_KEY.finditer(text):
        word = re.split(r"[ -]", match[0].lower())[-1]
        counts.update(_LANGUAGES_OF_MODES.get(word, ("German",)))
    if not counts:
        return "English"
    # As many words of its own: the one that has most of the others, too, such as "con".
    shared = {name: sum((token.text,) in phrases(name) for token in tokens) for name in counts}
    language = max(counts, key=lambda name: (counts[name], shared[name], name))
    count = counts[language]
    words = [token.text for token in tokens if token.text.isalpha()]
    strange = sum((word,) not in phrases(language) and word not in known_words() for word in words)
    is_most = count > sum(word in ENGLISH for word in words) and 3 * count >= strange
    return language if is_most else "English"


_LANGUAGES_OF_MODES = {
    "mayor": ("Spanish",), "menor": ("Spanish", "Portuguese"), "majeur": ("French",), "mineur": ("French",),
    "maggiore": ("Italian",), "minore": ("Italian",), "maior": ("Portuguese",),
}  # fmt: skip


def _is_chord(text: str, token: Token) -> bool:
    """Whether "Em" is the chord, not the Portuguese word: that has a capital only where a sentence begins."""
    return _CHORD.fullmatch(text[token.start : token.end]) is not None and text[: token.start].rstrip()[-1:] not in (
        "", ".", "!", "?", ":",
    )  # fmt: skip


def _translated(text: str, tokens: list[Token], language: str) -> Iterator[tuple[int, int, str]]:
    """Pieces of a text in order, each with its place and its English."""
    known = phrases(language)
    longest = max(map(len, known))
    keys = {match.start(): match for match in _FOREIGN_KEY.finditer(text)}
    texts = tuple(token.text for token in tokens)
    place = 0
    while place < len(tokens):
        start = tokens[place].start
        key = parse_key(keys[start][0]) if start in keys else None
        if key is not None:
            end = keys[start].end()
            yield start, end, key.name
            while place < len(tokens) and tokens[place].start < end:
                place += 1
            continue
        for length in range(min(longest, len(tokens) - place), 0, -1):
            english = known.get(texts[place : place + length])
            if english is not None and not _is_chord(text, tokens[place]):
                break
        else:
            length, end = 1, tokens[place].end
            english = (compound(texts[place]) if language == "German" else None) or text[start:end]
        yield start, tokens[place + length - 1].end, english
        place += length
