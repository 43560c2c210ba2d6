"""Music that is continued is kept as it is."""

import random

import pytest

from amt.midi.continued import Continued
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo, TimeSignature
from amt.midi.limits import Constraints
from amt.midi.reader import read_midi
from amt.midi.reference.random_pieces import random_piece
from amt.midi.tokenizer import EventTokenizer

SCORE = EventTokenizer()


def rows(notes):
    return list(zip(*(column.tolist() for column in notes.columns), strict=True))


def song(**changes):
    """Three bars at an odd tempo in 96 ticks, with a kit, a key, a pedal, and a rest of 80 beats before the last."""
    notes = [Note(96 * beat, 96 * beat + 50, 60 + beat, 70, 40) for beat in range(8)]
    notes += [Note(96 * beat, 96 * beat + 10, 36, 90, 24, True) for beat in range(8)]
    notes += [Note(96 * 88, 96 * 90 + 1, 72, 80, 40)]
    given = {
        "notes": notes,
        "pedals": [PedalSpan(7, 300, 40)],
        "tempos": [Tempo(0, 612_345), Tempo(400, 598_765)],
        "time_signatures": [TimeSignature(0, 4, 4)],
        "key_signatures": [KeySignature(0, -3, True)],
        "ticks_per_beat": 96,
    }
    return MidiData(**given | changes)


def continued(data, tokenizer=SCORE):
    return Continued(data, data, tokenizer)


def tokens(text, tokenizer=SCORE):
    words = [word.split(":") for word in text.split()]
    return [tokenizer.vocabulary.token_id(kind, int(value)) for kind, value in words]


def test_what_is_written_stands_behind_the_music_in_its_ticks():
    data = song()
    music = continued(data)
    assert music.bars == 23 and music.seconds == pytest.approx(90 * 0.6, abs=0.2)
    new = tokens("time_shift:24 program:40 velocity:16 note_on:60 time_shift:12 note_off:60 program:128 note_on:38")
    whole = music.joined(new, 1 << 40, 0)
    own, found = rows(data.notes), rows(whole.notes)
    assert [row for row in found if row not in own] == [
        (96 * 91, 96 * 91 + 48, 60, 66, 40, False),
        (96 * 91 + 48, 96 * 91 + 72, 38, 66, 24, True),  # in the kit of the music
    ]
    assert set(own) <= set(found) and len(found) == len(own) + 2
    for name in ("pedals", "tempos", "time_signatures", "key_signatures", "ticks_per_beat"):
        assert getattr(whole, name) == getattr(data, name)


def test_nothing_written_changes_nothing():
    for seed in range(40):
        data = random_piece(random.Random(seed))
        try:
            music = continued(data)
        except ValueError as error:
            assert "has no notes" in str(error)
            continue
        assert music.joined([], 1 << 40, 0) == data
        assert music.joined(tokens("eos:0"), 1 << 40, 5) == data


def test_real_files_are_kept(corpus_files):
    for _, file in corpus_files[::20]:
        data = read_midi(file)
        new = tokens("time_shift:24 program:3 velocity:16 note_on:60 note_on:64 time_shift:24 note_off:60 note_off:64")
        whole = continued(data).joined(new, 1 << 40, 0)
        own, found = rows(data.notes), rows(whole.notes)
        assert len(found) == len(own) + 2 and found[: len(own)] == own
        assert read_midi(whole.to_bytes()).notes == whole.notes


def test_a_note_waits_for_the_end_of_its_like():
    data = song(notes=[Note(0, 97, 60, 80, 40)], pedals=[], tempos=[])  # its last step begins before it has ended
    whole = continued(data).joined(tokens("note_on:60 time_shift:24 note_off:60"), 1 << 40, 0)
    assert [row[:2] for row in rows(whole.notes)] == [(0, 97), (97, 192)]


def test_new_tempos_and_metres_come_behind():
    new = tokens("time_shift:24 time_signature:12 tempo:30 program:40 note_on:60 time_shift:24 note_off:60")
    whole = continued(song()).joined(new, 1 << 40, 0)
    (metre,) = set(whole.time_signatures) - set(song().time_signatures)
    (tempo,) = set(whole.tempos) - set(song().tempos)
    assert metre == TimeSignature(96 * 91, 3, 4) and tempo.tick == 96 * 91


def test_the_performance_preset_goes_on_in_seconds():
    tokenizer = EventTokenizer("performance")
    data = song(notes=[Note(0, 960, 60, 80)], pedals=[], tempos=[Tempo(0, 500_000)])
    new = tokens("time_shift:100 note_on:64 time_shift:50 note_off:64", tokenizer)
    whole = continued(data, tokenizer).joined(new, 1 << 40, 0)
    assert [row[:3] for row in rows(whole.notes)] == [(0, 960, 60), (960 + 192, 960 + 288, 64)]


def test_lengths_are_those_of_the_music_not_of_its_tokens():
    music = continued(song())
    given = Constraints(max_steps=24 * 100, min_bars=25, max_bars=25, min_us=60_000_000, max_us=70_000_000)
    fitted = music.fitted(given)
    assert fitted.max_steps == 2400 - 395 and (fitted.min_bars, fitted.max_bars) == (
        21,
        21,
    )  # of a rest of 80.5 beats 16.5 are cut
    assert fitted.max_us - fitted.min_us == pytest.approx(10_000_000, rel=0.05)  # of the tokens' tempo
    assert fitted.min_us > 0


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_us": 50_000_000}, "is 53.95 seconds long already, and the whole shall be at most 50 seconds; ask"),
        ({"max_steps": 24 * 90}, "is 90 beats long already, and the whole shall be at most 90 beats"),
        ({"max_bars": 22}, "is 23 bars long already, and the whole shall be at most 22 bars"),
    ],
)
def test_a_whole_that_is_shorter_than_its_beginning_is_one_clear_line(limits, message):
    with pytest.raises(ValueError, match=message):
        continued(song()).fitted(Constraints(**limits))


def test_music_without_notes_cannot_be_continued():
    with pytest.raises(ValueError, match="has no notes that this model can play; give another one"):
        continued(song(notes=[]))
