import json
import math

import pytest

from amt.data import note_lengths
from amt.data.dataset import PreparedSplit
from amt.data.note_lengths import longest_notes_of, measure_longest_notes
from amt.data.prepare import prepare
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.vocabulary import DRUMS, vocabulary_of

BEAT = 480


def line(program, beats, pitch=60, start=0.0, is_drum=False):
    """Notes one after the other."""
    notes = []
    for length in beats:
        notes.append(Note(round(BEAT * start), round(BEAT * (start + length)), pitch, 80, program, is_drum))
        start += length
    return notes


@pytest.fixture
def prepare_pieces(tmp_path):
    def make(pieces, name="data", **options):
        corpus = tmp_path / f"corpus of {name}"
        corpus.mkdir()
        rows = []
        for index, (notes, split) in enumerate(pieces):
            MidiData(notes, ticks_per_beat=BEAT).save(corpus / f"{index}.mid")
            rows.append({"file": f"{index}.mid", "caption": "music", "split": split})
        (corpus / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        summary = prepare(corpus, tmp_path / name, embed=False, jobs=1, **options)
        return tmp_path / name, summary

    return make


def test_the_longest_notes_are_those_that_one_of_a_thousand_exceeds(prepare_pieces):
    organ = line(19, [0.25] * 2996 + [4.0, 4.0, 5.0, 6.0], pitch=61)  # 3 of 3,000 may be longer
    strings = line(40, [1.0] * 1990 + [30.0] * 9)  # too few
    drums = line(0, [9.0] * 20, pitch=36, is_drum=True)
    pieces = [(organ + strings + drums, "train"), (line(0, [20.0] * 3000), "valid")]
    folder, summary = prepare_pieces(pieces)
    of_all = 30.0
    expected = [of_all] * 2 + [4.0] + [of_all] * 13
    assert summary["longest_notes"] == json.loads((folder / "summary.json").read_text())["longest_notes"] == expected
    assert measure_longest_notes(folder) == longest_notes_of(folder) == tuple(expected)


def test_a_summary_is_believed_and_an_older_one_is_no_matter(prepare_pieces):
    folder, summary = prepare_pieces([(line(0, [1.5]), "train")])
    (folder / "summary.json").write_text(json.dumps(summary | {"longest_notes": [2.0] * 16}))
    assert longest_notes_of(folder) == (2.0,) * 16
    del summary["longest_notes"]
    (folder / "summary.json").write_text(json.dumps(summary))
    assert longest_notes_of(folder) == (1.5,) * 16
    (folder / "summary.json").unlink()
    assert longest_notes_of(folder) == (1.5,) * 16


def test_where_there_are_no_beats_or_no_notes_nothing_is_known(prepare_pieces):
    assert prepare_pieces([(line(0, [1.5]), "train")], tokenizer_config=TokenizerConfig("performance"))[1][
        "longest_notes"
    ] == []  # fmt: skip
    assert prepare_pieces([(line(0, [1.5]), "valid")], "valid")[1]["longest_notes"] == []
    assert prepare_pieces([(line(0, [1.5], is_drum=True), "train")], "drums")[1]["longest_notes"] == []


def lengths_in(ids, config):
    """(family, beats) of each pitched note that ends, one token after the other."""
    now, program, starts, found = 0, None, {}, []
    for kind, value in map(vocabulary_of(config).event, ids.tolist()):
        if kind == "time_shift":
            now += value
        elif kind == "program":
            program = value
        elif kind == "note_on" and program != DRUMS:
            starts[program, value] = now
        elif kind == "note_off":
            found.append((program // 8, round((now - starts.pop((program, value))) / config.steps_per_beat, 4)))
    return found


@pytest.mark.parametrize("version", [1, 2])
def test_all_segments_at_once_give_what_each_says(small_corpus, tmp_path, monkeypatch, version):
    """Pieces with repeated notes, chords over several programs and segments that are cut off."""
    config = TokenizerConfig(version=version)
    prepare(small_corpus, tmp_path / "data", max_len=65, embed=False, tokenizer_config=config)
    split = PreparedSplit(tmp_path / "data", "train")
    lengths = [pair for index in range(len(split.segments)) for pair in lengths_in(split.tokens(index), config)]
    assert len(lengths) > 50 and len({family for family, _ in lengths}) > 3
    monkeypatch.setattr(note_lengths, "FEWEST_NOTES", 1)
    for share in (0.3, 0.5, 0.999):
        monkeypatch.setattr(note_lengths, "SHARE", share)
        found = []
        for num_segments in (1, 3, 2048):
            monkeypatch.setattr(note_lengths, "SEGMENTS_PER_CHUNK", num_segments)
            found.append(measure_longest_notes(tmp_path / "data"))
        assert found[0] == found[1] == found[2]
        for family, beats in enumerate(found[0]):
            own = sorted(length for other, length in lengths if other == family)
            assert not own or beats == own[math.ceil(share * len(own)) - 1]
