"""`amt.arrange`: a piece in a style, with what the caller wants of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from amt.arranger.arrangement import Arrangement
from amt.arranger.chords import MODES, Chord, chord_of, line_scale
from amt.arranger.compose import compose
from amt.arranger.form import MAX_BARS
from amt.arranger.instruments import instruments as known_instruments
from amt.arranger.library import find_style
from amt.arranger.metre import metre
from amt.arranger.plan import Wanted
from amt.arranger.style import Style
from amt.midi.chords import parse_progression
from amt.midi.programs import program_number
from amt.midi.theory import Key, parse_key

MAX_SEED = (1 << 63) - 1


def arrange(
    style: str,
    *,
    seed: int | None = None,
    key: str | None = None,
    tempo: float | None = None,
    time_signature: str | None = None,
    bars: int | None = None,
    duration: float | None = None,
    chords: str | Sequence[str] | None = None,
    instruments: Sequence[str | int] | None = None,
) -> Arrangement:
    """Compose a piece by rule, in one of the styles of `amt arrange --list`.

    What is not given is drawn from the seed.

    Args:
        style: the name of a style, what its pieces are called, or the path of a style file (`*.toml`).
        seed: the same number gives the same piece; without it a fresh one is drawn; the facts name it.
        key: like "D minor" or "G mixolydian"; in one of the style's modes, or with `chords` in any.
        tempo: beats a minute: quarter notes; in 6/8, 9/8 and 12/8 dotted ones.
        time_signature: one of the style's.
        bars: length in bars, that of the last chord included.
        duration: length in seconds, about.
        chords: like "Am7 D7 Gmaj7" or "C | Am F | G", or a list of bars; they come again and again.
        instruments: General MIDI names or program numbers (128: drums); just these play.

    Raises:
        ValueError: a name that is not known, or something that the style cannot do; one line, with the nearest names.

    Example:
        >>> arrange("bossa nova", seed=3, chords="Am7 D7 Gmaj7", bars=16).facts["chords"][0]
        'Am7'
    """
    chosen = find_style(style)
    if seed is None:
        seed = secrets.randbits(31)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be a whole number from 0 to 2**63-1, got {seed!r}")
    if bars is not None and (not isinstance(bars, int) or not 2 <= bars <= MAX_BARS):
        raise ValueError(f"bars must be a whole number from 2 to {MAX_BARS}, got {bars!r}")
    if tempo is not None and not 20 <= tempo <= 400:
        raise ValueError(f"tempo must be between 20 and 400 beats a minute, got {tempo!r}")
    if duration is not None and not 4 <= duration <= 1200:
        raise ValueError(f"duration must be between 4 and 1200 seconds, got {duration!r}")
    if bars is not None and duration is not None:
        raise ValueError("give bars or duration, not both")
    progression = None if chords is None else _progression(chords, key)
    wanted = Wanted(
        key=_key(key, chosen, progression),
        tempo_bpm=tempo,
        metre=None if time_signature is None else _metre(time_signature, chosen),
        bars=bars,
        seconds=duration,
        chords=progression,
        programs=None if instruments is None else _programs(instruments),
    )
    return compose(chosen, seed, wanted)


def _key(text: str | None, style: Style, progression: Sequence[tuple[Chord, ...]] | None) -> Key | None:
    if text is None:
        return None if progression is None else key_of(progression, style)
    key = parse_key(text)
    if key is not None and key.mode == "natural minor":
        key = Key(key.tonic, "minor")
    if key is None or key.mode not in MODES:
        raise ValueError(f'key is a tonic and one of {", ".join(MODES)}, like "D minor"; got {text!r}')
    if key.mode not in style.harmony and progression is None:
        raise ValueError(
            f"{style.name} is played in {' or '.join(style.harmony)}, not in {key.mode};"
            " with chords of your own it may be"
        )
    return key


def key_of(progression: Sequence[tuple[Chord, ...]], style: Style) -> Key:
    """The key that fits chords best: one whose scale has most of their tones, rather of the first or the last chord."""
    chords = [chord for bar in progression for chord in bar]
    best: tuple[float, Key] | None = None
    for mode in dict.fromkeys((*style.modes, "major", "minor")):
        for tonic in range(12):
            key = Key(tonic, mode)
            scale = set(line_scale(key))
            fit = sum(sum(tone in scale for tone in chord.tones) / len(chord.tones) for chord in chords) / len(chords)
            third = (tonic + (3 if key.is_minor else 4)) % 12
            for chord, gain in ((chords[0], 0.12), (chords[-1], 0.10)):
                fit += gain * (chord.root == tonic and chord.third == third)
            fit += 0.02 * (mode in ("major", "minor"))
            if best is None or fit > best[0]:
                best = fit, key
    assert best is not None
    return best[1]


def _progression(chords: str | Sequence[str], key: str | None) -> tuple[tuple[Chord, ...], ...]:
    texts = [chords] if isinstance(chords, str) else list(chords)
    found = parse_key(key) if key is not None else None
    bars: list[tuple[Chord, ...]] = []
    for text in texts:
        parsed = parse_progression(text, found)
        if parsed is None:
            words = [word for word in text.replace("|", " ").split() if parse_progression(word, found) is None] or [
                text
            ]
            raise ValueError(f"{words[0]!r} is no chord; chords are written like Am7, F#dim, Bb/D, G7sus4 or ii7")
        new = [tuple(chord_of(symbol) for symbol in bar) for bar in parsed]
        bars += new if isinstance(chords, str) else [tuple(chord for bar in new for chord in bar)]
    if not bars:
        raise ValueError("chords is empty; name some, as in: C Am F G")
    return tuple(bars)


def _metre(text: str, style: Style) -> str:
    name = metre(text).name
    if name not in style.metres:
        raise ValueError(f"{style.name} is played in {' or '.join(style.metres)}, not in {name}")
    return name


def _programs(wanted: Sequence[str | int]) -> tuple[int, ...]:
    if isinstance(wanted, str):
        raise ValueError(f"instruments is a list of names, got the text {wanted!r}; write [{wanted!r}]")
    if not wanted:
        raise ValueError("instruments is empty; name at least one, or leave it out")
    programs = [program_number(_by_nickname(word) if isinstance(word, str) else word) for word in wanted]
    return tuple(dict.fromkeys(programs))


def _by_nickname(word: str) -> str | int:
    """The program of what people call an instrument in captions, or the word itself for `program_number`."""
    for instrument in known_instruments().values():
        if word.lower() in (name.lower() for name in instrument.names.get("en", ())):
            try:
                program_number(word)
            except ValueError:
                return instrument.program
            return word
    return word


def check_styles(names: Sequence[str]) -> list[str]:
    """The full names of styles, in order; style files stay paths, and a folder stands for all of its files.

    Raises:
        ValueError: there is no such style, or a file that is none. OSError: it cannot be read.
    """
    found: list[str] = []
    for name in names:
        if os.path.isdir(name):
            files = sorted(str(path) for path in Path(name).glob("*.toml"))
            if not files:
                raise ValueError(f"{name} has no style files (*.toml)")
            found += check_styles(files)
        else:
            style = find_style(name)
            found.append(name if name.endswith(".toml") else style.name)
    return found
