"""Checks of prompts, each with music that does what is asked and music that does not."""

import dataclasses
import json

import pytest

from amt.evaluation.prompts import CHECKS, LIMITS, Prompt, check, evaluate_prompts, read_prompts
from amt.midi.data import MidiData
from amt.midi.elements import Note, Tempo, TimeSignature
from amt.midi.sanity import sanity


def song(pitches=(60, 64, 67, 72) * 8, program=0, bpm=120, metre=(4, 4), drums=()):
    """A quarter note for each pitch, and drums on their beats."""
    notes = [Note(480 * beat, 480 * (beat + 1), pitch, 80, program) for beat, pitch in enumerate(pitches)]
    notes += [Note(480 * beat, 480 * beat + 60, pitch, 80, is_drum=True) for beat, pitch in drums]
    return MidiData(notes, tempos=[Tempo(0, round(60e6 / bpm))], time_signatures=[TimeSignature(0, *metre)])


def holds(music, **checks):
    return check(Prompt.from_row({"text": "music", **checks}), music)


C_AND_A_MINOR = [60, 64, 67, 64] * 2 + [57, 60, 64, 60] * 2
ON_ALL, BACK = [(beat, 36) for beat in range(32)], [(beat, 38) for beat in range(1, 32, 2)]


@pytest.mark.parametrize(
    ("checks", "right", "wrong"),
    [
        ({"parts": [["piano"]]}, song(), song(program=40)),
        ({"parts": [[0, 1]], "only": True}, song(program=1), song(drums=ON_ALL)),
        ({"without": ["drums"]}, song(), song(drums=ON_ALL)),
        ({"key": "C major"}, song(), song([66, 70, 73, 78] * 8)),
        ({"key": "A minor"}, song([60, 62, 64, 65, 67, 69, 71] * 4), song([61, 63, 65, 66, 68, 70, 72] * 4)),
        ({"mode": "minor"}, song([57, 60, 64, 69] * 8), song()),
        ({"tempo": [120, 120]}, song(bpm=120.4), song(bpm=121)),
        ({"metre": "3/4"}, song(metre=(3, 4)), song(metre=(6, 8))),
        ({"seconds": [15, 16]}, song(), song(bpm=112)),
        ({"bars": [8, 8]}, song(), song([60, 64] * 17)),
        ({"chords": ["C", "C", "Am", "Am"]}, song(C_AND_A_MINOR * 2), song([61, 66] * 16)),
        ({"feel": ["four", "backbeat"]}, song(drums=[*ON_ALL, *BACK]), song(drums=[(1, 42)])),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_each_check(checks, right, wrong):
    assert all(holds(right, **checks).values()) and holds(right, **checks)
    assert not all(holds(wrong, **checks).values())
    silent = MidiData(tempos=right.tempos, time_signatures=right.time_signatures)
    assert not any(holds(silent, **checks).values())  # a piece without notes does nothing


def test_the_tempo_and_metre_that_last_longest_count():
    changed = song().replace(
        tempos=[Tempo(0, 400_000), Tempo(960, 500_000)],
        time_signatures=[TimeSignature(0, 3, 4), TimeSignature(1440, 4, 4)],
    )
    assert holds(changed, tempo=[120, 120], metre="4/4") == {"tempo": True, "metre": True}


def test_the_share_of_checks_and_of_sane_pieces():
    prompts = [Prompt.from_row({"text": "a", "tempo": [120, 120], "parts": [[0], [40]]}), Prompt("b")]
    rows = {row.metric: row for row in evaluate_prompts(prompts, [song(), MidiData()], "table", "nobody")}
    assert sanity(song()) != [] or rows["prompt_sane"].value == 0.5
    assert rows["prompt_checks"].value == rows["prompt_limits"].value == pytest.approx(2 / 3, abs=1e-4)
    assert rows["prompt_parts"].value == 0.5 and rows["prompt_parts"].n == 2
    assert rows["prompt_empty"].value == 0.5 and rows["prompt_everything"].value == 0


def test_the_table_of_the_package():
    prompts = read_prompts("prompts")
    assert len(prompts) >= 48 and len({prompt.text for prompt in prompts}) == len(prompts)
    used = {
        field.name
        for prompt in prompts
        for field in dataclasses.fields(prompt)
        if getattr(prompt, field.name) != field.default
    }
    assert used == {"text", *CHECKS} and set(LIMITS) < set(CHECKS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([], "expected an object with a text"),
        ({"text": " "}, "expected an object with a text"),
        ({"text": "a", "tune": 1}, "there is no check 'tune'; there are parts, only"),
        ({"text": "a", "parts": [[129]]}, "'a': expected programs 0 to 128 or names of instruments, got 129"),
        ({"text": "a", "parts": [["theremim"]]}, "theremim"),
        ({"text": "a", "parts": 3}, "expected a list, got 3"),
        ({"text": "a", "key": "H"}, 'key must be like "D minor"'),
        ({"text": "a", "mode": "dorian"}, "expected one of major, minor"),
        ({"text": "a", "tempo": [90]}, "'a': "),
        ({"text": "a", "bars": [9, 8]}, "the smaller first"),
        ({"text": "a", "metre": "waltz"}, "'a': "),
        ({"text": "a", "chords": ["X"]}, "expected the name of a chord"),
        ({"text": "a", "feel": ["good"]}, "expected one of backbeat"),
    ],
    ids=str,
)
def test_a_row_that_is_none_is_named(row, message, tmp_path):
    table = tmp_path / "table.jsonl"
    table.write_text('{"text": "fine"}\n\n' + json.dumps(row), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_prompts(table)
    assert "table.jsonl, line 3: " in str(caught.value)


def test_a_table_without_prompts_is_told(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no prompt"):
        read_prompts(tmp_path / "empty.jsonl")
