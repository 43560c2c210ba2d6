"""German words and what they are in English, with the endings that they take."""

from __future__ import annotations

ENDINGS, DROPPED = ("e", "er", "es", "en", "em", "n", "s"), ""

# English: German
WORDS: dict[str, str] = {
    # Small words
    "a": "ein | eine | einen | einem | einer | eines", "and": "und", "or": "oder", "for": "für", "with": "mit",
    "without": "ohne", "no": "kein | keine | keinen | keiner", "only": "nur", "in": "im",
    "the": "der | das | den | dem | des",
    "but": "aber | sondern", "instead of": "statt | anstatt | anstelle von", "except": "außer", "not": "nicht",
    "very": "sehr", "long": "lang | lange", "about": "etwa | ungefähr | circa", "to": "zum", "neither": "weder",
    "nor": "noch",
    "and more": "und mehr", "etc": "usw", "of": "von", "in the style of": "im stil von",
    # Numbers and lengths
    "two": "zwei", "three": "drei", "four": "vier", "five": "fünf", "six": "sechs", "eight": "acht", "ten": "zehn",
    "twelve": "zwölf", "sixteen": "sechzehn", "thirty": "dreißig", "minute": "minute", "minutes": "minuten",
    "seconds": "sekunden", "bars": "takte | takten", "half a minute": "eine halbe minute",
    "three four time": "dreivierteltakt",
    "four four time": "viervierteltakt", "six eight time": "sechsachteltakt", "two four time": "zweivierteltakt",
    # Instruments
    "piano": "klavier | piano", "grand piano": "flügel", "organ": "orgel", "church organ": "kirchenorgel",
    "harpsichord": "cembalo", "electric piano": "e piano | e klavier", "music box": "spieluhr", "celesta": "celesta",
    "glockenspiel": "glockenspiel", "guitar": "gitarre | gitarren", "electric guitar": "e gitarre | e gitarren",
    "acoustic guitar": "akustikgitarre | westerngitarre | akustische gitarre", "nylon guitar": "konzertgitarre",
    "distorted guitar": "verzerrte gitarre | verzerrten gitarren | verzerrter gitarre", "bass": "bass | bässe",
    "double bass": "kontrabass | kontrabässe", "bass guitar": "e bass | bassgitarre", "violin": "geige | violine",
    "violins": "geigen | violinen", "viola": "bratsche", "cello": "cello", "strings": "streicher | streichern",
    "harp": "harfe", "timpani": "pauke | pauken", "choir": "chor | chöre", "voice": "gesang | stimme",
    "trumpet": "trompete",
    "trumpets": "trompeten", "trombone": "posaune | posaunen", "french horn": "waldhorn | hörner", "tuba": "tuba",
    "brass": "blechbläser | blechbläsern | bläser", "saxophone": "saxophon | saxofon", "oboe": "oboe",
    "clarinet": "klarinette", "flute": "flöte | querflöte", "recorder": "blockflöte", "bassoon": "fagott",
    "woodwinds": "holzbläser | holzbläsern", "accordion": "akkordeon | ziehharmonika", "harmonica": "mundharmonika",
    "bells": "glocken | glocke", "bagpipes": "dudelsack", "xylophone": "xylophon",
    "vibraphone": "vibraphon", "marimba": "marimbaphon", "tubular bells": "röhrenglocken",
    "dulcimer": "hackbrett | zymbal",
    "hammond organ": "hammondorgel", "rock organ": "rockorgel", "jazz guitar": "jazzgitarre",
    "synth bass": "synthbass", "fretless bass": "bundloser bass", "soprano sax": "sopransaxofon | sopransaxophon",
    "alto sax": "altsaxofon | altsaxophon", "tenor sax": "tenorsaxofon | tenorsaxophon",
    "baritone sax": "baritonsaxofon | baritonsaxophon", "english horn": "englischhorn",
    "piccolo": "piccoloflöte | pikkoloflöte", "pan flute": "panflöte", "bamboo flute": "bambusflöte",
    "ocarina": "okarina", "steel drums": "steeldrums", "taiko": "taiko trommeln", "warm pad": "warme flächen",
    "square lead": "rechteck lead",
    "drums": "schlagzeug | trommel | trommeln", "zither": "zither",
    "percussion": "perkussion | percussion", "synth": "synthesizer | synthie", "synth pad": "flächen | klangflächen",
    # Ensembles
    "string quartet": "streichquartett", "orchestra": "orchester", "brass band": "blaskapelle | blasorchester",
    "chamber orchestra": "kammerorchester", "piano trio": "klaviertrio", "band": "kapelle",
    # Styles
    "song": "lied | song", "piece": "stück", "music": "musik", "waltz": "walzer", "march": "marsch",
    "wedding march": "hochzeitsmarsch",
    "lullaby": "wiegenlied",
    "folk song": "volkslied", "folk music": "volksmusik", "film music": "filmmusik", "dance": "tanz | tanzmusik",
    "christmas carol": "weihnachtslied", "christmas music": "weihnachtsmusik", "children song": "kinderlied",
    "fugue": "fuge",
    "classical": "klassisch | klassik", "baroque": "barock | barockmusik", "rock": "rockmusik | rock",
    "pop": "popmusik",
    "minuet": "menuett", "sonata": "sonate", "prelude": "präludium | vorspiel", "hymn": "hymne | choral | kirchenlied",
    "ländler": "ländler", "drinking song": "trinklied", "melody": "melodie", "ballad": "ballade",
    "nocturne": "nocturne",
    "video game music": "videospielmusik", "video game": "videospiel", "variations": "variationen", "etude": "etüde",
    # Tempo and dynamics
    "fast": "schnell | rasch", "slow": "langsam", "moderate": "mäßig | mittelschnell", "lively": "lebhaft | flott",
    "quiet": "leise", "loud": "laut", "soft": "weich",
    # Moods
    "sad": "traurig", "happy": "fröhlich | heiter | lustig | froh", "calm": "ruhig | entspannt | friedlich",
    "dark": "düster | dunkel | finster", "mysterious": "geheimnisvoll | mysteriös", "romantic": "romantisch",
    "melancholic": "melancholisch | wehmütig", "epic": "episch", "dreamy": "verträumt | träumerisch",
    "dramatic": "dramatisch", "energetic": "energisch | energiegeladen | mitreißend", "gentle": "sanft | zart",
    "solemn": "feierlich | ernst", "scary": "gruselig | unheimlich", "playful": "verspielt",
    "tense": "spannend | angespannt",
    "angry": "wütend | aggressiv", "majestic": "majestätisch", "hopeful": "hoffnungsvoll", "festive": "festlich",
    "cheerful": "vergnügt", "magical": "zauberhaft | magisch", "lonely": "einsam", "uplifting": "erhebend",
    "joyful": "freudig", "upbeat": "munter", "bright": "hell", "sunny": "sonnig", "powerful": "kraftvoll",
    "driving": "treibend", "intense": "intensiv", "heavy": "schwer", "heroic": "heldenhaft | heroisch",
    "nostalgic": "nostalgisch", "emotional": "gefühlvoll", "tender": "zärtlich", "relaxing": "entspannend",
    "funny": "witzig", "elegant": "elegant", "smooth": "geschmeidig", "groovy": "groovig",
    "passionate": "leidenschaftlich", "hypnotic": "hypnotisch",
    # Uses
    "for studying": "zum lernen", "for sleep": "zum einschlafen | zum schlafen", "party": "party | feier",
    "wedding": "hochzeit", "christmas": "weihnachten | weihnachtlich", "children": "kinder", "birthday": "geburtstag",
    "battle": "schlacht | kampf",
    "simple": "einfach", "solo": "solo", "virtuosic": "virtuos", "chords": "akkorde | akkorden",
}  # fmt: skip

# A long word is made of two of these words: "Orgelfuge" is an organ fugue.
TAILS = {
    "musik": "music", "lied": "song", "stück": "piece", "fuge": "fugue", "walzer": "waltz", "konzert": "concerto",
    "sonate": "sonata", "solo": "solo", "melodie": "melody", "ballade": "ballad", "begleitung": "accompaniment",
    "quartett": "quartet", "trio": "trio", "duett": "duet", "marsch": "march", "akkorde": "chords", "klänge": "sounds",
}  # fmt: skip
