import numpy as np
import pytest

import amt
from amt.arranger.arrange import key_of
from amt.arranger.chords import chord_of
from amt.arranger.library import find_style, styles
from amt.midi.chords import parse_progression
from amt.midi.programs import DRUMS


def programs(piece):
    return set(np.where(piece.notes.is_drum, DRUMS, piece.notes.program).tolist())


def test_the_example_of_the_docs():
    piece = amt.arrange("bossa nova", seed=3, chords="Am7 D7 Gmaj7", bars=16)
    assert piece.facts["chords"][:4] == ["Am7", "D7", "Gmaj7", "Am7"]
    assert (piece.facts["bars"], piece.facts["key"], piece.facts["seed"]) == (16, "G major", 3)


def test_without_a_seed_every_piece_is_new_and_names_its_seed():
    one, two = amt.arrange("pop"), amt.arrange("pop")
    assert one.to_bytes() != two.to_bytes()
    assert amt.arrange("pop", seed=one.facts["seed"]).to_bytes() == one.to_bytes()


@pytest.mark.parametrize("style", ["pop", "swing", "prog rock", "hymn", "tango", "two-part invention"])
@pytest.mark.parametrize("bars", [4, 7, 16, 33])
def test_bars_are_kept(style, bars):
    piece = amt.arrange(style, seed=1, bars=bars)
    assert piece.facts["bars"] == bars
    numerator, denominator = map(int, piece.facts["meter"].split("/"))
    assert -(-piece.music.end_ticks // (1920 * numerator // denominator)) == bars


@pytest.mark.parametrize(("key", "tempo"), [("E minor", 97), ("Ab major", 174), ("F# minor", 61.5)])
def test_key_and_tempo_are_kept(key, tempo):
    piece = amt.arrange("pop", seed=2, key=key, tempo=tempo)
    assert (piece.facts["key"], piece.facts["tempo_bpm"]) == (key, tempo)
    assert abs(piece.music.tempos[0].bpm - tempo) < 0.01


def test_the_duration_is_about_what_was_asked():
    for seconds in (20, 60, 180):
        assert abs(amt.arrange("funk", seed=1, duration=seconds).duration_s - seconds) < 4


def test_a_time_signature_of_the_style():
    assert amt.arrange("prog rock", seed=1, time_signature="5/4").facts["meter"] == "5/4"


@pytest.mark.parametrize(
    ("style", "wanted"),
    [
        ("pop", ["piano", "drums"]),
        ("pop", ["violin"]),
        ("swing", ["tenor sax", "piano", "acoustic bass", "drums"]),
        ("bossa nova", ["flute", "acoustic guitar (nylon)"]),
        ("hymn", ["choir aahs"]),
        ("techno", ["synth bass 1", "drums"]),
        ("string quartet", ["violin", "viola", "cello"]),
        ("rock", ["trumpet", "tuba", "piano", "banjo", "flute", "cello", "harp", "drums"]),
        ("pop", ["kazoo-less ukulele"][:0] or ["Rhodes"]),
    ],
)
def test_just_the_instruments_that_were_asked_for(style, wanted):
    numbers = {4 if name == "Rhodes" else amt.midi.programs.program_number(name) for name in wanted}
    for seed in range(3):
        piece = amt.arrange(style, seed=seed, instruments=wanted, bars=24)
        assert programs(piece) == numbers
        assert piece.facts["programs"] == sorted(numbers)


def test_chords_sound():
    piece = amt.arrange("piano ballad", seed=1, chords="C | Am F | G", bars=13)
    assert piece.facts["chords"][:6] == ["C", "Am F", "G", "C", "Am F", "G"]
    bass = {}
    for note in piece.notes:
        bass.setdefault(note.start_ticks, note.pitch)
    beats = [0, 1920, 2880, 3840] if piece.facts["meter"] == "4/4" else [0, 1440, 2400, 2880]
    assert [bass[tick] % 12 for tick in beats] == [0, 9, 5, 7]


@pytest.mark.parametrize(
    ("chords", "key"),
    [
        ("C Am F G", "C major"),
        ("Am F C G", "A minor"),
        ("Am7 D7 Gmaj7", "G major"),
        ("Dm7 G7 Cmaj7", "C major"),
        ("Em C G D", "E minor"),
    ],
)
def test_the_key_of_chords(chords, key):
    bars = [tuple(map(chord_of, bar)) for bar in parse_progression(chords)]
    assert key_of(bars, find_style("pop")).name == key


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "bosa nova"}, "there is no style 'bosa nova'; did you mean 'bossa nova'"),
        ({"style": "zzzz"}, "there is no style 'zzzz'; known are "),
        ({"chords": "Am7 Q9"}, "'Q9' is no chord; chords are written like"),
        ({"chords": ""}, "no chord|chords is empty"),
        ({"chords": []}, "chords is empty"),
        ({"instruments": ["flut"]}, "there is no instrument 'flut' in General MIDI; did you mean 'flute'"),
        ({"instruments": []}, "instruments is empty"),
        ({"instruments": "flute"}, "instruments is a list of names, got the text 'flute'"),
        ({"style": "piano ballad", "instruments": ["drums"]}, "piano ballad has no drums"),
        ({"key": "H minor"}, "key is a tonic and one of major, minor"),
        ({"style": "house", "key": "C lydian"}, "house is played in minor or major or dorian, not in lydian"),
        ({"time_signature": "5/4"}, "pop is played in 4/4, not in 5/4"),
        ({"bars": 1}, "bars must be a whole number from 2 to 400, got 1"),
        ({"bars": 2.5}, "bars must be a whole number"),
        ({"tempo": 0}, "tempo must be between 20 and 400"),
        ({"tempo": float("nan")}, "tempo must be between 20 and 400"),
        ({"duration": 1}, "duration must be between 4 and 1200 seconds"),
        ({"duration": 30, "bars": 8}, "give bars or duration, not both"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": True}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_is_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        amt.arrange(options.pop("style", "pop"), **options)
    assert "\n" not in str(error.value)


def test_a_piece_is_saved_and_drawn(tmp_path):
    piece = amt.arrange("reggae", seed=1, bars=8)
    piece.save(tmp_path / "x.mid")
    assert amt.read_midi(tmp_path / "x.mid").notes == piece.notes
    assert piece.captions[0] in piece._repr_html_()
    assert "reggae" in repr(piece)


def test_every_style_takes_bars_key_and_chords():
    for name, style in styles().items():
        piece = amt.arrange(name, seed=1, bars=9, chords="Dm Bb F C")
        assert piece.facts["bars"] == 9, name
        if style.parts:
            assert piece.facts["chords"][:2] == ["Dm", "Bb"], name
