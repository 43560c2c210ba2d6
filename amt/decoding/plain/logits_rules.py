"""The rules that change scores before a token is chosen: repetition, n-grams, early ends, grammar.

`scores` are logits in greedy search and sampling, log-probabilities in beam search; -inf forbids a token. The meanings
are those of the processors of the same names in `transformers.generation.logits_process`.

Its twin is csrc/engine/rules.h.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from amt.errors import DecodingError


def token_log_probs(logits: torch.Tensor, step: int) -> torch.Tensor:
    """`log_softmax` in float32; a token with logit -inf keeps -inf even where every token has it.

    Args:
        logits: (rows, vocab_size), any floating dtype.
        step: how many tokens were chosen before, for the error.

    Raises:
        DecodingError: a logit is NaN or +inf.
    """
    logits = logits.float()
    if not bool((logits < torch.inf).all()):  # NaN compares false
        raise DecodingError(f"the model gave NaN or infinite logits at step {step}; its weights or inputs are damaged")
    return logits.log_softmax(-1).masked_fill(logits == -torch.inf, -torch.inf)


def guide(log_probs: torch.Tensor, negative_log_probs: torch.Tensor, scale: float) -> torch.Tensor:
    """Classifier-free guidance: lead away from what the model says of another text.

    Args:
        log_probs: (rows, vocab_size), after the text.
        negative_log_probs: the same after the negative text.
        scale: 1 leaves `log_probs` as they are. A token that either forbids (-inf) keeps its own log-probability.

    Source: Ho and Salimans 2022, arXiv:2207.12598, in the form of Sanchez et al. 2023, arXiv:2306.17806, equation 7.
    """
    is_guided = (log_probs > -torch.inf) & (negative_log_probs > -torch.inf)
    guided = negative_log_probs + scale * (log_probs - negative_log_probs)
    return torch.where(is_guided, guided, log_probs)


def penalize_repetition(scores: torch.Tensor, token_ids: torch.Tensor, penalty: float) -> torch.Tensor:
    """Divide the positive scores and multiply the others by `penalty`, for every token that occurs in its row.

    Args:
        scores: (rows, vocab_size).
        token_ids: (rows, length), the prefix included.
        penalty: above 1 makes repetition rarer.

    Source: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
    """
    seen = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, token_ids, True)
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def ban_repeated_ngrams(scores: torch.Tensor, token_ids: torch.Tensor, ngram_size: int) -> torch.Tensor:
    """Forbid each token that would end an n-gram which its row already contains, the prefix included."""
    banned = torch.zeros_like(scores, dtype=torch.bool)
    for row, ids in enumerate(token_ids.tolist()):
        if len(ids) < ngram_size:
            continue
        suffix = ids[len(ids) - ngram_size + 1 :]
        for start in range(len(ids) - ngram_size + 1):
            if ids[start : start + ngram_size - 1] == suffix:
                banned[row, ids[start + ngram_size - 1]] = True
    return scores.masked_fill(banned, -torch.inf)


def ban_token(scores: torch.Tensor, token_id: int) -> torch.Tensor:
    """Forbid one token in every row."""
    scores = scores.clone()
    scores[:, token_id] = -torch.inf
    return scores


def force_token(scores: torch.Tensor, token_id: int, allowed: torch.Tensor) -> torch.Tensor:
    """Forbid every other token and give this one the score 0, in the rows that allow it: bool (rows, vocab_size)."""
    forced = torch.full_like(scores, -torch.inf)
    forced[:, token_id] = 0.0
    return torch.where(allowed[:, token_id, None], forced, scores)


def restrict(scores: torch.Tensor, allowed: torch.Tensor, fallbacks: Sequence[torch.Tensor] = ()) -> torch.Tensor:
    """Forbid what is not allowed; a row that keeps no token takes the first fallback that keeps one.

    Args:
        scores: (rows, vocab_size).
        allowed: (rows, vocab_size), bool.
        fallbacks: the same scores under fewer rules, the strictest first.
    """
    result = scores.masked_fill(~allowed, -torch.inf)
    for fallback in fallbacks:
        is_empty = (result == -torch.inf).all(-1, keepdim=True)
        result = torch.where(is_empty, fallback.masked_fill(~allowed, -torch.inf), result)
    return result
