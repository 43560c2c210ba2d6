import threading

import pytest
import torch

from amt.side_by_side import side_by_side


def test_results_are_in_order_and_the_same_with_any_number_of_threads():
    torch.manual_seed(0)
    weight = torch.randn(300, 300, requires_grad=True)
    items = [torch.randn(17, 300) for _ in range(9)]
    alone = side_by_side(lambda x: x @ weight, items, 1)
    for num_threads in (2, 3, 16):
        together = side_by_side(lambda x: x @ weight, items, num_threads)
        assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not any(result.requires_grad for result in alone)


def test_several_threads_work_each_with_one_of_torchs():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        barrier = threading.Barrier(2, timeout=30)  # passes only if two are at work at once

        def work(_):
            barrier.wait()
            return threading.get_ident(), torch.get_num_threads(), torch.is_grad_enabled()

        found = side_by_side(work, range(2), 2)
        assert len({ident for ident, _, _ in found}) == 2
        assert {(num_threads, has_grad) for _, num_threads, has_grad in found} == {(1, False)}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_comes_out_and_threads_are_as_before():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda x: 1 // x, [1, 0, 2], 2)
    assert torch.get_num_threads() == before
    assert side_by_side(lambda x: x, [], 4) == []
