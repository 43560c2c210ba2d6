"""Greedy search, sampling and beam search for one prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch

from amt.decoding.hypothesis import FinishReason, Hypothesis
from amt.decoding.protocols import DecoderModel, GrammarState, Streamer
from amt.decoding.rules import Rules
from amt.errors import DecodingError
from amt.reference.beam_search import BeamHypothesis, BeamSearch, BeamSearchConfig
from amt.reference.logits_rules import token_log_probs
from amt.reference.philox import uniform
from amt.reference.sampling import choose, filter_scores


@dataclasses.dataclass(frozen=True)
class Start:
    """Where a prompt's sequences begin: the model has read the prefix.

    Attributes:
        model: the model.
        prefix: the tokens it has read, bos first.
        cache: with one row; every sequence takes a copy.
        logits: (1, vocab_size), for the first new token.
        grammar: has taken the prefix, or None.
    """

    model: DecoderModel
    prefix: list[int]
    cache: Any
    logits: torch.Tensor
    grammar: GrammarState | None

    def next_logits(self, token_ids: torch.Tensor, cache: Any) -> torch.Tensor:
        """Read the last token of every row; (rows, vocab_size)."""
        return self.model.decode_step(token_ids[:, -1:].to(self.logits.device), cache)[:, -1]

    def rows(self, index: torch.Tensor, cache: Any) -> Any:
        """The cache's rows, copied."""
        return cache.select(index.to(self.logits.device))


def decode_one(
    start: Start,
    rules: Rules,
    *,
    seed: int | None = None,
    sequence: int = 0,
    streamer: Streamer | None = None,
    on_token: Callable[[int], object] | None = None,
) -> Hypothesis:
    """Greedy search without a seed, sampling with one.

    Ties go to the lower id. A sampled token depends on the scores and on (seed, its position, sequence) only, so that
    sampling may stop anywhere and go on with what it has as the prefix.

    Args:
        start: the prompt and prefix.
        rules: a fresh one.
        seed, sequence: for `amt.reference.philox.uniform`.
        streamer: gets the prefix, then each token.
        on_token: called with the number of new tokens after each.
    """
    token_ids = torch.tensor([start.prefix])
    cache, logits = start.rows(torch.tensor([0]), start.cache), start.logits
    grammar = start.grammar.copy() if start.grammar else None
    log_probs: list[float] = []
    reason: FinishReason | None = None
    if streamer:
        streamer.put(token_ids)
    while reason is None:
        if log_probs:
            logits = start.next_logits(token_ids, cache)
        step = len(log_probs)
        own_log_probs = token_log_probs(logits.cpu(), step)
        scores = rules(token_ids, logits.cpu().float(), [grammar] if grammar else None)
        if bool((scores == -torch.inf).all()):
            raise DecodingError(f"no token is legal at step {step}: loosen the rules or the constraints")
        if seed is None:
            token = int(scores[0].argmax())  # the first of equals
        else:
            filtered = filter_scores(scores, rules.config)
            token = choose(filtered[0], uniform(seed, token_ids.shape[1], sequence))
        log_probs.append(float(own_log_probs[0, token]))
        token_ids = torch.cat([token_ids, torch.tensor([[token]])], 1)
        if grammar:
            grammar.advance(token)
        if streamer:
            streamer.put(token_ids[:, -1])
        if on_token:
            on_token(len(log_probs))
        reason = _finish_reason(token, bool(rules.is_stopped(token_ids)[0]), len(log_probs), rules)
    if streamer:
        streamer.end()
    return Hypothesis(tuple(token_ids[0].tolist()), sum(log_probs), tuple(log_probs), reason, seed)


def decode_beams(start: Start, rules: Rules, on_token: Callable[[int], object] | None = None) -> list[Hypothesis]:
    """Beam search; see `amt.reference.beam_search`. The finished hypotheses, the best first."""
    config = rules.config
    num_beams = config.num_beams
    search = BeamSearch(
        start.prefix,
        BeamSearchConfig(
            num_beams, config.length_penalty, config.early_stopping, rules.max_new_tokens, rules.eos_token_id
        ),
    )
    cache, logits = start.rows(torch.zeros(num_beams, dtype=torch.long), start.cache), start.logits
    logits = logits.expand(num_beams, -1)
    grammars: list[GrammarState | None] | None = [start.grammar] * num_beams if start.grammar else None
    step = 0
    while True:
        log_probs = token_log_probs(logits.cpu(), step)
        search.step(rules(search.token_ids, log_probs, grammars), log_probs, rules.is_stopped)
        step += 1
        if on_token:
            on_token(step)
        if search.is_done:
            break
        if grammars is not None:
            grammars = _advance(grammars, search)
        cache = start.rows(search.beam_indices, cache)
        logits = start.next_logits(search.token_ids, cache)
    if not search.hypotheses:
        raise DecodingError(f"no beam has a legal token at step {step - 1}, and none has ended before")
    return [_from_beam(hypothesis, rules) for hypothesis in search.hypotheses[: config.num_return_sequences]]


def _advance(grammars: list[GrammarState | None], search: BeamSearch) -> list[GrammarState | None]:
    """The states of the rows that run on; placeholders need none."""
    advanced: list[GrammarState | None] = []
    rows = zip(search.beam_indices.tolist(), search.token_ids[:, -1].tolist(), search.is_real.tolist(), strict=True)
    for beam, token, is_real in rows:
        grammar = grammars[beam]
        state = grammar.copy() if is_real and grammar else None
        if state:
            state.advance(token)
        advanced.append(state)
    return advanced


def _from_beam(hypothesis: BeamHypothesis, rules: Rules) -> Hypothesis:
    ids, log_probs = hypothesis.token_ids, hypothesis.log_probs
    reason = _finish_reason(ids[-1], hypothesis.is_stopped, len(log_probs), rules)
    assert reason is not None
    return Hypothesis(ids, hypothesis.score, log_probs, reason)


def _finish_reason(token: int, is_stopped: bool, num_new_tokens: int, rules: Rules) -> FinishReason | None:
    if token == rules.eos_token_id:
        return "eos"
    if is_stopped:
        return "stopped"
    return "length" if num_new_tokens >= rules.max_new_tokens else None
