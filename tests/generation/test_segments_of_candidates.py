"""Candidates of a segment: the best goes on, and a piece stays what its seed says."""

import itertools

import pytest

import amt
from amt.decoding.backends import choose
from amt.generation import long
from amt.generation.generator import _reader, ask
from amt.midi.sanity import strain
from amt.request.limits import Limits
from amt.request.options import GenerationConfig

FEW = {"instruments": ["violin", "cello", "drums"], "max_polyphony": 3}


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(256)


@pytest.fixture
def short_segments(monkeypatch):
    monkeypatch.setattr(long, "SEGMENT", 40)


def decoded(generator, num_candidates, judge, num_pieces=1, duration=30):
    """The pieces that `decode_best` writes for a text."""
    limits = Limits(**FEW, duration=duration)
    options = GenerationConfig(
        do_sample=True, seed=11, num_return_sequences=num_candidates * num_pieces, max_new_tokens=200
    )
    named = {*FEW, "duration", "max_new_tokens"}
    request = ask(generator, ["music"], options, limits, named=named)
    choice = choose(generator.checkpoint.model, request)
    (pieces,) = long.decode_best(choice, request, _reader(generator), num_pieces, judge)
    return [piece.token_ids for piece in pieces], pieces


def first(prompt, token_ids, step):
    return 0.0, 0


class Last:
    """The last candidate is the best."""

    def __init__(self, badness=0.0):
        self.seen, self._badness = [], badness

    def __call__(self, prompt, token_ids, step):
        self.seen.append((token_ids, step))
        return self._badness, -len(self.seen)


def test_one_candidate_is_the_plain_piece(generator, short_segments):
    piece = amt.generate("music", model=generator, seed=11, rerank=1, duration=30, max_new_tokens=200, **FEW)
    for num_candidates in (1, 3):
        (tokens,), _ = decoded(generator, num_candidates, first)
        assert tokens == piece.tokens and len(tokens) > 100


def test_what_is_chosen_goes_on(generator, short_segments):
    last = Last()
    (tokens,), (piece,) = decoded(generator, 3, last)
    rounds = [last.seen[place : place + 3] for place in range(0, len(last.seen), 3)]
    assert len(rounds) > 2 and tokens == last.seen[-1][0]
    for before, after in itertools.pairwise(rounds):
        chosen = before[-1][0]
        assert all(each[: len(chosen)] == chosen for each, _ in after)
        assert len({step for _, step in after}) == 1 and after[0][1] >= before[0][1]
    assert len(piece.log_probs) == len(tokens) - 1


def test_where_none_is_fine_there_are_others(generator, short_segments):
    last = Last(badness=1.0)
    decoded(generator, 2, last)
    candidates = 2 * (1 + long.RETRIES)
    rounds = [last.seen[place : place + candidates] for place in range(0, len(last.seen), candidates)]
    assert len({tokens for tokens, _ in rounds[1]}) == candidates  # behind the header all of them differ
    (tokens,), _ = decoded(generator, 2, lambda *_: (1.0, 0))  # equal ones: the first
    assert tokens == decoded(generator, 2, first)[0][0]


def test_several_pieces_have_candidates_of_their_own(generator, short_segments):
    each, _ = decoded(generator, 2, Last(), num_pieces=3)
    assert len(set(each)) == 3
    (alone,), _ = decoded(generator, 2, Last())
    assert each[0] == alone


def test_a_seed_gives_the_same_piece_in_any_batch(generator, short_segments):
    options = {"model": generator, "seed": 5, "duration": 20, "max_new_tokens": 250, **FEW}
    alone = amt.generate("a waltz", **options)
    texts = amt.generate(["a jig", "a waltz", "a waltz"], **options)
    several = amt.generate("a waltz", num_return_sequences=3, **options)
    assert alone.tokens == texts[1].tokens == texts[2].tokens == several[0].tokens
    assert len({piece.tokens for piece in several}) == 3
    ids = tuple(amt.EventTokenizer().encode(alone.music).ids.tolist())
    assert ids == alone.tokens and len(alone.token_log_probs) == len(ids) - 1


def test_what_is_near_to_a_fault_is_left_behind(generator, short_segments):
    options = {"model": generator, "duration": 30, "max_new_tokens": 300, **FEW}
    plain = [strain(amt.generate("music", seed=seed, rerank=1, **options).music) for seed in range(6)]
    better = [strain(amt.generate("music", seed=seed, rerank=4, **options).music) for seed in range(6)]
    assert sum(better) < sum(plain)


def test_the_same_with_any_backend_and_number_of_threads(generator, short_segments):
    import torch

    options = {"model": generator, "seed": 6, "duration": 12, "max_new_tokens": 120, **FEW}
    first = amt.generate("music", **options)
    assert first.tokens == amt.generate("music", backend="plain", **options).tokens
    num_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(num_threads, 2))
        assert first.tokens == amt.generate("music", **options).tokens
    finally:
        torch.set_num_threads(num_threads)
