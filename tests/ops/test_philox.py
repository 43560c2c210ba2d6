import pytest
import torch

from amt.ops.reference.philox import philox4x32, uniform

# kat_vectors of Random123 1.14: philox4x32 10
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS, ids=["zeros", "ones", "pi"])
def test_known_answers(counter, key, expected):
    assert philox4x32(words(counter), words(key)) == words(expected)


def test_uniform_is_the_top_of_the_first_word():
    seed = 0x299F31D0_A4093822  # low word first in the key
    first_word = philox4x32((5, 3, 2, 0), words("a4093822 299f31d0"))[0]
    value = uniform(seed, step=5, sequence=3, purpose=2)
    assert value == (first_word >> 8) / 2**24
    assert float(torch.tensor(value, dtype=torch.float32)) == value


def test_every_part_of_the_counter_and_key_matters():
    draws = {
        uniform(seed, step, sequence, purpose)
        for seed in (0, 1 << 32)
        for step in (0, 1)
        for sequence in (0, 1)
        for purpose in (0, 1)
    }
    assert len(draws) == 16


@pytest.mark.parametrize("arguments", [(-1, 0, 0), (1 << 64, 0, 0), (0, -1, 0), (0, 0, 1 << 32), (0, 0, 0, -1)])
def test_out_of_range(arguments):
    with pytest.raises(ValueError, match="must be between 0 and"):
        uniform(*arguments)
