"""Decoding for a batch of prompts: by the compiled engine, or in plain PyTorch, which is the meaning of both.

In plain PyTorch prompts are decoded one at a time and returned sequences of sampling one after the other; the rows of a
batch are only ever one prompt's beams. Padding behind a prompt is cut off, and PyTorch runs with one thread: so the
tokens of (prompt, prefix, seed, options) are the same alone, anywhere in any batch, and with any number of threads. The
engine runs all prompts at once and keeps to that in its own way.

Options mean what they mean in `transformers`, except that
- with several sequences a streamer gets one after the other, each with its prefix and `end()` (there: one batch);
- no legal token is a DecodingError (there: token 0 in greedy search, an error of `multinomial` in sampling);
- `max_new_tokens` always holds and eos always ends, even if the user gives criteria of those kinds;
- stopping criteria always get the scores of all steps (there: only if asked for);
- the rules about the grammar in `amt.decoding.rules` and about placeholders in `amt.reference.beam_search` hold.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from amt.config import GenerationConfig
from amt.decoding.engine import Engine, Prompt
from amt.decoding.hypothesis import Hypothesis
from amt.decoding.protocols import DecoderModel, GrammarState, LogitsProcessor, StoppingCriteria, Streamer
from amt.decoding.rules import Rules
from amt.decoding.strategies import Start, decode_beams, decode_one
from amt.midi.grammar import Grammar


@torch.no_grad()
def generate(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    config: GenerationConfig,
    *,
    bos_token_id: int = 1,
    eos_token_id: int = 2,
    pad_token_id: int = 0,
    prefixes: Sequence[Sequence[int]] | None = None,
    seeds: Sequence[int] | None = None,
    make_grammar: Callable[[], GrammarState] | None = None,
    logits_processor: Sequence[LogitsProcessor] | None = None,
    stopping_criteria: Sequence[StoppingCriteria] | None = None,
    streamer: Streamer | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Hypothesis]]:
    """Decode every prompt.

    Args:
        model: see `amt.decoding.protocols.DecoderModel`. Dropout is off meanwhile. An `amt.decoding.engine.Engine`
            decodes all prompts at once, unless there are processors, criteria or a grammar that are not its own.
        text_embeddings: (batch, text_len, text_embedding_dim), on the model's device.
        text_mask: (batch, text_len), bool, True = real; None if all are.
        config: the options. `max_new_tokens` is cut so that prefix and new tokens fit into the model's
            max_sequence_length.
        bos_token_id, eos_token_id: the tokens that begin and end a sequence.
        pad_token_id: refused in a prefix; nothing else is padded.
        prefixes: for each prompt the tokens to continue from; bos is put in front where it is missing.
        seeds: for each prompt; without it `config.seed` for all, and without that a fresh one for each. Only sampling
            needs one.
        make_grammar: makes a state that has taken no token yet.
        logits_processor: `transformers` processors, called with CPU tensors: the prefix and new tokens (rows, length)
            and logits, in beam search log-probabilities, (rows, vocab_size).
        stopping_criteria: `transformers` criteria, called after each token.
        streamer: a `transformers` streamer; not with num_beams > 1.
        progress: called with (tokens done, tokens at most) over all prompts and sequences.

    Returns:
        For each prompt its `num_return_sequences` hypotheses, in beam search the best first (fewer if fewer exist).

    Raises:
        ValueError: shapes, tokens or lengths that do not fit, with the prompt's number.
        DecodingError: NaN logits, or no legal token, with the step.
    """
    batch_size = _check_prompts(model, text_embeddings, text_mask, config, prefixes, seeds)
    if streamer is not None and config.num_beams > 1:
        raise ValueError("a streamer cannot follow beams, which change their minds; use num_beams=1")
    started = [[bos_token_id]] * batch_size
    if prefixes is not None:
        started = [[*([] if list(p[:1]) == [bos_token_id] else [bos_token_id]), *map(int, p)] for p in prefixes]
    limits = []
    for index, prefix in enumerate(started):
        _check_prefix(index, prefix, model, eos_token_id, pad_token_id)
        limits.append(min(config.max_new_tokens, model.config.max_sequence_length - len(prefix)))
        _check_length_penalty(config, limits[-1])

    rounds = config.num_return_sequences if config.num_beams == 1 else 1
    total, done = rounds * sum(limits), 0
    chosen_seeds = [_seed(config, seeds, index) for index in range(batch_size)]
    if isinstance(model, Engine) and not logits_processor and not stopping_criteria and _is_native(make_grammar):
        prompts = [Prompt(*row) for row in zip(started, limits, chosen_seeds, strict=True)]
        with _one_thread(), _evaluation_mode(model.model):
            memories = [_memory(model, *_one_prompt(text_embeddings, text_mask, index)) for index in range(batch_size)]
        grammar = None if make_grammar is None else make_grammar.__self__  # type: ignore[attr-defined]
        tokens: dict[str, Any] = {"eos_token_id": eos_token_id, "grammar": grammar}
        if streamer is not None:
            return _stream(model, memories, prompts, config, rounds, streamer, _counter(progress, 0, total), **tokens)
        results = model.decode(memories, prompts, config, progress=_counter(progress, 0, total), **tokens)
        if progress:
            progress(total, total)
        return results
    results = []
    with _one_thread(), _evaluation_mode(model.model if isinstance(model, Engine) else model):
        for index, (prefix, limit) in enumerate(zip(started, limits, strict=True)):
            start = _start(model, *_one_prompt(text_embeddings, text_mask, index), prefix, make_grammar, index)
            seed = chosen_seeds[index]
            hypotheses: list[Hypothesis] = []
            for sequence in range(rounds):
                on_token = _counter(progress, done, total)
                rules = Rules(config, len(prefix), limit, eos_token_id, logits_processor or (), stopping_criteria or ())
                if config.num_beams > 1:
                    hypotheses += decode_beams(start, rules, on_token)
                else:
                    one = decode_one(start, rules, seed=seed, sequence=sequence, streamer=streamer, on_token=on_token)
                    hypotheses.append(one)
                done += limit
                if progress:
                    progress(done, total)
            results.append(hypotheses)
    return results


def _check_prompts(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    config: GenerationConfig,
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
        length = _one_prompt(text_embeddings, text_mask, index)[0].shape[1]
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


def _one_prompt(
    text_embeddings: torch.Tensor, text_mask: torch.Tensor | None, index: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Prompt `index` as a batch of one, without the padding behind it; no mask where nothing is masked."""
    embeddings = text_embeddings[index : index + 1]
    if text_mask is None:
        return embeddings, None
    mask = text_mask[index : index + 1]
    real = mask[0].nonzero()
    length = int(real[-1]) + 1 if len(real) else 1
    mask = mask[:, :length]
    return embeddings[:, :length], None if bool(mask.all()) else mask


def _start(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    prefix: list[int],
    make_grammar: Callable[[], GrammarState] | None,
    index: int,
) -> Start:
    grammar = make_grammar() if make_grammar else None
    if grammar is not None:
        for position, token in enumerate(prefix):
            try:
                grammar.advance(token)
            except ValueError as error:
                raise ValueError(f"prefix {index} breaks the grammar at position {position}: {error}") from error
    # A copy begins at an aligned address; matrix products may sum in another order at others.
    memory = model.encode(text_embeddings.clone(memory_format=torch.contiguous_format), text_mask)
    cache = model.start_cache(memory, text_mask)
    logits = model.decode_step(torch.tensor([prefix], device=text_embeddings.device), cache)[:, -1]
    return Start(model, prefix, cache, logits, grammar)


def _seed(config: GenerationConfig, seeds: Sequence[int] | None, index: int) -> int | None:
    """What sampling of a prompt is seeded with; None where nothing is drawn."""
    if not config.do_sample:
        return None
    seed = seeds[index] if seeds is not None else config.seed
    return secrets.randbits(32) if seed is None else seed


def _is_native(make_grammar: Callable[[], GrammarState] | None) -> bool:
    """Whether the engine knows the grammar itself: there is none, or it is `Grammar.start` of a compiled one."""
    if make_grammar is None:
        return True
    owner = getattr(make_grammar, "__self__", None)
    return isinstance(owner, Grammar) and make_grammar == owner.start and owner.is_native


def _memory(
    engine: Engine, text_embeddings: torch.Tensor, text_mask: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    memory = engine.encode(text_embeddings.clone(memory_format=torch.contiguous_format), text_mask)
    return engine.memory_kv(memory), None if text_mask is None else text_mask[0]


def _stream(
    engine: Engine,
    memories: list[tuple[torch.Tensor, torch.Tensor | None]],
    prompts: list[Prompt],
    config: GenerationConfig,
    rounds: int,
    streamer: Streamer,
    on_token: Callable[[int], object] | None,
    **tokens: Any,
) -> list[list[Hypothesis]]:
    """Every sequence by itself, its tokens handed out as they come."""
    results, done = [], 0
    for memory, prompt in zip(memories, prompts, strict=True):
        hypotheses = []
        for sequence in range(rounds):
            streamer.put(torch.tensor([prompt.prefix]))
            for token in engine.stream(memory, prompt, config, sequence=sequence, **tokens):
                if isinstance(token, Hypothesis):
                    hypotheses.append(token)
                    continue
                streamer.put(torch.tensor([token]))
                done += 1
                if on_token:
                    on_token(done)
            streamer.end()
        results.append(hypotheses)
    return results


def _counter(progress: Callable[[int, int], object] | None, done: int, total: int) -> Callable[[int], object] | None:
    if progress is None:
        return None
    return lambda num_tokens: progress(done + num_tokens, total)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Matrix products split over threads may sum in another order."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


@contextlib.contextmanager
def _evaluation_mode(model: Any) -> Iterator[None]:
    modules = [m for m in model.modules() if m.training] if isinstance(model, torch.nn.Module) else []
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True
