"""Words that change what others mean: refusals, "only", "and more", and words that need company to mean music."""

from __future__ import annotations

from typing import NamedTuple

from amt.request.lexicon import ensembles, tags
from amt.request.tokens import split_words

# Kinds of facts whose lexicon is a plain table.
TABLES: dict[str, dict[str, str]] = {
    "use": tags.USES, "form": tags.FORMS, "section": tags.SECTIONS, "feel": tags.FEELS, "density": tags.DENSITIES,
    "register": tags.REGISTERS, "dynamics": tags.DYNAMICS, "playing": tags.PLAYING, "texture": tags.TEXTURES,
}  # fmt: skip

# Marks: what they say is about other words.
MARKS: dict[str, str] = {
    "open": ensembles.OPENERS,
    "only": "only | just | solely | exclusively | nothing else | nothing but | no other instruments | "
    "no other instrument | "
    "no others | alone | purely | and that s it | and that s all | entirely",
    "solo": "solo",
}

# What follows is refused. "all": a whole list with commas; "one": a list joined by or; "single": one thing.
NEGATORS: dict[str, str] = {
    "without": "all", "without any": "all", "w / o": "all", "wo": "all", "excluding": "all", "exclude": "all",
    "excludes": "all",
    "except": "all", "except for": "all", "avoid": "all", "avoiding": "all", "omit": "all", "omitting": "all",
    "leave out": "all",
    "leaving out": "all", "skip": "all", "remove": "all", "minus": "all", "lacking": "all", "lacks": "all",
    "neither": "all",
    "don't use": "all", "do not use": "all", "does not use": "all", "doesn't use": "all", "do not include": "all",
    "don't include": "all", "does not include": "all", "doesn't include": "all", "don't want": "all",
    "do not want": "all",
    "don't add": "all", "do not add": "all", "not using": "all", "not include": "all", "not use": "all", "never": "all",
    "everything but": "all", "everything except": "all", "all but": "all", "anything but": "all", "free of": "all",
    "devoid of": "all", "i hate": "all", "sans": "all", "no need for": "all", "don't have": "all", "drop the": "all",
    "all instruments except": "all", "all instruments but": "all", "don't need": "all", "get rid of": "all",
    "mute": "all",
    "no": "one", "not": "one", "isn't": "one", "aren't": "one", "not any": "one", "nothing with": "all",
    "nor": "one", "zero": "one",
    "never any": "all",
    "isn't too": "one", "not too": "one", "not so": "one", "not very": "one", "less": "one", "don't make it": "one",
    "instead of": "single", "rather than": "single", "in place of": "single", "replace": "single",
    "replacing": "single",
    "substitute": "single",
}  # fmt: skip
NEGATION_FILLERS = frozenset(
    split_words(
        "a an the any use of kind kinds type types sort sorts all too so very "
        "overly real additional extra other some added with include loud"
    )
)
# Behind what is refused: "a bass player".
PLAYER_WORDS = frozenset(
    split_words("player players part parts sound sounds instrument instruments track tracks line lines")
)

# Phrases that say nothing although they hold words that do.
NOTHING = (
    "no more than | no less than | no fewer than | no longer than | no longer | no shorter than | not only | "
    "not just | "
    "not more than | not longer than | not less than | minute waltz key | key change | key changes | key moment | "
    "fast attack | "
    "slow attack | slow release | fast release | fast decay | slow decay | quick fade | quick fade out | slow fade | "
    "slow motion | "
    "fast forward | fast food | breakfast | 4 seasons | four seasons | sharp attack | flat sound | in time | "
    "just in time | "
    "make me | feel like | heart of | no matter | no one | no idea | no doubt | no problem | on the other hand | "
    "hand in hand | "
    "happy to | glad to | sad to say | why not | whether or not | if not | or not | not sure | all the way | "
    "high school | "
    "heavy rain | heavy traffic | light rain | bright future | dark night | dark side | dark blue | warm up | "
    "cool down | calm down | "
    "party member | battle of | war and | low cost | high quality | low quality | high definition | hi fi | "
    "high energy drink | "
    "fast hi hat | minor change | minor changes | minor detail | major city | major hit | major change | "
    "deep learning | "
    "sweet spot | sweet home | fun fact | moving on | moving to | grand finale | fade to | quiet please | "
    "magic number | "
    "song of the year | the making of | jazz hands | the rest | in the country | another country | hope you | "
    "i hope | i love you | "
    "simple minds | positive feedback | energy drink | second hand | slow down later"
)

# Phrases that say two things.
ADDITIONS: dict[tuple[str, str], str] = {
    ("instrument", "bass"): "walking bass | walking bass line | walking bassline | octave bass | bass octave",
    ("instrument", "double bass"): "walking double bass | walking upright bass",
    ("instrument", "drums"): "4x4 kick | half time drums | snare on 2 and 4 | snare on two and four | fast hi hats | "
    "fast hi hat",
    ("instrument", "muted guitar"): "palm muted guitar",
    ("instrument", "percussion"): "3:2 clave | 2:3 clave",
    ("instrument", "choir"): "chorale choir",
    ("feel", "half-time"): "half time drums",
    ("feel", "swing"): "medium swing | swing",
    ("feel", "shuffle"): "blues shuffle",
    ("tempo", "medium"): "medium swing | medium pace | medium speed",
    ("style", "blues"): "12 bar blues | twelve bar blues | blues shuffle",
    ("style", "polka"): "oom pah",
    ("style", "pop"): "pop song structure",
    ("style", "jazz"): "jazz trio | jazz quartet | jazz quintet | jazz combo | jazz band | jazz ensemble",
    ("style", "rock"): "rock band",
    ("style", "mariachi"): "mariachi band",
    ("mood", "happy"): "happy birthday",
    ("use", "fantasy"): "fantasy tavern",
    ("use", "video game"): "video game boss battle | video game battle",
    ("use", "battle"): "video game boss battle | video game battle",
    ("use", "wedding"): "wedding march",
    ("refused", "voice"): "instrumental | no lyrics | without words",
    ("tempo", "fast"): "fast paced | fast tempo | high tempo | high speed | speedy",
    ("tempo", "slow"): "slow paced | slow tempo | low tempo | slower",
    ("tempo", "very fast"): "super fast | lightning fast | blazing fast | ultra fast | insanely fast | rapid fire",
    ("tempo", "very slow"): "super slow | glacial | as slow as possible | painfully slow",
    ("tempo", "mid tempo"): "mid paced | middle tempo | moderately paced",
    ("tempo", "brisk"): "brisk pace | briskly",
    ("tempo", "andante"): "andante con moto",
    ("tempo", "moderate"): "moderate pace | moderate speed | moderately",
}  # fmt: skip


class Guard(NamedTuple):
    """What must not stand behind or before a word, and what alone may stand behind it."""

    not_before: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()
    only_before: frozenset[str] = frozenset()


_ENDS = frozenset(split_words(", ; : . ) ! ? and but for with in on at"))
_RUNS = frozenset(
    split_words(
        "arpeggios arpeggio runs run attack attacks build fade scales scale notes note rolls "
        "roll fills fill passages release picking strumming hi hihat hihats decay vibrato lfo burn motion food car "
        "cars "
        "enough"
    )
)
_DANCES = frozenset(split_words("waltz march polka dance jig reel swing step tango groove rhythm beat"))
# (kind, word): what a word that says something of the whole piece must not be joined to.
GUARDS: dict[tuple[str, str], Guard] = {
    ("style", "latin"): Guard(frozenset({"text", "lyrics", "words", "mass", "hymn", "language"})),
    ("style", "march"): Guard(not_after=frozenset(split_words("in on last next since until this"))),
    ("tempo", "slow"): Guard(_RUNS), ("tempo", "fast"): Guard(_RUNS), ("tempo",
    "quick"): Guard(only_before=_ENDS | _DANCES | {"tempo", "pace", "speed"}),
    ("tempo", "slowly"): Guard(frozenset({"building", "builds", "growing", "fading",
    "rising"}), frozenset({"building", "builds"})),
    ("tempo", "grave"): Guard(not_after=frozenset({"a", "the", "my", "his", "her", "from", "to"})),
    ("tempo", "medium"): Guard(only_before=_ENDS | {"tempo", "rock", "groove", "blues", "shuffle", "bounce", "swing"}),
    ("tempo", "moderate"): Guard(only_before=_ENDS | {"tempo", "waltz", "swing", "rock", "pop", "march", "4", "3"}),
    ("tempo", "largo"): Guard(not_after=frozenset({"key"})),
    ("tempo", "breit"): Guard(only_before=_ENDS), ("tempo", "vive"): Guard(only_before=_ENDS),
    ("tempo", "gehend"): Guard(only_before=_ENDS), ("tempo", "brisk"): Guard(_RUNS), ("tempo", "lively"): Guard(_RUNS),
    ("section", "bridge"): Guard(not_after=frozenset({"the", "under"}), not_before=frozenset({"of", "over"})),
    ("section", "drop"): Guard(not_before=frozenset({"in", "out", "by", "off", "me", "it", "d", "c", "the"})),
    ("section", "verse"): Guard(not_before=frozenset({"of"})),
    ("section", "solo"): Guard(only_before=frozenset({"section"})),
    ("mood", "fun"): Guard(frozenset({"fact", "facts"})), ("mood", "sweet"): Guard(frozenset({"spot", "home",
    "potato"})),
    ("mood", "moving"): Guard(frozenset({"to", "from", "on", "bass", "lines", "line", "between", "up", "down"})),
    ("mood", "grand"): Guard(frozenset({"piano", "finale", "canyon", "theft", "mother", "prix"})),
    ("mood", "hope"): Guard(frozenset({"you", "it", "that", "this", "for"}), frozenset({"i", "we"})),
    ("mood", "positive"): Guard(frozenset({"feedback", "review"})),
    ("mood", "wild"): Guard(frozenset({"west"})), ("mood", "energy"): Guard(not_after=frozenset({"low", "medium",
    "little"})),
    ("mood", "magic"): Guard(frozenset({"number", "flute"})), ("mood", "heavy"): Guard(frozenset({"on", "rain",
    "use"})),
    ("mood", "touching"): Guard(frozenset({"the", "on"})), ("mood", "driving"): Guard(frozenset({"to", "home", "in",
    "a", "the"})),
    ("mood", "serious"): Guard(frozenset({"about"})), ("mood", "peace"): Guard(frozenset({"of", "treaty"})),
    ("mood", "wonder"): Guard(not_after=frozenset({"i", "no"})),
    ("dynamics", "forte"): Guard(frozenset({"piano"}), frozenset({"my", "his"})),
    ("dynamics", "mp"): Guard(not_after=frozenset({"the", "an"})),
    ("dynamics", "silent"): Guard(frozenset({"night", "film", "movie"})),
    ("dynamics", "grows"): Guard(frozenset({"up", "old"})),
    ("density", "easy"): Guard(frozenset({"listening", "going"})),
    ("density", "technical"): Guard(frozenset({"support"})),
    ("use", "background"): Guard(frozenset({"vocals", "vocal", "singers", "noise"})),
    ("use", "boss"): Guard(not_after=frozenset({"my", "the"})),
    ("use", "party"): Guard(frozenset({"member", "leader"})),
    ("use", "battle"): Guard(frozenset({"of"})),
    ("use", "children"): Guard(frozenset({"choir"})), ("use", "sleep"): Guard(not_after=frozenset({"to", "the"})),
    ("use", "commercial"): Guard(frozenset({"success"})),
    ("form", "canon"): Guard(frozenset({"camera"})), ("form", "round"): Guard(only_before=_ENDS), ("form",
    "loop"): Guard(not_after=frozenset({"drum", "the"})),
    ("only", "alone"): Guard(not_after=frozenset({"i", "am", "be", "not", "all", "home"})),
    ("solo", "solo"): Guard(frozenset({"section", "break"})),
    ("open", "everything"): Guard(only_before=frozenset({"."})),
}  # fmt: skip

NUMBERS: dict[str, int] = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90,
    "hundred": 100,
}  # fmt: skip
# Known phrases that are too common to make an everyday word musical.
SMALL_WORDS = frozenset(split_words("a the only just solo not no like with"))
