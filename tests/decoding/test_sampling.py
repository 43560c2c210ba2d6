import math
from collections import Counter

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from amt.decoding.plain.sampling import choose, filter_scores, keep_min_p, keep_top_k, keep_top_p, keep_typical_p
from amt.ops.reference.philox import uniform
from amt.request.options import GenerationConfig

INF = torch.inf


def score_rows(kind, vocab_size):
    scores = torch.randn(5, vocab_size, generator=torch.Generator().manual_seed(vocab_size)) * 3
    if kind == "ties":
        scores = scores.round()
    if kind == "masked":
        scores[:, ::2] = -INF
    if kind == "one":
        scores[:, 1:] = -INF
    return scores


@pytest.mark.parametrize("vocab_size", [2, 11, 659])
@pytest.mark.parametrize("kind", ["plain", "masked", "one"])
def test_filters_equal_transformers(kind, vocab_size):
    scores = score_rows(kind, vocab_size)
    for top_k in (1, 2, 5, 11, 1000):
        assert torch.equal(keep_top_k(scores, top_k), TopKLogitsWarper(top_k)(None, scores))
    for top_p in (1e-6, 0.3, 0.5, 0.9, 0.999):
        assert torch.equal(keep_top_p(scores, top_p), TopPLogitsWarper(top_p)(None, scores))
    for min_p in (0.01, 0.3, 1.0):
        assert torch.equal(keep_min_p(scores, min_p), MinPLogitsWarper(min_p)(None, scores))
    for typical_p in (1e-6, 0.2, 0.5, 0.9, 0.999):
        # In float64, where near ties are none: theirs computes in the dtype of the scores.
        expected = TypicalLogitsWarper(typical_p)(None, scores.double()).float()
        assert torch.equal(keep_typical_p(scores, typical_p), expected)


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_order_of_filters_equals_transformers(kind):
    config = GenerationConfig(temperature=0.7, top_k=40, top_p=0.8, min_p=0.05, typical_p=0.7)
    scores = score_rows(kind, 211)
    expected = scores
    filters = TopKLogitsWarper(40), TopPLogitsWarper(0.8), MinPLogitsWarper(0.05), TypicalLogitsWarper(0.7)
    for warper in (TemperatureLogitsWarper(0.7), *filters):
        expected = warper(None, expected)
    assert torch.equal(filter_scores(scores, config), expected)
    assert torch.equal(filter_scores(scores, GenerationConfig()), scores)


def test_top_k_keeps_ties():
    assert torch.equal(keep_top_k(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), 2), torch.tensor([[2.0, 1.0, 1.0, -INF]]))


@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.5, 0.9])
def test_top_p_keeps_the_lower_of_equal_ids(top_p):
    scores = score_rows("ties", 211)
    result, theirs = keep_top_p(scores, top_p), TopPLogitsWarper(top_p)(None, scores)
    assert torch.equal(result.sort(-1).values, theirs.sort(-1).values)
    for before, after in zip(scores, result, strict=True):
        for score in before.unique():
            kept = after[before == score] > -INF
            assert torch.equal(kept, kept.sort(descending=True).values)


def test_choose_walks_ascending_ids():
    scores = torch.tensor([-INF, 0.0, math.log(2.0), -INF, 0.0])
    assert [choose(scores, u) for u in (0.0, 0.24, 0.26, 0.74, 0.76)] == [1, 1, 2, 2, 4]
    assert choose(scores, 1 - 2**-24) == 4
    assert choose(torch.tensor([-INF, 3.0, -INF]), 1 - 2**-24) == 1


def test_draws_follow_the_distribution():
    # Chi-square with 7 degrees of freedom; 24.3 is its 99.9 % quantile. The seeds are fixed, so it passes or never.
    scores = torch.randn(8, generator=torch.Generator().manual_seed(5))
    num_draws = 5000
    for seed, sequence in ((0, 0), (1 << 40, 3)):
        counts = Counter(choose(scores, uniform(seed, step, sequence)) for step in range(num_draws))
        expected = (scores.double().softmax(0) * num_draws).tolist()
        assert sum((counts[i] - e) ** 2 / e for i, e in enumerate(expected)) <= 24.3
