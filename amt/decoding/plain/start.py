"""From a prompt to the first new token: the text's memory, the prefix read, and how a model runs meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from amt.decoding.protocols import DecoderModel, GrammarState
from amt.request.request import Prompt, Request
from amt.stages import stage


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a prompt's sequences begin: the model has read the prefix.

    Attributes:
        model: the model.
        prefix: the tokens it has read, bos first.
        caches: after the text and, with guidance, after the negative one; with one row, of which every sequence takes a
            copy.
        logits: for each cache (1, vocab_size), for the first new token.
        grammar: has taken the prefix, or the whole piece up to its end, or None.
    """

    model: DecoderModel
    prefix: list[int]
    caches: list[Any]
    logits: list[torch.Tensor]
    grammar: GrammarState | None

    def next_logits(self, token_ids: torch.Tensor, caches: list[Any]) -> list[torch.Tensor]:
        """Read the last token of every row; for each cache (rows, vocab_size)."""
        last = token_ids[:, -1:].to(self.logits[0].device)
        return [self.model.decode_step(last, cache)[:, -1] for cache in caches]

    def rows(self, index: torch.Tensor, caches: list[Any]) -> list[Any]:
        """The caches' rows, copied."""
        return [cache.select(index.to(self.logits[0].device)) for cache in caches]


def start_prompt(model: DecoderModel, request: Request, prompt: Prompt, index: int) -> Start:
    """Let the model and the grammar read the prefix of a prompt; `index` is its number, for errors."""
    grammar = prompt.grammar.start() if prompt.grammar else None
    if grammar is not None:
        for position, token in enumerate(prompt.history):
            try:
                grammar.advance(token)
            except ValueError as error:
                raise ValueError(f"prefix {index} breaks the grammar at position {position}: {error}") from error
    device = device_of(model)
    texts = request.texts(prompt)
    start_cache: Any = model.start_cache
    if prompt.num_bars and getattr(model.config, "state_features", None):  # no other model can be told
        start_cache = functools.partial(start_cache, num_bars=prompt.num_bars)
    with stage("encoder"):
        told = [prompt.attributes, ()]  # not the negative text
        caches = [start_cache(*encode(model, *text, each)) for text, each in zip(texts, told, strict=False)]
    with stage("decode"):
        token_ids = torch.tensor([prompt.prefix], device=device)
        logits = [model.decode_step(token_ids, cache)[:, -1] for cache in caches]
    return Start(model, list(prompt.prefix), caches, logits, grammar)


def device_of(model: DecoderModel) -> torch.device:
    """Where a model runs; one that does not say so runs on the processor."""
    module = getattr(model, "model", model)  # an Engine runs its model's encoder
    return torch.device(getattr(module, "device", "cpu"))


def encode(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    attributes: Sequence[int] = (),
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The memory of a text and attributes, (1, len, d_model), and its mask (1, len).

    Args:
        attributes: only for a model that reads them.
    """
    # A copy begins at an aligned address; matrix products may sum in another order at others. The text encoder runs on
    # the processor, wherever the model is.
    device = device_of(model)
    embeddings = text_embeddings.to(device).clone(memory_format=torch.contiguous_format)
    text_mask = None if text_mask is None else text_mask.to(device)
    if not attributes:
        return model.encode(embeddings, text_mask), text_mask
    module: Any = getattr(model, "model", model)  # an Engine runs its model's encoder
    ids = torch.tensor([list(attributes)], device=embeddings.device)
    return module.encode(embeddings, text_mask, ids), module.memory_mask(embeddings, text_mask, ids)


@contextlib.contextmanager
def exactly(model: Any) -> Iterator[None]:
    """No gradients, no dropout, and one thread: matrix products split over threads may sum in another order."""
    modules = [m for m in model.modules() if m.training] if isinstance(model, torch.nn.Module) else []
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for module in modules:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in modules:
            module.training = True
        torch.set_num_threads(num_threads)
