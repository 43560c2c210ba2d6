"""From what a caller gives to the prompts of a request: everything is checked here, with the prompt's number."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from amt.midi.vocabulary import BOS_ID, EOS_ID, PAD_ID
from amt.request.options import GenerationConfig
from amt.request.request import MakesGrammarStates, Prompt

if TYPE_CHECKING:
    from amt.request.request import Text


def make_prompt(
    model_config: Any,
    options: GenerationConfig,
    index: int,
    states: Text,
    *,
    prefix: Iterable[int] = (),
    seed: int | None = None,
    grammar: MakesGrammarStates | None = None,
    bos_token_id: int = BOS_ID,
    eos_token_id: int = EOS_ID,
    pad_token_id: int = PAD_ID,
    in_windows: bool = False,
    most_tokens: int | None = None,
    **words: Any,
) -> Prompt:
    """A checked prompt.

    Args:
        model_config: has `vocab_size` and `max_sequence_length`, which `max_new_tokens` is cut to.
        options: of the request.
        index: the prompt's number, for errors.
        states: its text, without padding.
        prefix: what it begins with; bos is put in front where it is missing.
        seed: for sampling; without it that of the options, and without that a fresh one.
        grammar: what may follow.
        in_windows: whether prefix and new tokens may be more than the model reads; see `amt.generation.long`.
        most_tokens: how many new tokens there may be; default: `max_new_tokens` of the options.
        words: `text`, `reading` and `limits` of the prompt.

    Raises:
        ValueError: lengths, tokens or a seed that do not fit.
    """
    _check_tokens(options, model_config.vocab_size)
    longest = model_config.max_sequence_length
    check_text_len(states, longest, f"prompt {index}")
    tokens = [int(token) for token in prefix]
    if tokens[:1] != [bos_token_id]:
        tokens = [bos_token_id, *tokens]
    limit = options.max_new_tokens if most_tokens is None else most_tokens
    if not in_windows:
        _check_prefix_len(index, tokens, longest)
        limit = min(limit, longest - len(tokens))
    _check_prefix(index, tokens, model_config, eos_token_id, pad_token_id)
    _check_length_penalty(options, min(limit, longest))
    return Prompt(states, tuple(tokens), limit, seed_of(options, seed), grammar, **words)


def check_negative(
    model_config: Any,
    negative_embeddings: torch.Tensor | None,
    negative_mask: torch.Tensor | None,
    text_embeddings: torch.Tensor,
    config: GenerationConfig,
) -> Text | None:
    """The text that guidance leads away from; None without guidance."""
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
        check_batch(negative_embeddings, negative_mask)
    except ValueError as error:
        raise ValueError(f"the negative text: {error}") from error
    negative = one_text(negative_embeddings, negative_mask, 0)
    check_text_len(negative, model_config.max_sequence_length, "the negative text: prompt 0")
    return negative


def check_text_len(states: Text, longest: int, name: str) -> None:
    """Raise ValueError if a text is longer than the model reads."""
    text_len = states[0].shape[1]
    if text_len > longest:
        raise ValueError(f"{name} has {text_len} text positions, the model takes {longest}; shorten it")


def one_text(text_embeddings: torch.Tensor, text_mask: torch.Tensor | None, index: int) -> Text:
    """Text `index` as a batch of one, without the padding behind it; no mask where nothing is masked."""
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


def check_batch(text_embeddings: torch.Tensor, text_mask: torch.Tensor | None) -> None:
    """Raise ValueError unless these are embeddings of texts and their mask."""
    if text_embeddings.dim() != 3 or 0 in text_embeddings.shape[1:]:
        raise ValueError(f"text_embeddings must be (batch, text_len, embedding), got {tuple(text_embeddings.shape)}")
    batch_size, text_len, _ = text_embeddings.shape
    if text_mask is not None and (text_mask.shape != (batch_size, text_len) or text_mask.dtype != torch.bool):
        raise ValueError(
            f"text_mask must be bool {(batch_size, text_len)}, got {text_mask.dtype} {tuple(text_mask.shape)}"
        )


def _check_prefix_len(index: int, prefix: list[int], longest: int) -> None:
    if len(prefix) >= longest:
        raise ValueError(
            f"prefix {index} has {len(prefix)} tokens, bos included, and the model takes {longest}: shorten it"
        )


def _check_prefix(index: int, prefix: list[int], model_config: Any, eos_token_id: int, pad_token_id: int) -> None:
    vocab_size = model_config.vocab_size
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


def seed_of(options: GenerationConfig, seed: int | None) -> int | None:
    """What sampling of a prompt is seeded with; None where nothing is drawn."""
    if seed is not None and not 0 <= seed < 1 << 64:
        raise ValueError(f"seeds must be between 0 and 2**64 - 1, got {seed}")
    if not options.do_sample:
        return None
    seed = options.seed if seed is None else seed
    return secrets.randbits(32) if seed is None else seed
