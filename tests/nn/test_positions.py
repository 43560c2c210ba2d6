import math

import pytest
import torch

from amt.nn.positions import MAX_RELATIVE_DISTANCE, Positions, rotary_tables, sinusoidal_table
from amt.ops.reference.attention import dense_bias
from amt.ops.reference.rotary import rotate
from amt.testing import assert_within_bound


def test_sinusoidal_table_is_the_formula():
    table = sinusoidal_table(7, 6)
    expected = [
        [(math.cos if column % 2 else math.sin)(position / 10_000 ** (column // 2 * 2 / 6)) for column in range(6)]
        for position in range(7)
    ]
    assert_within_bound(table, torch.tensor(expected, dtype=torch.float64))


def test_rotation_keeps_length_and_depends_on_distance_only():
    torch.manual_seed(0)
    query, key = torch.randn(2, 10, dtype=torch.float64)
    both = torch.stack((query, key))[None, None, :, None].expand(1, 11, 2, 1, 10)  # at 11 positions
    tables = tuple(table.double() for table in rotary_tables(11, 10))
    turned = rotate(both, tables)[0, :, :, 0]  # (11, 2, 10)
    assert turned.shape == (11, 2, 10)
    scores = turned[:, 0] @ turned[:, 1].T  # (query position, key position)
    # The tables are rounded to float32, so that is what the results are good for.
    for distance in range(-10, 11):
        diagonal = scores.diagonal(distance)
        assert_within_bound(diagonal.float(), diagonal[:1].expand_as(diagonal))
    assert_within_bound(turned.norm(dim=-1).float(), both[0, :, :, 0].norm(dim=-1))
    assert not torch.equal(scores[0, 0], scores[0, 1])


def test_rotation_in_half_precision_stays_in_it():
    x = torch.randn(2, 3, 2, 5, 4).bfloat16()
    assert rotate(x, rotary_tables(3, 4)).dtype == torch.bfloat16


def test_relative_bias_depends_on_clipped_distance():
    positions = Positions("relative", 8, 2, 1024)
    with torch.no_grad():
        positions.relative_bias.copy_(torch.arange(2 * (2 * MAX_RELATIVE_DISTANCE + 1)).view(2, -1))
    bias = dense_bias(positions.relative(), 3, 300)
    assert bias.shape == (2, 3, 300)
    for head, row, key in [(0, 0, 297), (1, 0, 0), (0, 2, 180), (1, 1, 299), (1, 2, 100)]:
        distance = max(-MAX_RELATIVE_DISTANCE, key - (297 + row))
        assert bias[head, row, key] == positions.relative_bias[head, distance + MAX_RELATIVE_DISTANCE]


@pytest.mark.parametrize("kind", ["sinusoidal", "rotary", "relative"])
def test_each_kind_does_one_thing(kind):
    positions = Positions(kind, 8, 2, 11)
    x = torch.zeros(2, 3, 8)
    done = [positions.add(x, 5) is not x, positions.rotary(5, 8) is not None, positions.relative() is not None]
    assert done == [kind == "sinusoidal", kind == "rotary", kind == "relative"]
    assert not [name for name in positions.state_dict() if name != "relative_bias"]


def test_positions_continue_at_start():
    positions = Positions("sinusoidal", 8, 2, 11)
    x = torch.zeros(2, 5, 8)
    assert torch.equal(positions.add(x)[:, 2:], positions.add(x[:, 2:], 2))
