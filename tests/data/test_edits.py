"""Training rows that ask for edits."""

import dataclasses

import numpy as np
import pytest

from amt.data.dataset import PreparedSplit
from amt.data.edits import KINDS, SHARES, EditSampler
from amt.data.prepare import prepare
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.grammar import Grammar
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import EOS_ID
from amt.models import build_model
from amt.nn.config import ModelConfig
from amt.training.config import TrainConfig
from amt.training.objective import Objective, Rows

CONFIG = TokenizerConfig(version=2)
TOKENIZER = EventTokenizer(CONFIG)
FILL, EDIT = (TOKENIZER.vocabulary.token_id(kind) for kind in ("fill", "edit"))


def piece(num_bars=12):
    """A bass, a piano and drums, a note a beat each."""
    notes = []
    for beat in range(4 * num_bars):
        start = 480 * beat
        notes += [Note(start, start + 400, 40 + beat % 5, 70, 33), Note(start, start + 480, 60 + beat % 7, 90, 0)]
        notes += [Note(start, start + 60, 36, 100, 0, True)]
    return MidiData(notes)


IDS = TOKENIZER.encode(piece()).ids


def rows_of(ids, num_rows, max_len=2000, seed=0):
    sampler = EditSampler(TOKENIZER)
    return [sampler.edited(ids, np.random.default_rng([seed, row]), max_len) for row in range(num_rows)]


def test_shares_add_up():
    assert len(KINDS) == len(SHARES) == 7 and sum(SHARES) == pytest.approx(1)


def test_rows_are_edits_that_the_grammar_takes():
    whole = TOKENIZER.decode(IDS)
    for row in rows_of(IDS, 60):
        state = Grammar(CONFIG).start()
        for token_id in row:
            state.advance(int(token_id))
        assert state.is_finished and row[-1] == EOS_ID
        num_given = EditSampler(TOKENIZER).num_given(row)
        assert row[num_given - 1] == FILL and FILL not in row[: num_given - 1] and row[3] == EDIT
        assert len(TOKENIZER.decode(row, only_fill=True).notes) > 0
        music = TOKENIZER.decode(row)  # no note crosses a bar line here: all of it comes back
        assert music.notes == whole.notes or len(music.notes) < len(whole.notes)


def test_rows_are_those_of_the_seed():
    first, again, other = (rows_of(IDS, 20, seed=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("max_len", [150, 200, 400])
def test_rows_have_room(max_len):
    rows = rows_of(IDS[:max_len], 40, max_len)
    made = [row for row in rows if row is not None]
    assert len(made) > 25 and max(map(len, made)) <= max_len


def test_nothing_comes_of_nothing():
    assert rows_of(TOKENIZER.encode(MidiData()).ids, 3) == [None] * 3
    assert rows_of(TOKENIZER.encode(piece(1)).ids, 3) == [None] * 3  # one bar: no context


@pytest.fixture(scope="module")
def split(small_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "data"
    prepare(small_corpus, folder, tokenizer_config=CONFIG, max_len=257, embed=False, jobs=1)
    return PreparedSplit(folder, "train")


def batch_of(split, edit_share, step=0):
    return split.batch(1, step, 16, 257, edit_share=edit_share)


def test_batches_have_their_share_of_edits(split):
    plain, some, every = (batch_of(split, share) for share in (0.0, 0.5, 1.0))
    assert plain.num_given is None and not plain.is_edit.any()
    assert 0 < some.is_edit.sum() < every.is_edit.sum() <= 16
    assert np.array_equal(some.token_ids, batch_of(split, 0.5).token_ids)
    for row in np.flatnonzero(~some.is_edit):  # the others are what they were
        length = (some.token_ids[row] != 0).sum()
        assert np.array_equal(some.token_ids[row, :length], plain.token_ids[row, :length])
    assert not (some.has_caption & some.is_edit).any()
    assert some.num_tokens == (some.token_ids != 0).sum() - some.num_given.sum()


def test_the_context_has_no_loss(split):
    """To change what the model says of the context changes nothing; to change the fill does."""
    import torch

    batch = batch_of(split, 1.0)
    config = ModelConfig(
        vocab_size=TOKENIZER.vocab_size, d_model=16, nhead=2, num_encoder_layers=1, num_decoder_layers=1,
        dim_feedforward=24, max_sequence_length=256, text_embedding_dim=8, dropout=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    objective = Objective(build_model(config, CONFIG), TrainConfig(lead_weight=3.0), CONFIG)
    text = lambda captions: (torch.zeros(len(captions), 1, 8), torch.ones(len(captions), 1, dtype=torch.bool))  # noqa: E731
    rows = Rows.of(batch, np.arange(16), text, torch.device("cpu"))
    _, sums = objective(rows, batch.num_tokens, 1)
    per_row = []
    for row in range(16):
        one = Rows.of(batch, np.array([row]), text, torch.device("cpu"))
        whole = dataclasses.replace(one, num_given=None)
        given = int(batch.num_given[row])
        logits = objective.model(one.text_embeddings, one.token_ids[:, :-1], text_mask=one.text_mask)
        nats = torch.nn.functional.cross_entropy(logits[0], one.token_ids[0, 1:], reduction="none")
        per_row.append(nats[given - 1 :].sum())
        assert objective(whole, 1, 1)[1][0] >= objective(one, 1, 1)[1][0]
    assert float(sums[0]) == pytest.approx(float(sum(per_row)), rel=1e-5)
