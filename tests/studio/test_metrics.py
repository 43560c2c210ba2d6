"""Numbers for Prometheus, with all their digits."""

import os

import pytest

from amt.studio.metrics import Metrics


def test_no_digit_is_lost():
    metrics = Metrics()
    metrics.wrote(123_456_789)
    text = metrics.text({"gauge": (0.12345678912345, "A.")}, {"counter": (2**53 + 1, "B.")})
    assert "amt_pieces_total 123456789\n" in text
    assert "\ngauge 0.12345678912345\n" in text and f"\ncounter {2**53 + 1}\n" in text


def test_a_page_of_memory_has_the_size_that_the_system_says(monkeypatch):
    pytest.importorskip("fastapi", reason="needs the extra studio")
    from amt.studio.app import _resident_bytes

    before = _resident_bytes()
    if not before:
        pytest.skip("the system does not say it")
    size = os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 16 * size}[name])
    assert _resident_bytes() > 8 * before
