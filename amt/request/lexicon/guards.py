"""Everyday words that mean music only in the right company: "keys", "house", "fast", "bridge"."""

from __future__ import annotations

from typing import NamedTuple

from amt.request.tokens import split_words


class Guard(NamedTuple):
    """What must not stand behind a word, or before it; and what alone may stand behind it, if that is not empty."""

    not_before: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()
    only_before: frozenset[str] = frozenset()


def _guard(not_before: str = "", not_after: str = "", only_before: str = "") -> Guard:
    return Guard(*(frozenset(split_words(words)) for words in (not_before, not_after, only_before)))


# What may stand before and behind an instrument whose name is an everyday word ("keys, bass and a lead").
BEFORE_INSTRUMENT = frozenset(
    split_words(", ; : . ( & + / | and with for on plus a the or of by over featuring solo play no without not any")
)
BEHIND_INSTRUMENT = frozenset(
    split_words(
        ", ; : . ) & + / | "
        "and but with or in at on from for line part melody solo over carry carries play plays playing plus ! ? chords"
    )
)
EVERYDAY_INSTRUMENTS = frozenset(
    split_words(
        "keys lead leads vibes reed reeds winds bell bells pipes horn square tom toms clap claps kick triangle chime "
        "chimes squares recorder pad"
    )
)

# Before a style that is an everyday word these make it one ("the house"); behind it these do not.
DETERMINERS = frozenset(split_words("the a an my our your his her their this that in of"))
JOINTS = frozenset(
    split_words(", ; : . ) ! ? & + / | ( – — - and or with for in at on from but not no without by to as")
)
EVERYDAY_STYLES = frozenset(
    split_words(
        "pop rock metal house trap soul country swing world dub club surf industrial western folk drill glitch fusion "
        "indian irish rap bop spiritual indie lounge tropical electro oriental stride prog thrash banda air slide "
        "sacred"
    )
)
# Beside one of these it is a style ("a house track").
MUSIC_WORDS = frozenset(
    split_words(
        "music track song tune beat piece groove loop jam riff vibe feel style mix ballad melody band sound rhythm "
        "theme instrumental solo number anthem arrangement version progression chords chord bassline composition "
        "backing medley opera album standard drums guitar bass piano drop party banger intro hit lick licks etude "
        "suite improvisation like influenced inspired rhythms beats tracks songs tunes cover covers pattern patterns "
        "vibes genre fusion"
    )
)
# Words that other lists know, too, but that make nothing musical.
SMALL_WORDS = frozenset(split_words("a the only just solo not no like with"))

_ENDS = ", ; : . ) ! ? and but for with in on at "
_RUNS = (
    "arpeggios arpeggio runs run attack attacks build fade scales scale notes note rolls roll fills fill passages "
    "release picking strumming hi hihat hihats decay vibrato lfo burn motion food car cars enough"
)

# (kind, word): its guard. What is said of the whole piece must not be joined to something else ("fast attack").
GUARDS: dict[tuple[str, str], Guard] = {
    ("style", "latin"): _guard("text lyrics words mass hymn language"),
    ("style", "march"): _guard(not_after="in on last next since until this"),
    ("tempo", "slow"): _guard(_RUNS),
    ("tempo", "fast"): _guard(_RUNS),
    ("tempo", "brisk"): _guard(_RUNS),
    ("tempo", "lively"): _guard(_RUNS),
    ("tempo", "quick"): _guard(
        only_before=_ENDS + "tempo pace speed waltz march polka dance jig reel swing step tango groove rhythm beat"
    ),
    ("tempo", "slowly"): _guard("building builds growing fading rising", "building builds"),
    ("tempo", "grave"): _guard(not_after="a the my his her from to"),
    ("tempo", "medium"): _guard(only_before=_ENDS + "tempo rock groove blues shuffle bounce swing"),
    ("tempo", "moderate"): _guard(only_before=_ENDS + "tempo waltz swing rock pop march 4 3"),
    ("tempo", "largo"): _guard(not_after="key"),
    ("section", "bridge"): _guard("of over", "the under"),
    ("section", "drop"): _guard("in out by off me it d c the"),
    ("section", "verse"): _guard("of"),
    ("section", "solo"): _guard(only_before="section"),
    ("section", "solos"): _guard(only_before="section"),
    ("mood", "fun"): _guard("fact facts"),
    ("mood", "animated"): _guard("film movie short series cartoon video clip"),
    ("texture", "drone"): _guard("video shot shots footage camera film"),
    ("mood", "sweet"): _guard("spot home potato"),
    ("mood", "moving"): _guard("to from on bass lines line between up down"),
    ("mood", "grand"): _guard("piano finale canyon theft mother prix"),
    ("mood", "hope"): _guard("you it that this for", "i we"),
    ("mood", "positive"): _guard("feedback review"),
    ("mood", "wild"): _guard("west"),
    ("mood", "energy"): _guard(not_after="low medium little"),
    ("mood", "magic"): _guard("number flute"),
    ("mood", "heavy"): _guard("on rain use"),
    ("mood", "touching"): _guard("the on"),
    ("mood", "driving"): _guard("to home in a the"),
    ("mood", "serious"): _guard("about"),
    ("mood", "peace"): _guard("of treaty"),
    ("mood", "wonder"): _guard(not_after="i no"),
    ("dynamics", "forte"): _guard("piano", "my his"),
    ("dynamics", "mp"): _guard(not_after="the an"),
    ("dynamics", "silent"): _guard("night film movie"),
    ("dynamics", "grows"): _guard("up old"),
    ("density", "easy"): _guard("listening going"),
    ("density", "technical"): _guard("support"),
    ("use", "background"): _guard("vocals vocal singers noise"),
    ("use", "boss"): _guard(not_after="my the"),
    ("use", "party"): _guard("member leader"),
    ("use", "battle"): _guard("of"),
    ("use", "children"): _guard("choir"),
    ("use", "sleep"): _guard(not_after="to the"),
    ("use", "commercial"): _guard("success"),
    ("form", "canon"): _guard("camera"),
    ("form", "round"): _guard(only_before=_ENDS),
    ("form", "loop"): _guard(not_after="drum the"),
    ("only", "alone"): _guard(not_after="i am be not all home"),
    ("solo", "solo"): _guard("section break"),
    ("open", "everything"): _guard(only_before="."),
}

# Phrases that say nothing although they hold words that do.
NOTHING = (
    "no more than | no less than | no fewer than | no longer than | no longer | no shorter than | not only | "
    "not just | not more than | not longer than | not less than | key change | key changes | key moment | "
    "fast attack | slow attack | slow release | fast release | fast decay | slow decay | quick fade | quick fade out | "
    "slow fade | slow motion | fast forward | fast food | breakfast | 4 seasons | four seasons | sharp attack | "
    "flat sound | in time | just in time | make me | feel like | heart of | no matter | no one | no idea | no doubt | "
    "no problem | on the other hand | hand in hand | happy to | glad to | sad to say | why not | whether or not | "
    "if not | or not | not sure | all the way | high school | heavy rain | heavy traffic | light rain | "
    "bright future | dark night | dark side | dark blue | warm up | cool down | calm down | party member | battle of | "
    "war and | low cost | high quality | low quality | high definition | hi fi | high energy drink | minor change | "
    "minor changes | minor detail | major city | major hit | major change | deep learning | sweet spot | sweet home | "
    "fun fact | moving on | moving to | grand finale | fade to | quiet please | magic number | song of the year | "
    "the making of | jazz hands | the rest | in the country | another country | hope you | i hope | i love you | "
    "simple minds | positive feedback | energy drink | second hand"
)
