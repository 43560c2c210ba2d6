"""Plans in prepared data: from tables, estimated, moved with the music, left out."""

import json

import numpy as np
import pytest

from amt.data.augment import transpose, without_plan
from amt.data.dataset import PreparedSplit
from amt.data.plans import plan_of_piece
from amt.data.prepare import prepare
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, TimeSignature
from amt.midi.grammar import Grammar
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import vocabulary_of

CONFIG = TokenizerConfig(version=2)
BAR = 1920
TRIADS = {"D": (62, 66, 69), "Bm": (59, 62, 66), "G": (55, 59, 62), "A": (57, 61, 64)}
CHORDS = ["D", "Bm7 G", "A7sus4", "D/F#", "D"]
ROW = {"sections": [["intro", 1, 1], ["pre", 2, 1], ["climax", 3, 2]], "chords": CHORDS, "key": "D major"}


def piece_of(*names):
    notes = [Note(BAR * i, BAR * (i + 1), pitch, 80) for i, name in enumerate(names) for pitch in TRIADS[name]]
    return MidiData(notes, time_signatures=[TimeSignature(0, 4, 4)])


PIECE = piece_of("D", "Bm", "A", "D", "D")


def test_a_table_says_the_plan():
    assert str(plan_of_piece(PIECE, ROW)) == "intro: D; pre-chorus: Bm7|G; chorus: Asus4 D D"
    drums = plan_of_piece(PIECE, ROW | {"chords": []})
    assert [chord.name for chord in drums.chords] == ["N.C."] * 3 and drums.half_bars == 8
    several = plan_of_piece(PIECE, ROW | {"chords": ["D A G", "D A G Bm", "D", "D"]})
    assert str(several) == "intro: D|G; pre-chorus: D|G; chorus: D D"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"sections": ROW["sections"]},
        ROW | {"chords": ["D", "H7", "A", "D"]},
        ROW | {"chords": "D Bm A"},
        ROW | {"chords": ["D", None, "A", "D"]},
        ROW | {"chords": ["D"]},
        ROW | {"sections": [["intro", 2, 4]]},
        ROW | {"sections": [["intro", 1, 1 << 40]]},
        ROW | {"sections": [["intro", 1]]},
        ROW | {"sections": "intro verse"},
    ],
)
def test_without_such_columns_it_is_estimated(row):
    assert str(plan_of_piece(PIECE, row)) == "other: D Bm A D D"


def test_a_file_says_it_itself_and_where_the_metre_changes_nobody_does():
    own = PIECE.replace(plan=plan_of_piece(PIECE, ROW))
    assert plan_of_piece(own, {}) == own.plan
    changes = [TimeSignature(0, 4, 4), TimeSignature(BAR, 3, 4)]
    assert plan_of_piece(PIECE.replace(time_signatures=changes), ROW) is None


def prepared(folder, config, row=ROW):
    (folder / "corpus").mkdir(parents=True)
    PIECE.save(folder / "corpus" / "one.mid")
    line = row | {"file": "one.mid", "captions": ["music in D major"], "split": "train"}
    (folder / "corpus" / "table.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    prepare(folder / "corpus", folder / "out", tokenizer_config=config, embed=False, jobs=1)
    return PreparedSplit(folder / "out", "train")


def test_prepared_pieces_have_plans_that_move_to_the_canonical_key(tmp_path):
    plans = []
    for name, config in (("own", CONFIG), ("moved", TokenizerConfig(version=2, canonical_key=True))):
        ids = prepared(tmp_path / name, config).tokens(0)
        plans.append(EventTokenizer(config).decode(ids).plan)
        state = Grammar(config).start()
        for token_id in ids.tolist():
            state.advance(token_id)
        assert state.is_finished
    assert plans[0] == plan_of_piece(PIECE, ROW) and plans[1] == plans[0].transposed(-2)
    assert not np.isin(prepared(tmp_path / "old", TokenizerConfig()).tokens(0), range(659, 809)).any()


def test_rows_without_their_plan(tmp_path):
    split = prepared(tmp_path, CONFIG)
    whole = split.tokens(0)
    bare = without_plan(whole, CONFIG)
    assert EventTokenizer(CONFIG).decode(bare) == EventTokenizer(CONFIG).decode(whole).replace(plan=None)
    for share, kept in ((0.0, {len(whole)}), (1.0, {len(bare)}), (0.5, {len(whole), len(bare)})):
        lengths = [
            int((row > 0).sum())
            for step in range(8)
            for row in split.batch(1, step, 4, 999, plan_dropout=share).token_ids
        ]
        assert set(lengths) == kept
    assert np.array_equal(split.batch(1, 0, 4, 9, plan_dropout=1.0).token_ids[0], bare[:9])


def test_augmentation_moves_the_chords_with_the_notes():
    piece = PIECE.replace(plan=plan_of_piece(PIECE, ROW))
    ids = EventTokenizer(CONFIG).encode(piece).ids
    moved, semitones = transpose(ids, 3, CONFIG)
    assert semitones == 3 and EventTokenizer(CONFIG).decode(moved).plan == piece.plan.transposed(3)
    none = vocabulary_of(CONFIG).token_id("chord", 0)
    silent, _ = transpose(np.array([1, none, vocabulary_of(CONFIG).token_id("note_on", 60)]), 3, CONFIG)
    assert silent[1] == none
