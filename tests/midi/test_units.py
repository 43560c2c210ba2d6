import numpy as np

from amt.midi.elements import Tempo
from amt.midi.units import ticks_to_seconds


def test_default_is_120_bpm():
    assert ticks_to_seconds(np.array([0, 480, 960]), [], 480).tolist() == [0.0, 0.5, 1.0]


def test_tempo_map_in_any_order_and_the_last_of_a_tick():
    tempos = [Tempo(20, 250_000), Tempo(10, 1), Tempo(10, 1_000_000)]
    seconds = ticks_to_seconds(np.array([[0, 5, 10], [11, 20, 22]]), tempos, 10)
    assert seconds.tolist() == [[0.0, 0.25, 0.5], [0.6, 1.5, 1.55]]


def test_largest_values_do_not_overflow():
    tick = 2**31 - 1
    assert ticks_to_seconds(tick, [Tempo(0, 0xFFFFFF)], 1) == tick * 0xFFFFFF / 1e6
