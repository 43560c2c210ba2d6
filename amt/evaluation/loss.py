"""How well a model predicts real music."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from amt.data.corpus import CorpusPiece
from amt.data.prepare import in_written_key
from amt.decoding.backends.engine import packed_engine
from amt.errors import MidiError
from amt.evaluation.evaluate import Progress, caption_of
from amt.evaluation.rows import Row, row
from amt.midi.features import num_bars_of
from amt.midi.reader import read_midi
from amt.midi.segments import segments
from amt.models.feature_inputs import features_of_rows
from amt.request.attributes import attributes_of
from amt.training.losses import token_losses

if TYPE_CHECKING:
    from amt.models.opened import OpenedModel
    from amt.ops.decode import EngineDtype


def evaluate_loss(
    opened: OpenedModel,
    pieces: Sequence[CorpusPiece],
    caption: int,
    split: str,
    model: str,
    dtype: EngineDtype | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Cross-entropy of the beginnings of real pieces, in nats a token and a note.

    The model is told what its training rows tell: the caption, the facts of the table that it reads as attributes, and
    the number of bars; no plan.

    Args:
        dtype: of the engine that computes it; None: plain PyTorch.
    """
    net = opened.checkpoint.model
    max_len = net.config.max_sequence_length + 1
    note_on = torch.tensor([event.kind == "note_on" for event in opened.tokenizer.vocabulary.events], device="cpu")
    nats, num_tokens, num_notes = [], [], []
    for piece in pieces:
        try:
            midi = read_midi(piece.midi)
        except MidiError:
            continue
        midi, moved = in_written_key(midi, piece.row, opened.tokenizer.config)
        parts = segments(midi, opened.tokenizer, max_len)
        if not parts:  # no notes
            continue
        token_ids = torch.from_numpy(parts[0].ids.astype(np.int64))[None]
        layout = net.feature_layout
        num_bars = 0 if layout is None else sum(num_bars_of(layout, part.ids) for part in parts)
        embeddings, mask = opened.text_encoder.encode([caption_of(piece, caption)])
        facts = {"n_bars": num_bars, **piece.row, **moved}
        known = attributes_of(facts, net.config.attributes)
        told = torch.tensor(
            [[number for numbers in known.values() for number in numbers]], dtype=torch.int64, device="cpu"
        )
        attribute_ids = told if net.config.attributes else None
        with torch.inference_mode():
            memory = net.encode(embeddings, mask, attribute_ids)
            memory_mask = net.memory_mask(embeddings, mask, attribute_ids)
            if dtype is None:
                features = None if layout is None else features_of_rows(layout, token_ids[:, :-1], [num_bars])
                logits = net.decode(token_ids[:, :-1], memory, memory_mask=memory_mask, features=features)
            else:
                cache = packed_engine(net, dtype).start_cache(memory, memory_mask, num_bars)
                logits = cache.append(token_ids[:, :-1])
        nats.append(float(token_losses(logits, token_ids[:, 1:]).sum()))
        num_tokens.append(token_ids.shape[1] - 1)
        num_notes.append(int(note_on[token_ids].sum()))
        if progress is not None:
            progress("pieces", 1)
    totals, tokens, notes = (np.array(values, np.float64) for values in (nats, num_tokens, num_notes))
    rows = [row("nats_per_token", totals / tokens, split, model, tokens)]
    rows.append(row("nats_per_note", totals / np.maximum(notes, 1), split, model, notes))
    return [found for found in rows if found is not None]
