"""Plans: what they say, what becomes of them in tokens, files, cut and transposed pieces."""

import io
import pickle
import random

import mido
import pytest

from amt.midi.canonical import transposed
from amt.midi.chords import parse_chord
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, TimeSignature
from amt.midi.native import native
from amt.midi.plan import (
    CHORD_NAMES,
    SAME_SECTION,
    Plan,
    PlanChord,
    PlanSection,
    markers,
    number_of_chord,
    row_of_marker,
    transposed_chord,
)
from amt.midi.reader import read_midi
from amt.midi.reference import smf_reader, smf_writer
from amt.midi.reference import tokenizer as reference
from amt.midi.reference.random_pieces import random_piece, random_plan
from amt.midi.segments import cut, segments
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import NUM_CHORDS, SECTIONS, vocabulary_of

CONFIG = TokenizerConfig(version=2)
AM7, F = PlanChord(9, "min7", 4), PlanChord(5, "maj", 2)
PLAN = Plan((PlanSection("verse", (AM7, F)), PlanSection("chorus", (F, F, AM7))))
BAR = 4 * 480
NOTES = [Note(240 * i, 240 * i + 240, 60 + i % 12, 80) for i in range(48)]
needs_native = pytest.mark.skipif(native is None, reason="the compiled module is not built")


def events_of(ids, config=CONFIG):
    return [tuple(vocabulary_of(config).event(int(token_id))) for token_id in ids]


def test_every_chord_has_a_number_and_a_name_that_is_read_as_it():
    assert len(CHORD_NAMES) == NUM_CHORDS == len(set(CHORD_NAMES))
    for number, name in enumerate(CHORD_NAMES):
        assert number_of_chord(parse_chord(name)) == number == PlanChord.of_number(number, 1).number
    assert number_of_chord(parse_chord("F#m7b5")) == number_of_chord(parse_chord("F#dim"))


def test_equal_neighbours_in_a_section_are_one_chord():
    long = PlanSection("A", (PlanChord(0, "maj", 30), PlanChord(0, "maj", 5), PlanChord(7, "maj", 1)))
    assert [chord.half_bars for chord in long.chords] == [32, 3, 1]
    assert PLAN.rows == [(1, 71 + 8, 4), (-1, 41, 2), (3, 41, 4), (-1, 79, 4)]
    assert PLAN.starts == (0, 6) and PLAN.half_bars == 14
    assert str(PLAN) == "verse: Am7 Am7 F; chorus: F F Am7 Am7"
    assert Plan.from_rows(PLAN.rows) == PLAN and pickle.loads(pickle.dumps(PLAN)) == PLAN


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlanChord(0, "7b9", 1), "a root 0..11 and one of maj, min"),
        (lambda: PlanChord(12, "maj", 1), "a root 0..11"),
        (lambda: PlanChord(0, "maj", 33), "lasts 1 to 32 half bars, got 33"),
        (lambda: PlanSection("refrain", (F,)), "a section is one of intro, verse, .*; got 'refrain'"),
        (lambda: PlanSection("verse", ()), "the section 'verse' has no chord"),
        (lambda: Plan(()), "at least one section"),
        (lambda: Plan((PlanSection("A", (PlanChord(0, "maj", 32),) * 33),)), "at most 1024 half bars, got 1056"),
    ],
)
def test_plans_that_there_are_not(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_transposed():
    assert str(PLAN.transposed(-10)) == "verse: Bm7 Bm7 G; chorus: G G Bm7 Bm7"
    assert [transposed_chord(number, 12) for number in range(NUM_CHORDS)] == list(range(NUM_CHORDS))
    piece = MidiData(NOTES, plan=PLAN)
    assert transposed(piece, 2).plan == PLAN.transposed(2) and transposed(transposed(piece, 2), -2) == piece


def test_a_part_begins_with_the_section_that_it_lies_in():
    assert PLAN.part(0, 99) == PLAN and PLAN.part(14, 20) is None and PLAN.part(3, 3) is None
    assert str(PLAN.part(2, 8)) == "verse: Am7 F; chorus: F"
    assert PLAN.part(6, 14).sections[0].name == "chorus" and PLAN.part(7, 8).half_bars == 1
    rng = random.Random(3)
    for _ in range(50):
        sections, chords = random_plan(rng, 60)
        whole, (start, end) = Plan.from_half_bars(sections, chords), sorted(rng.sample(range(61), 2))
        first = max(place for place in range(start + 1) if sections[place] != SAME_SECTION)
        assert whole.part(start, end) == Plan.from_half_bars(
            (sections[first], *sections[start + 1 : end]), chords[start:end]
        )


def test_pieces_carry_their_plan():
    piece = MidiData(NOTES, plan=PLAN)
    assert piece != MidiData(NOTES) and piece == MidiData(NOTES, plan=PLAN)
    assert piece.replace(tempos=[]).plan is PLAN and piece.replace(plan=None).plan is None
    assert pickle.loads(pickle.dumps(piece)) == piece


def test_tokens_of_a_plan():
    piece = MidiData(NOTES, plan=PLAN)
    encoding = EventTokenizer(CONFIG).encode(piece)
    am7, f = ("chord", 79), ("chord", 41)
    plan = [("section", 1), ("bars", 4), am7, ("bars", 2), f, ("section", 3), ("bars", 4), f, am7]
    assert events_of(encoding.ids)[3:12] == plan and events_of(encoding.ids)[12][0] == "program"
    assert EventTokenizer(CONFIG).decode(encoding.ids).plan == PLAN
    without = EventTokenizer().encode(piece)
    assert EventTokenizer().decode(without.ids).plan is None


def test_what_is_no_plan_is_ignored():
    verse, chord, bars = ("section", 1), ("chord", 5), ("bars", 2)
    header = [("bos", 0), ("time_signature", 17), ("tempo", 36)]

    def decoded(*events):
        ids = [vocabulary_of(CONFIG).token_id(kind, value) for kind, value in (*header, *events)]
        piece, report = reference.decode(ids, CONFIG)
        if native is not None:
            again, native_report = EventTokenizer(CONFIG).decode_with_report(ids)
            assert again == piece and native_report._asdict() == report
        return piece.plan and piece.plan.rows, report["ignored_tokens"]

    assert decoded(chord) == (None, 1)  # no section, no length
    assert decoded(verse, chord) == (None, 2)  # no length; then the section is empty
    assert decoded(bars, verse, chord, chord, verse) == ([(1, 5, 4)], 1)
    assert decoded(verse, bars, chord, ("program", 0), verse, chord) == ([(1, 5, 2)], 2)
    assert decoded(verse, verse, ("pad", 0), bars, ("tempo", 3), chord) == ([(1, 5, 2)], 1)
    assert decoded(verse, ("bars", 32), *[chord] * 33) == ([(1, 5, 32), *[(-1, 5, 32)] * 31], 1)


@pytest.mark.parametrize("seed", range(20))
def test_files_carry_the_plan(seed):
    rng = random.Random(seed)
    piece = random_piece(rng).replace(plan=Plan.from_half_bars(*random_plan(rng, rng.choice([1, 20, 300]))))
    for file in (piece.to_bytes(), smf_writer.write_midi(piece)):
        for read in (read_midi, smf_reader.read_midi):
            again = read(file, strict=True)
            assert again.plan == piece.plan and again.end_ticks == piece.end_ticks
        assert list(read_midi(file).notes) == list(piece.notes)


def test_markers_are_readable():
    texts = ["verse: Am7 (4 half bars)", "F (2 half bars)", "chorus: F (4 half bars)", "Am7 (4 half bars)"]
    assert list(markers(PLAN)) == list(zip((0, 4, 6, 10), texts, strict=True))
    assert [row_of_marker(text) for text in texts] == PLAN.rows
    file = MidiData(NOTES, plan=PLAN).to_mido()
    found = [(message.type, getattr(message, "text", "")) for message in file.tracks[0]]
    assert [text for kind, text in found if kind == "marker"] == texts


WRONG = [
    "verse", "Verse: Am7 (4 half bars)", "refrain: Am7 (4 half bars)", "verse: H7 (4 half bars)", "Am7", "",
    "Am7 (0 half bars)", "Am7 (33 half bars)", "Am7 (04 half bars)", "Am7 (4 half bar)", "Am7 (4 half bars) ",
    "Am7  (4 half bars)", ": Am7 (4 half bars)", "verse: verse: Am7 (4 half bars)", "Am7 ( half bars)",
    "A# (2 half bars)", "Am7 (+4 half bars)", "Am7 (4 half bars", "é (4 half bars)",
]  # fmt: skip


def file_with(texts_at, metre=(4, 4)):
    file = mido.MidiFile(ticks_per_beat=480)
    track, now = mido.MidiTrack(), 0
    track.append(mido.MetaMessage("time_signature", numerator=metre[0], denominator=metre[1]))
    for tick, text in texts_at:
        track.append(mido.MetaMessage("marker", text=text, time=tick - now))
        now = tick
    track.append(mido.Message("note_on", note=60, velocity=80, time=0))
    track.append(mido.Message("note_off", note=60, velocity=0, time=9 * BAR - now))
    file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("text", WRONG)
def test_other_markers_are_harmless(text):
    assert row_of_marker(text) is None
    start = (0, "verse: Am7 (4 half bars)")
    for file in (file_with([(0, text)]), file_with([(0, text), start, (480, text)])):
        plans = [read(file, strict=True).plan for read in (read_midi, smf_reader.read_midi)]
        assert plans[0] == plans[1] and (plans[0] is None or str(plans[0]) == "verse: Am7 Am7")


@pytest.mark.parametrize(
    ("texts_at", "plan"),
    [
        ([(0, "verse: Am7 (4 half bars)"), (2 * BAR, "F (2 half bars)")], "verse: Am7 Am7 F"),
        ([(0, "verse: Am7 (4 half bars)"), (2 * BAR + 1, "F (2 half bars)")], None),  # moved
        ([(480, "verse: Am7 (4 half bars)")], None),
        ([(0, "Am7 (4 half bars)")], None),  # of no section
        ([(0, "A: C (32 half bars)"), *[(9 * BAR, "F (32 half bars)")] * 32], None),  # too long
    ],
)
def test_a_plan_is_read_if_every_marker_stands_in_its_place(texts_at, plan):
    file = file_with(texts_at)
    plans = [read(file, strict=True).plan for read in (read_midi, smf_reader.read_midi)]
    assert plans[0] == plans[1] and (plans[0] and str(plans[0])) == plan


def test_half_bars_are_those_of_the_first_metre():
    metres = [TimeSignature(0, 3, 4), TimeSignature(3 * 480, 4, 4)]
    piece = MidiData(NOTES, plan=PLAN, time_signatures=metres)
    ticks = [0, 4 * 720, 6 * 720, 10 * 720]
    marks, now = [], 0
    for message in piece.to_mido().tracks[0]:
        now += message.time
        marks += [now] * (message.type == "marker")
    assert marks == ticks and read_midi(piece.to_bytes()) == piece


def test_a_cut_piece_has_the_part_of_its_bars():
    piece = MidiData(NOTES, plan=PLAN)
    assert cut(piece, 0, 3 * BAR).plan == PLAN.part(0, 6)
    assert cut(piece, 2 * BAR, 4 * BAR + 1).plan == PLAN.part(4, 9)
    assert cut(piece, BAR // 2, BAR).plan == PLAN.part(1, 2)
    assert cut(piece, 100, 2 * BAR).plan is None and cut(piece, 7 * BAR, 9 * BAR).plan is None
    changed = piece.replace(time_signatures=[TimeSignature(BAR, 3, 4)])
    assert cut(changed, 0, 3 * BAR).plan == PLAN.part(0, 6) and cut(changed, BAR + 3 * 480, 4 * BAR).plan is None


def test_segments_have_their_part():
    piece = MidiData([Note(240 * i, 240 * i + 240, 60 + i % 12, 80) for i in range(56)], plan=PLAN)
    tokenizer = EventTokenizer(CONFIG)
    parts = segments(piece, tokenizer, 90)
    plans = [tokenizer.decode(part.ids).plan for part in parts]
    assert len(parts) > 2 and all(len(part.ids) <= 90 for part in parts)
    halves = [chord.number for plan in plans for chord in plan.chords for _ in range(chord.half_bars)]
    assert halves == [chord.number for chord in PLAN.chords for _ in range(chord.half_bars)]


@needs_native
def test_rows_that_are_no_plan_do_not_reach_the_compiled_module():
    data = native.MidiData()
    for rows in ([(15, 0, 1)], [(0, 97, 1)], [(0, 0, 33)], [(0, 0, 0)], [(-2, 0, 1)], [(0, 0, 32)] * 33):
        with pytest.raises(ValueError, match="plan has rows of"):
            data.plan = rows
    data.plan = [(-1, 5, 3), (-1, 5, 30)]
    assert data.plan == [(len(SECTIONS) - 1, 5, 32), (-1, 5, 1)]
