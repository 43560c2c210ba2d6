"""Decoding a request: begin it with a backend, go on until it is done, read what came.

Plain PyTorch is the meaning of every backend. It decodes prompts one at a time and returned sequences of sampling one
after the other; the rows of a batch are only ever one prompt's beams. PyTorch runs with one thread there. So the tokens
of (prompt, prefix, seed, options) are the same alone, anywhere in any batch, and with any number of threads. The engine
runs all prompts at once and keeps to that in its own way.

Options mean what they mean in `transformers`, except that
- with several sequences a streamer gets one after the other, each with its prefix and `end()` (there: one batch);
- no legal token is a DecodingError (there: token 0 in greedy search, an error of `multinomial` in sampling);
- `max_new_tokens` always holds and eos always ends, even if the user gives criteria of those kinds;
- stopping criteria always get the scores of all steps (there: only if asked for);
- the rules about the grammar in `amt.decoding.plain.rules` and about placeholders in
  `amt.decoding.plain.beam_search` hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from amt.decoding.backends import Choice, State, choose
from amt.decoding.checks import check_batch, check_negative, make_prompt, one_text
from amt.decoding.deadline import FOREVER, Deadline
from amt.decoding.hypothesis import Hypothesis, NewToken
from amt.decoding.protocols import DecoderModel, LogitsProcessor, StoppingCriteria, Streamer
from amt.errors import DecodingError
from amt.request.options import GenerationConfig
from amt.request.request import MakesGrammarStates, Request
from amt.stages import stage

CHUNK_MS = 25  # how long Python may wait for a Ctrl-C, and then for one pass
AHEAD_STEPS, AHEAD_MS = 32, 5  # of a stream: how far the model may be ahead of who reads it, and one pass


def decode(
    choice: Choice,
    request: Request,
    *,
    streamer: Streamer | None = None,
    progress: Callable[[int, int], object] | None = None,
    deadline: Deadline | None = None,
) -> list[list[Hypothesis]]:
    """Decode a request.

    Args:
        choice: what decodes it; see `amt.decoding.backends.choose`.
        request: what is asked for.
        streamer: a `transformers` streamer, which gets one sequence after the other; not with num_beams > 1.
        progress: called with (new tokens so far, at most), over all prompts and sequences.
        deadline: when the time is over; default: `max_time` from now.

    Returns:
        For each prompt its `num_return_sequences` hypotheses, in beam search the best first (fewer if fewer exist).

    Raises:
        ValueError: something does not fit, with the prompt's number.
        DecodingError: NaN logits, or no legal token, with the step.
    """
    options, total = request.options, request.max_new_tokens
    deadline = deadline or Deadline(options.max_time)

    def tell(num_tokens: int) -> None:
        if progress:
            progress(min(num_tokens, total), total)

    if not request.prompts:
        return []
    if streamer is None:
        return finished(choice.start(request, deadline), tell)
    if options.num_beams > 1:
        raise ValueError("a streamer cannot follow beams, which change their minds; use num_beams=1")
    results: list[list[Hypothesis]] = []
    done = 0
    for index, prompt in enumerate(request.prompts):
        results.append([])
        for sequence in range(request.sequences_per_prompt):
            streamer.put(torch.tensor([prompt.prefix], device="cpu"))
            state = choice.start(request.only(index, sequence), deadline)
            for number, token in enumerate(tokens_of(state), start=1):
                streamer.put(torch.tensor([token.token_id], device="cpu"))
                tell(done + number)
            streamer.end()
            results[-1] += state.read()[0]
            done += prompt.max_new_tokens
    tell(total)
    return results


def stream(choice: Choice, request: Request) -> Iterator[NewToken]:
    """Decode the one sequence of a request, a token whenever one is asked for.

    The model has read the text when this returns. `max_time` counts what passes between the tokens, too.

    Raises:
        ValueError: as `decode`, and if there is more than one prompt, sequence or beam.
    """
    if len(request.prompts) != 1 or request.options.num_return_sequences != 1:
        raise ValueError("a stream is one sequence of one prompt; use generate for several")
    if request.options.num_beams > 1:
        raise ValueError("a stream cannot follow beams, which change their minds; use num_beams=1")
    return tokens_of(choice.start(request, Deadline(request.options.max_time)))


def finished(state: State, tell: Callable[[int], object] = lambda _: None) -> list[list[Hypothesis]]:
    """What a state comes to. tell: called with the new tokens so far."""
    while not state.is_done:
        with stage("decode"):
            state.step(FOREVER, CHUNK_MS)
        tell(state.num_tokens)
    return state.read()


def tokens_of(state: State) -> Iterator[NewToken]:
    """The tokens of the only sequence; nothing runs but when one is asked for that is not there.

    Several steps then run at once: a call from Python for each would take longer than a step of a small model.
    """
    while not state.is_done:
        failure = None
        try:
            with stage("decode"):
                state.step(AHEAD_STEPS, AHEAD_MS)
        except DecodingError as error:
            failure = error
        yield from state.new_tokens()
        if failure is not None:
            raise failure


def make_request(
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
    grammar: MakesGrammarStates | None = None,
    logits_processor: Sequence[LogitsProcessor] | None = None,
    stopping_criteria: Sequence[StoppingCriteria] | None = None,
) -> Request:
    """A request of embeddings, without words; see `generate`."""
    check_batch(text_embeddings, text_mask)
    batch_size = text_embeddings.shape[0]
    for name, values in (("prefixes", prefixes), ("seeds", seeds)):
        if values is not None and len(values) != batch_size:
            raise ValueError(f"{name} must have one entry per prompt, {batch_size}, got {len(values)}")
    prompts = [
        make_prompt(
            model.config,
            config,
            index,
            one_text(text_embeddings, text_mask, index),
            prefix=() if prefixes is None else prefixes[index],
            seed=None if seeds is None else seeds[index],
            grammar=grammar,
            bos_token_id=bos_token_id,
            eos_token_id=eos_token_id,
            pad_token_id=pad_token_id,
        )
        for index in range(batch_size)
    ]
    negative = check_negative(model.config, negative_embeddings, negative_mask, text_embeddings, config)
    return Request(tuple(prompts), config, negative, logits_processor or (), stopping_criteria or (), eos_token_id)


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
    grammar: MakesGrammarStates | None = None,
    logits_processor: Sequence[LogitsProcessor] | None = None,
    stopping_criteria: Sequence[StoppingCriteria] | None = None,
    streamer: Streamer | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Hypothesis]]:
    """Decode embeddings of texts, in plain PyTorch or, with an `Engine` for a model, by the compiled engine.

    Args:
        model: see `amt.decoding.protocols.DecoderModel`. Dropout is off meanwhile. An
            `amt.decoding.backends.engine.Engine` decodes all prompts at once, unless there are processors, criteria or
            a grammar that are not its own.
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
        grammar: what may follow, for all prompts.
        logits_processor: `transformers` processors, called with CPU tensors: the prefix and new tokens (rows, length)
            and logits, in beam search log-probabilities, (rows, vocab_size).
        stopping_criteria: `transformers` criteria, called after each token.
        streamer, progress: see `decode`.

    Returns, raises: as `decode`.
    """
    request = make_request(
        model,
        text_embeddings,
        text_mask,
        config,
        negative_embeddings=negative_embeddings,
        negative_mask=negative_mask,
        bos_token_id=bos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
        prefixes=prefixes,
        seeds=seeds,
        grammar=grammar,
        logits_processor=logits_processor,
        stopping_criteria=stopping_criteria,
    )
    return decode(choose(model, request, backend="plain"), request, streamer=streamer, progress=progress)
