"""Other words that colour a piece: what it is for, its form, feel, density, register, dynamics, playing and texture.

Each table is canonical name: other names.
"""

from __future__ import annotations

from amt.midi.tempo_words import TempoRange

USES: dict[str, str] = {
    "studying": "studying | study music | study beats | study session | study playlist | to study to | for study | "
    "homework | concentration | focus music | focusing | for focus",
    "sleep": "sleep | sleepy | sleeping | bedtime | falling asleep | insomnia",
    "meditation": "meditation | meditating | yoga | mindfulness | spa | spa music",
    "workout": "workout | work out music | gym | exercise music | running music | fitness | jogging",
    "party": "party | partying | nightclub | birthday party",
    "wedding": "wedding | wedding ceremony | bridal",
    "christmas": "christmas | xmas | christmas carol | yuletide | christmas song | christmas music",
    "halloween": "halloween",
    "birthday": "birthday | happy birthday",
    "funeral": "funeral | memorial service | burial",
    "children": "children | kids | for kids | for children | children song | kids song | toddler | children s song | "
    "baby song",
    "video game": "video game | videogame | game music | game soundtrack | rpg | jrpg | platformer | game menu | "
    "arcade game | level music | game theme | title screen | gaming",
    "battle": "battle | boss battle | boss fight | boss music | boss theme | fight scene | battle theme | combat | "
    "war scene | boss",
    "chase": "chase | chase scene | car chase | pursuit",
    "fantasy": "fantasy | fantasy world | tavern | medieval fantasy",
    "trailer": "trailer | movie trailer | film trailer",
    "commercial": "commercial | advertisement | advert | jingle | tv ad | for an ad | corporate | corporate video | "
    "corporate music",
    "elevator": "elevator | elevator music | hold music | waiting music | lift music",
    "background": "background music | background track | underscore | background | podcast | vlog | vlog music",
    "theme song": " tv theme | title theme | main theme | opening theme | intro music | theme tune",
    "news": "news theme | news intro | breaking news",
    "dinner": "dinner | dinner music | restaurant | coffee shop | cafe | café | coffeehouse",
    "church": "church service | liturgy",
    "practice": "practice track | sight reading | practice piece | exercise piece | backing track",
}

# Quarter notes a minute that are usual for some uses.
USE_TEMPOS: dict[str, TempoRange] = {
    "studying": TempoRange(60, 96), "sleep": TempoRange(44, 72), "meditation": TempoRange(44, 72),
    "workout": TempoRange(126, 160), "party": TempoRange(110, 132), "battle": TempoRange(112, 172),
    "chase": TempoRange(130, 180), "elevator": TempoRange(88, 128), "background": TempoRange(70, 116),
    "dinner": TempoRange(66, 110), "trailer": TempoRange(80, 140), "funeral": TempoRange(44, 70),
}  # fmt: skip

FORMS: dict[str, str] = {
    "12-bar blues": "12 bar blues | twelve bar blues | 12 bar form | 12 bar blues form | twelve bar form",
    "loop": "loop | loopable | looping | seamless loop | looped",
    "rondo": "rondo | rondo form | rondeau",
    "sonata form": "sonata form | sonata allegro | sonata allegro form",
    "theme and variations": "theme and variations | variations | variation form | theme with variations | "
    "variations on a theme | set of variations",
    "fugue": "fugue | fuga | fughetta | fugal",
    "canon": "canon | round | round form | in canon",
    "ternary": "ternary | ternary form | da capo form | da capo",
    "binary": "binary form | rounded binary",
    "strophic": "strophic | strophic form",
    "through-composed": "through composed",
    "passacaglia": "passacaglia | chaconne | ground bass",
    "medley": "medley | potpourri | mashup",
    "interlude": "interlude | intermezzo",
    "song form": "song form | song structure | standard song form | pop structure | pop song structure",
}

# Parts of a song; what is named one after the other is one form.
SECTIONS: dict[str, str] = {
    "intro": "intro | introduction",
    "verse": "verse",
    "pre-chorus": "pre chorus | prechorus",
    "chorus": "chorus | refrain | hook section",
    "bridge": "bridge section | bridge | middle eight | middle 8",
    "solo": "solo section | instrumental break",
    "build-up": "build up | buildup | riser section",
    "drop": "drop | beat drop | bass drop",
    "breakdown": "breakdown",
    "outro": "outro",
    "coda": "coda | codetta",
}
NO_SECTIONS = (
    "under the bridge | drop d | drop c | drop tuning | water under the bridge | bridge over | london bridge | "
    "verse of | drop in | drop out | drop by | introduction to | verse about"
)

FEELS: dict[str, str] = {
    "swing": "swing feel | swung | swinging | swing rhythm | swing eighths | swing groove | swung eighths | "
    "swung 16ths | swung sixteenths | swing beat | jazz swing",
    "shuffle": "shuffle | shuffled | shuffling | shuffle feel | shuffle groove | shuffle beat | shuffle rhythm",
    "straight": "straight eighths | straight feel | straight rhythm | straight 8ths | straight sixteenths | "
    "not swung | no swing | straight beat | straight time",
    "four on the floor": "four on the floor | 4 on the floor | four to the floor | 4 to the floor | 4x4 kick | "
    "four floor",
    "half-time": "half time | half time feel | halftime | half time drums feel | half time groove",
    "double-time": "double time | double time feel | doubletime",
    "backbeat": "backbeat | back beat | snare on 2 and 4 | snare on two and four",
    "walking bass": "walking bass | walking bass line | walking bassline | walking double bass | walking upright bass",
    "syncopated": "syncopated | syncopation | syncopated rhythm | funky rhythm | clave rhythm",
    "laid back": "laid back | laidback | behind the beat | lazy groove",
    "offbeat": "offbeat | off beat | off beats | offbeats | upstrokes | skank",
    "rubato": "rubato | free time | free tempo | out of time | without strict tempo",
    "triplets": "triplet feel | triplets | triplet | triplet rhythm | triplet groove",
    "polyrhythmic": "polyrhythm | polyrhythmic | polymetric | polymeter | 3 against 2 | 3 against 4 | cross rhythm | "
    "4 against 3",
    "oom-pah": "oom pah feel | boom chick | alternating bass",
    "one drop": "",
}

DENSITIES: dict[str, str] = {
    "sparse": "sparse | minimal | minimalist | minimalistic | bare | spacious | stripped down | stripped back | "
    "thin texture | few notes | understated | uncluttered | stripped",
    "simple": "simple | easy | basic | uncomplicated | for beginners | beginner | easy to play | simplistic",
    "busy": "busy | very busy | dense | dense texture | thick texture | many notes | lots of notes | full texture | "
    "rich texture | layered | lush | wall of sound | note dense",
    "complex": "complex | intricate | virtuosic | virtuoso | elaborate | complicated | technical | "
    "sophisticated harmony | difficult | shredding",
}

REGISTERS: dict[str, str] = {
    "low": "low register | low notes | deep low notes | low pitched | low pitch | low range | lower register | "
    "bass register | lower octaves | in the low | low octaves | deep register | low tones | low octave",
    "middle": "middle register | mid register | mid range | middle range",
    "high": "high register | high notes | high pitched | high pitch | upper register | upper octaves | high octaves | "
    "treble register | high range | higher register | high octave | high tones",
    "wide": "wide range | wide register | all registers | full range | whole keyboard | wide leaps",
}

DYNAMICS: dict[str, str] = {
    "soft": "soft | softly | quiet | quietly | pianissimo | pp | ppp | mp | mezzo piano | hushed | subdued | "
    "whispering | silent",
    "mezzo forte": "mf | medium volume | moderate volume",
    "loud": "loud | loudly | fortissimo | ff | fff | forte | noisy | very loud | booming | thunderous",
    "crescendo": "crescendo | gradually building | building slowly | slow build | builds up | building up | "
    "gets louder | growing louder | getting louder | slowly building | builds slowly | gradual build | "
    "building intensity | grows | building to a climax | builds to a climax | slowly builds",
    "diminuendo": "diminuendo | decrescendo | gets quieter | growing quieter | getting quieter | calando | "
    "dying away | morendo",
    "fade-out": "fading out | fade out at the end | fades out | fade out ending | ends with a fade | slow fade out",
    "fade-in": "fading in | fades in | fade in",
    "contrast": "dynamic contrast | wide dynamics | sudden dynamics | sforzando",
}

PLAYING: dict[str, str] = {
    "legato": "legato | cantabile | sustained | lyrical | singing tone | flowing",
    "staccato": "staccato | detached | short notes style | spiccato | marcato | stabs",
    "pizzicato": "",
    "arpeggios": "arpeggio | arpeggiated | arpeggiating | broken chord | arps | arp | alberti bass | rolling chords",
    "fingerpicked": "fingerpicked | fingerpicking | finger picked | finger picking | fingerstyle | finger style | "
    "travis picking | picked pattern",
    "strummed": "strummed | strumming | strummy | strum",
    "palm-muted": "palm muted | palm muting | palm mute",
    "tremolo": "tremolo | tremolo picking | tremolando",
    "trills": "trill | ornamented | ornaments | ornamentation | grace notes",
    "glissando": "glissando | glissandi | slides | portamento",
    "vibrato": "",
    "power chords": "power chord",
    "octaves": "octave bass | bass octave | in octaves",
}

TEXTURES: dict[str, str] = {
    "monophonic": "monophonic | single line | melody only | single melody | monophony | one note at a time",
    "unaccompanied": "unaccompanied | without accompaniment | no accompaniment",
    "polyphonic": "polyphonic | polyphony | contrapuntal | counterpoint | imitative",
    "chordal": "chordal | block chord | homophonic | homophony | chords only",
    "ostinato": "ostinato | ostinati | repeating pattern | repeated pattern",
    "riff": "riff",
    "drone": "drone | droning | pedal point | pedal note",
    "call and response": "call and response | question and answer | antiphonal | call response",
    "unison": "unison | in unison | unison line",
    "melody and accompaniment": "melody and accompaniment | melody with accompaniment",
}
