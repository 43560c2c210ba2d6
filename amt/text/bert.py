"""BERT in torch's own layers, so that the default text encoder opens without importing transformers (about 3 s)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# The parts of a layer as the checkpoints of BERT call them, and as torch.nn.TransformerEncoderLayer does.
LAYER_NAMES = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class Bert(nn.Module):
    """A BERT encoder: torch's post-norm encoder over the normalised sum of word, position and type embeddings.

    Args:
        config: the config.json of the checkpoint.
        weights: its tensors by name, with or without the prefix "bert.".

    Raises:
        ValueError: a kind of BERT that this is not. KeyError, RuntimeError: the weights do not fit the config.

    Source: Devlin et al. 2018, arXiv:1810.04805.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, torch.Tensor]):
        super().__init__()
        if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
            raise ValueError("only BERT with gelu and absolute positions can be opened")
        weights = {name.removeprefix("bert."): tensor.float() for name, tensor in weights.items()}
        names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
        self.words: torch.Tensor
        self.positions: torch.Tensor
        self.types: torch.Tensor
        for attribute, name in zip(("words", "positions", "types"), names, strict=True):
            self.register_buffer(attribute, weights[f"embeddings.{name}.weight"])
        with torch.device("meta"):
            layer = nn.TransformerEncoderLayer(
                config["hidden_size"],
                config["num_attention_heads"],
                config["intermediate_size"],
                activation="gelu",
                layer_norm_eps=config["layer_norm_eps"],
                batch_first=True,
            )
            self.encoder = nn.TransformerEncoder(layer, config["num_hidden_layers"], enable_nested_tensor=False)
            self.norm = nn.LayerNorm(config["hidden_size"], eps=config["layer_norm_eps"])
        self.encoder.load_state_dict(_layer_weights(weights, config["num_hidden_layers"]), assign=True)
        norm = {kind: weights[f"embeddings.LayerNorm.{kind}"] for kind in ("weight", "bias")}
        self.norm.load_state_dict(norm, assign=True)
        self.eval().requires_grad_(False)

    def forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        """The last hidden states (batch, text_len, hidden_size) of unpadded token ids (batch, text_len)."""
        embeddings = functional.embedding(token_ids, self.words) + self.types[0] + self.positions[: token_ids.shape[1]]
        states: torch.Tensor = self.encoder(self.norm(embeddings))
        return states


def _layer_weights(weights: Mapping[str, torch.Tensor], num_layers: int) -> dict[str, torch.Tensor]:
    state = {}
    for layer in range(num_layers):
        for kind in ("weight", "bias"):
            parts = [
                weights[f"encoder.layer.{layer}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")
            ]
            state[f"layers.{layer}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for bert_name, torch_name in LAYER_NAMES.items():
                state[f"layers.{layer}.{torch_name}.{kind}"] = weights[f"encoder.layer.{layer}.{bert_name}.{kind}"]
    return state
