"""Captions read back by `amt.request.reading` say nothing that is not so; tests/arranger/read_back.py has the rules."""

import pytest
from read_back import contradictions, pieces

from amt.arranger.captions import LANGUAGES
from amt.arranger.claims import _INSTRUMENTS
from amt.arranger.compose import compose
from amt.arranger.instruments import instruments
from amt.arranger.library import find_style, styles
from amt.arranger.speech import languages
from amt.midi.programs import DRUMS
from amt.request.reading import read

IN_A_TEXT = {
    "en": "music for {}, drums and bass in D major",
    "de": "ein Stück für Schlagzeug, Bass und {} in D-Dur",
    "fr": "un morceau pour batterie, basse et {} en ré majeur",
    "es": "una pieza para batería, bajo y {} en re mayor",
    "it": "un brano per batteria, basso e {} in re maggiore",
}
VARIANTS = [each for style in styles().values() for each in (style, *style.substyles)]


def test_captions_say_nothing_that_is_not_so():
    found = [
        (kind, words, text, piece.facts["style"])
        for piece in pieces(4 * len(styles()), 2024)
        for text in piece.captions
        for kind, words in contradictions(text, piece)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("bossa nova with trumpet and more", "part"),
        ("bossa nova for nylon guitar", "others"),
        ("bossa nova without guitar", "refused"),
        ("bossa nova duo", "size"),
        ("bossa nova in F# minor", "key"),
        ("bossa nova in dorian mode", "mode"),
        ("bossa nova, 60 bpm", "tempo"),
        ("very slow bossa nova", "tempo"),
        ("bossa nova in 3/4", "metre"),
        ("a bossa nova waltz", "metre"),
        ("bossa nova, 3 seconds", "seconds"),
        ("bossa nova, 7 bars", "bars"),
        ("bossa nova on the chords F#7 B7 E7 A7", "chords"),
        ("bossa nova in rondo form", "form"),
        ("bossa nova with swing feel", "feel"),
        ("bossa nova, big band jazz", "feel of style"),
        ("angry bossa nova", "moods"),
        ("bossa nova for a boss fight", "uses"),
        ("1920s bossa nova", "eras"),
        ("bossa nova, heavy metal", "styles"),
        ("intricate bossa nova", "densities"),
        ("bossa nova, gradually building", "dynamics"),
        ("bossa nova with lots of low notes", "registers"),
        ("pizzicato bossa nova", "playing"),
        ("bossa nova over a drone", "textures"),
    ],
)
def test_the_check_sees_what_is_not_so(text, kind):
    piece = compose(find_style("bossa nova"), 3)
    facts = dict(piece.facts)
    assert facts["meter"] == "4/4" and facts["duration_s"] > 20 and len(facts["programs"]) > 2
    assert kind in [found for found, _ in contradictions(text, piece)]


def test_the_check_lets_pass_what_is_so():
    piece = compose(find_style("bossa nova"), 3)
    facts = piece.facts
    chords = " | ".join(facts["chords"][:4])
    for text in (
        f"{facts['mood'][0]} bossa nova in {facts['key']}, {facts['tempo_bpm']} bpm, {facts['meter']}",
        f"bossa nova, {facts['bars']} bars, {round(facts['duration_s'])} seconds, chords {chords}",
        "music for a café, no trumpet",
    ):
        assert list(contradictions(text, piece)) == [], text


def _named(text):
    return [set(part.programs) for part in read(text).parts]


@pytest.mark.parametrize("language", ("en", *LANGUAGES))
def test_names_of_instruments_are_read_as_these(language):
    for program, instrument in instruments().items():
        for name in instrument.names.get(language, ()):
            text = IN_A_TEXT[language].format(name)
            assert any(program in programs for programs in _named(text)), (program, text)
            allowed = read(text).allowed_programs
            assert allowed is not None and program in allowed, (program, text)


def test_names_of_parts_are_read_as_their_programs():
    for variant in VARIANTS:
        for part in variant.parts:
            for name in part.names:
                named = _named(f"music with {name}, 120 bpm")
                assert any(set(part.programs) <= programs for programs in named), (variant.name, name)
        for name in variant.drums.names if variant.drums is not None else ():
            named = _named(f"music with {name}, 120 bpm")
            assert named and all(DRUMS in each for each in named), (variant.name, name)


def test_what_is_claimed_is_no_more_than_what_is_read():
    for name, programs in _INSTRUMENTS.items():
        parts = read(f"music with {name}, 120 bpm").parts
        assert name == "orchestra" or (len(parts) == 1 and set(programs) <= set(parts[0].programs)), name


@pytest.mark.parametrize("index", range(len(LANGUAGES)))
def test_moods_of_other_languages_are_read_as_in_english(index):
    """Or not at all; most are read."""
    moods = languages()["moods"]
    read_words = 0
    for mood, row in moods.items():
        text = ("{}es Stück mit Klavier", "musique {} avec piano", "música {} con piano", "musica {} con pianoforte")
        found = {said.value for said in read(text[index].format(row[index])).moods}
        assert found <= {said.value for said in read(f"{mood} music").moods}, (mood, row[index], found)
        read_words += bool(found)
    assert read_words > 0.85 * len(moods)


# Names that are read as a sister of the style, or as what it is a kind of.
SISTERS = {"swing": {"jazz"}, "salsa": {"mambo"}, "soul": {"r&b", "neo soul"}, "waltz": {"mazurka"}}


def test_names_of_styles_are_read_as_the_style():
    """A name is read as its style; one that says no style says who plays, what for, or a mood."""
    for variant in VARIANTS:
        own = {said.value for said in read(variant.name).styles}
        for name in variant.names:
            reading = read(name)
            found = {said.value for said in reading.styles}
            if own and found:
                assert found & own or found <= SISTERS.get(variant.name, set()), (name, found, own)
            elif not found:
                said = (reading.instruments, reading.ensembles, reading.uses, reading.moods, reading.size)
                assert any(said), name


def test_most_names_of_styles_are_read_as_one():
    names = [name for variant in VARIANTS for name in variant.names]
    assert sum(bool(read(name).styles) for name in names) >= 0.85 * len(names)


def test_a_reading_is_made_of_the_texts_own_words():
    """What captions say is read, not just passed over: most have several facts."""
    texts = [text for piece in pieces(len(styles()), 7) for text in piece.captions]
    counts = [sum(1 for _ in read(text).facts()) for text in texts]
    assert sum(count >= 2 for count in counts) > 0.8 * len(counts)
