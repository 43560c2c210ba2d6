"""Spanish words and what they are in English. Adjectives stand in the masculine singular.

A word takes the endings; before them it may lose its last letter, if that is one of DROPPED.
"""

from __future__ import annotations

ENDINGS, DROPPED = ("s", "es", "a", "as", "os"), "o"

# English: Spanish
WORDS: dict[str, str] = {
    # Small words
    "a": "un | una", "and": "y | e", "or": "o", "for": "para", "with": "con", "without": "sin",
    "no": "ningún | ninguna",
    "only": "solamente | sólo | únicamente", "in": "en", "the": "el | la | los | las", "of": "de | del",
    "but": "pero | sino", "please": "quiero | hazme | necesito | por favor",
    "instead of": "en vez de | en lugar de", "except": "excepto | salvo", "very": "muy",
    "about": "unos | aproximadamente",
    "nor": "ni", "and more": "y más", "in the style of": "al estilo de", "long": "largo",
    # Numbers and lengths
    "two": "dos", "three": "tres", "four": "cuatro", "five": "cinco", "eight": "ocho", "ten": "diez", "twelve": "doce",
    "sixteen": "dieciséis", "thirty": "treinta", "minutes": "minutos", "minute": "minuto", "seconds": "segundos",
    "bars": "compases", "time": "compás de",
    # Instruments
    "piano": "piano", "grand piano": "piano de cola", "organ": "órgano", "harpsichord": "clavecín | clavicémbalo",
    "electric piano": "piano eléctrico", "music box": "caja de música", "guitar": "guitarra", "guitars": "guitarras",
    "electric guitar": "guitarra eléctrica | guitarras eléctricas", "nylon guitar": "guitarra española | "
    "guitarra clásica | "
    "guitarra flamenca", "acoustic guitar": "guitarra acústica", "bass": "bajo", "bass guitar": "bajo eléctrico",
    "double bass": "contrabajo", "violin": "violín", "violins": "violines", "viola": "viola",
    "cello": "violonchelo | chelo",
    "strings": "cuerdas | cuerda", "harp": "arpa", "timpani": "timbales | timbales de orquesta", "choir": "coro",
    "voice": "voz | voces",
    "trumpet": "trompeta", "trumpets": "trompetas", "trombone": "trombón", "french horn": "trompa", "brass": "metales",
    "saxophone": "saxofón | saxo", "clarinet": "clarinete", "flute": "flauta", "recorder": "flauta dulce",
    "oboe": "oboe",
    "bassoon": "fagot", "woodwinds": "maderas", "accordion": "acordeón", "bandoneon": "bandoneón",
    "harmonica": "armónica",
    "drums": "batería | tambor | tambores", "hand claps": "palmas", "percussion": "percusión",
    "castanets": "castañuelas",
    "synth": "sintetizador | sintetizadores", "bagpipes": "gaita", "bells": "campanas",
    "pan flute": "zampoña | quena | flauta de pan",
    "vibraphone": "vibráfono", "xylophone": "xilófono", "tubular bells": "campanas tubulares", "dulcimer": "címbalo",
    "hammond organ": "órgano hammond", "harmonium": "armonio", "honky-tonk piano": "piano honky tonk",
    "church organ": "órgano de iglesia", "jazz guitar": "guitarra de jazz", "fretless bass": "bajo sin trastes",
    "synth bass": "bajo sintetizado", "slap bass": "bajo slap", "pizzicato strings": "cuerdas pizzicato",
    "synth strings": "cuerdas sintetizadas", "synth voice": "voz sintetizada", "synth brass": "metales sintetizados",
    "distorted guitar": "guitarra distorsionada", "muted trumpet": "trompeta con sordina",
    "soprano sax": "saxo soprano", "alto sax": "saxo alto", "tenor sax": "saxo tenor",
    "baritone sax": "saxo barítono", "english horn": "corno inglés", "piccolo": "flautín",
    "bamboo flute": "flauta de bambú", "steel drums": "tambores metálicos", "taiko": "tambores taiko",
    "choir pad": "pad de coro", "warm pad": "pad cálido", "synth pad": "colchón de sintetizador",
    # Ensembles
    "string quartet": "cuarteto de cuerda | cuarteto de cuerdas", "orchestra": "orquesta", "duet": "dúo",
    "quartet": "cuarteto",
    "mariachi band": "banda de mariachi", "brass band": "banda de metales",
    # Styles
    "song": "canción", "piece": "pieza", "music": "música", "waltz": "vals", "march": "marcha",
    "wedding march": "marcha nupcial",
    "lullaby": "canción de cuna | nana",
    "film music": "música de cine | música de película", "christmas carol": "villancico", "classical": "clásico",
    "folk": "folclórico | folclore", "baroque": "barroco", "dance": "baile | danza", "fugue": "fuga", "hymn": "himno",
    "nursery rhyme": "canción infantil", "video game": "videojuego | videojuegos", "ballad": "balada",
    "minuet": "minueto",
    "electronic": "electrónico", "pasodoble": "pasodoble",
    # Tempo and dynamics
    "slow": "lento | despacio", "fast": "rápido", "moderate": "moderado", "loud": "fuerte", "quiet": "silencioso",
    # Moods
    "sad": "triste", "happy": "alegre | feliz", "calm": "tranquilo | relajante | calmado | calma", "dark": "oscuro",
    "mysterious": "misterioso", "romantic": "romántico", "melancholic": "melancólico", "epic": "épico",
    "dreamy": "soñador",
    "dramatic": "dramático", "energetic": "enérgico | animado", "gentle": "suave | dulce", "solemn": "solemne",
    "scary": "terrorífico | espeluznante", "playful": "juguetón | juguetona", "tense": "tenso",
    "majestic": "majestuoso",
    "hopeful": "esperanzador", "festive": "festivo", "magical": "mágico", "nostalgic": "nostálgico",
    "elegant": "elegante",
    "lonely": "solitario",
    "joyful": "jubiloso", "upbeat": "optimista", "bright": "luminoso", "sunny": "soleado", "powerful": "potente",
    "intense": "intenso", "aggressive": "agresivo", "heavy": "pesado", "heroic": "heroico", "emotional": "emotivo",
    "tender": "tierno", "peaceful": "apacible", "relaxed": "relajado", "warm": "cálido", "funny": "divertido",
    "smooth": "sedoso", "uplifting": "inspirador | inspiradora", "passionate": "apasionado", "serene": "sereno",
    "hypnotic": "hipnótico",
    # Uses
    "for studying": "para estudiar", "for sleep": "para dormir", "party": "fiesta", "wedding": "boda",
    "christmas": "navidad",
    "children": "niños", "birthday": "cumpleaños", "battle": "batalla", "simple": "sencillo", "chords": "acordes",
    "chord progression": "progresión de acordes",
}  # fmt: skip
