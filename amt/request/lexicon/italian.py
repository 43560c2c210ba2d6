"""Italian words and what they are in English. Adjectives stand in the masculine singular.

A word takes the endings; before them it may lose its last letter, if that is one of DROPPED.
"""

from __future__ import annotations

ENDINGS, DROPPED = ("i", "e", "a", "he"), "oae"

# English: Italian
WORDS: dict[str, str] = {
    # Small words
    "a": "un | uno | una", "and": "e | ed", "or": "o", "for": "per", "with": "con", "without": "senza",
    "no": "nessun | nessuna",
    "only": "soltanto | solamente", "the": "il | lo | la | i | gli | le | l",
    "of": "di | del | della | dei | delle | d", "but": "ma", "please": "mi serve | vorrei",
    "instead of": "invece di | al posto di", "except": "tranne | eccetto", "very": "molto", "about": "circa",
    "nor": "né",
    "in the style of": "nello stile di", "in": "in", "long": "lungo",
    # Numbers and lengths
    "two": "due", "three": "tre", "four": "quattro", "five": "cinque", "eight": "otto", "ten": "dieci",
    "twelve": "dodici",
    "sixteen": "sedici", "thirty": "trenta", "minutes": "minuti", "minute": "minuto", "seconds": "secondi",
    "bars": "battute",
    # Instruments
    "piano": "pianoforte | piano", "grand piano": "pianoforte a coda", "organ": "organo", "harpsichord": "clavicembalo",
    "electric piano": "piano elettrico", "music box": "carillon", "guitar": "chitarra", "guitars": "chitarre",
    "electric guitar": "chitarra elettrica | chitarre elettriche", "nylon guitar": "chitarra classica",
    "acoustic guitar": "chitarra acustica", "bass": "basso", "double bass": "contrabbasso", "violin": "violino",
    "violins": "violini", "viola": "viola", "cello": "violoncello", "strings": "archi", "harp": "arpa",
    "timpani": "timpani",
    "choir": "coro", "voice": "voce | voci", "trumpet": "tromba", "trumpets": "trombe", "trombone": "trombone",
    "french horn": "corno | corni", "brass": "ottoni", "saxophone": "sassofono", "clarinet": "clarinetto",
    "flute": "flauto",
    "recorder": "flauto dolce", "oboe": "oboe", "bassoon": "fagotto", "woodwinds": "legni", "accordion": "fisarmonica",
    "harmonica": "armonica", "mandolin": "mandolino", "drums": "batteria | tamburo | tamburi",
    "tambourine": "tamburello", "percussion": "percussioni", "synth": "sintetizzatore", "bells": "campane",
    "vibraphone": "vibrafono", "xylophone": "xilofono", "tubular bells": "campane tubolari",
    "hammond organ": "organo hammond", "church organ": "organo da chiesa", "harmonium": "armonium",
    "honky-tonk piano": "pianoforte honky tonk", "jazz guitar": "chitarra jazz",
    "distorted guitar": "chitarra distorta",
    "fretless bass": "basso fretless", "slap bass": "basso slap", "synth bass": "basso synth",
    "pizzicato strings": "archi pizzicati", "synth strings": "archi sintetici", "synth voice": "voce sintetica",
    "synth brass": "ottoni sintetici", "muted trumpet": "tromba con sordina", "soprano sax": "sax soprano",
    "alto sax": "sax contralto", "tenor sax": "sax tenore", "baritone sax": "sax baritono",
    "english horn": "corno inglese", "piccolo": "ottavino", "pan flute": "flauto di pan",
    "bamboo flute": "flauto di bambù", "bagpipes": "cornamusa", "taiko": "tamburi taiko",
    "choir pad": "pad corale", "warm pad": "pad caldo", "synth pad": "tappeti di synth",
    # Ensembles
    "string quartet": "quartetto d archi", "orchestra": "orchestra", "duet": "duetto | duo", "quartet": "quartetto",
    # Styles
    "song": "canzone | brano", "piece": "pezzo", "music": "musica", "waltz": "valzer", "march": "marcia",
    "wedding march": "marcia nuziale",
    "lullaby": "ninna nanna", "film music": "colonna sonora | musica da film", "classical": "classico", "fugue": "fuga",
    "folk": "popolare", "christmas carol": "canto di natale", "baroque": "barocco", "dance": "danza | ballo",
    "video game": "videogioco", "ballad": "ballata", "hymn": "inno", "minuet": "minuetto", "electronic": "elettronico",
    # Tempo and dynamics; largo, allegro and so on are known in every language
    "fast": "veloce | rapido", "slow": "lento",
    # Moods
    "sad": "triste", "happy": "allegra | felice | gioioso", "calm": "calmo | tranquillo | rilassante | sereno",
    "dark": "oscuro | cupo",
    "mysterious": "misterioso", "romantic": "romantico", "melancholic": "malinconico", "epic": "epico",
    "dreamy": "sognante",
    "dramatic": "drammatico", "energetic": "energico", "gentle": "dolce | delicato", "solemn": "solenne",
    "scary": "spaventoso", "playful": "giocoso", "tense": "teso", "majestic": "maestoso", "festive": "festoso",
    "magical": "magico", "nostalgic": "nostalgico", "elegant": "elegante", "lonely": "solitario",
    "upbeat": "frizzante", "bright": "luminoso", "sunny": "solare", "powerful": "potente", "driving": "trascinante",
    "intense": "intenso", "aggressive": "aggressivo", "heavy": "pesante", "heroic": "eroico",
    "emotional": "emozionante", "tender": "tenero", "peaceful": "pacifico", "relaxed": "rilassato",
    "mellow": "morbido", "smooth": "vellutato", "warm": "caldo", "spooky": "spettrale", "funny": "divertente",
    "hopeful": "pieno di speranza | piena di speranza", "uplifting": "edificante", "passionate": "appassionato",
    "hypnotic": "ipnotico",
    # Uses
    "for studying": "per studiare", "for sleep": "per dormire", "party": "festa", "wedding": "matrimonio",
    "christmas": "natale",
    "children": "bambini", "birthday": "compleanno", "battle": "battaglia", "simple": "semplice", "chords": "accordi",
}  # fmt: skip
