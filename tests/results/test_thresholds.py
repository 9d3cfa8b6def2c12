"""When a run crosses amounts of compute that laws name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.results.thresholds import THRESHOLDS, Threshold, crossings
from tests.helpers.answers import asked


def test_the_named_amounts() -> None:
    assert [threshold.flop for threshold in THRESHOLDS] == [1e23, 1e25, 1e26, 1e27]
    assert all(threshold.source for threshold in THRESHOLDS)


def test_a_threshold_is_crossed_at_the_average_rate() -> None:
    found = {each.threshold.flop: each for each in crossings(1000.0, 8e25, 1e26)}
    assert found[1e25].model_crossed_at_s == pytest.approx(125.0)
    assert found[1e25].executed_crossed_at_s == pytest.approx(100.0)
    assert found[1e26].model_crossed_at_s is None
    assert found[1e26].executed_crossed_at_s == 1000.0
    assert found[1e27].executed_crossed_at_s is None


def test_own_thresholds_stand_in_order() -> None:
    mine = Threshold("mine", 5e25, "given by you")
    found = crossings(1.0, 1e26, 1e26, (mine,))
    assert [each.threshold.flop for each in found] == [1e23, 1e25, 5e25, 1e26, 1e27]


@given(st.floats(1.0, 1e10), st.floats(1e20, 1e28), st.floats(1.0, 2.0), st.floats(1e20, 1e28))
def test_executed_operations_cross_no_later(wall_s: float, model: float, over: float, flop: float) -> None:
    for each in crossings(wall_s, model, model * over, (Threshold("mine", flop, ""),)):
        if each.model_crossed_at_s is not None:
            assert each.executed_crossed_at_s is not None
            assert 0 < each.executed_crossed_at_s <= each.model_crossed_at_s <= wall_s


def test_in_an_answer() -> None:
    answer = asked("howlong", "1e24 FLOP", "1024xh100-sxm", thresholds=(Threshold("mine", 5e23, "given by you"),))
    wall_s, executed = answer.wall_clock_s.expected, answer.flop["executed"].operations
    mine = next(each for each in answer.to_dict()["thresholds"] if each["name"] == "mine")
    assert mine["model_crossed_at_s"] == pytest.approx(wall_s / 2, rel=1e-9)
    assert mine["executed_crossed_at_s"] == pytest.approx(wall_s * 5e23 / executed, rel=1e-9)
    assert mine["source"] == "given by you"
