"""Portuguese words and what they are in English. Adjectives stand in the masculine singular.

A word takes the endings; before them it may lose its last letter, if that is one of DROPPED.
"""

from __future__ import annotations

ENDINGS, DROPPED = ("s", "es", "a", "as", "os"), "o"

# English: Portuguese
WORDS: dict[str, str] = {
    # Small words
    "a": "um | uma", "and": "e", "or": "ou", "for": "para", "with": "com", "without": "sem", "no": "nenhum | nenhuma",
    "only": "só | somente | apenas", "in": "em", "the": "o | os | as", "of": "de | do | da | dos | das", "but": "mas",
    "instead of": "em vez de", "except": "exceto | menos", "very": "muito", "about": "cerca de", "nor": "nem",
    "in the style of": "no estilo de", "long": "longo",
    # Numbers and lengths
    "two": "dois | duas", "three": "três", "four": "quatro", "five": "cinco", "eight": "oito", "ten": "dez",
    "twelve": "doze",
    "sixteen": "dezesseis", "thirty": "trinta", "minutes": "minutos", "minute": "minuto", "seconds": "segundos",
    "bars": "compassos",
    # Instruments
    "piano": "piano", "grand piano": "piano de cauda", "organ": "órgão", "harpsichord": "cravo",
    "electric piano": "piano elétrico", "music box": "caixa de música", "guitar": "guitarra", "guitars": "guitarras",
    "electric guitar": "guitarra elétrica", "nylon guitar": "violão | violões | violão clássico", "bass": "baixo",
    "double bass": "contrabaixo", "violin": "violino", "violins": "violinos", "cello": "violoncelo",
    "strings": "cordas",
    "harp": "harpa", "timpani": "tímpanos", "choir": "coro | coral", "voice": "voz | vozes", "trumpet": "trompete",
    "trumpets": "trompetes", "trombone": "trombone", "french horn": "trompa", "brass": "metais",
    "saxophone": "saxofone",
    "clarinet": "clarinete", "flute": "flauta", "recorder": "flauta doce", "oboe": "oboé", "bassoon": "fagote",
    "woodwinds": "madeiras", "accordion": "acordeão | sanfona | acordeon", "harmonica": "gaita",
    "cavaquinho": "cavaquinho",
    "drums": "bateria | tambor | tambores", "percussion": "percussão | pandeiro",
    "synth": "sintetizador | sintetizadores",
    "bells": "sinos",
    # Ensembles
    "string quartet": "quarteto de cordas", "orchestra": "orquestra", "duet": "dueto", "quartet": "quarteto",
    # Styles
    "song": "canção", "piece": "peça", "music": "música", "waltz": "valsa", "march": "marcha",
    "wedding march": "marcha nupcial",
    "lullaby": "canção de ninar", "film music": "música de filme | trilha sonora", "classical": "clássico",
    "fugue": "fuga",
    "folk": "folclórico", "christmas carol": "canção de natal", "baroque": "barroco", "dance": "dança",
    "video game": "jogo | jogos", "ballad": "balada", "hymn": "hino", "electronic": "eletrônico",
    # Tempo and dynamics
    "slow": "lento | devagar", "fast": "rápido", "moderate": "moderado", "loud": "alto",
    # Moods
    "sad": "triste", "happy": "alegre | feliz", "calm": "calmo | tranquilo | relaxante", "dark": "sombrio | escuro",
    "mysterious": "misterioso", "romantic": "romântico", "melancholic": "melancólico", "epic": "épico",
    "dreamy": "sonhador",
    "dramatic": "dramático", "energetic": "animado | enérgico", "gentle": "suave | doce", "solemn": "solene",
    "scary": "assustador", "playful": "brincalhão", "tense": "tenso", "majestic": "majestoso", "festive": "festivo",
    "magical": "mágico", "nostalgic": "nostálgico", "lonely": "solitário",
    # Uses
    "for studying": "para estudar", "for sleep": "para dormir", "party": "festa", "wedding": "casamento",
    "christmas": "natal",
    "children": "crianças", "birthday": "aniversário", "battle": "batalha", "simple": "simples", "chords": "acordes",
}  # fmt: skip
