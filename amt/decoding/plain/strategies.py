"""Greedy search, sampling and beam search for one prompt.

Its twin is csrc/engine/search.cpp.
"""

from __future__ import annotations

from collections.abc import Generator

import torch

from amt.decoding.hypothesis import FinishReason, Hypothesis, NewToken
from amt.decoding.plain.beam_search import BeamHypothesis, BeamSearch, BeamSearchConfig
from amt.decoding.plain.logits_rules import guide, token_log_probs
from amt.decoding.plain.rules import Rules
from amt.decoding.plain.sampling import choose, filter_scores
from amt.decoding.plain.start import Start
from amt.decoding.protocols import GrammarState
from amt.errors import DecodingError
from amt.ops.reference.philox import uniform


def decode_one(
    start: Start, rules: Rules, *, seed: int | None = None, sequence: int = 0, first_position: int = 0
) -> Generator[NewToken, None, list[Hypothesis]]:
    """Greedy search without a seed, sampling with one: its tokens one by one, and at last the sequence.

    Ties go to the lower id. A sampled token depends on the scores and on (seed, its position, sequence) only, so that
    sampling may stop anywhere and go on with what it has as the prefix.

    Args:
        start: the prompt and prefix.
        rules: a fresh one.
        seed, sequence: for `amt.ops.reference.philox.uniform`.
        first_position: of the prefix in the whole piece, for the same.
    """
    token_ids = torch.tensor([start.prefix], device="cpu")
    caches, logits = start.rows(torch.tensor([0], device="cpu"), start.caches), start.logits
    grammar = start.grammar.copy() if start.grammar else None
    log_probs: list[float] = []
    reason: FinishReason | None = None
    while reason is None:
        if log_probs:
            logits = start.next_logits(token_ids, caches)
        step = len(log_probs)
        own_log_probs = token_log_probs(logits[0].cpu(), step)
        given = logits[0].cpu().float()
        if len(logits) > 1:
            given = guide(own_log_probs, token_log_probs(logits[1].cpu(), step), rules.config.guidance_scale)
        scores = rules(token_ids, given, [grammar] if grammar else None)
        if bool((scores == -torch.inf).all()):
            raise DecodingError(f"no token is legal at step {step}: loosen the rules or the constraints")
        if seed is None:
            token = int(scores[0].argmax())  # the first of equals
        else:
            filtered = filter_scores(scores, rules.config)
            token = choose(filtered[0], uniform(seed, first_position + token_ids.shape[1], sequence))
        log_probs.append(float(own_log_probs[0, token]))
        token_ids = torch.cat([token_ids, torch.tensor([[token]], device="cpu")], 1)
        if grammar:
            grammar.advance(token)
        reason = _finish_reason(token, bool(rules.is_stopped(token_ids)[0]), len(log_probs), rules)
        yield NewToken(token, log_probs[-1])
        if reason is None and rules.deadline.is_over():
            reason = "stopped"
    return [Hypothesis(tuple(token_ids[0].tolist()), sum(log_probs), tuple(log_probs), reason, seed)]


def decode_beams(start: Start, rules: Rules) -> Generator[None, None, list[Hypothesis]]:
    """Beam search, see `amt.decoding.plain.beam_search`: step by step, and at last the hypotheses, the best first."""
    config = rules.config
    num_beams = config.num_beams
    search = BeamSearch(
        start.prefix,
        BeamSearchConfig(
            num_beams, config.length_penalty, config.early_stopping, rules.max_new_tokens, rules.eos_token_id
        ),
    )
    caches = start.rows(torch.zeros(num_beams, dtype=torch.long, device="cpu"), start.caches)
    logits = [each.expand(num_beams, -1) for each in start.logits]
    grammars: list[GrammarState | None] | None = [start.grammar] * num_beams if start.grammar else None

    def is_stopped(token_ids: torch.Tensor) -> torch.Tensor:
        return rules.is_stopped(token_ids) | rules.deadline.is_over()

    step = 0
    while True:
        log_probs = given = token_log_probs(logits[0].cpu(), step)
        if len(logits) > 1:
            given = guide(log_probs, token_log_probs(logits[1].cpu(), step), config.guidance_scale)
        search.step(rules(search.token_ids, given, grammars), log_probs, is_stopped)
        step += 1
        yield
        if search.is_done:
            break
        if grammars is not None:
            grammars = _advance(grammars, search)
        caches = start.rows(search.beam_indices, caches)
        logits = start.next_logits(search.token_ids, caches)
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
