"""Words that change what others mean: refusals, "only", "and more"; phrases that say two things; numbers."""

from __future__ import annotations

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
    "no other instrument | no others | alone | purely | and that s it | and that s all | entirely",
    "solo": "solo",
}

# What follows is refused. "all": a whole list with commas; "one": a list joined by or; "single": one thing.
NEGATORS: dict[str, str] = {
    "all": "without | without any | w / o | wo | excluding | exclude | excludes | except | except for | avoid | "
    "avoiding | omit | omitting | leave out | leaving out | skip | remove | minus | lacking | lacks | neither | "
    "don't use | do not use | does not use | doesn't use | do not include | don't include | does not include | "
    "doesn't include | don't want | do not want | don't add | do not add | don't have | don't need | not using | "
    "not include | not use | never | never any | everything but | everything except | all but | anything but | "
    "all instruments except | all instruments but | free of | devoid of | hate | hates | sans | no need for | "
    "drop the | get rid of | mute | nothing with",
    "one": "no | not | isn't | aren't | not any | nor | zero | isn't too | not too | not so | not very | less | "
    "don't make it",
    "single": "instead of | rather than | in place of | replace | replacing | substitute",
}
NEGATION_FILLERS = frozenset(
    split_words(
        "a an the any use of kind kinds type types sort sorts all too so very overly real additional extra other some "
        "added with include loud"
    )
)
# Behind what is refused: "a bass player".
PLAYER_WORDS = frozenset(
    split_words("player players part parts sound sounds instrument instruments track tracks line lines")
)

# Phrases that say something beside what they say already.
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
    ("style", "jazz"): "jazz trio | jazz quartet | jazz quintet | jazz combo | jazz band | jazz ensemble | "
    "piano trio jazz",
    ("style", "rock"): "rock band",
    ("style", "mariachi"): "mariachi band",
    ("style", "big band"): "big band | bigband",
    ("style", "klezmer"): "klezmer band",
    ("style", "japanese"): "koto and shakuhachi",
    ("instrument", "koto"): "koto and shakuhachi",
    ("instrument", "shakuhachi"): "koto and shakuhachi",
    ("style", "etude"): "piano study | piano exercise",
    ("instrument", "piano"): "piano study | piano exercise",
    ("style", "flamenco"): "flamenco guitar",
    ("style", "lo-fi hip hop"): "study beat | study beats | chill beat | chill beats",
    ("use", "studying"): "study beat",
    ("mood", "calm"): "chill beat | chill beats",
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
}

NUMBERS: dict[str, int] = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "hundred": 100,
}  # fmt: skip
