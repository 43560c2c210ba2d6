"""French words and what they are in English. Adjectives stand in the masculine singular.

A word takes the endings; before them it may lose its last letter, if that is one of DROPPED.
"""

from __future__ import annotations

ENDINGS, DROPPED = ("e", "s", "es"), ""

# English: French
WORDS: dict[str, str] = {
    # Small words
    "a": "un | une", "and": "et", "or": "ou", "for": "pour", "with": "avec", "without": "sans", "no": "pas de | aucun",
    "only": "seulement | uniquement", "in": "en | dans", "the": "le | la | les | l", "of": "de | du | des | d",
    "but": "mais", "mood": "ambiance", "please": "je voudrais | s il vous plaît",
    "instead of": "au lieu de", "except": "sauf | excepté", "not": "pas", "very": "très", "long": "longue | longues",
    "about": "environ", "nor": "ni", "and more": "et plus", "in the style of": "dans le style de | à la manière de",
    "to": "à | au | aux",
    # Numbers and lengths
    "two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "eight": "huit", "ten": "dix", "twelve": "douze",
    "sixteen": "seize", "thirty": "trente", "minutes": "minutes", "minute": "minute", "seconds": "secondes",
    "bars": "mesures", "triple metre": "à trois temps", "half a minute": "une demi minute",
    # Instruments
    "piano": "piano", "grand piano": "piano à queue", "organ": "orgue", "church organ": "orgue d église | grand orgue",
    "harpsichord": "clavecin", "electric piano": "piano électrique", "music box": "boîte à musique",
    "celesta": "célesta",
    "guitar": "guitare", "guitars": "guitares", "electric guitar": "guitare électrique | guitares électriques",
    "nylon guitar": "guitare classique", "acoustic guitar": "guitare acoustique | guitare folk | guitare sèche",
    "distorted guitar": "guitare saturée | guitares saturées", "bass": "basse", "double bass": "contrebasse",
    "violin": "violon", "violins": "violons", "viola": "alto", "cello": "violoncelle", "strings": "cordes",
    "harp": "harpe", "timpani": "timbales | timbales d orchestre", "choir": "chœur | choeur | chorale",
    "voice": "voix | chant",
    "trumpet": "trompette", "trumpets": "trompettes", "trombone": "trombone", "french horn": "cor",
    "brass": "cuivres", "saxophone": "saxophone | saxo", "oboe": "hautbois", "english horn": "cor anglais",
    "clarinet": "clarinette", "flute": "flûte | flute traversière | flûte traversière", "recorder": "flûte à bec",
    "bassoon": "basson", "woodwinds": "bois", "accordion": "accordéon", "harmonica": "harmonica", "banjo": "banjo",
    "bagpipes": "cornemuse", "drums": "batterie | tambour | tambours | caisse claire",
    "percussion": "percussions | percussion",
    "tubular bells": "cloches tubulaires", "dulcimer": "cymbalum", "hammond organ": "orgue hammond",
    "bandoneon": "bandonéon", "fretless bass": "basse fretless", "pizzicato strings": "cordes pizzicato",
    "soprano sax": "saxophone soprano", "alto sax": "saxophone alto", "tenor sax": "saxophone ténor",
    "baritone sax": "saxophone baryton", "pan flute": "flûte de pan", "bamboo flute": "flûte de bambou",
    "choir pad": "nappe de chœur", "warm pad": "nappes chaudes", "synth strings": "cordes synthétiques",
    "synth brass": "cuivres synthétiques", "synth voice": "voix synthétique", "synth bass": "basse synthé",
    "muted trumpet": "trompette bouchée", "jazz guitar": "guitare jazz", "slap bass": "basse slap",
    "honky-tonk piano": "piano bastringue",
    "synth": "synthé | synthétiseur | synthétiseurs", "synth pad": "nappes | nappe | nappe de synthé",
    "bells": "cloches",
    # Ensembles
    "string quartet": "quatuor à cordes", "orchestra": "orchestre", "brass band": "fanfare municipale",
    "duet": "duo", "quartet": "quatuor", "quintet": "quintette",
    # Styles
    "song": "chanson", "piece": "pièce | morceau", "music": "musique", "waltz": "valse", "march": "marche",
    "wedding march": "marche nuptiale",
    "military march": "marche militaire", "lullaby": "berceuse", "film music": "musique de film",
    "gypsy jazz": "jazz manouche",
    "folk": "folklorique | traditionnel", "christmas carol": "chant de noël", "classical": "classique",
    "fugue": "fugue",
    "minuet": "menuet", "sonata": "sonate", "prelude": "prélude", "hymn": "hymne | cantique", "dance": "danse",
    "nursery rhyme": "comptine", "video game": "jeu vidéo | jeux vidéo", "study": "étude", "ballad": "ballade",
    "medieval": "médiéval", "celtic": "celtique", "electronic": "électronique",
    # Tempo and dynamics
    "slow": "lent", "fast": "rapide | vif | vive", "moderate": "modéré", "lively": "animé | enlevé",
    "quiet": "silencieux",
    "loud": "bruyant",
    # Moods
    "sad": "triste | mélancolique triste", "happy": "joyeux | joyeuse | gai | heureux | heureuse",
    "calm": "calme | paisible | "
    "tranquille | relaxant | apaisant", "dark": "sombre", "mysterious": "mystérieux | mystérieuse",
    "romantic": "romantique",
    "melancholic": "mélancolique", "epic": "épique", "dreamy": "rêveur | rêveuse", "dramatic": "dramatique",
    "energetic": "énergique | entraînant", "gentle": "doux | douce | tendre", "solemn": "solennel | solennelle",
    "scary": "effrayant | inquiétant", "playful": "espiègle | ludique | enjoué", "tense": "tendu | angoissant",
    "majestic": "majestueux | majestueuse", "hopeful": "plein d espoir | pleine d espoir",
    "festive": "festif | festive",
    "magical": "magique",
    "nostalgic": "nostalgique", "lonely": "solitaire",
    "upbeat": "pétillant", "bright": "lumineux | lumineuse", "sunny": "ensoleillé", "powerful": "puissant",
    "aggressive": "agressif | agressive", "heavy": "lourd", "heroic": "héroïque", "emotional": "émouvant",
    "relaxed": "détendu | décontracté", "warm": "chaleureux | chaleureuse", "funny": "amusant", "elegant": "élégant",
    "uplifting": "exaltant", "passionate": "passionné", "serene": "serein", "hypnotic": "hypnotique",
    # Uses
    "for studying": "pour étudier", "for sleep": "pour dormir", "party": "fête", "wedding": "mariage",
    "christmas": "noël",
    "children": "enfants", "birthday": "anniversaire", "battle": "bataille", "solo": "seul | seule | solo",
    "simple": "simple",
    "chords": "accords",
}  # fmt: skip
