"""Means and quantiles of the distributions of a scenario."""

import math

import pytest

from sim.cost.distributions import beta_quantile, beta_share, mean, quantile, quantile_function
from sim.spec.distribution import Distribution

GRID = [(index + 0.5) / 20_000 for index in range(20_000)]


@pytest.mark.parametrize(
    "distribution",
    [
        Distribution("fixed", (3.0,), "second"),
        Distribution("uniform", (1.0, 4.0), "second"),
        Distribution("uniform", (3.0, 8.0), "count", whole=True),
        Distribution("lognormal", (0.8, 3.0), "second"),
        Distribution("exponential", (2.0,), "second"),
        Distribution("exponential", (500.0,), "token", whole=True),
        Distribution("empirical", (1.0, 2.0, 6.0), "second"),
    ],
)
def test_mean_is_that_of_the_quantiles(distribution: Distribution) -> None:
    at = quantile_function(distribution)
    assert math.fsum(map(at, GRID)) / len(GRID) == pytest.approx(mean(distribution), rel=2e-3)


def test_quantiles_by_hand() -> None:
    lognormal = Distribution("lognormal", (0.8, 3.0), "second")
    assert quantile(lognormal, 0.5) == pytest.approx(0.8)
    assert quantile(lognormal, 0.95) == pytest.approx(3.0)
    assert math.isfinite(quantile(lognormal, 0.0))
    assert quantile(Distribution("exponential", (2.0,), "second"), 0.5) == pytest.approx(2 * math.log(2))
    whole = quantile_function(Distribution("uniform", (3.0, 8.0), "count", whole=True))
    assert {whole(share) for share in GRID} == {3, 4, 5, 6, 7, 8}


@pytest.mark.parametrize(("average", "sd"), [(0.4, 0.25), (0.5, 0.01), (0.05, 0.1), (0.9, 0.29), (0.3, 1e-4)])
def test_beta_has_its_moments(average: float, sd: float) -> None:
    at = beta_quantile(average, sd)
    draws = [at(share) for share in GRID]
    found = math.fsum(draws) / len(draws)
    assert found == pytest.approx(average, abs=2e-4)
    assert math.sqrt(math.fsum((draw - found) ** 2 for draw in draws) / len(draws)) == pytest.approx(sd, rel=5e-3)
    assert all(0 <= draw <= 1 for draw in draws)


def test_beta_quantile_inverts_the_share() -> None:
    both = 0.4 * 0.6 / 0.25**2 - 1
    at = beta_quantile(0.4, 0.25)
    for share in (0.001, 0.01, 0.2, 0.5, 0.9, 0.999):
        assert beta_share(0.4 * both, 0.6 * both, at(share)) == pytest.approx(share, abs=1e-5)
