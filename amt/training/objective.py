"""The loss of a step's rows, as one module: what is distributed, accumulated and differentiated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

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
HEADER_LEN = 2  # targets that `header_weight` is for: the first time signature and tempo


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a batch as tensors.

    Attributes:
        token_ids: (rows, seq_len) int64, padded with 0 on the right.
        text_embeddings, text_mask: (rows, src_len, text_embedding_dim) float32 and (rows, src_len) bool.
        has_caption: (rows,) bool: see `Batch.has_caption`.
        features: of all tokens but the last of each row; None: the model has no state features.
        attribute_ids: (rows, num_attributes) int64, padded with 0; None: the model reads none.
        num_given: (rows,) int64: see `Batch.num_given`.
    """

    token_ids: torch.Tensor
    text_embeddings: torch.Tensor
    text_mask: torch.Tensor
    has_caption: torch.Tensor
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
    ) -> Rows:
        """Some rows of a batch, without the columns that none of them needs.

        Args:
            rows: which ones.
            text: gives the embeddings of captions and their mask.
            device: where the tensors go.
            layout: what the batch's features were made with.
        """
        token_ids = batch.token_ids[rows]
        token_ids = token_ids[:, : (token_ids != 0).sum(1).max()]
        captions = [batch.captions[row] for row in rows]
        embeddings, mask = text(captions)
        features = None
        if layout is not None and batch.features is not None:
            chosen = [batch.features[row] for row in rows]
            features = collate(layout, chosen, token_ids.shape[1] - 1).to(device)
        attribute_ids = None
        if batch.attributes is not None:
            told = [torch.tensor(batch.attributes[row], dtype=torch.int64, device="cpu") for row in rows]
            attribute_ids = torch.nn.utils.rnn.pad_sequence(told, batch_first=True).to(device)
        return cls(
            torch.from_numpy(token_ids).to(device),
            embeddings.to(device),
            mask.to(device),
            torch.from_numpy(batch.has_caption[rows]).to(device),
            features,
            attribute_ids,
            None if batch.num_given is None else torch.from_numpy(batch.num_given[rows]).to(device),
        )


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
        device = targets.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
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
        if isinstance(self.model, MusicTextTransformer) and rows.has_caption.any():
            text_loss, error = self._midi_to_text(self.model, rows)
            part = int(rows.has_caption.sum())
            loss = loss + text_loss * (part / num_captions)
            error = error * part
        return loss, torch.stack([nats, error])

    def _weights(self, targets: torch.Tensor) -> torch.Tensor:
        """The weight of each target, as it broadcasts to their shape."""
        weights = torch.ones(targets.shape, device=targets.device, dtype=torch.float32)
        weights[:, HEADER_LEN : HEADER_LEN + self.config.lead_len] = self.config.lead_weight
        weights[:, :HEADER_LEN][self.is_header[targets[:, :HEADER_LEN]]] = self.config.header_weight
        return weights

    def _midi_to_text(self, model: MusicTextTransformer, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """The weighted loss of MIDI -> text, and its squared error, over the rows that have a caption."""
        token_ids = rows.token_ids[rows.has_caption, : model.config.midi_to_text_len]
        wanted = sentence_embedding(rows.text_embeddings, rows.text_mask)[rows.has_caption]
        with torch.autocast(token_ids.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            predicted = model(None, token_ids, mode="midi_to_text")
        predicted = predicted.float()
        error = embedding_loss(predicted, wanted)
        loss = self.config.midi_to_text_weight * error
        if self.config.contrastive_weight:
            loss = loss + self.config.contrastive_weight * contrastive_loss(predicted, wanted)
        return loss, error.detach()
