"""State features as a part of a decoder's input: what is true of the music after each token. docs/features.md."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn import functional as F


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureInputs:
    """The features of the tokens of a batch: of each a list of (column, value).

    Attributes:
        starts: (batch * seq_len,) int64: where the entries of each token begin; they end where those of the next begin.
        columns, values: (num_entries,) int64 and float32.
        times: (batch, seq_len) int64: the musical time after each token, in steps.
    """

    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor
    times: torch.Tensor

    def to(self, device: torch.device | str) -> FeatureInputs:
        """The same on another device."""
        return FeatureInputs(*(getattr(self, field.name).to(device) for field in dataclasses.fields(self)))

    def padded(self, num_entries: int) -> FeatureInputs:
        """The same with so many entries: those behind belong to the last token, with the value 0."""
        more = num_entries - len(self.columns)
        return dataclasses.replace(self, columns=F.pad(self.columns, (0, more)), values=F.pad(self.values, (0, more)))


class StateFeatures(nn.Module):
    """A learned vector for each column; a token's input is the sum of its columns' vectors, each times its value."""

    def __init__(self, num_columns: int, d_model: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_columns, d_model))

    def reset_parameters(self) -> None:
        """Small beside token embeddings, which have standard deviation d_model ** -0.5: many columns add up."""
        nn.init.normal_(self.weight, std=0.3 * self.weight.shape[1] ** -0.5)

    def forward(self, inputs: FeatureInputs) -> torch.Tensor:
        """(batch, seq_len, d_model), to be added to the embeddings of the tokens."""
        values = inputs.values.to(self.weight.dtype)
        summed = F.embedding_bag(inputs.columns, self.weight, inputs.starts, mode="sum", per_sample_weights=values)
        return summed.view(*inputs.times.shape, -1)
