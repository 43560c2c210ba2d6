"""Instruments: the General MIDI programs that a listener takes for each, the best first, and what people call it.

General MIDI has no lute and no kazoo; such instruments have the program that comes nearest. 128 = drums. Names that
General MIDI itself gives are added by `amt.request.phrases`.
"""

from __future__ import annotations

from amt.midi.programs import DRUMS

# name: (programs, other names)
INSTRUMENTS: dict[str, tuple[tuple[int, ...], str]] = {
    # Keyboards
    "piano": ((0, 1, 2, 3), "acoustic piano | bright piano | pianoforte | piano chord | piano part | piano line | "
        "fortepiano"),
    "grand piano": ((0, 1), "concert grand | baby grand | acoustic grand piano | concert piano"),
    "upright piano": ((0, 1, 3), "felt piano | old piano"),
    "honky-tonk piano": ((3,), "honky tonk | saloon piano | tack piano | barroom piano | detuned piano | "
    "honkytonk piano"),
    "toy piano": ((10, 8, 0), ""),
    "electric piano": (
        (4, 5, 2),
        "rhodes | fender rhodes | rhodes piano | wurlitzer | wurli | e piano | epiano | electric piano 1 | "
        "electric piano 2 | fm piano | fm electric piano | dx7 electric piano | dx7 piano | dx piano | "
        "electric grand piano | electric keyboard",
    ),
    "keyboard": ((0, 4, 1, 5, 2, 16, 17, 18, 6, 7), "keys"),
    "harpsichord": ((6,), "cembalo | clavichord | spinet | virginal"),
    "clavinet": ((7,), "clav"),
    "celesta": ((8,), "celeste"),
    "glockenspiel": ((9,), "glock"),
    "music box": ((10,), "musical box | musicbox"),
    "vibraphone": ((11,), "vibes | vibraharp"),
    "marimba": ((12,), "balafon"),
    "xylophone": ((13,), "xylo"),
    "tubular bells": ((14,), "tubular bell | chime | church bell | orchestral chime"),
    "dulcimer": ((15,), "hammered dulcimer | cimbalom | cymbalom | santur | santoor"),
    "bells": ((14, 9, 112), "bell"),
    "organ": ((19, 16, 17, 18, 20), "electric organ"),
    "hammond organ": ((16, 17, 18), "hammond | hammond b3 | b3 | b3 organ | drawbar organ | jazz organ | "
    "tonewheel organ"),
    "rock organ": ((18, 16, 17), ""),
    "church organ": ((19,), "pipe organ | cathedral organ"),
    "harmonium": ((20,), "reed organ | pump organ"),
    "accordion": ((21, 23), "squeezebox | concertina | piano accordion | melodeon"),
    "bandoneon": ((23, 21), "bandoneón | tango accordion"),
    "harmonica": ((22,), "mouth organ | blues harp | mouth harp"),
    # Guitars and their like
    "guitar": ((25, 24, 27, 26, 28, 29, 30, 31), "rhythm guitar | guitar chord | guitar part | gtr"),
    "nylon guitar": (
        (24,),
        "nylon string guitar | classical guitar | spanish guitar | flamenco guitar | nylon strings | "
        "acoustic guitar (nylon) | nylon acoustic guitar",
    ),
    "acoustic guitar": (
        (25, 24),
        "steel string guitar | steel string acoustic guitar | folk guitar | western guitar | steel strings | "
        "12 string guitar | twelve string guitar | 12 string | acoustic guitar (steel) | dreadnought",
    ),
    "electric guitar": ((27, 26, 28, 29, 30, 31), "lead guitar | e guitar | wah guitar | wah wah guitar"),
    "jazz guitar": ((26,), "electric guitar (jazz) | archtop guitar | hollow body guitar"),
    "clean guitar": ((27,), "clean electric guitar | electric guitar (clean)"),
    "muted guitar": ((28,), "palm muted guitar | electric guitar (muted) | funk guitar"),
    "overdriven guitar": ((29, 30), "overdrive guitar | crunchy guitar | crunch guitar"),
    "distorted guitar": (
        (30, 29),
        "distortion guitar | heavy guitar | metal guitar | fuzz guitar | distorted electric guitar | "
        "guitar distortion | high gain guitar | shredding guitar | heavily distorted guitar",
    ),
    "steel guitar": ((25, 26, 27, 24), "pedal steel | pedal steel guitar | lap steel | lap steel guitar | "
    "slide guitar | dobro | hawaiian guitar"),
    "ukulele": ((24, 25), "uke"),
    "mandolin": ((25, 24), "mandola"),
    "bouzouki": ((25, 15), ""),
    "balalaika": ((25, 24), "domra"),
    "lute": ((24, 25), "theorbo | oud | vihuela"),
    "cavaquinho": ((25, 24), "cuatro | charango"),
    "banjo": ((105,), ""),
    "sitar": ((104,), "sarod | tanpura | veena"),
    "shamisen": ((106,), "pipa"),
    "koto": ((107,), "guzheng | zither"),
    "harp": ((46,), "orchestral harp | lever harp | lyre | kora | concert harp"),
    # Basses
    "bass": (
        (33, 32, 34, 35, 36, 37, 38, 39, 43, 87),
        "triangle bass | triangle wave bass | 8 bit bass | chip bass | bass line | bassline | bass part | "
        "bass riff | bass groove | low bass | bass player | bassist",
    ),
    "bass guitar": ((33, 34, 35, 36, 37), "electric bass | electric bass (finger) | fingered bass | finger bass | "
    "electric bass guitar"),
    "double bass": ((32, 43), "upright bass | acoustic bass | string bass | contrabass | stand up bass | standup bass"),
    "fretless bass": ((35,), "fretless"),
    "picked bass": ((34,), "pick bass | picked electric bass | picked bass guitar | electric bass (pick)"),
    "slap bass": ((36, 37), "slapped bass | slap bass 1 | slap bass 2 | popped bass"),
    "synth bass": (
        (38, 39, 87),
        "bass lead | 808 | 808s | 808 bass | 808 sub | sub bass | subbass | bass synth | moog bass | acid bass | "
        "acid line | "
        "reese bass | reese | wobble bass | saw bass | 303 | tb 303 | synthesizer bass | synth bassline | "
        "synth bass line | analog bass | electronic bass",
    ),
    # Strings
    "violin": ((40,), "solo violin | violinist"),
    "fiddle": ((110, 40), ""),
    "viola": ((41,), ""),
    "cello": ((42,), "violoncello | solo cello | celli"),
    "erhu": ((110, 40), "kemenche | rebab"),
    "strings": (
        (48, 49, 44, 45, 50, 51, 40, 41, 42, 43),
        "string section | string ensemble | string orchestra | orchestral strings | string part | string chord | "
        "string piece | string music",
    ),
    "tremolo strings": ((44,), ""),
    "pizzicato strings": ((45,), "pizzicato | pizz | plucked strings | pizz strings"),
    "synth strings": ((50, 51), "string machine | synth string | solina | synthesized strings | synth strings 1"),
    "orchestra hit": ((55,), "orchestra stab | orchestral hit | orch hit"),
    # Voices
    "choir": (
        (52, 53, 54, 91),
        "voices | satb | for chorus | vocal ensemble | choral voices | mixed chorus | male chorus | female chorus | "
        "choirs | chorus of | boys choir | children choir | gospel choir | aahs | oohs",
    ),
    "voice": (
        (53, 52, 54, 85, 91),
        "vocal | singer | singing | vox | soprano | vocalist | bass voice | lead vocal | backing vocal | male voice | "
        "female voice | male vocal | female vocal | bass singer | tenor voice | alto voice | soprano voice | humming",
    ),
    "synth voice": ((54, 85), "synth vox | vocal synth | vocoder | synth choir | robot voice"),
    # Brass
    "trumpet": ((56, 59), "cornet | flugelhorn"),
    "muted trumpet": ((59,), "harmon mute trumpet | trumpet with mute"),
    "trombone": ((57,), "bass trombone"),
    "tuba": ((58,), "sousaphone | euphonium | baritone horn"),
    "french horn": ((60,), "horn | f horn"),
    "brass": ((61, 56, 57, 58, 59, 60, 62, 63), "brass section | brass stab | brass ensemble | brass instrument | "
    "brasses"),
    "horns": ((61, 56, 57, 60, 66, 65, 64, 67, 59, 58, 62, 63), "horn section | horn stab | horn line"),
    "synth brass": ((62, 63), "brass synth"),
    # Reeds and pipes
    "saxophone": ((66, 65, 64, 67), "sax"),
    "soprano sax": ((64,), "soprano saxophone"),
    "alto sax": ((65,), "alto saxophone"),
    "tenor sax": ((66,), "tenor saxophone"),
    "baritone sax": ((67,), "baritone saxophone | bari sax"),
    "oboe": ((68,), "oboe d amore"),
    "english horn": ((69,), "cor anglais"),
    "bassoon": ((70,), "contrabassoon"),
    "clarinet": ((71,), ""),
    "bass clarinet": ((71,), ""),
    "piccolo": ((72,), "piccolo flute | fife"),
    "flute": ((73, 72), "alto flute | bass flute | concert flute | traverso"),
    "bamboo flute": ((77, 73, 75), "bansuri | dizi | native american flute | wooden flute"),
    "recorder": ((74,), "block flute"),
    "pan flute": ((75,), "panpipe | pan pipe | panflute | zampoña | siku"),
    "shakuhachi": ((77,), ""),
    "whistle": ((78,), "tin whistle | penny whistle | irish whistle | low whistle | whistling"),
    "ocarina": ((79,), ""),
    "woodwinds": ((73, 71, 68, 70, 72, 69, 74, 64, 65, 66, 67), "woodwind | wind section | winds | reed"),
    "bagpipes": ((109,), "bagpipe | uilleann pipe | highland pipe | pipes"),
    "hurdy-gurdy": ((109, 21), "hurdy gurdy"),
    "shehnai": ((111,), "shanai | duduk | zurna"),
    "didgeridoo": ((70, 58), ""),
    "kazoo": ((22, 85), ""),
    "theremin": ((85, 78, 80), "ondes martenot | musical saw | singing saw"),
    # Synthesizers
    "synth": (
        (81, 80, 90, 84, 87, 88, 89, 50, 51, 38, 39, 62, 63, 54, 82, 83, 85, 86, 91, 92, 93, 94, 95),
        "synthesizer | synthesiser | analog synth | analogue synth | moog | modular synth | polysynth | poly synth | "
        "synth chord | arp synth | synth arp",
    ),
    "synth lead": ((81, 80, 82, 83, 84, 85, 86, 87), "lead synth | lead | synth melody | electronic lead | synth solo"),
    "square lead": ((80,), "square wave | square wave lead | square | pulse wave | pulse lead | 8 bit lead | "
    "chip lead"),
    "saw lead": ((81,), "sawtooth lead | saw wave | sawtooth | sawtooth wave | supersaw | super saw | supersaw lead"),
    "synth pad": ((89, 88, 90, 91, 92, 93, 94, 95, 50, 51), "pad | ambient pad | atmospheric pad | string pad | "
    "lush pad"),
    "warm pad": ((89,), ""),
    "choir pad": ((91,), "vocal pad | voice pad"),
    "synth pluck": ((84, 80, 81, 90, 45), "pluck | synth plucks | plucked synth"),
    "crystal synth": ((98,), "crystal bell"),
    "atmosphere synth": ((99,), "atmosphere pad"),
    "sound effects": ((99, 101, 96, 97, 98, 100, 102, 103), "fx | sfx | sound effect | synth effect"),
    # Drums and percussion
    "drums": (
        (DRUMS,),
        "drum | electronic drums | electronic drum kit | drum kit | drumkit | drum set | drumset | drum beat | "
        "drum machine | drum loop | drum groove | "
        "drum pattern | 808 drums | 909 | 909 drums | 808 kick | kick | kick drum | bass drum | snare | snare drum | "
        "hi hat | hihat | high hat | cymbal | tom | toms | tom tom | rimshot | brush drum | brushes | brushed drums | "
        "hand clap | handclap | clap | claps | drum fill | drumming | breakbeats | double kick | double bass drum | "
        "double bass drums | blast beat | ride cymbal | crash cymbal | drummer | palmas | beatbox | beatboxing",
    ),
    "percussion": (
        (DRUMS, 47, 116, 115, 113, 112, 114, 117, 118, 119),
        "hand percussion | conga | bongo | shaker | tambourine | maraca | clave | cowbell | timbale | cajon | cajón | "
        "djembe | tabla | bodhran | bodhrán | frame drum | hand drum | triangle | castanets | castanet | guiro | "
        "darbuka | dhol | surdo | cabasa | percussion section | percussion instrument | percussive instrument | "
        "latin percussion",
    ),
    "timpani": ((47,), "timpano | kettledrum | kettle drum | timpani roll"),
    "steel drums": ((114,), "steel drum | steelpan | steel pan | steel drum | pan drum | hang drum | handpan"),
    "taiko": ((116, DRUMS), "taiko drum | war drum"),
    "woodblock": ((115, DRUMS), "wood block | temple block"),
    "agogo": ((113, DRUMS), "agogo bell"),
    "sleigh bells": ((112, DRUMS), "sleigh bell | tinkle bell | little bells | jingle bell instrument"),
    "synth drum": ((118, DRUMS), "simmons drum"),
    "kalimba": ((108,), "thumb piano | mbira"),
}  # fmt: skip

# Less than an instrument of its own: "bass line" beside "double bass" is the double bass's.
ROLES = frozenset({"bass", "guitar", "piano", "strings", "saxophone", "drums", "synth", "organ", "brass", "keyboard"})

# Words that hold the name of an instrument and are none.
NO_INSTRUMENTS = (
    "voice leading | voice lead | piano roll | no strings attached | strings attached | organ donor | tape recorder | "
    "record player | voice recorder | bell curve | drum roll please | horn of plenty | french press | bass fishing | "
    "drummer boy | strings of light | strings of lights | piano teacher | guitar teacher | piano lesson | "
    "piano lessons | guitar lesson | guitar lessons | piano bar | piano tuner | guitar store | bass fishing | "
    "singing bowl | singing bowls | drums his | drums her | bass clef | treble clef | keys to | car keys | "
    "house keys | lost keys | triangle wave form | jingle bells | good vibes | summer vibes | vibes only | "
    "positive vibes | voice message | lead to | lead the way | take the lead | lead sheet | leads to | drum up | "
    "pad thai | launch pad | guitar hero | no strings attached"
)
