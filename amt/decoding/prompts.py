"""What is decoded from: texts' embeddings, what the result begins with, and how long it may become; all checked."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence

import torch

from amt.decoding.protocols import DecoderModel
from amt.request.options import GenerationConfig

Text = tuple[torch.Tensor, "torch.Tensor | None"]  # embeddings and mask, a batch of one


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A checked prefix (bos first), how many tokens may follow, and the seed for sampling."""

    prefix: list[int]
    max_new_tokens: int
    seed: int | None


def check_prompts(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    config: GenerationConfig,
    *,
    bos_token_id: int,
    eos_token_id: int,
    pad_token_id: int,
    prefixes: Sequence[Sequence[int]] | None,
    seeds: Sequence[int] | None,
) -> list[Prompt]:
    """The prompts of a call of `amt.decoding.generate`; ValueError with the number of the one that does not fit."""
    batch_size = _check_batch(model, text_embeddings, text_mask, prefixes, seeds)
    _check_tokens(config, model.config.vocab_size)
    prompts = []
    for index in range(batch_size):
        prefix = [] if prefixes is None else [int(token) for token in prefixes[index]]
        if prefix[:1] != [bos_token_id]:
            prefix = [bos_token_id, *prefix]
        _check_prefix(index, prefix, model, eos_token_id, pad_token_id)
        limit = min(config.max_new_tokens, model.config.max_sequence_length - len(prefix))
        _check_length_penalty(config, limit)
        prompts.append(Prompt(prefix, limit, _seed(config, seeds, index)))
    return prompts


def check_negative(
    model: DecoderModel,
    negative_embeddings: torch.Tensor | None,
    negative_mask: torch.Tensor | None,
    text_embeddings: torch.Tensor,
    config: GenerationConfig,
) -> Text | None:
    """The negative text of a call of `amt.decoding.generate`; None without guidance."""
    if config.guidance_scale == 1.0:
        return None
    if negative_embeddings is None:
        raise ValueError(
            f"guidance_scale {config.guidance_scale:g} needs negative_embeddings, a text to lead away from: those that"
            " stood for no caption in training"
        )
    if negative_embeddings.dim() != 3 or negative_embeddings.shape[0] != 1:
        raise ValueError(
            f"negative_embeddings must be (1, text_len, embedding), got {tuple(negative_embeddings.shape)}"
        )
    if negative_embeddings.shape[2] != text_embeddings.shape[2]:
        raise ValueError(
            f"negative_embeddings have {negative_embeddings.shape[2]} numbers a position, text_embeddings"
            f" {text_embeddings.shape[2]}"
        )
    try:
        _check_batch(model, negative_embeddings, negative_mask, None, None)
    except ValueError as error:
        raise ValueError(f"the negative text: {error}") from error
    return one_prompt(negative_embeddings, negative_mask, 0)


def one_prompt(text_embeddings: torch.Tensor, text_mask: torch.Tensor | None, index: int) -> Text:
    """Prompt `index` as a batch of one, without the padding behind it; no mask where nothing is masked."""
    embeddings = text_embeddings[index : index + 1]
    if text_mask is None:
        return embeddings, None
    mask = text_mask[index : index + 1]
    real = mask[0].nonzero()
    length = int(real[-1]) + 1 if len(real) else 1
    mask = mask[:, :length]
    return embeddings[:, :length], None if bool(mask.all()) else mask


def _check_tokens(config: GenerationConfig, vocab_size: int) -> None:
    given = {
        "suppress_tokens": config.suppress_tokens,
        "begin_suppress_tokens": config.begin_suppress_tokens,
        "forced_bos_token_id": (config.forced_bos_token_id,),
        "forced_eos_token_id": (config.forced_eos_token_id,),
    }
    for name, tokens in given.items():
        for token in tokens:
            if token is not None and token >= vocab_size:
                raise ValueError(f"{name} has token {token}; the model's ids are 0 to {vocab_size - 1}")


def _check_batch(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    prefixes: Sequence[Sequence[int]] | None,
    seeds: Sequence[int] | None,
) -> int:
    if text_embeddings.dim() != 3 or 0 in text_embeddings.shape[1:]:
        raise ValueError(f"text_embeddings must be (batch, text_len, embedding), got {tuple(text_embeddings.shape)}")
    batch_size, text_len, _ = text_embeddings.shape
    if text_mask is not None and (text_mask.shape != (batch_size, text_len) or text_mask.dtype != torch.bool):
        raise ValueError(
            f"text_mask must be bool {(batch_size, text_len)}, got {text_mask.dtype} {tuple(text_mask.shape)}"
        )
    for name, values in (("prefixes", prefixes), ("seeds", seeds)):
        if values is not None and len(values) != batch_size:
            raise ValueError(f"{name} must have one entry per prompt, {batch_size}, got {len(values)}")
    for seed in seeds or ():
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seeds must be between 0 and 2**64 - 1, got {seed}")
    longest = model.config.max_sequence_length
    for index in range(batch_size):
        length = one_prompt(text_embeddings, text_mask, index)[0].shape[1]
        if length > longest:
            raise ValueError(f"prompt {index} has {length} text positions, the model takes {longest}; shorten it")
    return batch_size


def _check_prefix(index: int, prefix: list[int], model: DecoderModel, eos_token_id: int, pad_token_id: int) -> None:
    longest, vocab_size = model.config.max_sequence_length, model.config.vocab_size
    if len(prefix) >= longest:
        raise ValueError(
            f"prefix {index} has {len(prefix)} tokens, bos included, and the model takes {longest}: shorten it"
        )
    for position, token in enumerate(prefix):
        if not 0 <= token < vocab_size:
            raise ValueError(f"prefix {index} has token {token} at position {position}; ids are 0 to {vocab_size - 1}")
        if token in (eos_token_id, pad_token_id):
            name = "eos" if token == eos_token_id else "pad"
            raise ValueError(f"prefix {index} has {name} at position {position}; cut it there to continue from it")


def _check_length_penalty(config: GenerationConfig, limit: int) -> None:
    if config.num_beams == 1:
        return
    try:
        is_usable = 1e-30 <= float(limit) ** config.length_penalty <= 1e30
    except OverflowError:
        is_usable = False
    if not is_usable:
        raise ValueError(
            f"length_penalty {config.length_penalty:g} overflows float32 over {limit} tokens; move it towards 0"
        )


def _seed(config: GenerationConfig, seeds: Sequence[int] | None, index: int) -> int | None:
    """What sampling of a prompt is seeded with; None where nothing is drawn."""
    if not config.do_sample:
        return None
    seed = seeds[index] if seeds is not None else config.seed
    return secrets.randbits(32) if seed is None else seed
