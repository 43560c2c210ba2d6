"""The facts of a piece in words: what stands for the slots of captions, in five languages."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from typing import Any

from amt.arranger.claims import is_true, tempo_words
from amt.arranger.instruments import WORDS, instruments
from amt.arranger.stage import Player
from amt.arranger.style import Style
from amt.arranger.toml import read_toml
from amt.midi.programs import DRUMS
from amt.midi.tempo_words import TEMPO_WORDS

_AND = {"en": "and", "de": "und", "fr": "et", "es": "y", "it": "e"}
# What can be said not to be there: the programs that would have to play.
_ABSENT: dict[str, tuple[int, ...]] = {
    "drums": (DRUMS,),
    "vocals": (52, 53, 54, 85, 91),
    "guitar": tuple(range(24, 32)),
    "piano": tuple(range(6)),
    "strings": tuple(range(40, 52)),
    "bass": (*range(32, 40), 43, 58, 87),
    "brass": tuple(range(56, 64)),
    "synths": (38, 39, 50, 51, 54, 62, 63, *range(80, 104)),
}
_FEELS = {
    "backbeat": ("snare on two and four", "steady backbeat", "a solid backbeat"),
    "four": ("four on the floor", "four-on-the-floor kick", "a four-on-the-floor beat"),
    "swing": ("swing feel", "swung eighths", "shuffle feel"),
    "walking": ("walking bass", "a walking bass line"),
    "offbeat": ("off-beat chords", "chords on the off-beat"),
}
# Words for a tempo that are said where they fit; see `amt.midi.tempo_words`.
_SPEEDS = (
    "very slow", "slow", "leisurely", "unhurried", "mid-tempo", "moderate", "brisk", "up-tempo", "fast", "quick",
    "lively", "very fast", "extremely fast",
)  # fmt: skip
_DENSITIES = {
    "sparse": ("a sparse texture", "few notes"), "moderate": ("a balanced texture",),
    "busy": ("a busy texture",), "very busy": ("a very busy texture", "many notes"),
}  # fmt: skip
_ENERGIES = {
    "low": ("low energy", "little energy"),
    "medium": ("medium energy",),
    "high": ("high energy", "lots of energy"),
}
_SECTIONS = {
    "pre": "pre-chorus", "break": "breakdown", "build": "build-up", "head": "theme",
}  # fmt: skip
_OPENERS = (" and more", ", among others", " and other instruments", " and others")
_ENSEMBLES = {1: ("solo {0}",), 2: ("{0} and {1} duo", "a duet for {0} and {1}")}


@functools.lru_cache(maxsize=1)
def languages() -> dict[str, Any]:
    """Words in other languages: moods, families, keys, lengths."""
    return read_toml(WORDS / "languages.toml")


def joined(words: Sequence[str], conjunction: str) -> str:
    """ "one", "one and two", "one, two and three"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


class Speech:
    """What can be said of one piece in one language; every slot is drawn anew."""

    def __init__(
        self, style: Style, players: Sequence[Player], facts: dict[str, Any], language: str, rng: random.Random
    ):
        self._style, self._facts, self._language, self._rng = style, facts, language, rng
        used = set(facts["programs"])
        special: dict[int, tuple[str, ...]] = {}
        for player in players:
            if player.spec.names and language == "en":
                special.setdefault(player.program, player.spec.names)
        if style.drums is not None and style.drums.names and language == "en":
            special[DRUMS] = style.drums.names
        order = [player.program for player in players] + [DRUMS]
        lead = [player.program for player in players if player.spec.play == "melody"]
        self._programs = [program for program in dict.fromkeys([*lead, *order]) if program in used]
        self._lead = lead[0] if lead and lead[0] in used else None
        self._names = {
            program: special.get(program) or known.names.get(language, ())
            for program in self._programs
            if (known := instruments()[program])
        }
        self._styles = self._true(style.names)
        self._scenes = self._true(style.scenes)
        self._uses = self._true(style.uses)
        self._said: dict[str, str | None] = {}

    def _true(self, texts: Sequence[str]) -> list[str]:
        """Those that claim nothing that is not so: players, tempo, moods of the other mode."""
        programs = frozenset(self._facts["programs"])
        unlike = [mood for mood in self._style.moods if mood not in self._facts["mood"]]
        return [
            text
            for text in texts
            if is_true(text, programs)
            and all(self._fits(word) for word in tempo_words(text))
            and not any(re.search(rf"\b{mood}\b", text) for mood in unlike)
        ]

    def _fits(self, word: str) -> bool:
        """Whether a word for a tempo is right; in 6/8 for dotted quarters and for quarters."""
        low, high = TEMPO_WORDS[word]
        return all(low <= self._facts[name] <= high for name in ("tempo_bpm", "quarter_bpm"))

    def begin(self) -> None:
        """Forget what the last caption said."""
        self._said = {}

    def slot(self, name: str) -> str | None:
        """The words for a slot, the same within a caption; None if there is nothing to say."""
        if name not in self._said:
            method = getattr(self, f"_slot_{name}", None)
            assert method is not None, f"captions.toml: no slot {name!r}"
            self._said[name] = method()
        return self._said[name]

    def _pick(self, words: Sequence[str]) -> str:
        return words[int(self._rng.random() * len(words))]

    def _mood(self, other: str | None) -> str | None:
        moods = [mood for mood in self._facts["mood"] if mood != other and all(map(self._fits, tempo_words(mood)))]
        if self._language == "en":
            style = self.slot("style") or ""
            moods = [mood for mood in moods if mood not in style]
            return self._pick(moods) if moods else None
        table = languages()["moods"]
        index = ("de", "fr", "es", "it").index(self._language)
        known = [table[mood][index] for mood in moods if mood in table and table[mood][index] != other]
        known = [word for word in known if all(map(self._fits, tempo_words(word)))]
        return self._pick(known) if known else None

    def _slot_mood(self) -> str | None:
        return self._mood(None)

    def _slot_mood2(self) -> str | None:
        return self._mood(self.slot("mood"))

    def _slot_style(self) -> str | None:
        if self._language == "en":
            return self._pick(self._styles) if self._styles else None
        return self._slot_family()

    def _slot_family(self) -> str | None:
        if self._language == "en":
            return self._style.family
        word = self._foreign_family()
        return None if word is None else f"{word[:-1]}musik" if word.endswith("-") else word

    def _slot_music(self) -> str | None:
        """German: "Filmmusik", "Pop-Musik"."""
        word = self._foreign_family()
        return None if word is None else f"{word[:-1]}musik" if word.endswith("-") else f"{word}-Musik"

    def _foreign_family(self) -> str | None:
        words = languages()["families"].get(self._style.family)
        return None if words is None else str(words[("de", "fr", "es", "it").index(self._language)])

    def _slot_use(self) -> str | None:
        return self._pick(self._uses) if self._language == "en" and self._uses else None

    def _slot_scene(self) -> str | None:
        return self._pick(self._scenes) if self._scenes else None

    def _slot_tag(self) -> str | None:
        return None if not self._styles else self._pick(self._styles).replace(" ", "").replace("-", "").lower()

    def _named(self, programs: Sequence[int]) -> list[str] | None:
        """A name for each program, None if one has none in this language."""
        if any(not self._names[program] for program in programs):
            return None
        words = []
        for program in programs:
            names = self._names[program]
            words.append(names[0] if self._rng.random() < 0.45 else self._pick(names))
        return list(dict.fromkeys(words))

    def _slot_instruments(self) -> str | None:
        order = list(self._programs)
        if self._rng.random() < 0.4:
            self._rng.shuffle(order)
        words = self._named(order)
        if not words:
            return None
        is_plain = self._rng.random() < 0.3
        return ", ".join(words) if is_plain else joined(words, _AND[self._language])

    def _slot_play(self) -> str:
        return "play" if len(self._programs) > 1 else "plays"

    def _slot_some(self) -> str | None:
        """One or two of those who play, and that there are others."""
        count = min(1 + int(self._rng.random() * 2), len(self._programs))
        words = self._named(self._rng.sample(self._programs, count))
        if not words:
            return None
        is_all = count == len(self._programs)
        return joined(words, "and") if is_all else ", ".join(words) + self._pick(_OPENERS)

    def _slot_lead(self) -> str | None:
        words = None if self._lead is None else self._named([self._lead])
        return words[0] if words else None

    def _slot_rest(self) -> str | None:
        words = self._named([program for program in self._programs if program != self._lead])
        return joined(words, _AND[self._language]) if words else None

    def _slot_ensemble(self) -> str | None:
        words = self._named(self._programs)
        if not words or len(words) != len(self._programs):
            return None
        if len(words) in _ENSEMBLES:
            return self._pick(_ENSEMBLES[len(words)]).format(*words)
        if len(words) <= 5:
            count = ("trio", "quartet", "quintet")[len(words) - 3]
            return f"a {count} with {joined(words, 'and')}"
        return None

    def _slot_key(self) -> str | None:
        key = self._facts["key"]
        if key is None:
            return None
        tonic, mode = key.split(" ", 1)
        if self._language != "en":
            words = languages()["keys"]
            index = ("de", "fr", "es", "it").index(self._language)
            plain = "minor" if mode == "harmonic minor" else mode
            if plain not in ("major", "minor"):
                return None
            name = words["tonics"][tonic][index]
            if self._language == "de":
                return f"{name.lower() if plain == 'minor' else name}-{'Moll' if plain == 'minor' else 'Dur'}"
            return f"{name} {words[plain][index]}"
        if mode == "harmonic minor" and self._rng.random() < 0.5:
            mode = "minor"
        spoken = (
            tonic[0] + {"": "", "b": self._pick((" flat", "-flat")), "#": self._pick((" sharp", "-sharp"))}[tonic[1:]]
        )
        tonic = tonic if self._rng.random() < 0.6 else spoken
        if self._rng.random() < 0.1 and mode == "minor" and " " not in tonic and "-" not in tonic:
            return f"{tonic}m"
        return f"{tonic} {mode}"

    def _slot_bpm(self) -> str | None:
        return str(self._facts["tempo_bpm"]) if self._facts["meter"].endswith("/4") else None

    def _slot_tempo(self) -> str:
        facts = self._facts
        if facts["tempo_unit"] != "quarter":
            return f"{facts['tempo_bpm']} BPM (dotted-quarter beat)"
        bpm = facts["tempo_bpm"]
        if not facts["meter"].endswith("/4"):  # in 7/8 a bare number counts eighths
            return f"{bpm} BPM (quarter-note beat)"
        return self._pick(
            (f"{bpm} bpm", f"{bpm} BPM", f"{bpm} bpm", f"{bpm} BPM", f"tempo {bpm}", f"{bpm} beats per minute")
        )

    def _slot_speed(self) -> str | None:
        if tempo_words(self.slot("style") or ""):
            return None
        fitting = [word for word in _SPEEDS if self._fits(word.replace("-", " "))]
        return self._pick(fitting) if fitting else None

    def _slot_metre(self) -> str:
        metre = self._facts["meter"]
        return self._pick((f"{metre}", f"{metre} time", f"{metre}")) if self._language == "en" else str(metre)

    def _slot_feel(self) -> str | None:
        promises = [each for each in self._facts["promises"] if each in _FEELS]
        return self._pick(_FEELS[self._rng.choice(promises)]) if promises else None

    def _slot_Feel(self) -> str | None:
        words = self.slot("feel")
        return None if words is None else words[0].upper() + words[1:]

    def _slot_density(self) -> str:
        return self._pick(_DENSITIES[self._facts["density"]])

    def _slot_energy(self) -> str:
        return self._pick(_ENERGIES[self._facts["energy"]])

    def _slot_length(self) -> str:
        """Its length within 5 %, as round as that leaves it."""
        seconds = self._facts["duration_s"]
        words = languages()["lengths"][self._language]
        halves = round(seconds / 30)
        if seconds >= 57 and abs(30 * halves - seconds) <= 0.05 * seconds:
            if halves % 2 == 0:
                return f"{halves // 2} {words[1] if halves == 2 else words[2]}"
            number = f"{halves / 2}"
            return f"{number if self._language == 'en' else number.replace('.', ',')} {words[2]}"
        if seconds >= 150:
            minutes, rest = divmod(10 * round(seconds / 10), 60)
            return f"{minutes} {words[2]} {rest} {words[0]}" if rest else f"{minutes} {words[2]}"
        step = 5 if seconds >= 50 else 1
        return f"{round(seconds / step) * step} {words[0]}"

    def _slot_bars(self) -> str:
        return f"{self._facts['bars']} bars"

    def _slot_sections(self) -> str | None:
        names = [_SECTIONS.get(name, name) for name, _, _ in self._facts["sections"]]
        if len(names) < 2:
            return None
        if all(len(name) == 1 for name in names):
            return "".join(names) + " form"
        return joined(list(dict.fromkeys(name if len(name) > 1 else f"part {name}" for name in names)), "and")

    def _slot_form(self) -> str | None:
        return self._slot_sections()

    def _slot_chords(self) -> str | None:
        chords = self._facts["chords"][:4]
        if len(chords) < 4 or len(set(chords)) < 2:
            return None
        separator = self._pick((" ", " ", " - ", ", ")) if not any(" " in bar for bar in chords) else " | "
        return separator.join(chords)

    def _missing(self) -> list[str]:
        used = set(self._facts["programs"])
        return [name for name, programs in _ABSENT.items() if not used & set(programs)]

    def _slot_no(self) -> str | None:
        missing = self._missing()
        return f"no {self._pick(missing)}" if missing else None

    def _slot_without(self) -> str | None:
        missing = self._missing()
        return f"without {self._pick(missing)}" if missing else None

    def _slot_absent(self) -> str | None:
        index = ("de", "fr", "es", "it").index(self._language)
        missing = [each for each in self._missing() if each in languages()["absent"]]
        return str(languages()["absent"][self._pick(missing)][index]) if missing else None
