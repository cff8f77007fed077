"""Schedules as functions of progress."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnflow.training.schedule import SCHEDULES, cosine, linear, one_cycle, with_warmup


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "constant"])
def test_schedules_end_at_zero(name: str) -> None:
    assert SCHEDULES[name](1.0) == pytest.approx(0.0, abs=1e-12)


@given(st.floats(0, 1), st.floats(0, 0.9))
def test_factors_are_shares(progress: float, warmup: float) -> None:
    for schedule in SCHEDULES.values():
        assert -1e-12 <= with_warmup(schedule, warmup)(progress) <= 1 + 1e-12


def test_known_points() -> None:
    assert linear(0.25) == 0.75
    assert cosine(0.5) == pytest.approx(0.5)
    assert one_cycle(0.0) == pytest.approx(1 / 25)
    assert one_cycle(0.3) == pytest.approx(1.0)
    assert with_warmup(linear, 0.2)(0.1) == pytest.approx(0.5)
    assert with_warmup(linear, 0.2)(0.2) == pytest.approx(1.0)
    assert with_warmup(linear, 0.2)(0.6) == pytest.approx(0.5)
