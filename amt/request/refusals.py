"""What a text refuses: "no drums", "without drums, bass or piano", "everything but choir", "drums: none"."""

from __future__ import annotations

from collections.abc import Sequence

from amt.request.lexicon.grammar import NEGATION_FILLERS, PLAYER_WORDS
from amt.request.phrases import Hit
from amt.request.tokens import Token, split_words

_MODIFIERS = ("mood", "dynamics", "density", "tempo", "register", "playing")
_MARKS = ("not", "nothing", "only", "open", "solo", "size")
_AND, _OR = ("and", "&", "+"), ("or", "nor", "/")
_ENDS = (".", ";", ":", "!", "?", ")", "(")
_VERBS = frozenset(split_words("should must may can will do does did are is shall need want"))


class Units:
    """The tokens of a text, the phrases among them as one each."""

    def __init__(self, tokens: Sequence[Token], hits: Sequence[Hit]):
        self.items: list[Hit | Token] = []
        starts = {hit.first: hit for hit in hits}
        place = 0
        while place < len(tokens):
            hit = starts.get(place)
            self.items.append(tokens[place] if hit is None else hit)
            place = place + 1 if hit is None else hit.after

    def word(self, place: int) -> str:
        """The word at a place that is no phrase; "" for a phrase or beyond the ends."""
        if not 0 <= place < len(self.items):
            return ""
        item = self.items[place]
        return item.text if isinstance(item, Token) else ""

    def hit(self, place: int) -> Hit | None:
        """The phrase at a place."""
        if not 0 <= place < len(self.items):
            return None
        item = self.items[place]
        return item if isinstance(item, Hit) else None

    def is_end(self, place: int) -> bool:
        """Whether a sentence or a bracket ends here."""
        return place >= len(self.items) or self.word(place) in _ENDS


def refused_hits(tokens: Sequence[Token], hits: Sequence[Hit], english: str) -> set[Hit]:
    """The phrases that a text refuses."""
    units = Units(tokens, hits)
    refused: set[Hit] = set()
    for place in range(len(units.items)):
        hit = units.hit(place)
        if hit is None:
            continue
        strengths = hit.values("not")
        if strengths:
            refused |= _list_behind(units, place + 1, strengths[0])
        elif _names_player(hit) and _is_refused_behind(units, place, english):
            refused.add(hit)
    return refused


def _names_player(hit: Hit) -> bool:
    return any(meaning.kind in ("instrument", "ensemble") for meaning in hit.meanings)


def _list_behind(units: Units, place: int, strength: str) -> set[Hit]:
    """What a word of refusal refuses.

    A list that "or" ends is refused as a whole, and after "without" one that "and" ends, or that ends its sentence.
    Else only the first is: "no drums, piano and bass" asks for piano and bass.
    """
    lists: list[list[Hit]] = []  # each thing with the moods and so on before it
    joints: list[str] = []
    is_plain = True
    while True:
        group, article = [], False
        while True:
            hit, word = units.hit(place), units.word(place)
            if hit is not None and not _names_player(hit) and any(m.kind in _MODIFIERS for m in hit.meanings):
                if _thing_follows(units, place + 1):
                    group.append(hit)
                    place += 1
                    continue
                break
            if word in NEGATION_FILLERS:
                article = article or word in ("a", "an")
                place += 1
                continue
            break
        hit = units.hit(place)
        if hit is None or all(meaning.kind in _MARKS for meaning in hit.meanings):
            break
        if lists and (group or article) and joints[-1] == "and":
            break  # "no drums and a soft piano" asks for the piano
        is_plain = is_plain and not (lists and (group or article))
        lists.append([*group, hit])
        place += 1
        while units.word(place) in PLAYER_WORDS:
            place += 1
        joint = ""
        while units.word(place) in (*_AND, *_OR, ","):
            word = units.word(place)
            joint = "or" if word in _OR else "and" if word in _AND and joint != "or" else joint or ","
            place += 1
        if not joint:
            break
        joints.append(joint)
    joints = joints[: max(len(lists) - 1, 0)]
    return {
        hit
        for group in lists[: _num_refused(joints, len(lists), strength, units.is_end(place) and is_plain)]
        for hit in group
    }


def _thing_follows(units: Units, place: int) -> bool:
    while units.word(place) in NEGATION_FILLERS:
        place += 1
    return units.hit(place) is not None


def _num_refused(joints: list[str], count: int, strength: str, is_end: bool) -> int:
    """How many things of a list are refused; `joints` stand between them."""
    if count <= 1 or strength == "single":
        return min(count, 1)
    if "or" in joints:
        return len(joints) - joints[::-1].index("or") + 1
    if strength == "all" and ("and" in joints or is_end):
        return count
    if joints[0] == "and":
        return 2
    return 1


def _is_refused_behind(units: Units, place: int, english: str) -> bool:
    """ "drums: none", "piano-free", "drums should not play"."""
    hit = units.hit(place)
    assert hit is not None
    behind, after = units.word(place + 1), units.word(place + 2)
    if behind == "free" and english[hit.end : hit.end + 1] == "-":
        return True
    if behind in (":", "=") and after in ("none", "off"):
        return True
    if behind in (":", "="):
        following = units.hit(place + 2)
        return following is not None and bool(following.values("not")) and units.is_end(place + 3)
    negation = units.hit(place + 2)
    is_negated = negation is not None and bool(negation.values("not"))
    return (behind in _VERBS and is_negated) or behind in ("shouldn't", "mustn't", "don't", "doesn't", "can't", "won't")
