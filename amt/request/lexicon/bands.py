"""Who plays in a style: the program that an instrument has there, and the band where a prompt names nobody."""

from __future__ import annotations

from amt.midi.programs import DRUMS

# What a general name means in the styles of a family; elsewhere its first program of the lexicon.
PROGRAMS_IN: dict[str, dict[str, int]] = {
    "guitar": {
        "pop": 27, "rock": 29, "metal": 30, "blues": 27, "soul": 27, "funk": 27, "jazz": 26, "hip hop": 27,
        "electronic": 27, "reggae": 27, "latin": 24, "classical": 24, "early": 24, "african": 27,
    },
    "electric guitar": {"rock": 29, "metal": 30, "jazz": 26},
    "bass": {"jazz": 32, "classical": 32, "folk": 32, "dance": 32, "electronic": 38},
    "organ": {"rock": 18, "blues": 16, "soul": 16, "funk": 16, "jazz": 16, "reggae": 16, "pop": 16, "electronic": 16},
    "voice": {"classical": 52, "sacred": 52, "early": 52},
    "percussion": {"african": DRUMS, "latin": DRUMS},
}  # fmt: skip

# The band of a family or a style, the style first; "" has none.
BANDS: dict[str, str] = {
    "rock": "electric guitar, bass guitar, drums", "metal": "distorted guitar, bass guitar, drums",
    "blues": "guitar, bass, drums", "soul": "piano, bass, drums", "funk": "electric guitar, bass guitar, drums",
    "jazz": "piano, double bass, drums", "hip hop": "bass, drums", "electronic": "synth bass, drums",
    "reggae": "guitar, bass guitar, drums", "country": "acoustic guitar, bass guitar, drums",
    "ragtime": "piano", "boogie-woogie": "piano", "lounge": "piano", "gypsy jazz": "acoustic guitar, double bass",
    "smooth jazz": "saxophone, bass, drums", "ambient": "synth pad", "new age": "synth pad", "downtempo": "bass, drums",
    "chiptune": "square lead, drums", "bluegrass": "banjo, fiddle", "disco": "bass guitar, drums",
    "dance pop": "synth bass, drums", "synth-pop": "synth bass, drums", "k-pop": "synth bass, drums",
    "pop": "piano, bass guitar, drums", "indie pop": "electric guitar, bass guitar, drums",
    "j-pop": "piano, bass guitar, drums", "ballad": "", "singer-songwriter": "acoustic guitar", "anthem": "",
    "salsa": "piano, bass, drums", "merengue": "bass, drums", "cumbia": "bass, drums", "mambo": "trumpet, bass, drums",
    "samba": "bass, drums", "bossa nova": "nylon guitar, drums", "reggaeton": "bass, drums",
    "latin jazz": "piano, bass, drums", "cha cha": "bass, drums", "fanfare": "brass", "march": "",
    "orchestral": "strings, brass", "symphony": "strings, brass", "flamenco": "nylon guitar",
    "mariachi": "trumpet, nylon guitar", "afrobeat": "guitar, bass, drums", "balkan": "brass",
    "gregorian chant": "choir", "square dance": "fiddle",
}  # fmt: skip
# The band of a use.
USE_BANDS: dict[str, str] = {"workout": "drums", "party": "drums"}
# Who is usual where a text names nobody and no band above is meant: one of these plays, and nobody else. By style, by
# the family of a style, by use, form and mood; "" where the text says nothing of these.
USUAL_PLAYERS: dict[str, tuple[str, ...]] = {
    # Styles
    "sonata": ("piano", "violin, piano", "cello, piano"), "scherzo": ("piano", "violin, viola, cello"),
    "invention": ("harpsichord", "piano"), "toccata": ("church organ", "harpsichord"),
    "suite": ("harpsichord", "cello"), "minuet": ("harpsichord", "piano", "violin, viola, cello"),
    "sarabande": ("harpsichord",), "gavotte": ("harpsichord",), "bourrée": ("harpsichord", "nylon guitar"),
    "allemande": ("harpsichord",), "courante": ("harpsichord",), "siciliana": ("flute, harpsichord",),
    "baroque": ("harpsichord", "violin, cello, harpsichord"), "concerto": ("piano, strings", "violin, strings"),
    "serenade": ("violin, viola, cello", "flute, nylon guitar"), "opera": ("voice, strings",),
    "art song": ("voice, piano",),
    "chorale": ("choir", "church organ"), "classical era": ("piano", "violin, viola, cello"),
    "romance": ("piano", "violin, piano"), "elegy": ("cello, piano", "piano"),
    "sacred": ("choir, church organ",), "hymn": ("church organ", "choir, church organ"),
    "carol": ("choir, church organ", "piano"), "lullaby": ("piano", "music box", "flute, harp"),
    "nursery rhyme": ("piano", "glockenspiel, piano"), "waltz": ("piano", "violin, cello, piano", "accordion"),
    "musette": ("accordion, acoustic guitar, double bass",), "galop": ("piano",), "contredanse": ("violin, piano",),
    "foxtrot": ("clarinet, piano, double bass, drums", "piano, double bass, drums"),
    "quickstep": ("clarinet, piano, double bass, drums",),
    "paso doble": ("trumpet, nylon guitar, double bass, drums",),
    "march": ("trumpet, french horn, trombone, tuba, drums", "piccolo, clarinet, trumpet, tuba, drums"),
    "funeral march": ("piano", "trumpet, french horn, trombone, tuba"),
    "anthem": ("trumpet, french horn, trombone, tuba",),
    "ballad": ("piano", "piano, bass, drums"),
    "tango": ("bandoneon, violin, piano, double bass",), "milonga": ("bandoneon, nylon guitar", "nylon guitar"),
    "habanera": ("piano", "violin, piano"), "calypso": ("steel drums, bass, drums",), "choro": ("flute, nylon guitar",),
    "forró": ("accordion, bass, drums",), "bolero": ("trumpet, nylon guitar, bass, drums",),
    "bachata": ("nylon guitar, bass, drums",), "fado": ("acoustic guitar, nylon guitar",),
    "jig": ("fiddle, acoustic guitar", "fiddle", "flute, acoustic guitar"), "slip jig": ("fiddle, acoustic guitar",),
    "reel": ("fiddle, acoustic guitar", "fiddle", "flute, acoustic guitar"), "hornpipe": ("fiddle, acoustic guitar",),
    "strathspey": ("fiddle, piano",), "slide": ("fiddle, accordion",), "air": ("flute, harp", "fiddle, harp"),
    "celtic": ("fiddle, flute, acoustic guitar", "fiddle, harp"), "polka": ("accordion, clarinet, tuba",),
    "krakowiak": ("violin, accordion, double bass",), "sea shanty": ("accordion, acoustic guitar",),
    "klezmer": ("clarinet, accordion, double bass, drums",), "tarantella": ("mandolin, accordion",),
    "csárdás": ("violin, viola, double bass",), "ländler": ("accordion", "clarinet, accordion"),
    "indian classical": ("sitar",), "middle eastern": ("nylon guitar, percussion",),
    "chinese": ("dulcimer, flute", "erhu, dulcimer"), "japanese": ("koto, shakuhachi", "koto"),
    "cinematic": ("piano, strings", "strings, french horn, timpani"),
    "musical theatre": ("piano, bass, drums", "voice, piano"), "western": ("harmonica, acoustic guitar, bass",),
    "circus": ("trumpet, clarinet, trombone, tuba, drums",),
    # Families of styles
    "classical": ("piano",), "early": ("recorder, lute", "lute"),
    "folk": ("acoustic guitar", "fiddle, acoustic guitar"),
    "dance": ("piano",), "latin": ("nylon guitar, bass, drums",), "african": ("guitar, marimba, percussion",),
    "world": ("flute, acoustic guitar, percussion",), "film": ("piano, strings",), "stage": ("piano",),
    "song": ("piano",),
    # Uses
    "elevator": ("electric piano, bass, drums", "vibraphone, jazz guitar, double bass"),
    "dinner": ("piano, double bass, drums", "piano"), "studying": ("electric piano, bass, drums", "piano"),
    "sleep": ("piano", "synth pad"), "meditation": ("synth pad", "flute, harp"), "church": ("church organ",),
    "video game": ("square lead, synth bass, drums",), "battle": ("brass, strings, timpani",),
    "chase": ("strings, brass, drums",), "trailer": ("strings, brass, timpani",), "fantasy": ("flute, harp, strings",),
    "wedding": ("violin, piano", "church organ"), "halloween": ("church organ", "piano, strings"),
    "children": ("piano", "glockenspiel, piano"), "christmas": ("piano", "celesta, strings"),
    "news": ("strings, brass, drums",), "theme song": ("piano, bass guitar, drums",),
    "funeral": ("piano", "church organ"),
    "commercial": ("piano, bass guitar, drums", "ukulele, glockenspiel"), "background": ("piano", "piano, bass, drums"),
    # Forms
    "fugue": ("church organ", "harpsichord", "piano"), "canon": ("violin, viola, cello", "harpsichord"),
    "rondo": ("piano",), "theme and variations": ("piano",), "song form": ("piano, bass guitar, drums",),
    # Moods
    "epic": ("strings, brass, timpani",), "heroic": ("strings, brass, timpani",),
    "majestic": ("strings, brass, timpani",), "magical": ("celesta, harp, strings",),
    "solemn": ("church organ", "piano"),
    "sad": ("piano", "cello, piano", "acoustic guitar"), "romantic": ("piano", "violin, piano"),
    "emotional": ("piano", "piano, strings"), "dramatic": ("piano, strings",), "intense": ("piano, strings",),
    "tense": ("piano, strings",), "scary": ("piano, strings", "church organ"), "mysterious": ("piano, strings",),
    "dreamy": ("piano", "electric piano, synth pad"), "playful": ("piano", "clarinet, piano"),
    "happy": ("piano", "piano, bass guitar, drums", "acoustic guitar, bass guitar, drums"),
    "upbeat": ("piano, bass guitar, drums", "acoustic guitar, bass guitar, drums"),
    "energetic": ("electric guitar, bass guitar, drums", "piano, bass guitar, drums"),
    "groovy": ("electric guitar, bass guitar, drums",), "heavy": ("distorted guitar, bass guitar, drums",),
    "angry": ("distorted guitar, bass guitar, drums",),
    "": ("piano", "piano", "acoustic guitar", "piano, bass guitar, drums"),
}  # fmt: skip
# Who joins a band above, one of these or nobody (""), by its style, family or use. Nobody else does; where there is
# none, anybody may, as in electronic music: it keeps its feel less often with players that are fixed.
JOINERS: dict[str, tuple[str, ...]] = {
    "rock": ("", "hammond organ", "piano"), "metal": ("",), "blues": ("", "harmonica", "hammond organ", "piano"),
    "soul": ("electric guitar", "hammond organ", "strings", "saxophone"), "funk": ("", "hammond organ", "saxophone"),
    "jazz": ("", "saxophone", "trumpet", "vibraphone"), "hip hop": ("electric piano", "piano", "strings"),
    "reggae": ("", "hammond organ", "piano"),
    "country": ("", "fiddle", "banjo", "harmonica"), "pop": ("", "acoustic guitar", "strings", "synth pad"),
    "ragtime": ("",), "boogie-woogie": ("",), "lounge": ("", "double bass"), "gypsy jazz": ("violin", "clarinet"),
    "smooth jazz": ("electric piano", "jazz guitar"), "ambient": ("", "piano"), "new age": ("piano", "harp", "flute"),
    "downtempo": ("electric piano", "synth pad"), "chiptune": ("", "saw lead"), "bluegrass": ("acoustic guitar",),
    "disco": ("strings", "electric guitar", "piano"), "singer-songwriter": ("", "piano", "harmonica"),
    "salsa": ("trumpet", "trombone"), "merengue": ("accordion", "saxophone"), "cumbia": ("accordion", "trumpet"),
    "mambo": ("piano",), "samba": ("nylon guitar", "flute"), "bossa nova": ("double bass", "flute", "piano"),
    "reggaeton": ("synth pad", "piano"), "latin jazz": ("", "trumpet", "saxophone"), "cha cha": ("piano", "trumpet"),
    "flamenco": ("",), "mariachi": ("violin", "double bass"), "afrobeat": ("saxophone", "trumpet"),
    "gregorian chant": ("",), "square dance": ("acoustic guitar", "banjo"),
    "workout": ("synth bass, saw lead", "bass guitar, electric guitar"), "party": ("synth bass, saw lead",),
    "beat": ("bass, electric piano", "synth bass, synth pad"),
}  # fmt: skip
# So many, where none of those are as many as the text asks for.
USUAL_BY_SIZE: dict[int, tuple[str, ...]] = {
    1: ("piano",), 2: ("violin, piano", "flute, piano"), 3: ("violin, cello, piano",),
    4: ("flute, oboe, clarinet, bassoon",), 5: ("flute, oboe, clarinet, french horn, bassoon",),
}  # fmt: skip
# Feels that a drummer makes.
DRUM_FEELS = ("four on the floor", "backbeat", "half-time", "one drop")
