"""What is read of prompts: a table of phrases, worked out by hand, and what follows from it."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amt.midi.programs import PROGRAMS, SHORT_NAMES, program_number
from amt.request.lexicon.ensembles import ENSEMBLES
from amt.request.lexicon.instruments import INSTRUMENTS
from amt.request.phrases import programs_of
from amt.request.reading import NOTHING_UNDERSTOOD, read
from amt.request.words import MAX_LEN

ROWS = [json.loads(line) for line in (Path(__file__).parent / "phrases.jsonl").read_text("utf-8").splitlines()]
DRUMS = 128


def facts(text):
    return [f"{kind}={said.value}" for kind, said in read(text).facts()]


def test_the_table_is_read():
    """Precision: of the facts that are read, those that the table has. Recall: of the table's, those that are read."""
    right = wrong = missed = 0
    failures = []
    for row in ROWS:
        found, wanted = facts(row["text"]), row["facts"]
        extra, lacking = set(found) - set(wanted), set(wanted) - set(found)
        right, wrong, missed = right + len(wanted) - len(lacking), wrong + len(extra), missed + len(lacking)
        if extra or lacking or len(found) != len(set(found)):
            failures.append((row["text"], "read", sorted(extra), "not read", sorted(lacking)))
    precision, recall = right / (right + wrong), right / (right + missed)
    print(f"{len(ROWS)} phrases, {right + missed} facts: precision {precision:.4f}, recall {recall:.4f}")
    assert len(ROWS) >= 400
    assert precision == 1.0 and recall >= 0.97, failures


def test_whether_others_may_play():
    rows = [row for row in ROWS if "is_closed" in row]
    assert len(rows) >= 150
    assert [row["text"] for row in rows if read(row["text"]).is_open == row["is_closed"]] == []


def test_dances_imply_a_metre():
    rows = [row for row in ROWS if "implies" in row]
    assert len(rows) >= 8
    for row in rows:
        assert ["metre={}/{}".format(*read(row["text"]).implied_metre)] == row["implies"], row["text"]


def test_phrases_that_ask_nothing_say_so():
    rows = [row for row in ROWS if not row["facts"]]
    assert len(rows) >= 60
    for row in rows:
        assert NOTHING_UNDERSTOOD in read(row["text"]).warnings, row["text"]
    assert read("").warnings == read("a piano").warnings == ()


def test_each_fact_has_its_words():
    for row in ROWS:
        for _, said in read(row["text"]).facts():
            assert 0 <= said.start < said.end <= len(row["text"])
            assert row["text"][said.start : said.end].strip()


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("a waltz in the key of C minor", "key", "C minor"),
        ("at 90-100 BPM (dotted-quarter beat)", "tempo", "90-100 BPM (dotted-quarter beat"),
        ("for two soft flutes", "instrument", "two soft flutes"),
        ("ein trauriges Lied für Klavier in d-Moll", "key", "d-Moll"),
        ("ein trauriges Lied für Klavier in d-Moll", "mood", "trauriges"),
        ("eine düstere Orgelfuge", "form", "Orgelfuge"),
        ("no longer than 45 seconds", "seconds", "no longer than 45 seconds"),
        ("intro, verse and chorus", "form", "intro, verse and chorus"),
        ("over C-Am-F-G, slowly", "chords", "C-Am-F-G"),
        ("guitarra española sin batería", "without", "batería"),
    ],
)
def test_the_words_of_a_fact(text, kind, words):
    (said,) = [said for name, said in read(text).facts() if name == kind]
    assert text[said.start : said.end] == words


@pytest.mark.parametrize(
    ("text", "language", "english"),
    [
        ("a sad song", "English", "a sad song"),
        ("Ein trauriges Lied für Klavier in d-Moll", "German", "a sad song for piano in D minor"),
        ("une valse lente pour piano", "French", "a waltz slow for piano"),
        ("canción alegre para guitarra en sol mayor", "Spanish", "song happy for guitar in G major"),
        ("musica triste per violino, senza batteria", "Italian", "music sad for violin, without drums"),
        ("samba rápido com violão em lá menor", "Portuguese", "samba fast with nylon guitar in A minor"),
        ("Xyz für Klavier", "German", "Xyz for piano"),
        ('"Klaviersonate" for flute', "English", "                for flute"),
    ],
)
def test_english(text, language, english):
    reading = read(text)
    assert (reading.language, reading.english) == (language, english)
    assert reading.text == text


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("fast", 124, 184),
        ("fast bebop", 124, 280),
        ("fast jig", 186, 276),
        ("up-tempo reel", 120, 240),
        ("very slow doom metal", 30, 62),
        ("slow gregorian chant", 48, 80),
        ("a fast ballad", 124, 184),
    ],
)
def test_words_for_a_tempo_reach_as_far_as_the_style(text, low, high):
    tempo = read(text).tempo
    assert tempo is not None and (tempo.value.low, tempo.value.high) == (low, high)


def test_a_style_implies_the_feel_of_its_band():
    def feel(text):
        said = read(text).implied_feel
        return None if said is None else (said.value, read(text).words(said))

    assert feel("a jazz tune") == ("swing", "jazz")
    assert feel("a jazz tune, straight eighths") is None
    assert feel("rock drum solo") is None  # a single player
    assert feel("rock drum solo, part A and solo") is None
    assert feel("a waltz") is None


def test_words_of_two_languages_are_of_the_one_that_has_the_others_too():
    assert read("música celta con gaita").language == "Spanish"
    assert read("música celta com gaita").language == "Portuguese"
    assert read("musica con violino").language == "Italian"
    assert read("Tin whistle, guitare folk et banjo, musique enjouée, 1 minute").language == "French"
    assert read("chords Em B7 Em Am").language == "English"


@pytest.mark.parametrize(
    ("text", "language", "instruments"),
    [
        ("pop con synth lead, basso synth, polysynth e batteria", "Italian", {"drums", "synth bass"}),
        ("ambient con coro, pianoforte e pad in si bemolle minore", "Italian", {"choir", "piano"}),
        ("Bass, Polysynth, Synth-Pad, Schlagzeug, hypnotisch, e-Moll, 4/4-Takt", "German", {"bass", "drums"}),
        ("Trompete, Bass, E-Piano, Drums, nostalgisch, a-Moll, 4/4-Takt", "German", {"trumpet", "electric piano"}),
        ("ambient con pad, glockenspiel, marimba, 69 BPM", "Spanish", {"synth pad", "marimba"}),  # or Italian
        ("ambient con marimba, pad, coro e glockenspiel", "Spanish", {"choir", "marimba"}),  # or Italian
        ("Glockenspiel, pad, contrabajo y kalimba, música serena y apacible", "Spanish", {"double bass", "kalimba"}),
    ],
)
def test_words_that_languages_share_do_not_speak_against_one(text, language, instruments):
    reading = read(text)
    assert reading.language == language
    assert instruments <= {part.name for part in reading.parts}


def test_a_foreign_word_or_two_leave_a_text_english():
    for text in (
        "allegro con brio",
        "piano, presto con fuoco",
        "a fast song con pianoforte",
        "salsa montuno with cajón",
        "tango, bandoneón, piano, violin",
    ):
        assert read(text).language == "English", text
    assert read("Em ré menor, para piano").key.value.name == "D minor"


def test_who_plays():
    reading = read("jazz trio: piano, double bass and drums, walking bass")
    assert [part.name for part in reading.parts] == ["piano", "double bass", "drums"]
    assert reading.allowed_programs == {0, 1, 2, 3, 32, 43, DRUMS}
    reading = read("string quartet")
    assert [(part.name, part.count) for part in reading.parts] == [("violin", 2), ("viola", 1), ("cello", 1)]
    assert reading.allowed_programs == {40, 41, 42}
    assert read("orchestra").parts == () and read("orchestra").allowed_programs is None
    reading = read("everything but drums")
    assert reading.allowed_programs is None and reading.forbidden_programs == {DRUMS}
    reading = read("strings without cello")
    assert 42 not in reading.allowed_programs and 48 in reading.allowed_programs
    reading = read("no guitar, but a nylon guitar")
    assert reading.forbidden_programs == set(range(25, 32)) and reading.allowed_programs == {24}


def test_what_is_implied():
    assert str(read("techno").implied_tempo) == "techno" and read("techno").implied_tempo.low >= 110
    assert read("techno, slow").implied_tempo.high <= 80 and read("techno, 150 bpm").implied_tempo.low == 150
    assert read("sleep music").implied_tempo.high <= 80 and read("a song").implied_tempo is None
    assert read("a sad song").implied_mode == "minor" and read("a sad song in C major").implied_mode == "major"
    assert read("dorian").implied_mode == "minor" and read("a calm song").implied_mode is None
    assert read("a jig in 4/4").implied_metre == (4, 4) and read("a jig").implied_metre == (6, 8)
    assert read("a song").implied_metre is None
    assert read("a jig at 100 bpm").tempo.value.low == 150  # dotted quarters are counted in 6/8


def test_chords_are_chords():
    reading = read("a ii-V-I in F")
    assert [bar[0].name for bar in reading.chords.value.bars] == ["Gm", "C", "F"]
    assert not reading.chords.value.is_movable and read("ii-V-I").chords.value.is_movable
    assert [len(bar) for bar in read("| Dm7 G7 | Cmaj7 |").chords.value.bars] == [2, 1]


@pytest.mark.parametrize("name", [*SHORT_NAMES, *PROGRAMS])
def test_every_name_of_general_midi_is_found_with_its_program(name):
    (instrument, *_) = read(f"a piece for {name}").instruments
    assert program_number(name) in instrument.value.programs


def test_every_alias_is_found():
    for name, (_, aliases) in INSTRUMENTS.items():
        for alias in filter(None, aliases.split(" | ")):
            found = [said.value.name for said in read(f"a piece with {alias}, slow").instruments]
            assert name in found, (name, alias, found)
    for name, ensemble in ENSEMBLES.items():
        for alias in filter(None, (name, *ensemble.aliases.split(" | "))):
            assert [said.value for said in read(f"for {alias}").ensembles] == [name], alias
        for member, _ in ensemble.members:
            assert programs_of(member)


def test_a_long_text_is_read_in_part():
    text = "piano, " * MAX_LEN
    assert [said.value.name for said in read(text).instruments] == ["piano"]
    assert f"only the first {MAX_LEN} characters of the text were read" in read(text).warnings


@given(st.text())
@example("-.")
def test_any_text_is_read(text):
    reading = read(text)
    assert all(0 <= said.start < said.end <= len(text) for _, said in reading.facts())


PIECES = [
    *(
        "9" * 40,
        "1",
        "3.",
        "/",
        "4",
        "BPM",
        "minutes",
        "A",
        "b",
        "#",
        "major",
        "in",
        "(",
        "no",
        "İ",
        "ﬁ",
        "\ud800",
        " ",
    ),
    *("-", "I", "V", "|", ":", "without", ",", "and", "or", "two", "drums", "piano", "d-Moll", "ohne", "Klavier", "'"),
    *("♩", "=", "solo", "only", "half", "minute", "bars", "chorus", "-free", "key", "of", "und", "C", "m7", "\n"),
]


@given(st.lists(st.sampled_from(PIECES)), st.sampled_from(["", " "]))
def test_any_text_that_looks_like_a_prompt_is_read(pieces, gap):
    text = gap.join(pieces)
    assert all(0 <= said.start < said.end <= len(text) for _, said in read(text).facts())


@pytest.mark.parametrize("chords", ["Eb, Bb, Fsus4, Gm", "Gm, Fsus4, Eb, Bb", "C6/9, Am, G7sus4", "Bm7b5, Em, Cmaj9"])
def test_a_minor_chord_in_a_list_is_no_key(chords):
    assert read(f"pop track, chords {chords}, 88 bpm").key is None


def test_a_minor_chord_alone_is_a_key():
    assert read("techno, Gm, 130 bpm").key.value.name == "G minor"
