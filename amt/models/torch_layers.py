"""The weights of torch's own transformer layers, copied into a model and out of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from amt.models.music_transformer import MusicTransformer
from amt.nn.layers import DecoderLayer

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


@torch.no_grad()
def load_torch_layers(model: MusicTransformer, encoder: nn.TransformerEncoder, decoder: nn.TransformerDecoder) -> None:
    """Copy the weights of torch's layers into the model's encoder and decoder.

    Torch's stacks hold no embeddings, positions or output layer: the model's own stay as they are.

    Args:
        model: with sinusoidal positions and activation "relu" or "gelu".
        encoder, decoder: with the model's sizes and options; a `norm` at the end if, and only if, norm_first.

    Raises:
        ValueError: the model has options that torch's layers lack, or the layers do not fit it.
    """
    for ours, theirs in _paired_weights(model, encoder, decoder):
        ours.copy_(theirs)


@torch.no_grad()
def to_torch_layers(model: MusicTransformer) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder]:
    """Torch's layers (batch_first) with the weights of the model's encoder and decoder, its dtype, device and mode.

    Their input has its positions already: `model.encoder.positions.add(x)`.

    Raises:
        ValueError: the model has options that torch's layers lack.
    """
    config = model.config
    _check_options(model)
    sizes = (config.d_model, config.nhead, config.dim_feedforward, config.dropout, config.activation)

    def final_norm() -> nn.LayerNorm | None:
        return nn.LayerNorm(config.d_model) if config.norm_first else None

    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(*sizes, batch_first=True, norm_first=config.norm_first),
        config.num_encoder_layers,
        final_norm(),
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(*sizes, batch_first=True, norm_first=config.norm_first),
        config.num_decoder_layers,
        final_norm(),
    )
    weight = model.token_embedding.weight
    encoder.to(weight.device, weight.dtype).train(model.training)
    decoder.to(weight.device, weight.dtype).train(model.training)
    for ours, theirs in _paired_weights(model, encoder, decoder):
        theirs.copy_(ours)
    return encoder, decoder


def _check_options(model: MusicTransformer) -> None:
    config = model.config
    if config.positions != "sinusoidal" or config.activation not in ACTIVATIONS:
        raise ValueError(
            'torch\'s layers need positions "sinusoidal" and activation "relu" or "gelu", '
            f'the model has "{config.positions}" and "{config.activation}"'
        )
    if config.attention_window or len(config.layers_with_cross_attention()) < config.num_decoder_layers:
        raise ValueError("torch's layers need attention_window 0 and cross-attention in every layer")


def _paired_weights(
    model: MusicTransformer, encoder: nn.TransformerEncoder, decoder: nn.TransformerDecoder
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every weight of the model's stacks beside torch's, checked."""
    _check_options(model)
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    stacks: list[tuple[str, Any, Any]] = [("encoder", model.encoder, encoder), ("decoder", model.decoder, decoder)]
    for stack, ours, theirs in stacks:
        if len(ours.layers) != len(theirs.layers):
            raise ValueError(f"the {stack} has {len(theirs.layers)} layers, the model {len(ours.layers)}")
        if (ours.norm is None) != (theirs.norm is None):
            has, needs = ("a", "none") if ours.norm is None else ("no", "one")
            raise ValueError(
                f"the {stack} has {has} norm after its last layer, the model {needs}; "
                f"pass norm={'None' if ours.norm is None else 'nn.LayerNorm(d_model)'} to torch's stack"
            )
        for index, (our_layer, their_layer) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
            _check_layer(f"{stack} layer {index}", their_layer, model)
            pairs += _layer_pairs(our_layer, their_layer)
        if ours.norm is not None:
            pairs += _module_pairs(ours.norm, theirs.norm)
    for our_weight, their_weight in pairs:
        if our_weight.shape != their_weight.shape:
            raise ValueError(f"a weight is {tuple(their_weight.shape)}, the model's is {tuple(our_weight.shape)}")
    return pairs


def _check_layer(name: str, layer: Any, model: MusicTransformer) -> None:
    config = model.config
    activation = layer.activation
    if isinstance(activation, nn.Module):  # torch takes nn.ReLU() as well as F.relu
        activation = {nn.ReLU: F.relu, nn.GELU: F.gelu}.get(type(activation))
    if activation is not ACTIVATIONS[config.activation]:
        raise ValueError(f'{name} must have the model\'s activation, "{config.activation}"')
    if layer.norm_first != config.norm_first:
        raise ValueError(f"{name} has norm_first={layer.norm_first}, the model {config.norm_first}")
    if layer.self_attn.num_heads != config.nhead:
        raise ValueError(f"{name} has nhead={layer.self_attn.num_heads}, the model {config.nhead}")
    if layer.linear1.bias is None:
        raise ValueError(f"{name} has no biases, the model has; build it with bias=True")
    eps = nn.LayerNorm(1).eps
    if layer.norm1.eps != eps:
        raise ValueError(f"{name} has layer_norm_eps={layer.norm1.eps}, the model {eps}")


def _layer_pairs(ours: Any, theirs: Any) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    yield ours.self_attention.query_key_value.weight, theirs.self_attn.in_proj_weight
    yield ours.self_attention.query_key_value.bias, theirs.self_attn.in_proj_bias
    yield from _module_pairs(ours.self_attention.output, theirs.self_attn.out_proj)
    if isinstance(ours, DecoderLayer) and ours.cross_attention is not None:  # it is in all of them: `_check_options`
        d_model = theirs.multihead_attn.embed_dim
        for our_name, rows in (("query", slice(None, d_model)), ("key_value", slice(d_model, None))):
            projection = getattr(ours.cross_attention, our_name)
            yield projection.weight, theirs.multihead_attn.in_proj_weight[rows]
            yield projection.bias, theirs.multihead_attn.in_proj_bias[rows]
        yield from _module_pairs(ours.cross_attention.output, theirs.multihead_attn.out_proj)
        yield from _module_pairs(ours.norm3, theirs.norm3)
    yield from _module_pairs(ours.feed_forward.linear1, theirs.linear1)
    yield from _module_pairs(ours.feed_forward.linear2, theirs.linear2)
    yield from _module_pairs(ours.norm1, theirs.norm1)
    yield from _module_pairs(ours.norm2, theirs.norm2)


def _module_pairs(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    our_weights, their_weights = dict(ours.named_parameters()), dict(theirs.named_parameters())
    yield from ((our_weights[name], their_weights[name]) for name in ("weight", "bias"))
