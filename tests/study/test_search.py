"""The smallest number and the largest amount that meet a target, for times that are known."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InfeasibleError, UsageError
from sim.spec.workload import MOST_FLOP
from sim.study.search import JUMP, PATIENCE, fewest, largest


def counted(seconds: Callable[[int], float]) -> tuple[Callable[[int], float], list[int]]:
    calls: list[int] = []

    def watched(nodes: int) -> float:
        calls.append(nodes)
        return seconds(nodes)

    return watched, calls


@given(
    st.integers(1, 50), st.integers(1, 10_000), st.floats(0.1, 1e4), st.none() | st.integers(1, 10_000), st.booleans()
)
def test_fewest_is_that_of_a_loop(least: int, more: int, target_s: float, begin: int | None, unfit: bool) -> None:
    """Whatever it starts from, also where the first ones do not fit."""
    most = least + more
    begin = None if begin is None else min(max(begin, least), most)

    def seconds(nodes: int) -> float:
        return math.inf if unfit and nodes < 40 else 5e4 / nodes + 3

    wanted = next((nodes for nodes in range(least, most + 1) if seconds(nodes) <= target_s), None)
    assert fewest(seconds, target_s, least, most, begin=begin) == wanted


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.floats(0.0, 1.0))
def test_fewest_of_any_falling_steps(drops: list[float], share: float) -> None:
    times = [math.fsum(drops[index:]) + 1 for index in range(len(drops))]
    target_s = 1 + share * math.fsum(drops)
    found = fewest(lambda nodes: times[nodes - 1], target_s, 1, len(times))
    wanted = next((index + 1 for index, time in enumerate(times) if time <= target_s), None)
    # A plateau longer than its patience may end the search, never with a wrong answer.
    assert found == wanted or (found is None and len(times) > 2**PATIENCE)


def test_fewest_gives_up_where_nothing_helps() -> None:
    seconds, calls = counted(lambda nodes: max(1000 / nodes, 50))
    assert fewest(seconds, 10.0, 1, 10**9) is None
    assert len(calls) < 15


def test_from_near_it_takes_few_tries() -> None:
    seconds, calls = counted(lambda nodes: 1e6 / nodes)
    assert fewest(seconds, 100.0, 1, 10**9, begin=9_990) == 10_000
    assert len(calls) < 10
    seconds, calls = counted(lambda nodes: 1e6 / nodes)
    assert fewest(seconds, 100.0, 1, 10**9, begin=10_010) == 10_000
    assert len(calls) < 10


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e9), st.floats(0.5, 1.5))
def test_largest_hits_the_target_where_time_is_smooth(factor: float, target_s: float, power: float) -> None:
    wanted = 1e20 * (target_s / factor) ** (1 / power)
    amount = largest(lambda value: factor * (value / 1e20) ** power, target_s, 10 * wanted)
    assert factor * (amount / 1e20) ** power == pytest.approx(target_s, rel=1e-9)


@given(st.floats(1.0, 100.0), st.floats(1e10, 1e30))
def test_largest_stays_below_a_jump(height: float, at: float) -> None:
    """Time jumps over the target: the answer is the last amount before, to a millionth."""

    def seconds(value: float) -> float:
        return value / at * (1.0 if value <= at else 1.0 + height)

    found = largest(seconds, 1.5, 1e33)
    if height > 1.5:
        assert at * (1 - 2 * JUMP) <= found <= at
    else:
        assert seconds(found) <= 1.5 * (1 + 1e-12)


def test_largest_finds_what_fits_below_what_does_not() -> None:
    def seconds(value: float) -> float:
        if value > 1e20:
            raise InfeasibleError("does not fit")
        return 1.0

    assert largest(seconds, 10.0, 1e30) == pytest.approx(1e20, rel=2 * JUMP)


def test_where_nothing_fits_the_reason_is_kept() -> None:
    def seconds(value: float) -> float:
        if value > 1e10:
            raise InfeasibleError("does not fit")
        raise UsageError("too small a model")

    with pytest.raises(InfeasibleError, match="does not fit"):
        largest(seconds, 10.0, 1e30)
    with pytest.raises(UsageError, match="too small"):
        largest(seconds, 10.0, 1e9)


def test_a_time_that_no_amount_meets() -> None:
    with pytest.raises(InfeasibleError) as caught:
        largest(lambda value: 5.0 + value, 1.0, 1e30)
    assert "nothing fits into this time" in caught.value.rule
    assert caught.value.exit_code == 4


def test_more_than_the_largest_budget() -> None:
    with pytest.raises(UsageError, match="at most 1e\\+36 FLOP"):
        largest(lambda value: value / 1e60, 1.0, MOST_FLOP)
