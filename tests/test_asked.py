import json
import lzma
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amt.asked import Asked, beat, read_text
from amt.midi.programs import PROGRAMS, SHORT_NAMES, program_number

CORPUS = Path(os.environ.get("AMT_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a waltz in A-flat major", (8, False)),
        ("F# minor etude", (6, True)),
        ("Bb major", (10, False)),
        ("E♭ major", (3, False)),
        ("C Sharp Minor", (1, True)),
        ("B flat maj", (10, False)),
        ("prelude in b minor", (11, True)),
        ("Cb major", (11, False)),
        ("in C major, then A minor", (0, False)),
        ("a ballad in a minor, slow", (9, True)),
        ("A minor waltz", (9, True)),
        ("a song in Am", (9, True)),
        ("in the key of F#m", (6, True)),
        ("in the key of G", (7, False)),
        ("Key: Eb, 120bpm", (3, False)),
        ('"Rondo in C minor": a rondo in E major', (4, False)),
        ('"a waltz in D minor"', (2, True)),
        ("a minor key ballad", None),
        ("A minor key ballad. In a minor key", None),
        ("it was a major hit", None),
        ("it was a major", None),
        ("D dorian", None),
        ("H minor", None),
        ("Dm7 chords, G", None),
    ],
    ids=ascii,
)
def test_keys(text, key):
    assert read_text(text).key == key


@pytest.mark.parametrize(
    ("text", "bpm"),
    [
        ("at 108 BPM", 108),
        ("96.5bpm", 96.5),
        ("120 beats per minute", 120),
        ("120 beats a minute", 120),
        ("52 BPM (dotted-quarter beat)", 78),
        ("52 BPM (dotted quarter)", 78),
        ("60 BPM (half-note beat)", 120),
        ("40 BPM (whole-note beat)", 160),
        ("90 BPM (eighth-note beat)", 45),
        ("3/4 at 120 BPM (half-note beat)", 240),
        ("3/4, 120 BPM", 120),
        ("6/8 at 80 BPM", 120),
        ("2/2, 48 BPM", 96),
        ("7/8 at 180 BPM", 90),
        ("90-100 BPM", 100),
        ("0 BPM", None),
        ("99999 BPM", None),
        ("1.5e9 BPM", None),
        ("Allegro, fast", None),
        ("BPM", None),
    ],
)
def test_tempos_are_in_quarter_notes(text, bpm):
    assert read_text(text).tempo_bpm == bpm


@pytest.mark.parametrize(
    ("signature", "quarters"),
    [((3, 8), 1.5), ((12, 8), 1.5), ((5, 8), 0.5), ((6, 16), 0.5), ((5, 4), 1), ((3, 2), 2), ((2, 1), 4)],
    ids=str,
)
def test_the_beat_of_a_time_signature(signature, quarters):
    assert beat(*signature) == quarters


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("in 3/4 time", (3, 4)),
        ("jig, 6/8, fast", (6, 8)),
        ("4/4.", (4, 4)),
        ("12/16", (12, 16)),
        ("in common time", (4, 4)),
        ("cut time march", (2, 2)),
        ("alla breve", (2, 2)),
        ("a slow waltz", None),
        ("24/7", None),
        ("1/4 notes for 1/2 a minute", None),
        ("12/8/2020", None),
        ("4/4.5", None),
        ("3/4 of the time", None),
        ("3/0", None),
    ],
)
def test_time_signatures(text, signature):
    assert read_text(text).time_signature == signature


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("About 35 seconds long", 35),
        ("2 minutes long", 120),
        ("about 3.2 minutes", 192),
        ("a 90-second loop", 90),
        ("two minutes", 120),
        ("a one-minute piece", 60),
        ("1 minute 30 seconds", 90),
        ("1 min and 5 s", 65),
        ("35 s", 35),
        ("80s synth pop", None),
        ("120 beats a minute, 96 quarter notes per minute", None),
        ("the last 10 seconds fade", None),
        ("0 seconds", None),
        ("long", None),
    ],
)
def test_durations(text, seconds):
    assert read_text(text).duration_s == seconds


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("for violins and pianos", ["violin", "piano"]),
        ("string quartet and harp", ["violin", "viola", "cello", "harp"]),
        ("piano trio", ["piano", "violin", "cello"]),
        ("hornpipe for harpsichord", ["harpsichord"]),
        ("English horn; french horns", ["english horn", "french horn"]),
        ("electric guitar, bass guitar & drum kit", ["electric guitar", "bass guitar", "drum kit"]),
        ("cellos, violas and double basses", ["cello", "viola", "double bass"]),
        ("bass clarinet solo", ["bass clarinet"]),
        ("a four-part choir", ["choir"]),
        ("a three-voice fugue for organ", ["organ"]),
        ("steel-string guitars", ["steel string guitar"]),
        ("steel drums", ["steel drum"]),
        ("no drums, piano and bass", ["piano", "bass"]),
        ("without drums or bass, with violins", ["violin"]),
        ("violin, viola, a violin", ["violin", "viola"]),
        ('"Piano Sonata" for guitar', ["guitar"]),
        ("stringent basso, flattened organism, harpy", None),
        ("a sad song with a verse and a chorus", None),
        ("for orchestra", None),
    ],
)
def test_instruments(text, names):
    found = read_text(text).instruments
    assert (found and [instrument.name for instrument in found]) == names


@pytest.mark.parametrize(
    ("text", "programs"),
    [
        ("drums", {128}),
        ("drum beat", {128}),
        ("guitar", set(range(24, 32))),
        ("fiddle", {40, 110}),
        ("tin whistle", {78}),
        ("sax", {64, 65, 66, 67}),
        ("pizzicato strings", {45}),
    ],
)
def test_what_an_instrument_may_be(text, programs):
    (instrument,) = read_text(text).instruments
    assert instrument.programs == programs


@pytest.mark.parametrize("name", [*SHORT_NAMES, *(name for name in PROGRAMS if "(" not in name)])
def test_every_name_of_an_instrument_is_found_with_its_program(name):
    (instrument, *_) = read_text(f"a piece for {name}").instruments
    assert program_number(name) in instrument.programs


def test_players_without_names():
    assert read_text("choir and orchestra").has_ensemble and read_text("a big band").has_ensemble
    assert not read_text("a string ensemble").has_ensemble
    assert not read_text("accompanied by a string orchestra").has_ensemble and not read_text("band-aid").has_ensemble


def test_what_is_not_asked_for_is_none():
    assert read_text("a slow sad waltz") == read_text("") == read_text('""') == Asked()


@given(st.text())
def test_any_text_is_read(text):
    assert isinstance(read_text(text), Asked)


PIECES = [
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
]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_that_looks_like_a_caption_is_read(text):
    assert isinstance(read_text(text), Asked)


# Captions of real pieces


@pytest.fixture(scope="module")
def rows():
    path = CORPUS / "metadata.jsonl.xz"
    if not path.exists():
        pytest.skip(f"no {path}; set AMT_CORPUS to a folder with captions")
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return random.Random(7).sample([json.loads(line) for line in file], 300)


def key_of(name):
    """Like "Bb minor", "c minor" or "D dorian"; a mode is no key here."""
    tonic, mode = (name or "C none").split()
    if mode not in ("major", "minor"):
        return None
    number = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}[tonic[0].lower()]
    return (number + {"": 0, "#": 1, "b": -1}[tonic[1:]]) % 12, mode == "minor"


@pytest.mark.parametrize("place", [2, 3], ids=["sentences", "tags"])
def test_captions_of_the_corpus_are_read(rows, place):
    right = {"key": 0, "time_signature": 0, "tempo_bpm": 0}
    for row in rows:
        asked = read_text(row["captions"][place])
        right["key"] += asked.key == key_of(row.get("key"))
        right["time_signature"] += asked.time_signature == tuple(map(int, row["meter"].split("/")))
        # Captions round to whole beats: 0.5 of 32 half notes are more than 1.5 %.
        right["tempo_bpm"] += asked.tempo_bpm is not None and (
            abs(asked.tempo_bpm - row["quarter_bpm"]) <= 0.015 * row["quarter_bpm"]
        )
    assert min(right.values()) >= 0.99 * len(rows), right


def test_instruments_and_durations_of_the_corpus_are_read(rows):
    right = {"instruments": 0, "duration": 0}
    for row in rows:
        asked = read_text(row["captions"][2])
        programs = {*row["programs"], *([128] if row["drums"] else [])}
        named = asked.instruments or ()
        right["instruments"] += all(instrument.programs & programs for instrument in named) and (
            asked.has_ensemble or programs <= set().union(*(instrument.programs for instrument in named))
        )
        right["duration"] += abs((asked.duration_s or 0) - row["duration_s"]) <= 0.1 * row["duration_s"]
    assert min(right.values()) >= 0.97 * len(rows), right  # a caption names five instruments at most
