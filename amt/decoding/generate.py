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
- the rules about the grammar in `amt.decoding.plain.rules` and about placeholders in
  `amt.decoding.plain.beam_search` hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from amt.decoding.deadline import Deadline
from amt.decoding.hypothesis import Hypothesis, NewTokens
from amt.decoding.prompts import Prompt, check_negative, check_prompts, one_prompt
from amt.decoding.protocols import DecoderModel, GrammarState, LogitsProcessor, StoppingCriteria, Streamer
from amt.decoding.sequences import Sequences, Setting, memories_of
from amt.request.options import GenerationConfig
from amt.stages import stage


def generate(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    config: GenerationConfig,
    *,
    negative_embeddings: torch.Tensor | None = None,
    negative_mask: torch.Tensor | None = None,
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
            max_sequence_length. When `max_time` is over, decoding stops as soon as all have a token.
        negative_embeddings, negative_mask: (1, text_len, text_embedding_dim) and (1, text_len) of the text that
            `config.guidance_scale` leads away from, for all prompts; not read where that is 1.
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
    if streamer is not None and config.num_beams > 1:
        raise ValueError("a streamer cannot follow beams, which change their minds; use num_beams=1")
    prompts = check_prompts(
        model,
        text_embeddings,
        text_mask,
        config,
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
        prefixes=prefixes,
        seeds=seeds,
    )
    setting = Setting(
        model,
        config,
        eos_token_id,
        Deadline(config.max_time),
        make_grammar,
        logits_processor or (),
        stopping_criteria or (),
        check_negative(model, negative_embeddings, negative_mask, text_embeddings, config),
    )
    rounds = config.num_return_sequences if config.num_beams == 1 else 1
    total, done = rounds * sum(prompt.max_new_tokens for prompt in prompts), 0
    engine, texts = setting.engine, [one_prompt(text_embeddings, text_mask, index) for index in range(len(prompts))]
    if engine is not None and streamer is None:
        memories = memories_of(engine, [*texts, *([setting.negative] if setting.negative else [])])
        with stage("decode"):
            results = engine.decode(
                memories,
                prompts,
                config,
                eos_token_id=eos_token_id,
                deadline=setting.deadline,
                grammar=setting.grammar,
                progress=_counter(progress, 0, total),
            )
        if progress:
            progress(total, total)
        return results
    results = []
    for index, (text, prompt) in enumerate(zip(texts, prompts, strict=True)):
        sequences = Sequences(setting, text, prompt, index)
        hypotheses: list[Hypothesis] = []
        for sequence in range(rounds):
            on_token = _counter(progress, done, total)
            if config.num_beams > 1:
                hypotheses += sequences.beams(on_token)
            else:
                with stage("decode"):
                    hypotheses.append(_follow(sequences.one(sequence), prompt.prefix, streamer, on_token))
            done += prompt.max_new_tokens
            if progress:
                progress(done, total)
        results.append(hypotheses)
    return results


def stream(
    model: DecoderModel,
    text_embeddings: torch.Tensor,
    text_mask: torch.Tensor | None,
    config: GenerationConfig,
    *,
    negative_embeddings: torch.Tensor | None = None,
    negative_mask: torch.Tensor | None = None,
    bos_token_id: int = 1,
    eos_token_id: int = 2,
    pad_token_id: int = 0,
    prefix: Sequence[int] = (),
    make_grammar: Callable[[], GrammarState] | None = None,
    logits_processor: Sequence[LogitsProcessor] | None = None,
    stopping_criteria: Sequence[StoppingCriteria] | None = None,
) -> tuple[Prompt, NewTokens]:
    """Decode one prompt, a token whenever one is asked for; see `generate`.

    Returns:
        the prompt, with the whole prefix and the seed, and its new tokens. The model has read the text when this
        returns; each token then is one step, or one of several that a step gave, and `max_time` counts what passes
        between them, too.

    Raises:
        ValueError: as `generate`, and if there is more than one prompt, sequence or beam.
    """
    if text_embeddings.shape[0] != 1 or config.num_return_sequences != 1:
        raise ValueError("a stream is one sequence of one prompt; use generate for several")
    if config.num_beams > 1:
        raise ValueError("a stream cannot follow beams, which change their minds; use num_beams=1")
    (prompt,) = check_prompts(
        model,
        text_embeddings,
        text_mask,
        config,
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
        prefixes=[prefix],
        seeds=None,
    )
    setting = Setting(
        model,
        config,
        eos_token_id,
        Deadline(config.max_time),
        make_grammar,
        logits_processor or (),
        stopping_criteria or (),
        check_negative(model, negative_embeddings, negative_mask, text_embeddings, config),
    )
    return prompt, Sequences(setting, one_prompt(text_embeddings, text_mask, 0), prompt).one()


def _follow(
    tokens: NewTokens, prefix: list[int], streamer: Streamer | None, on_token: Callable[[int], object] | None
) -> Hypothesis:
    """Run a sequence to its end and tell of every token."""
    if streamer:
        streamer.put(torch.tensor([prefix]))
    num_tokens = 0
    while True:
        try:
            token = next(tokens)
        except StopIteration as end:
            if streamer:
                streamer.end()
            hypothesis: Hypothesis = end.value
            return hypothesis
        num_tokens += 1
        if streamer:
            streamer.put(torch.tensor([token.token_id]))
        if on_token:
            on_token(num_tokens)


def _counter(progress: Callable[[int, int], object] | None, done: int, total: int) -> Callable[[int], object] | None:
    if progress is None:
        return None
    return lambda num_tokens: progress(done + num_tokens, total)
