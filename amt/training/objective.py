"""The loss of a step's rows, as one module: what is distributed, accumulated and differentiated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from amt.data.dataset import Batch
from amt.midi.config import TokenizerConfig
from amt.midi.features import FeatureLayout
from amt.midi.vocabulary import Vocabulary
from amt.models import MusicTextTransformer, MusicTransformer
from amt.models.feature_inputs import collate
from amt.nn.features import FeatureInputs
from amt.text.pooling import sentence_embedding
from amt.training.config import TrainConfig
from amt.training.losses import contrastive_loss, embedding_loss, token_losses

Embedded = tuple[torch.Tensor, torch.Tensor]  # embeddings (rows, src_len, dim) and their mask (rows, src_len)
TEXT_BUCKET = 16  # as `bucket`, at most, for texts and attributes, which are short
HEADER_LEN = 2  # targets that `header_weight` is for: the first time signature and tempo


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a batch as tensors.

    Attributes:
        token_ids: (rows, seq_len) int64, padded with 0 on the right.
        text_embeddings, text_mask: (rows, src_len, text_embedding_dim) float32 and (rows, src_len) bool.
        with_caption: int64, the numbers of the rows with `Batch.has_caption`.
        features: of all tokens but the last of each row; None: the model has no state features.
        attribute_ids: (rows, num_attributes) int64, padded with 0; None: the model reads none.
        num_given: (rows,) int64: see `Batch.num_given`.
    """

    token_ids: torch.Tensor
    text_embeddings: torch.Tensor
    text_mask: torch.Tensor
    with_caption: torch.Tensor
    features: FeatureInputs | None = None
    attribute_ids: torch.Tensor | None = None
    num_given: torch.Tensor | None = None

    @classmethod
    def of(
        cls,
        batch: Batch,
        rows: np.ndarray,
        text: Callable[[list[str]], Embedded],
        device: torch.device,
        layout: FeatureLayout | None = None,
        bucket: int = 1,
        longest: int | None = None,
    ) -> Rows:
        """Some rows of a batch, without the columns that none of them needs.

        Args:
            rows: which ones.
            text: gives the embeddings of captions and their mask.
            device: where the tensors go.
            layout: what the batch's features were made with.
            bucket: numbers of columns are rounded up to a multiple of it, with padding, so that few shapes occur.
            longest: as many columns of inputs at most.
        """
        token_ids = batch.token_ids[rows]
        num_columns = int((token_ids != 0).sum(1).max())
        token_ids = token_ids[:, :num_columns]
        num_inputs = in_buckets(num_columns - 1, bucket)
        if longest is not None:
            num_inputs = max(num_columns - 1, min(num_inputs, longest))
        token_ids = np.pad(token_ids, ((0, 0), (0, num_inputs + 1 - num_columns)))
        captions = [batch.captions[row] for row in rows]
        embeddings, mask = text(captions)
        more = in_buckets(mask.shape[1], min(bucket, TEXT_BUCKET)) - mask.shape[1]
        embeddings = torch.nn.functional.pad(embeddings, (0, 0, 0, more))
        mask = torch.nn.functional.pad(mask, (0, more))
        features = None
        if layout is not None and batch.features is not None:
            chosen = [batch.features[row] for row in rows]
            features = collate(layout, chosen, token_ids.shape[1] - 1)
            num_entries = len(features.columns)
            features = features.padded(in_buckets(num_entries, bucket * len(rows))).to(device)
        attribute_ids = None
        if batch.attributes is not None:
            told = [torch.tensor(batch.attributes[row], dtype=torch.int64, device="cpu") for row in rows]
            attribute_ids = torch.nn.utils.rnn.pad_sequence(told, batch_first=True)
            more = in_buckets(attribute_ids.shape[1], min(bucket, TEXT_BUCKET)) - attribute_ids.shape[1]
            attribute_ids = torch.nn.functional.pad(attribute_ids, (0, more)).to(device)
        return cls(
            torch.from_numpy(token_ids).to(device),
            embeddings.to(device),
            mask.to(device),
            torch.from_numpy(np.flatnonzero(batch.has_caption[rows])).to(device),
            features,
            attribute_ids,
            None if batch.num_given is None else torch.from_numpy(batch.num_given[rows]).to(device),
        )

    def to(self, device: torch.device) -> Rows:
        """The same on a device; from pinned memory nobody waits for the copy."""

        def move(value: Any) -> Any:
            if isinstance(value, FeatureInputs):
                return FeatureInputs(*(move(getattr(value, field.name)) for field in dataclasses.fields(value)))
            return None if value is None else value.to(device, non_blocking=True)

        return Rows(*(move(getattr(self, field.name)) for field in dataclasses.fields(self)))

    def pinned(self) -> Rows:
        """The same in memory that a GPU reads by itself."""

        def pin(value: Any) -> Any:
            if isinstance(value, FeatureInputs):
                return FeatureInputs(*(pin(getattr(value, field.name)) for field in dataclasses.fields(value)))
            return None if value is None else value.pin_memory()

        return Rows(*(pin(getattr(self, field.name)) for field in dataclasses.fields(self)))


def in_buckets(length: int, bucket: int) -> int:
    """A length, rounded up to a multiple of `bucket`."""
    return -(-length // bucket) * bucket


class Objective(torch.nn.Module):
    """The loss of some rows of a step, so that the losses of all parts add up to the step's.

    Args:
        model: what is trained.
        config: the weights of the terms, and the precision.
        tokenizer_config: says which tokens are a piece's header.
    """

    def __init__(self, model: MusicTransformer, config: TrainConfig, tokenizer_config: TokenizerConfig):
        super().__init__()
        self.model = model
        self.config = config
        kinds = [event.kind for event in Vocabulary(tokenizer_config).events]
        self.is_header: torch.Tensor
        self.register_buffer(
            "is_header", torch.tensor([kind in ("time_signature", "tempo") for kind in kinds], device="cpu")
        )

    def forward(self, rows: Rows, num_tokens: int, num_captions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss to differentiate, and the sums to report.

        Args:
            rows: part of a step's batch.
            num_tokens, num_captions: of the whole batch, over all parts.

        Returns:
            loss: a scalar.
            sums: (2,) float32, detached: nats of the tokens, and squared errors of MIDI -> text over the rows
                that have a caption.
        """
        targets = rows.token_ids[:, 1:]
        if rows.num_given is not None:  # what is given is not predicted: as padding, it has no loss
            places = torch.arange(1, rows.token_ids.shape[1], device=targets.device)
            targets = targets.masked_fill(places < rows.num_given[:, None], 0)
        with self._autocast(targets.device.type):
            logits = self.model(
                rows.text_embeddings,
                rows.token_ids[:, :-1],
                text_mask=rows.text_mask,
                features=rows.features,
                attribute_ids=rows.attribute_ids,
            )
        losses = token_losses(logits, targets)
        nats = losses.detach().sum()
        loss = (losses * self._weights(targets)).sum() / num_tokens
        error = torch.zeros((), device=loss.device, dtype=torch.float32)
        if isinstance(self.model, MusicTextTransformer) and len(rows.with_caption):
            text_loss, error = self._midi_to_text(self.model, rows)
            part = len(rows.with_caption)
            loss = loss + text_loss * (part / num_captions)
            error = error * part
        return loss, torch.stack([nats, error])

    def _weights(self, targets: torch.Tensor) -> torch.Tensor:
        """The weight of each target, as it broadcasts to their shape."""
        weights = torch.ones(targets.shape, device=targets.device, dtype=torch.float32)
        weights[:, HEADER_LEN : HEADER_LEN + self.config.lead_len] = self.config.lead_weight
        is_header = self.is_header[targets[:, :HEADER_LEN]]
        weights[:, :HEADER_LEN] = torch.where(is_header, self.config.header_weight, weights[:, :HEADER_LEN])
        return weights

    def _autocast(self, device_type: str) -> torch.autocast:
        return torch.autocast(device_type, torch.bfloat16, enabled=self.config.is_bfloat16(device_type))

    def _midi_to_text(self, model: MusicTextTransformer, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted loss of MIDI -> text, and its squared error, over the rows that have a caption."""
        longest = min(model.config.midi_to_text_len, model.config.max_sequence_length)
        token_ids = rows.token_ids[rows.with_caption, :longest]
        wanted = sentence_embedding(rows.text_embeddings, rows.text_mask)[rows.with_caption]
        with self._autocast(token_ids.device.type):
            predicted = model(None, token_ids, mode="midi_to_text")
        predicted = predicted.float()
        error = embedding_loss(predicted, wanted)
        loss = self.config.midi_to_text_weight * error
        if self.config.contrastive_weight:
            loss = loss + self.config.contrastive_weight * contrastive_loss(predicted, wanted)
        return loss, error.detach()
