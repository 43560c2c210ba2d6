import pytest
import torch

from amt.nn.cache import FIRST_CAPACITY, DecoderCache


def new_cache(max_length=1000, memory_mask=None):
    return DecoderCache.empty(2, torch.arange(2 * 2 * 3 * 5 * 7 * 4.0).view(2, 2, 3, 5, 7, 4), memory_mask, max_length)


def fill(cache, num_tokens, value):
    slots, pasts = cache.append(num_tokens)
    for layer, slot in enumerate(slots):
        slot.fill_(value + layer)
    return pasts


def test_slots_are_the_end_of_the_pasts():
    cache = new_cache()
    fill(cache, 3, 10.0)
    pasts = fill(cache, 2, 20.0)
    assert cache.length == 5 and cache.batch_size == 3 and len(pasts) == 2
    for layer, past in enumerate(pasts):
        assert past.shape == (2, 3, 5, 5, 4)
        assert torch.equal(past[0, 0, 0, :, 0], torch.tensor([10.0, 10, 10, 20, 20]) + layer)


def test_capacity_doubles_and_keeps_what_is_there():
    cache = new_cache(max_length=3 * FIRST_CAPACITY)
    pointers, capacities = set(), []
    for step in range(3 * FIRST_CAPACITY):
        pasts = fill(cache, 1, float(step))
        pointers.add(cache.self_kv.data_ptr())
        capacities.append(cache.self_kv.shape[4])
    assert sorted(set(capacities)) == [FIRST_CAPACITY, 2 * FIRST_CAPACITY, 3 * FIRST_CAPACITY]
    assert torch.equal(pasts[1][1, 2, 4, :, 3], torch.arange(3.0 * FIRST_CAPACITY) + 1)


def test_many_tokens_at_once():
    cache = new_cache()
    fill(cache, 5 * FIRST_CAPACITY, 1.0)
    assert cache.self_kv.shape[4] == 5 * FIRST_CAPACITY


def test_select_repeats_reorders_and_copies():
    mask = torch.tensor([[True] * 7, [False] * 7, [True] * 3 + [False] * 4])
    cache = new_cache(memory_mask=mask)
    slots, _ = cache.append(1)
    slots[0].copy_(torch.arange(3.0).view(1, 3, 1, 1, 1).expand_as(slots[0]))
    chosen = cache.select(torch.tensor([2, 0, 0, 1]))
    assert (chosen.length, chosen.batch_size, chosen.max_length) == (1, 4, 1000)
    assert chosen.self_kv[0, 0, :, 0, 0, 0].tolist() == [2, 0, 0, 1]
    assert torch.equal(chosen.cross_kv[:, :, 0], cache.cross_kv[:, :, 2])
    assert torch.equal(chosen.memory_mask, mask[[2, 0, 0, 1]])
    fill(chosen, 1, 9.0)
    assert cache.length == 1 and chosen.length == 2


def test_more_than_max_length_is_refused():
    cache = new_cache(max_length=3)
    cache.append(3)
    with pytest.raises(ValueError, match="max_sequence_length"):
        cache.append(1)
    assert cache.length == 3
