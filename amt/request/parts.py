"""Who plays: instruments, ensembles, how many, who must not, and whether others may join."""

from __future__ import annotations

import dataclasses
import re

from amt.request.lexicon.ensembles import ENSEMBLES, SIZES
from amt.request.lexicon.grammar import NUMBERS
from amt.request.lexicon.instruments import ROLES
from amt.request.lexicon.styles import STYLES
from amt.request.phrases import Hit, programs_of
from amt.request.said import Part, Said
from amt.request.scan import Scan
from amt.request.tokens import split_words

MOST_PLAYERS = 16
# Whose music a band plays: "piano house" is house with a piano.
BAND_FAMILIES = ("pop", "rock", "metal", "soul", "funk", "hip hop", "electronic", "reggae", "dance")
_SONG = re.compile(r" (?:song|track|anthem|tune|hit|banger|single)s?\b", re.IGNORECASE)
OPEN_STYLES = ("orchestral", "symphony", "concerto", "opera")
_ADJECTIVES = frozenset(split_words("solo female male more different big live lead backing loud muted overdubbed"))
_BASSES = frozenset((*range(32, 40), 87))
_STRINGS = ("nylon strings", "nylon string", "steel strings")
_ROLE_WORDS = ("line", "part", "riff", "groove", "walking", "octave", "chord", "player")
_DRIVEN = re.compile(r"-(?:driven|heavy|led|based|oriented|centric|forward|focused|tinged|infused)\b", re.IGNORECASE)
_WITH_A = re.compile(
    r"\b(?:with|has|and|featuring|includ\w+)\s+(?:an?|the|one|some)\s+(?:[\w-]+\s+){0,3}$", re.IGNORECASE
)
_OVER = re.compile(r"\s+(?:over|on top of|in the (?:middle|bridge)|at the end|section)\b", re.IGNORECASE)
_SECTION = r"(?:(?:part|section) [A-Z]|intro|verse|pre-?chorus|chorus|bridge|theme|head|break(?:down)?|outro|coda)"
_LISTED = r"(?:\s*,\s*(?:and )?| and |\s*[-–>/]+\s*)"
_SECTION_BEFORE = re.compile(rf"\b{_SECTION}{_LISTED}(?:an? )?$", re.IGNORECASE)
_SECTION_BEHIND = re.compile(rf"{_LISTED}(?:an? )?{_SECTION}\b", re.IGNORECASE)
_FEW = "two|three|four|five|six|eight|[2-8]"
_VOICES = re.compile(
    rf"\b(?:(?P<number>{_FEW})[ -](?:part|voice|voiced)\b|in (?P<spoken>{_FEW}) (?:voices|parts)"
    rf"|(?P<plain>{_FEW}) voices)\b",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Players:
    """What a text says of who plays.

    Attributes:
        instruments: those that are named, in the order of the text.
        ensembles: by the names of the lexicon.
        refused: instruments that must not play.
        size: how many players, where the text says so.
        voices: how many lines the music has.
        is_open: whether others may play beside those that are named.
    """

    instruments: tuple[Said[Part], ...]
    ensembles: tuple[Said[str], ...]
    refused: tuple[Said[Part], ...]
    size: Said[int] | None
    voices: Said[int] | None
    is_open: bool


def read_players(scan: Scan) -> Players:
    """Who plays; an instrument that is named and refused is refused."""
    voices = _voices(scan)
    wanted: dict[str, Said[Part]] = {}
    unwanted: dict[str, Said[Part]] = {}
    ensembles: dict[str, Said[str]] = {}
    for hit in scan.hits:
        for name in hit.values("instrument"):
            if hit in scan.refused:
                unwanted.setdefault(name, scan.said(_part(name), hit.start, hit.end))
            elif scan.is_own(hit):
                start, count = _count(scan, hit)
                said = scan.said(_part(name, count), start, hit.end)
                if name not in wanted or (count and not wanted[name].value.count):
                    wanted[name] = said
        for name in hit.values("refused"):
            unwanted.setdefault(name, scan.said(_part(name), hit.start, hit.end))
        for name in hit.values("ensemble"):
            if hit in scan.refused:
                for member, _ in ENSEMBLES[name].members:
                    unwanted.setdefault(member, scan.said(_part(member), hit.start, hit.end))
            else:
                ensembles.setdefault(name, scan.said(name, hit.start, hit.end))
    for name in unwanted:
        wanted.pop(name, None)
    instruments = _without_roles(scan, list(wanted.values()))
    return Players(
        instruments=tuple(instruments),
        ensembles=tuple(ensembles.values()),
        refused=tuple(unwanted.values()),
        size=_size(scan, len(instruments) + len(ensembles)),
        voices=voices,
        is_open=_is_open(scan, instruments, list(ensembles)),
    )


def _part(name: str, count: int = 0) -> Part:
    return Part(name, programs_of(name), count)


def _count(scan: Scan, hit: Hit) -> tuple[int, int]:
    """Where "two violins" or "a pair of flutes" begins, and how many these are; 0 without a number."""
    tokens = scan.tokens
    place = hit.first - 1
    if place >= 0 and tokens[place].text in _ADJECTIVES:
        place -= 1
    elif place >= 0 and (modifier := scan.hit_before(hit)) is not None:
        place = modifier.first - 1
    if place < 0:
        return hit.start, 0
    token = tokens[place]
    if token.text == "of" and place >= 1 and tokens[place - 1].text == "pair":
        return tokens[place - 1].start, 2
    number = int(token.text) if token.text.isascii() and token.text.isdigit() else NUMBERS.get(token.text, 0)
    is_joined = not scan.english[token.end : tokens[place + 1].start].isspace() or tokens[place - 1].text in ("/", ":")
    if not 2 <= number <= MOST_PLAYERS or (is_joined and place > 0) or not scan.is_free(token.start, token.end):
        return hit.start, 0
    return token.start, number


def _without_roles(scan: Scan, parts: list[Said[Part]]) -> list[Said[Part]]:
    """Without what is another's: "double bass, a bass line" is one bass, and "guitar, nylon strings" one guitar."""

    def words(said: Said[Part]) -> str:
        return scan.words.text[said.start : said.end].lower()

    def is_role(said: Said[Part]) -> bool:
        others = [other for other in parts if set(other.value.programs) < set(said.value.programs)]
        is_role_word = bool(others) and any(word in words(said) for word in _ROLE_WORDS)
        return said.value.name in ROLES and (is_role_word or any(words(other) in _STRINGS for other in others))

    return [said for said in parts if not is_role(said)]


def _size(scan: Scan, num_named: int) -> Said[int] | None:
    """The number of players: "duet", "trio", or "solo" with a single instrument, but not "with a guitar solo"."""
    for hit in scan.hits:
        if (hit.values("size") or hit.values("solo")) and _is_section(scan, hit):
            continue
        for name in hit.values("size"):
            if hit not in scan.refused:
                return scan.said(SIZES[name], hit.start, hit.end)
        if hit.values("solo") and num_named == 1 and hit not in scan.refused and not _is_feature(scan, hit):
            return scan.said(1, hit.start, hit.end)
    return None


def _is_section(scan: Scan, hit: Hit) -> bool:
    """Whether a trio or a solo is a part of the form: "part A, part B and trio", but not "drum solo, part A"."""
    before = scan.hit_before(hit)
    if before is not None and (before.values("instrument") or before.values("style")):
        return False
    return bool(_SECTION_BEFORE.search(scan.english[: hit.start]) or _SECTION_BEHIND.match(scan.english, hit.end))


def _is_feature(scan: Scan, hit: Hit) -> bool:
    """Whether a solo is one moment of a piece: "a rock song with a guitar solo"."""
    before = scan.english[max(0, hit.start - 40) : hit.start]
    return bool(_WITH_A.search(before) or _OVER.match(scan.english, hit.end))


def _voices(scan: Scan) -> Said[int] | None:
    """ "Four-part", "in three voices"; "4 voices", too, where it is a fugue's and somebody else plays it."""
    others = any(name not in ("voice", "choir") for hit in scan.hits for name in hit.values("instrument"))
    is_fugue = any(form in ("fugue", "canon") for hit in scan.hits for form in hit.values("form"))
    for match in scan.matches(_VOICES):
        if match["plain"] and not (others and is_fugue):
            continue
        word = (match["number"] or match["spoken"] or match["plain"]).lower()
        scan.take(*match.span())
        return scan.said(NUMBERS.get(word) or int(word), *match.span())
    return None


def _named(scan: Scan) -> list[Hit]:
    """The phrases that name an instrument that is to play."""
    return [hit for hit in scan.hits if hit.values("instrument") and hit not in scan.refused and scan.is_own(hit)]


def _is_by_the_way(scan: Scan, hit: Hit) -> bool:
    """Whether a phrase names an instrument, but says only how a band sounds.

    "A walking bass" and "a four-on-the-floor kick" are feels; "guitar pop" and "a disco guitar song" are songs of a
    band, in which the guitar stands out. "Piano jazz" and "a rock guitar" name all who play.
    """
    before = scan.hit_before(hit)
    if hit.values("feel") or (before is not None and before.values("feel")):
        return True
    following = next((other for other in scan.hits if other.first == hit.after), None)
    if following is not None and _is_of_band(following):
        return scan.english[hit.end : following.start].isspace()
    return before is not None and _is_of_band(before) and _SONG.match(scan.english, hit.end) is not None


def _is_of_band(hit: Hit) -> bool:
    return any(STYLES[style].family in BAND_FAMILIES and style != "ballad" for style in hit.values("style"))


def _is_open(scan: Scan, instruments: list[Said[Part]], ensembles: list[str]) -> bool:
    if not instruments and not ensembles:
        return True
    if any(hit.values("only") for hit in scan.hits):
        return False
    is_counted = any((hit.values("solo") or hit.values("size")) and not _is_section(scan, hit) for hit in scan.hits)
    if not ensembles and not is_counted and all(_is_by_the_way(scan, hit) for hit in _named(scan)):
        return True
    is_bass_alone = not ensembles and all(set(said.value.programs) <= _BASSES for said in instruments)
    if is_bass_alone and not is_counted and any(_is_of_band(hit) for hit in scan.hits):
        return True  # "dubstep with a wobble bass": no such music is a bass alone
    for hit in scan.hits:
        if hit.values("open") or (hit not in scan.refused and set(hit.values("style")) & set(OPEN_STYLES)):
            return True
        if hit.values("instrument") and _DRIVEN.match(scan.english, hit.end):
            return True
        if hit.values("solo") and _is_feature(scan, hit):
            return True
    return any(ENSEMBLES[name].is_open for name in ensembles)
