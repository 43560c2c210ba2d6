"""Sampling one token: the filters (temperature, top-k, top-p, min-p, typical-p) and the draw.

Its twin is csrc/engine/sampling.h.

The filters are those of `transformers`, in its order; each takes and gives scores (rows, vocab_size) in float32, -inf
where a token is out. The draw is ours: `torch.multinomial` depends on a global generator and on the device.
"""

from __future__ import annotations

import torch

from amt.errors import DecodingError
from amt.request.options import GenerationConfig


def keep_top_k(scores: torch.Tensor, top_k: int) -> torch.Tensor:
    """Keep the k highest scores, and whatever ties with the lowest of them."""
    threshold = scores.topk(min(top_k, scores.shape[-1])).values[:, -1:]
    return scores.masked_fill(scores < threshold, -torch.inf)


def keep_top_p(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Drop the least likely tokens while their probabilities sum to at most 1 - p; the likeliest one always stays.

    Of equal scores the lower id stays longer (`transformers` leaves it to the order of an unstable sort).

    Source: Holtzman et al. 2019, arXiv:1904.09751, section 3.1.
    """
    descending = scores.sort(dim=-1, descending=True, stable=True)
    ascending, ids = descending.values.flip(-1), descending.indices.flip(-1)
    is_dropped = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    is_dropped[:, -1] = False
    return scores.masked_fill(torch.zeros_like(is_dropped).scatter(1, ids, is_dropped), -torch.inf)


def keep_min_p(scores: torch.Tensor, min_p: float) -> torch.Tensor:
    """Drop what is less likely than min_p times the likeliest token.

    Source: Nguyen et al. 2024, arXiv:2407.01082, section 3.
    """
    probs = scores.softmax(-1)
    return scores.masked_fill(probs < min_p * probs.amax(-1, keepdim=True), -torch.inf)


def keep_typical_p(scores: torch.Tensor, typical_p: float) -> torch.Tensor:
    """Keep the tokens whose surprise is nearest to what is to be expected, until they are likely enough together.

    The surprise of a token is its negative log-probability, what is to be expected of it is the entropy. Tokens that
    lie as far from it as the last one that is needed stay, too.

    Source: Meister et al. 2022, arXiv:2202.00666, section 3.
    """
    log_probs = scores.double().log_softmax(-1)  # in float64, so that rounding does not choose
    entropy = -(log_probs.exp() * log_probs).nansum(-1, keepdim=True)
    distance = (-log_probs - entropy).abs().float()
    ascending = distance.sort(dim=-1, stable=True)
    mass = log_probs.gather(1, ascending.indices).exp().cumsum(-1)
    last = (mass < typical_p).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
    return scores.masked_fill(distance > ascending.values.gather(1, last), -torch.inf)


def filter_scores(scores: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    """All filters of the config: temperature, top-k, top-p, min-p, typical-p, in this order.

    Raises:
        DecodingError: divided by the temperature, the best score of a row is infinite.
    """
    if config.temperature != 1.0:
        scores = scores / config.temperature
        if not bool(scores.amax(-1).isfinite().all()):
            raise DecodingError("scores divided by the temperature are infinite; raise temperature")
    if config.top_k > 0:
        scores = keep_top_k(scores, config.top_k)
    if config.top_p < 1.0:
        scores = keep_top_p(scores, config.top_p)
    if config.min_p > 0.0:
        scores = keep_min_p(scores, config.min_p)
    if config.typical_p < 1.0:
        scores = keep_typical_p(scores, config.typical_p)
    return scores


def choose(scores: torch.Tensor, uniform: float) -> int:
    """The token at `uniform` of the cumulative distribution over ascending ids.

    With weights w = exp(scores - max(scores)) in float64 and their running sum c, it is the lowest id with
    c[id] > uniform * c[-1]. So a token of weight 0 is never chosen, and one always is.

    Args:
        scores: (vocab_size,), float32, at least one above -inf.
        uniform: in [0, 1).
    """
    weights = (scores.double() - scores.double().max()).exp()
    cumulative = weights.cumsum(0)
    return int((cumulative > uniform * cumulative[-1]).int().argmax())
