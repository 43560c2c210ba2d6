import dataclasses

import pytest

import amt
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.request.limits import Limits
from amt.request.reading import Reading, read
from amt.request.report import compare
from amt.request.rows import ReportRow

SCORE = TokenizerConfig()
D_MINOR = [62, 65, 69, 62, 64, 65, 67, 69, 70, 69, 73, 74]


def song(pitches=D_MINOR, tempo=600_000, metre=(3, 4), **columns):
    """A quarter note for each pitch."""
    notes = [Note(480 * beat, 480 * (beat + 1), pitch, 80, **columns) for beat, pitch in enumerate(pitches)]
    return MidiData(notes, tempos=[Tempo(0, tempo)], time_signatures=[TimeSignature(0, *metre)])


def rows_of(text, limits, music, config=SCORE):
    reading = Reading() if text is None else read(text)
    return compare(reading, limits, None if limits is None else limits.constraints(config), music, config)


def check(text, music, limits=None):
    return [(row.name, row.asked, row.got, row.is_met) for row in rows_of(text, limits, music)]


def test_nothing_asked_is_nothing_to_compare():
    assert rows_of(None, None, song()) == rows_of("music", Limits(), song()) == []
    assert amt.Piece((1,), song()).report == []


def test_what_a_text_asks_for_softly():
    text = "a waltz in D minor, 3/4, 104 BPM, for piano, about 8 seconds"
    assert check(text, song()) == [
        ("key", "D minor", "D minor", True),
        ("tempo", "104 quarter notes a minute", "100 quarter notes a minute", True),
        ("time_signature", "3/4", "3/4", True),
        ("instruments", "piano", "Acoustic Grand Piano", True),
        ("duration", "about 8 s", "7.2 s", True),
    ]
    assert not any(row.is_hard for row in rows_of(text, None, song()))
    text = "a waltz in C major, 6/8, 120 BPM, for piano and violin, about 9 seconds"
    assert check(text, song()) == [
        ("key", "C major", "D minor", False),
        ("tempo", "180 quarter notes a minute", "100 quarter notes a minute", False),  # dotted quarters
        ("time_signature", "6/8", "3/4", False),
        ("instruments", "piano, violin", "Acoustic Grand Piano", False),
        ("duration", "about 9 s", "7.2 s", False),
    ]


@pytest.mark.parametrize(
    ("text", "programs", "is_met"),
    [
        ("guitar", [25], True),
        ("guitar", [25, 0], False),
        ("guitar and piano", [25, 0], True),
        ("string quartet", [40, 41, 42], True),
        ("string quartet", [40, 42], False),
        ("choir and orchestra", [52, 40, 60], True),
        ("choir and orchestra", [40, 60], False),
        ("drums", [], False),
    ],
    ids=str,
)
def test_instruments_are_the_set_of_those_named(text, programs, is_met):
    score = MidiData([Note(0, 480, 60, 80, program) for program in programs])
    assert [row[-1] for row in check(text, score)] == [is_met]


def test_what_a_text_refuses_does_not_play():
    assert check("no drums", song(is_drum=True)) == [("without", "drums", "Drums", False)]
    assert check("everything but drums", song())[0][::3] == ("without", True)


def test_drums_are_an_instrument():
    assert check("drum kit", song(is_drum=True)) == [("instruments", "drums", "Drums", True)]
    assert check("D minor", song(is_drum=True)) == [("key", "D minor", "none", False)]


@pytest.mark.parametrize("bpm", [168, 240, 63])
def test_a_tempo_in_whole_microseconds_is_that_tempo(bpm):
    music = song(tempo=round(60e6 / bpm))
    for text in (f"{bpm} to {bpm + 40} bpm", f"{bpm - 20} to {bpm} bpm"):
        (row,) = [
            row for row in compare(read(text), None, None, music, SCORE, frozenset({"tempo"})) if row.name == "tempo"
        ]
        assert row.is_met, row


def test_free_time_has_no_tempo_to_compare():
    rows = rows_of("D minor, 3/4, 104 BPM", None, song(), TokenizerConfig(preset="performance"))
    assert [row.name for row in rows] == ["key"]


def test_a_hard_wish_is_measured_on_the_notes():
    limits = Limits(
        instruments=["piano"], tempo=101, time_signature="3/4", key="D minor", max_beats=12, max_polyphony=1,
        duration=7.5, bars=4, required_instruments=["piano"], forbidden_instruments=["drums"], max_instruments=1,
        entry_by_beats=1, min_pitch="D4", max_pitch={"piano": 74}, max_note_beats=1, max_rest_beats=1,
    )  # fmt: skip
    assert check(None, song(), limits) == [
        ("key", "D minor", "0 of 12 notes outside its scale", True),
        ("tempo", "101 quarter notes a minute", "100 quarter notes a minute", True),
        ("time_signature", "3/4", "3/4", True),
        ("instruments", "Acoustic Grand Piano", "Acoustic Grand Piano", True),
        ("required_instruments", "Acoustic Grand Piano", "Acoustic Grand Piano", True),
        ("forbidden_instruments", "no Drums", "Acoustic Grand Piano", True),
        ("max_instruments", "at most 1", "1", True),
        ("entry_by_beats", "by beat 1", "by beat 0", True),
        ("min_pitch", "D4", "0 of 12 notes below it", True),
        ("max_pitch", "piano 74", "0 of 12 notes above it", True),
        ("max_beats", "at most 12 beats", "12 beats", True),
        ("duration", "7.5 s", "7.2 s", True),
        ("bars", "4", "4", True),
        ("max_polyphony", "at most 1 notes", "1 notes", True),
        ("max_note_beats", "at most 1 beats", "1 beats", True),
        ("max_rest_beats", "at most 1 beats", "0 beats", True),
    ]
    assert all(row.is_hard for row in rows_of(None, limits, song()))


def test_a_hard_wish_that_is_not_kept_shows():
    limits = Limits(
        instruments=["violin"], tempo=120, time_signature="6/8", key="Eb major", max_beats=11, max_polyphony=1,
        duration=5, bars=3, required_instruments=["violin"], forbidden_instruments=["piano"], entry_by_beats=1,
        min_pitch=65, max_pitch="C4", max_note_beats=0.5, max_rest_beats=0.5,
    )  # fmt: skip
    score = song()
    chord = [*score.notes, Note(0, 480, 90, 80), Note(480 * 14, 480 * 15, 60, 80)]
    given = dataclasses.replace(limits, max_pitch=None)
    rows = rows_of(None, given, MidiData(chord, (), score.tempos, score.time_signatures))
    rows += rows_of(None, Limits(max_pitch="C4"), score)
    assert len(rows) == 15 and not any(row.is_met for row in rows), rows
    assert [row.is_met for row in rows_of(None, Limits(max_instruments=1), song(is_drum=True))] == [True]
    assert [row.is_met for row in rows_of(None, Limits(tempo=(90, 101)), song())] == [True]
    assert [row.is_met for row in rows_of(None, Limits(tempo=(104, 120)), song())] == [False]
    changed = MidiData(song().notes, (), [Tempo(0, 500_000), Tempo(960, 600_000)])
    assert check(None, changed, Limits(tempo=120)) == [
        ("tempo", "120 quarter notes a minute", "120 quarter notes a minute, 100 quarter notes a minute", False)
    ]


@pytest.mark.parametrize(
    ("limit", "asked", "got", "is_met"),
    [
        ({"piano": 1, 40: 2}, "piano at most 1 beats, Violin at most 2 beats", "piano 1 beats, Violin 0 beats", True),
        ({"piano": 0.5}, "piano at most 0.5 beats", "piano 1 beats", False),
    ],
    ids=["kept", "not kept"],
)
def test_the_longest_note_is_measured_for_each_instrument_that_is_named(limit, asked, got, is_met):
    assert check(None, song(), Limits(max_note_beats=limit)) == [("max_note_beats", asked, got, is_met)]


def test_a_hard_wish_stands_for_what_the_text_says_of_the_same_thing():
    rows = rows_of("D minor at 90 BPM for violin", Limits(tempo=100, instruments=["piano"]), song())
    assert [(row.name, row.is_hard, row.is_met) for row in rows] == [
        ("tempo", True, True),
        ("instruments", True, True),
        ("key", False, True),
    ]


def test_a_row_in_words():
    row = ReportRow("time_signature", "3/4", "4/4", is_met=False, is_hard=False)
    assert str(row) == "time signature: asked for 3/4, got 4/4: not kept"


@pytest.mark.parametrize(
    ("text", "limits", "names"),
    [
        ("a sad waltz in D minor for piano, no drums, swing, 90 BPM, 8 bars, 20 seconds", Limits(),
         ["key", "tempo", "instruments", "without", "duration", "bars", "feel"]),
        ("music", Limits(instruments=["piano"], key="D minor", max_polyphony=3, max_pitch=90, max_note_beats=4,
                         forbidden_instruments=["drums"], max_rest_beats=4, max_instruments=2, max_beats=9),
         ["key", "instruments", "forbidden_instruments", "max_instruments", "max_pitch", "max_beats", "max_polyphony",
          "max_note_beats", "max_rest_beats"]),
    ],
    ids=["words", "limits"],
)  # fmt: skip
def test_a_piece_without_notes_keeps_nothing(text, limits, names):
    rows = rows_of(text, limits, MidiData(tempos=[Tempo(0, 666_667)], time_signatures=[TimeSignature(0, 3, 4)]))
    assert (
        [row.name for row in rows] == names
        and {row.got for row in rows} == {"no notes"}
        and not any(row.is_met for row in rows)
    )


def test_a_key_without_a_pitched_note_is_not_kept():
    assert [row.is_met for row in rows_of(None, Limits(key="D minor"), song(is_drum=True))] == [False]


def test_what_the_words_made_a_limit_is_measured_on_all_of_the_piece():
    reading, said = read("a slow waltz at 100 BPM"), frozenset({"tempo", "time_signature"})
    changed = song().replace(
        tempos=[Tempo(0, 600_000), Tempo(960, 500_000)],
        time_signatures=[TimeSignature(0, 3, 4), TimeSignature(960, 4, 4)],
    )
    for music, is_met in ((song(), True), (changed, False)):
        rows = compare(reading, None, None, music, SCORE, said)
        assert [(row.name, row.is_met, row.is_hard) for row in rows] == [
            ("tempo", is_met, True),
            ("time_signature", is_met, True),
        ]
    assert [row.is_met for row in compare(reading, None, None, changed, SCORE)] == [True]  # only what is stated


def test_mode_and_feel_and_bars_of_the_words():
    beat = [Note(480 * i, 480 * i + 60, 36 if i % 2 == 0 else 38, 80, is_drum=True) for i in range(32)]
    rock = MidiData([*beat, *song().notes], tempos=[Tempo(0, 500_000)], time_signatures=[TimeSignature(0, 4, 4)])
    assert [(row.name, row.asked, row.is_met) for row in rows_of("sad rock, 8 bars", None, rock)] == [
        ("mode", "minor (sad)", True),
        ("bars", "8", True),
        ("feel", "backbeat (rock)", True),
    ]
    rows = {row.name: row for row in rows_of("in a major key, 12 bars, walking bass", None, rock)}
    assert not any(rows[name].is_met for name in ("mode", "bars", "feel"))


# What is written keeps every hard limit, always

CONTROLS = {
    "instruments": {"instruments": ["violin", "drums"]},
    "tempo": {"tempo": 101},
    "time_signature": {"time_signature": "6/8"},
    "key": {"key": "Bb major"},
    "max_beats": {"max_beats": 3},
    "max_polyphony": {"max_polyphony": 1},
    "max_voices": {"max_voices": 1},
    "max_top_run": {"max_top_run": 1, "instruments": ["violin", "piano"]},
    "max_voices of some": {"max_voices": {"violin": 1, "piano": 2}, "instruments": ["violin", "piano", "flute"]},
    "duration": {"tempo": (80, 120), "duration": 1.7},
    "duration of drums": {"duration": 0.9, "instruments": ["drums"]},
    "bars": {"time_signature": "3/8", "bars": 2},
    "required_instruments": {"required_instruments": ["oboe", "drums"]},
    "forbidden_instruments": {"forbidden_instruments": tuple(range(40))},
    "max_instruments": {"max_instruments": 2},
    "entry_by_beats": {"required_instruments": ["violin", "drums"], "entry_by_beats": 2},
    "min_pitch": {"min_pitch": "C4"},
    "max_pitch": {"max_pitch": "C4"},
    "max_note_beats": {"max_note_beats": 0.5},
    "max_note_beats of some": {"max_note_beats": dict.fromkeys(range(20, 70), 0.5), "instruments": [0, 40, 60]},
    "max_rest_beats": {"max_rest_beats": 0.5},
}  # fmt: skip
CONTROLS["all"] = {name: value for limits in CONTROLS.values() for name, value in limits.items()} | {
    "instruments": ["violin", "drums"],
    "required_instruments": ["violin", "drums"],
    "forbidden_instruments": ["piano"],
    "duration": 1.2,
    "max_beats": 4,
}
GREEDY, BEAMS = {"do_sample": False}, {"num_beams": 3}
DECODINGS = {
    "engine": [GREEDY, BEAMS, *({"seed": seed} for seed in range(6))],
    "plain": [GREEDY, BEAMS, {"seed": 6}],
}


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(160)


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("backend", DECODINGS)
def test_hard_wishes_are_kept_always(generator, backend, control):
    limits = CONTROLS[control]
    max_new_tokens = 150 if backend == "engine" else 70
    for decoding in DECODINGS[backend]:
        # Where all voices sound, what must enter waits until one has ended.
        free: dict[str, object] = {"max_polyphony": None, "max_instruments": None}
        piece = amt.generate(
            "music", model=generator, backend=backend, max_new_tokens=max_new_tokens, **(free | limits), **decoding
        )
        rows = {row.name: row for row in piece.report}
        assert set(rows) == set(limits) and all(row.is_met and row.is_hard for row in rows.values()), (decoding, rows)
        assert amt.read_midi(piece.to_bytes()).notes == piece.notes
        assert tuple(amt.EventTokenizer().encode(piece.music).ids.tolist()) == piece.tokens


def test_a_drum_at_the_limit_is_cut_there(generator):
    """Its token says only where it is hit; decoding alone would let it sound for a quarter of a beat."""
    pieces = [
        amt.generate("music", model=generator, max_new_tokens=150, seed=seed, instruments=["drums"], max_beats=1)
        for seed in range(6)
    ]
    longer = [amt.EventTokenizer().decode(piece.tokens).end_ticks for piece in pieces]
    assert max(longer) > 480 and max(piece.music.end_ticks for piece in pieces) == 480


@pytest.mark.parametrize("control", CONTROLS)
def test_without_the_options_the_same_wishes_are_not_kept(generator, control):
    kept = [
        all(
            row.is_met
            for row in rows_of(
                None,
                Limits(**CONTROLS[control]),
                amt.generate("music", model=generator, max_new_tokens=150, seed=seed).music,
            )
        )
        for seed in range(4)
    ]
    assert not all(kept)


def test_the_model_of_the_package_keeps_them_too(generator):
    text = "a waltz in D minor for piano and drums in 3/4 time at 96 BPM"
    for decoding in [GREEDY, BEAMS, *({"seed": seed} for seed in range(8))]:
        piece = amt.generate(text, duration=6, bars=3, key="D minor", max_polyphony=3, max_new_tokens=400, **decoding)
        rows = {row.name: row for row in piece.report}
        assert {name for name, row in rows.items() if row.is_hard} == {
            "time_signature", "duration", "bars", "key", "max_polyphony", "tempo", "instruments"
        }  # fmt: skip
        assert all(row.is_met for row in rows.values() if row.is_hard), rows
        assert piece.duration_s > 3  # limits are there to be reached
