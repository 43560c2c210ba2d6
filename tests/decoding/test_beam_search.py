"""The cases worked out by hand; equality with transformers is in tests/decoding/test_strategies.py."""

import pytest
import torch

from amt.decoding.plain.beam_search import BeamSearch, BeamSearchConfig, best_first

INF = torch.inf
EOS = 2


def log_probs(*rows):
    return torch.tensor(rows).log()


def new_search(num_beams=2, length_penalty=1.0, early_stopping=False, max_new_tokens=9):
    return BeamSearch([1], BeamSearchConfig(num_beams, length_penalty, early_stopping, max_new_tokens, EOS))


def advance(search, scores, is_stopped=None):
    search.step(scores, scores, is_stopped)


def test_best_first_order():
    scores = torch.tensor([1.0, 3.0, 3.0, -INF, 9.0])
    is_real = torch.tensor([True, True, True, True, False])
    assert best_first(scores, is_real, 5).tolist() == [1, 2, 0, 3, 4]


def test_first_step_continues_one_beam():
    search = new_search(num_beams=3)
    advance(search, log_probs([0.1, 0.2, 0.1, 0.6], [0.1, 0.2, 0.1, 0.6], [0.1, 0.2, 0.1, 0.6]))
    assert search.token_ids.tolist() == [[1, 3], [1, 1], [1, 0]]  # eos ended; 0 and eos tie for the third rank
    assert search.beam_indices.tolist() == [0, 0, 0]
    assert search.is_real.all()


def test_ties_go_to_the_lower_flat_index():
    search = new_search(num_beams=2)
    even = log_probs([0.25] * 4, [0.25] * 4)
    advance(search, even)
    assert search.token_ids.tolist() == [[1, 0], [1, 1]]
    advance(search, even)
    assert search.token_ids.tolist() == [[1, 0, 0], [1, 0, 1]]
    assert search.beam_indices.tolist() == [0, 0]


def test_eos_behind_the_first_num_beams_is_dropped():
    search = new_search(num_beams=1 + 1)
    advance(search, log_probs([0.3, 0.3, 0.2, 0.2], [0.3, 0.3, 0.2, 0.2]))
    assert search.hypotheses == []
    advance(search, log_probs([0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.7, 0.1]))
    assert [h.token_ids for h in search.hypotheses] == [(1, 0, EOS), (1, 1, EOS)]


@pytest.mark.parametrize(("length_penalty", "first"), [(0.0, (1, EOS)), (3.0, (1, 3, EOS))], ids=["none", "strong"])
def test_length_penalty_ranks(length_penalty, first):
    search = new_search(length_penalty=length_penalty, max_new_tokens=2)
    advance(search, log_probs([0.01, 0.01, 0.5, 0.48], [0.01, 0.01, 0.5, 0.48]))
    advance(search, log_probs([0.1, 0.1, 0.7, 0.1], [0.1, 0.1, 0.7, 0.1]))
    assert search.is_done
    assert search.hypotheses[0].token_ids == first


def test_early_stopping_true_stops_when_full():
    def steps(early_stopping):
        search = new_search(early_stopping=early_stopping, length_penalty=1.0, max_new_tokens=50)
        count = 0
        while not search.is_done:
            advance(search, log_probs([0.02, 0.02, 0.06, 0.9], [0.02, 0.02, 0.06, 0.9]))
            count += 1
        return count

    assert steps(True) < steps(False) <= steps("never")


def test_a_beam_without_continuation_dies():
    search = new_search()
    advance(search, log_probs([0.5, 0.4, 0.0, 0.1], [0.5, 0.4, 0.0, 0.1]))
    advance(search, log_probs([0.0] * 4, [0.0, 0.5, 0.5, 0.0]))
    assert search.token_ids[search.is_real].tolist() == [[1, 1, 1]]
    assert [h.token_ids for h in search.hypotheses] == [(1, 1, EOS)]
    advance(search, log_probs([0.0] * 4, [0.0] * 4))
    assert search.is_done
    assert len(search.hypotheses) == 1  # placeholders are not returned


def test_no_continuation_at_all():
    search = new_search()
    advance(search, log_probs([0.0] * 4, [0.0] * 4))
    assert search.is_done
    assert search.hypotheses == []


def test_stopped_hypotheses_say_so():
    search = new_search()
    advance(search, log_probs([0.1, 0.5, 0.3, 0.1], [0.1, 0.5, 0.3, 0.1]), lambda ids: ids[:, -1] == 1)
    assert [(h.token_ids, h.is_stopped) for h in search.hypotheses] == [((1, 1), True), ((1, EOS), False)]


def test_placeholders_never_outrank_what_is_real():
    # -1e9 / length ** 8 is small for long hypotheses; the real one is short.
    search = new_search(num_beams=2, length_penalty=8.0, max_new_tokens=40)
    advance(search, log_probs([0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5]))
    while not search.is_done:
        advance(search, log_probs([0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]))
    assert {h.token_ids[-1] for h in search.hypotheses} <= {EOS, 3}
    assert (1, EOS) in [h.token_ids for h in search.hypotheses]
