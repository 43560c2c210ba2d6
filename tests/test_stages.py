import pytest

from amt import stages


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the clock is read: one each time."""
    monkeypatch.setattr(stages, "perf_counter", iter(range(100)).__next__)


def test_stages_of_one_name_add_up(clock):
    with stages.recorded() as seconds:
        for name in ("a", "b", "a"):
            with stages.stage(name):
                pass
        stages.add("b/part", 0.5)
    assert seconds == {"a": 2, "b": 1, "b/part": 0.5}


def test_a_stage_that_fails_counts_and_one_that_nobody_asked_for_does_not(clock):
    with stages.recorded() as outer, stages.recorded() as inner, pytest.raises(KeyError), stages.stage("a"):
        raise KeyError
    with stages.stage("b"):
        pass
    assert (outer, inner) == ({}, {"a": 1})
