"""Styles: the family each belongs to, its usual tempo, metre and feel, and its other names.

A style asks for no tempo; its range is what most of its music has, in quarter notes a minute.
"""

from __future__ import annotations

from typing import NamedTuple

from amt.midi.metres import Metre
from amt.midi.tempo_words import TempoRange


class Style(NamedTuple):
    """What is usual in a style; None and "" where nothing is."""

    family: str
    tempo: TempoRange | None = None
    metre: Metre | None = None
    feel: str = ""
    aliases: str = ""


def _style(family: str, tempo: tuple[int, int] | None = None, aliases: str = "", *, metre: Metre | None = None,
           feel: str = "") -> Style:  # fmt: skip
    return Style(family, None if tempo is None else TempoRange(*tempo), metre, feel, aliases)


STYLES: dict[str, Style] = {
    # Pop and rock
    "pop": _style("pop", (88, 132), "pop music | radio pop | mainstream pop | teen pop | bubblegum pop | poppy"),
    "indie pop": _style("pop", (96, 140), "dream pop | bedroom pop | indie | indie folk pop"),
    "synth-pop": _style("pop", (100, 132), "synthpop | synth pop | electropop | electro pop | new wave"),
    "dance pop": _style("pop", (110, 132)),
    "k-pop": _style("pop", (96, 140), "kpop | k pop"),
    "j-pop": _style("pop", (110, 170), "jpop | j pop | city pop | anime music | anime opening | anime"),
    "pop rock": _style("rock", (96, 140), feel="backbeat"),
    "pop punk": _style("rock", (150, 190), feel="backbeat"),
    "rock": _style("rock", (96, 150), "rock music | rock n roll music | classic rock | arena rock | alternative rock | "
                   "alt rock | garage rock | stadium rock | soft rock", feel="backbeat"),
    "hard rock": _style("rock", (100, 150), feel="backbeat"),
    "indie rock": _style("rock", (100, 150), "indie guitar rock | indie guitar song | "
        "indie guitar music", feel="backbeat"),
    "rock and roll": _style("rock", (140, 190), "rock n roll | rock roll | rock & roll | rock'n'roll", feel="backbeat"),
    "rockabilly": _style("rock", (150, 210), feel="shuffle"),
    "surf rock": _style("rock", (140, 180), "surf music | surf"),
    "progressive rock": _style("rock", (80, 160), "prog rock | prog | progressive metal | prog metal | art rock | "
                               "odd time rock"),
    "psychedelic rock": _style("rock", (80, 130), "psychedelic | psych rock | acid rock"),
    "post-rock": _style("rock", (70, 130), "post rock | shoegaze | math rock"),
    "grunge": _style("rock", (90, 140)),
    "punk": _style("rock", (150, 200), "punk rock | hardcore punk", feel="backbeat"),
    "metal": _style("metal", (110, 180), "heavy metal | heavy metal music | metal music | metalcore | nu metal | "
                    "symphonic metal | power metal | djent"),
    "death metal": _style("metal", (150, 240), "black metal | grindcore | deathcore"),
    "thrash metal": _style("metal", (160, 220), "thrash | speed metal"),
    "doom metal": _style("metal", (50, 80), "sludge metal | stoner rock | stoner metal | sludge"),
    "ballad": _style("pop", (56, 84), "power ballad | love song | slow jam | rock ballad | pop ballad"),
    "singer-songwriter": _style("folk", (70, 120), "singer songwriter"),
    "anthem": _style("pop", (70, 130), "national anthem | anthemic"),
    # Blues, soul, funk
    "blues": _style("blues", (60, 130), "delta blues | chicago blues | electric blues | country blues | bluesy",
                    feel="shuffle"),
    "boogie-woogie": _style("blues", (130, 180), "boogie woogie | boogie", feel="swing"),
    "r&b": _style("soul", (60, 100), "r & b | rnb | r n b | r and b | rhythm and blues | contemporary r & b"),
    "soul": _style("soul", (70, 120), "soul music | motown | northern soul"),
    "neo soul": _style("soul", (70, 100), "neosoul"),
    "gospel": _style("soul", (60, 140), "gospel music | praise song | praise music | spiritual | worship | "
        "praise and worship | worship music"),
    "funk": _style("funk", (92, 120), "funky | p funk | funk music | nu funk", feel="backbeat"),
    "disco": _style("dance", (110, 126), "nu disco | disco music | italo disco", feel="four on the floor"),
    # Jazz
    "jazz": _style("jazz", (70, 220), "jazz music | jazzy | cool jazz | modal jazz | hard bop | free jazz | nu jazz | "
                   "jazz standard | smoky jazz | jazz chords | straight ahead jazz | small group jazz | "
                   "jazz club", feel="swing"),
    "swing": _style("jazz", (110, 220), "swing music | swing jazz | swing era | medium swing | electro swing",
                    feel="swing"),
    "big band": _style("jazz", (110, 220), "big band swing | big band jazz | big band music | swing orchestra | "
                       "swing band", feel="swing"),
    "bebop": _style("jazz", (180, 280), "bop | be bop | bebop jazz", feel="swing"),
    "gypsy jazz": _style("jazz", (160, 240), "jazz manouche | manouche | hot club jazz | django style", feel="swing"),
    "smooth jazz": _style("jazz", (76, 110)),
    "jazz waltz": _style("jazz", (110, 190), "waltz jazz | jazzy waltz | swinging waltz | "
        "waltz time jazz", metre=(3, 4), feel="swing"),
    "jazz fusion": _style("jazz", (90, 150), "fusion | jazz rock | jazz funk"),
    "latin jazz": _style("latin", (120, 200), "afro cuban jazz | afro cuban"),
    "dixieland": _style("jazz", (130, 220), "trad jazz | new orleans jazz | hot jazz", feel="swing"),
    "ragtime": _style("jazz", (76, 120), "rag | ragtime music | piano rag | stride piano | stride | cakewalk",
                      metre=(2, 4)),
    "lounge": _style("jazz", (70, 120), "lounge music | easy listening | cocktail music | muzak | exotica"),
    # Hip hop
    "hip hop": _style("hip hop", (80, 104), "hiphop | rap | rap beat | boom bap | gangsta rap | old school hip hop",
                      feel="backbeat"),
    "lo-fi hip hop": _style("hip hop", (69, 92), "lo fi hip hop | lofi hip hop | lo fi | lofi | chillhop | "
    "lo fi beats | lofi beats | lo fi beat | lofi beat | lofi hiphop | lo fi hiphop | "
                            "chill hop", feel="backbeat"),
    "trap": _style("hip hop", (130, 160), "trap music | trap beat | type beat | drill | phonk | "
        "uk drill", feel="half-time"),
    "trip hop": _style("hip hop", (70, 100), "triphop"),
    # Electronic
    "electronic": _style("electronic", (90, 140), "electronica | electronic music | electro | idm | glitch"),
    "edm": _style("electronic", (120, 132), "electronic dance music | big room | "
    "festival edm", feel="four on the floor"),
    "dance": _style("electronic", (110, 132), "dance music | dance track | club music | club | eurodance | eurobeat | "
                    "dance floor"),
    "house": _style("electronic", (118, 128), "house music | electro house | tech house | progressive house | "
    "acid house | tropical house | "
                    "future house | chicago house", feel="four on the floor"),
    "deep house": _style("electronic", (116, 126), "soulful house", feel="four on the floor"),
    "techno": _style("electronic", (124, 142), "minimal techno | acid techno | hard techno | techno music",
                     feel="four on the floor"),
    "trance": _style("electronic", (128, 142), "psytrance | goa trance | psy trance | uplifting trance music",
                     feel="four on the floor"),
    "hardstyle": _style("electronic", (148, 160), "hardcore techno | gabber | "
    "happy hardcore", feel="four on the floor"),
    "dubstep": _style("electronic", (138, 145), "brostep", feel="half-time"),
    "future bass": _style("electronic", (130, 160), "future garage"),
    "drum and bass": _style("electronic", (165, 180), "drum n bass | dnb | d & b | d n b | drum & bass | liquid dnb | "
                            "neurofunk | jungle music | liquid drum and bass | drum bass"),
    "breakbeat": _style("electronic", (110, 150), "big beat | uk garage | 2 step garage | jersey club"),
    "ambient": _style("electronic", (50, 90), "ambient music | dark ambient | space music | soundscape | atmospheric"),
    "downtempo": _style("electronic", (70, 110), "downtempo music | chillout | chill out"),
    "new age": _style("electronic", (50, 90), "new age music"),
    "synthwave": _style("electronic", (80, 118), "retrowave | outrun | vaporwave | darksynth | retro wave"),
    "chiptune": _style("electronic", (120, 170), "chip tune | 8 bit | 8bit | chip music | 16 bit | nes style | "
    "retro game | nintendo style"),
    "industrial": _style("electronic", (90, 140), "industrial music | ebm music | ebm track"),
    # Caribbean, Latin, African
    "reggae": _style("reggae", (66, 96), "roots reggae | one drop reggae", feel="offbeat"),
    "dub": _style("reggae", (60, 90), "dub reggae", feel="offbeat"),
    "ska": _style("reggae", (120, 190), "two tone | rocksteady", feel="offbeat"),
    "dancehall": _style("reggae", (88, 110)),
    "reggaeton": _style("latin", (84, 100), "dembow | reggaetón"),
    "calypso": _style("latin", (100, 140), "soca | caribbean | tropical | island music"),
    "latin": _style("latin", (90, 190), "latin music | latin american | cuban | latin pop"),
    "salsa": _style("latin", (150, 220), "salsa music | timba | montuno"),
    "merengue": _style("latin", (120, 170)),
    "bachata": _style("latin", (110, 140)),
    "cumbia": _style("latin", (80, 110)),
    "mambo": _style("latin", (160, 210)),
    "cha cha": _style("latin", (110, 130), "cha cha cha | chacha"),
    "rumba": _style("latin", (90, 120), "son cubano | guajira | rhumba"),
    "bolero": _style("latin", (66, 100)),
    "beguine": _style("latin", (100, 130)),
    "bossa nova": _style("latin", (100, 150), "bossa | bossanova | brazilian jazz"),
    "samba": _style("latin", (90, 120), "samba music | batucada", metre=(2, 4)),
    "choro": _style("latin", (70, 110), "chorinho", metre=(2, 4)),
    "forró": _style("latin", (90, 130), "forro | baião | baiao | xote", metre=(2, 4)),
    "tango": _style("latin", (112, 132), "tango nuevo | nuevo tango | argentine tango | tango music", metre=(4, 4)),
    "milonga": _style("latin", (90, 120), metre=(2, 4)),
    "habanera": _style("latin", (60, 90), metre=(2, 4)),
    "mariachi": _style("latin", (90, 150), "ranchera | norteño | son jarocho"),
    "flamenco": _style("folk", (90, 180), "bulerías | bulerias | rumba flamenca | soleá"),
    "fado": _style("folk", (66, 100)),
    "african": _style("african", (90, 130), "african music | west african | african feel | south african | "
                      "afro groove"),
    "afrobeat": _style("african", (96, 126), "afrobeats | highlife | afro beat | amapiano | soukous"),
    # Folk and country
    "folk": _style("folk", (80, 140), "folk music | folk song | folk tune | indie folk | acoustic folk | folky | "
    "traditional song | traditional tune | traditional piece | traditional folk | americana"),
    "country": _style("country", (84, 140), "country music | country song | country and western | country western | "
        "nashville | honky tonk country | "
    "alt country | outlaw country | western swing"),
    "bluegrass": _style("country", (110, 170), "bluegrass music | hoedown | old time | old timey | "
    "breakdown bluegrass | bluegrass breakdown | mountain music | bluegrass tune"),
    "celtic": _style("folk", (90, 140), "irish | irish folk | scottish | celtic music | irish music | gaelic | "
        "celtic tune | "
                     "celtic folk | irish session | irish session tune | celtic session | irish tune | "
                     "irish dance tune"),
    "jig": _style("folk", (150, 190), "irish jig | gigue | double jig | giga", metre=(6, 8)),
    "slip jig": _style("folk", (150, 190), "irish slip jig", metre=(9, 8)),
    "reel": _style("folk", (180, 240), "irish reel | scottish reel", metre=(4, 4)),
    "hornpipe": _style("folk", (140, 190), metre=(4, 4)),
    "strathspey": _style("folk", (110, 140), metre=(4, 4)),
    "slide": _style("folk", (180, 240), "irish slide | kerry slide", metre=(12, 8)),
    "air": _style("folk", (50, 90), "slow air | irish air | traditional air"),
    "krakowiak": _style("folk", (90, 140), metre=(2, 4)),
    "contredanse": _style("dance", (90, 140), "ecossaise | écossaise | contradance", metre=(2, 4)),
    "polka": _style("folk", (104, 130), "polka music | oom pah | oompah", metre=(2, 4)),
    "sea shanty": _style("folk", (90, 140), "shanty | sea song | pirate song"),
    "klezmer": _style("folk", (90, 160), "klezmer music | hora | jewish folk | freylekhs | freilach | "
                      "yiddish music | yiddish dance music | jewish music | jewish wedding music"),
    "balkan": _style("folk", (110, 170), "balkan brass | bulgarian | romani | gypsy | balkan music"),
    "tarantella": _style("folk", (160, 220), metre=(6, 8)),
    "csárdás": _style("folk", (90, 160), "csardas | czardas", metre=(2, 4)),
    "ländler": _style("folk", (90, 140), "landler | schuhplattler", metre=(3, 4)),
    "square dance": _style("country", (110, 130)),
    "medieval": _style("early", (70, 120), "medieval music | middle ages | troubadour | estampie | saltarello"),
    "indian classical": _style("world", (60, 130), "raga | raag | indian raga | hindustani | carnatic | indian music | "
                               "bollywood | indian"),
    "middle eastern": _style("world", (80, 130), "arabic | arabian | oriental | turkish | persian | arabic music | "
    "maqam"),
    "chinese": _style("world", (60, 110), "chinese music | traditional chinese"),
    "japanese": _style("world", (60, 110), "japanese music | traditional japanese | japanese traditional | enka | "
        "zen garden music"),
    "world": _style("world", None, "world music | ethnic | tribal"),
    # Classical
    "classical": _style("classical", None, "classical music | chamber music | neoclassical | neo classical | "
    "art music | modern classical | contemporary classical"),
    "renaissance": _style("early", (60, 120), "renaissance music | madrigal | palestrina | early music"),
    "gregorian chant": _style("early", (50, 80), "gregorian | plainchant | chant | plainsong | monastic chant"),
    "baroque": _style("classical", (60, 140), "baroque music | baroque style | bach | vivaldi | handel | händel | "
    "telemann | scarlatti | purcell | corelli | pachelbel | rameau | couperin"),
    "classical era": _style("classical", (60, 160), "mozart | haydn | beethoven | clementi | viennese classical | "
                            "classical period | boccherini"),
    "romantic era": _style("classical", (50, 160), "romantic period | late romantic | chopin | schubert | schumann | "
    "liszt | brahms | mendelssohn | tchaikovsky | rachmaninoff | rachmaninov | grieg | dvořák | dvorak | wagner | "
    "verdi | mahler | romantic style | romanticism"),
    "impressionist": _style("classical", (50, 120), "impressionism | impressionistic | debussy | ravel | satie"),
    "minimalism": _style("classical", (60, 140), "minimalist music | philip glass | steve reich | minimal music | "
    "einaudi | arvo pärt"),
    "orchestral": _style("classical", None, "orchestral music | orchestral piece | symphonic | symphonic music"),
    "symphony": _style("classical", None, "symphonic poem | tone poem | overture"),
    "concerto": _style("classical", None, "concertino"),
    "opera": _style("classical", None, "aria | operatic | operetta | recitative"),
    "waltz": _style("dance", (84, 200), "viennese waltz | valse | waltzes | waltzy", metre=(3, 4)),
    "minuet": _style("classical", (96, 140), "menuet | minuetto | minuet and trio | minuet with trio", metre=(3, 4)),
    "musette": _style("dance", (126, 200), "french musette | valse musette | bal musette | musette waltz | "
                      "parisian waltz", metre=(3, 4)),
    "mazurka": _style("classical", (110, 170), "mazurek", metre=(3, 4)),
    "polonaise": _style("classical", (80, 110), metre=(3, 4)),
    "sarabande": _style("classical", (46, 72), metre=(3, 4)),
    "gavotte": _style("classical", (100, 160), metre=(2, 2)),
    "bourrée": _style("classical", (120, 180), "bourree", metre=(2, 2)),
    "allemande": _style("classical", (60, 100), metre=(4, 4)),
    "courante": _style("classical", (90, 140), metre=(3, 4)),
    "pavane": _style("early", (50, 80), "pavan", metre=(4, 4)),
    "galliard": _style("early", (100, 150), metre=(3, 4)),
    "siciliana": _style("classical", (50, 90), "siciliano | sicilienne", metre=(6, 8)),
    "barcarolle": _style("classical", (60, 120), metre=(6, 8)),
    "galop": _style("dance", (130, 170), "can can", metre=(2, 4)),
    "march": _style("march", (96, 124), "military march | marching music | wedding march | marche",
                    metre=(4, 4)),
    "funeral march": _style("march", (48, 72), metre=(4, 4)),
    "fanfare": _style("march", (90, 132)),
    "foxtrot": _style("dance", (112, 126), "fox trot | slowfox", metre=(4, 4)),
    "quickstep": _style("dance", (192, 208), metre=(4, 4)),
    "paso doble": _style("dance", (112, 124), "pasodoble", metre=(2, 4)),
    "charleston": _style("jazz", (200, 240)),
    "nocturne": _style("classical", (46, 84), "notturno"),
    "prelude": _style("classical", None, "praeludium"),
    "etude": _style("classical", None, "étude | study piece"),
    "sonata": _style("classical", None, "sonatina | sonata movement"),
    "suite": _style("classical", None, "partita"),
    "scherzo": _style("classical", (160, 300), "capriccio", metre=(3, 4)),
    "invention": _style("classical", (70, 120)),
    "toccata": _style("classical", (90, 160)),
    "fantasia": _style("classical", None, "fantaisie | phantasy | canzona | ricercar"),
    "impromptu": _style("classical", (70, 160)),
    "serenade": _style("classical", (60, 120), "serenata | divertimento"),
    "rhapsody": _style("classical", None, ""),
    "romance": _style("classical", (50, 90), "romanza | song without words"),
    "elegy": _style("classical", (44, 72), "dirge"),
    "art song": _style("classical", (50, 130), "lied | lieder"),
    "sacred": _style("sacred", (50, 120), "sacred music | sacred piece | mass movement | motet | vespers | "
    "magnificat | oratorio | cantata | requiem | te deum | kyrie | stabat mater | gloria | church music"),
    "chorale": _style("classical", (56, 90), "bach chorale"),
    "hymn": _style("sacred", (56, 96), "psalm | church hymn | hymnal"),
    "carol": _style("sacred", (80, 130), "christmas carol | xmas carol"),
    "lullaby": _style("song", (50, 84), "cradle song | berceuse"),
    "nursery rhyme": _style("song", (90, 130), "nursery song | kindergarten song"),
    # Stage and screen
    "cinematic": _style("film", (60, 140), "film score | film music | movie score | movie music | soundtrack | "
                        "cinematic music | movie soundtrack | film soundtrack | hans zimmer | john williams"),
    "musical theatre": _style("stage", (80, 160), "musical theater | show tune | broadway | showtune | cabaret | "
    "vaudeville"),
    "circus": _style("stage", (120, 180), "circus music | fairground music | clown music"),
    "western": _style("film", (80, 140), "spaghetti western | wild west | cowboy"),
}  # fmt: skip

# Phrases that hold the name of a style and mean none.
NO_STYLES = (
    "swing set | swing by | house party | pop up | rock bottom | rock garden | trap door | metal box | "
    "soul searching | country road | country side | march madness | full house | white house | haunted house | "
    "carol singer | night club | comedy club | country club | beach club | golf club | tea house | "
    "empty house | old house | opera house | beach house | country house | full swing | dance floor | dance hall | "
    "dance class | dance show | dance scene | dance battle | dance video | dance lesson"
)
