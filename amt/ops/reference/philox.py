"""Philox4x32-10: random bits as a pure function of a key and a counter.

Nothing is stored between draws, so a number depends only on (seed, step, sequence, purpose): not on what was drawn
before it, by whom, or in which batch.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; constants and rounds of Random123.

Its twin is csrc/engine/philox.h.
"""

from __future__ import annotations

from typing import Any

Word = Any  # 32 bits: an int, or a tensor of int64

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
NUM_ROUNDS = 10
WORD_MASK = 0xFFFFFFFF

TOKEN_CHOICE = 0  # the purpose of the draw that picks a token
DROPOUT = 1  # the purpose of the draws that drop attention weights


def philox4x32(counter: tuple[Word, Word, Word, Word], key: tuple[Word, Word]) -> tuple[Word, Word, Word, Word]:
    """Four random 32-bit words.

    Args:
        counter: four 32-bit words, numbers or tensors that broadcast.
        key: two 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(NUM_ROUNDS):
        product0 = MULTIPLIERS[0] * c0
        product1 = MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32 & WORD_MASK) ^ c1 ^ k0,  # masked, because in int64 the sign moves in
            product1 & WORD_MASK,
            (product0 >> 32 & WORD_MASK) ^ c3 ^ k1,
            product0 & WORD_MASK,
        )
        k0 = (k0 + KEY_INCREMENTS[0]) & WORD_MASK
        k1 = (k1 + KEY_INCREMENTS[1]) & WORD_MASK
    return c0, c1, c2, c3


def uniform(seed: int, step: int, sequence: int, purpose: int = TOKEN_CHOICE) -> float:
    """A multiple of 2**-24 in [0, 1): the upper 24 bits of the first word, exact in float32.

    The key is (seed's low word, seed's high word), the counter (step, sequence, purpose, 0).

    Args:
        seed: 0 <= seed < 2**64.
        step: the position of the token in its sequence; bos stands at 0.
        sequence: the index of the returned sequence within its prompt.
        purpose: what the number is for, so that two uses never share one.
    """
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be between 0 and 2**64 - 1, got {seed}")
    for name, value in (("step", step), ("sequence", sequence), ("purpose", purpose)):
        if not 0 <= value <= WORD_MASK:
            raise ValueError(f"{name} must be between 0 and 2**32 - 1, got {value}")
    words = philox4x32((step, sequence, purpose, 0), (seed & WORD_MASK, seed >> 32))
    return (int(words[0]) >> 8) / (1 << 24)
