"""The interval of an answer: luck of the run x error of the step model, at fixed quantiles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.results.spread import QUANTILES_OF_ERROR, Spread, interval

DECILE = 1.2815515655446004
lucks = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=20)
sigmas = st.floats(0.0, 0.5)
SIGMA = 0.19


def test_without_luck_the_deciles_are_those_of_the_lognormal() -> None:
    spread = interval(100.0, [], SIGMA).spread
    assert spread.expected == 100.0
    assert spread.p50 == pytest.approx(100.0)
    assert math.log(spread.p90 / 100.0) == pytest.approx(DECILE * SIGMA, rel=0.02)
    assert math.log(spread.p10 / 100.0) == pytest.approx(-DECILE * SIGMA, rel=0.02)


def test_without_error_the_deciles_are_those_of_the_luck() -> None:
    luck = [0.9, 1.0, 1.1, 1.2, 0.8]
    found = interval(50.0, luck, 0.0)
    assert (found.luck_share, found.model_share) == (1.0, 0.0)
    low, high = np.quantile(np.repeat(luck, QUANTILES_OF_ERROR), [0.1, 0.9])
    assert (found.spread.p10, found.spread.p90) == (50.0 * float(low), 50.0 * float(high))


def test_the_middle_is_over_all_pairs_of_luck_and_error() -> None:
    """Two seeds, by hand: the quantiles of every product of a seed and one of 99 fixed errors."""
    from statistics import NormalDist

    errors = [math.exp(0.2 * NormalDist().inv_cdf((index + 0.5) / 99)) for index in range(99)]
    products = sorted(error * luck for error in errors for luck in (0.9, 1.1))
    found = interval(1.0, [0.9, 1.1], 0.2).spread
    place = 0.1 * (len(products) - 1)
    low, high = products[math.floor(place)], products[math.ceil(place)]
    assert found.p10 == pytest.approx(low + (place - math.floor(place)) * (high - low), rel=1e-12)


def test_nothing_uncertain_has_no_width() -> None:
    found = interval(7.0, [], 0.0)
    assert found.spread == Spread(7.0, 7.0, 7.0, 7.0)
    assert (found.luck_share, found.model_share) == (0.0, 0.0)


@given(lucks, sigmas)
def test_shares_are_those_of_the_variance_of_the_logarithm(luck: list[float], sigma: float) -> None:
    found = interval(1.0, luck, sigma)
    logs = [math.log(value) for value in luck]
    mean = sum(logs) / len(logs)
    variance = sum((value - mean) ** 2 for value in logs) / len(logs)
    if variance + sigma**2 > 1e-12:
        assert found.luck_share == pytest.approx(variance / (variance + sigma**2), abs=1e-6)
        assert found.luck_share + found.model_share == pytest.approx(1.0)


@given(lucks, sigmas)
def test_inverse_is_the_interval_of_what_a_fixed_time_buys(luck: list[float], sigma: float) -> None:
    """Slow runs buy less: the lower decile of the amount comes from the upper decile of the time."""
    time, amount = interval(1.0, luck, sigma).spread, interval(1.0, luck, sigma, inverse=True).spread
    assert amount.p10 <= amount.p50 * (1 + 1e-12)
    assert amount.p50 <= amount.p90 * (1 + 1e-12)
    # Quantiles between two neighbours are interpolated, which does not commute with 1/x; the bracket holds.
    assert amount.p10 == pytest.approx(1 / time.p90, rel=0.25)
    assert amount.p90 == pytest.approx(1 / time.p10, rel=0.25)


@given(st.floats(1e-3, 1e12), lucks, sigmas)
def test_interval_scales_with_the_expectation(expected: float, luck: list[float], sigma: float) -> None:
    one, many = interval(1.0, luck, sigma).spread, interval(expected, luck, sigma).spread
    scaled = one.scaled(expected)
    assert list(many.to_dict().values()) == pytest.approx(list(scaled.to_dict().values()), rel=1e-12)
