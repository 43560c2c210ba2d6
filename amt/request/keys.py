"""The keys that a text names: "in the key of C minor", "F#m", "key: Eb", "D dorian"."""

from __future__ import annotations

import re

from amt.midi.chords import parse_chord
from amt.midi.theory import Key, parse_key, parse_mode
from amt.request.said import Said
from amt.request.scan import Scan

_TONIC = r"(?<![\w#♯♭'’/-])([A-Ga-g])(?:[ -]?((?i:flat|sharp))\b|([b#♯♭]))?"
_MODES = (
    r"(?:natural|harmonic|melodic)[ -]min(?:or)?|(?:maj|min)(?:or)?(?:[ -]pentatonic)?|pentatonic[ -](?:major|minor)|"
    r"ionian|dorian|phrygian[ -]dominant|phrygian|lydian|mixolydian|aeolian|locrian|hungarian[ -]minor|whole[ -]tone|"
    r"double[ -]harmonic|blues[ -]scale"
)
_MODE = rf"(?i:({_MODES})\b)"
_KEY = re.compile(rf"{_TONIC}[ -]*{_MODE}(?!\s+(?i:chord|triad|second|third|sixth|seventh|3rd|6th|7th)s?\b)")
_INTRODUCED = re.compile(
    rf"(?i:\b(?:key(?: signature)?|tonality|tonic)\s*(?:of|:|=|is|in)?|\bin(?: the)?)\s*{_TONIC}(m)?(?![\w#♯♭'’/]|-\w)"
)
# "techno, Am, 130 bpm"
_ALONE = re.compile(r"(?:(?<=[,;|\[])|(?<=, )|(?<=; ))([A-G][b#♯♭]?m)(?=\s*(?:$|[,;|\]]))")
_WORD_BEFORE = re.compile(r"([^\s,;|]+)\s*[,;|]\s*$")
_WORD_BEHIND = re.compile(r"\s*[,;|]\s*(?:and )?([^\s,;|]+)")
_SIGNED = r"[A-G](?:[b#♯♭]| flat| sharp)?"
_TWO_KEYS = re.compile(rf"\bkeys (?:of )?({_SIGNED}),? (?:and|then|to) ({_SIGNED})\b")
# What may follow a tonic that stands alone: "in G", "in E for guitar", but not "in A city".
_BEHIND = re.compile(
    r"\s*(?:$|[.,;:!?)(\]&+|/–—]|\d|(?:for|with|at|on|and|by|using|played|around|about|tempo|bpm|or|then|but|"
    r"without|no|in|over|that|slow|fast|please|featuring)\b)",
    re.IGNORECASE,
)
# Where "minor" alone, or "major" too, says a mode.
_OF_HARMONY = ("key", "keys", "mode", "scale", "tonality", "chords", "harmony", "feel", "sound", "mood")
_OF_MUSIC = "melody|melodies|riff|riffs|jam|tune|blues|waltz|ballad|song|swing|vibe"
_MODE_ALONE = re.compile(
    rf"(?i:\b(in|of)\s+(?:an? |the )?)?{_MODE}(?i:(\s+(?:{'|'.join(_OF_HARMONY)}|{_OF_MUSIC})\b)?)"
)
_PENTATONIC = re.compile(r"\b(pentatonic)\b", re.IGNORECASE)
_BOUNDARY = (".", ",", ";", ":", "!", "?", "(", ")", "")


def read_keys(scan: Scan) -> tuple[list[Said[Key]], Said[str] | None]:
    """The keys in the order of the text, and a mode that stands without a tonic.

    A tonic without a mode takes the mode that the text says elsewhere ("a lydian melody in F"); else it is major.
    """
    found: list[tuple[int, int, str, str | None]] = []
    for match in scan.matches(_KEY):
        letter, word, sign, mode = match.groups()
        if letter in "Aa" and not (word or sign) and not _is_tonic_a(scan.english, match):
            continue
        found.append((*match.span(), letter + (word or sign or ""), mode))
        scan.take(*match.span())
    bare: list[tuple[int, int, str, str | None]] = []
    for match in scan.matches(_ALONE):
        neighbours = _WORD_BEFORE.search(scan.english[: match.start()]), _WORD_BEHIND.match(scan.english, match.end())
        if any(word is not None and parse_chord(word[1]) is not None for word in neighbours):
            continue
        bare.append((*match.span(1), match[1].removesuffix("m"), "minor"))
    for match in scan.matches(_TWO_KEYS):
        bare += [(*match.span(group), match[group].replace(" ", ""), None) for group in (1, 2)]
        scan.take(*match.span())
    for match in scan.matches(_INTRODUCED):
        letter, word, sign, minor = match.groups()
        is_key = not match[0].lower().startswith("in")
        if not (minor or _BEHIND.match(scan.english, match.end())):
            continue
        is_plain = not (is_key or word or sign or minor)  # "in c"
        if letter.islower() and is_plain and (letter == "a" or not _ends(scan.english, match.end())):
            continue
        bare.append((match.start(1), match.end(), letter + (word or sign or ""), minor and "minor"))
        scan.take(*match.span())
    mode = _mode_alone(scan)
    keys: list[Said[Key]] = []
    for start, end, tonic, name in sorted(found + bare):
        key = parse_key(f"{tonic} {name or (mode.value if mode else 'major')}")
        if key is not None and key not in [said.value for said in keys]:
            keys.append(scan.said(key, start, end))
    return keys, mode


def _is_tonic_a(text: str, match: re.Match[str]) -> bool:
    """Whether "a minor" is a key, not an article: "A minor key change", "in a major city"."""
    before, behind = text[: match.start()].rstrip(), text[match.end() :].lstrip(" ")
    if match[1] == "A" and match[4].lower() not in ("major", "minor", "maj", "min"):
        return True
    if match[1] == "A":
        return not ((not before or before[-1] in ".!?:") and behind.lower().startswith("key"))
    is_introduced = (
        not before or before[-1] in ",(" or re.search(r"\b(?:in|of|key:?|key is)$", before, re.I) is not None
    )
    return is_introduced and (not behind or behind[0] in ".,;:!?)/\n" or _BEHIND.match(text, match.end()) is not None)


def _ends(text: str, place: int) -> bool:
    return re.match(r"\s*(?:$|[.,;!?)])", text[place:]) is not None


def _mode_alone(scan: Scan) -> Said[str] | None:
    """A mode without a tonic, where it is no everyday "minor" or "major"."""
    for match in scan.matches(_MODE_ALONE):
        introduced, name, behind = match.groups()
        mode = parse_mode(name)
        before = scan.english[: match.start()].rstrip()[-1:]
        after = scan.english[match.end() :].lstrip()[:1]
        is_alone = before in _BOUNDARY and after in _BOUNDARY and not introduced
        if name.lower() in ("major", "minor", "maj", "min"):
            is_said = (introduced is not None and after in _BOUNDARY) or is_alone
            if behind is not None:
                is_said = behind.strip().lower() in _OF_HARMONY or name.lower() == "minor"
        else:
            is_said = True
        if mode is not None and is_said:
            scan.take(match.start(2), match.end(2))
            return scan.said(mode, *match.span(2))
    for match in scan.matches(_PENTATONIC):
        scan.take(*match.span())
        return scan.said("major pentatonic", *match.span())
    return None
