"""What a distribution of a scenario gives: its mean, and the value at a quantile, which is how one is drawn."""

from __future__ import annotations

import math
from bisect import bisect_right
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.spec.distribution import Distribution

Z95 = NormalDist().inv_cdf(0.95)
"""Standard deviations from the median of a normal distribution to its 95th percentile."""


def quantile(distribution: Distribution, share: float) -> float:
    """Give the value that a share (0 to 1, 1 excluded) of the draws stays below, in SI.

    Source: inverse distribution functions; Devroye 1986, Non-Uniform Random Variate Generation, section II.2.

    >>> from sim.spec.distribution import Distribution
    >>> quantile(Distribution("uniform", (3.0, 8.0), "count", whole=True), 0.99)
    8.0
    """
    return quantile_function(distribution)(share)


def mean(distribution: Distribution) -> float:
    """Give the mean of the draws, in SI; of whole ones, before they are rounded.

    Source: textbook moments; of a lognormal, median x exp(sigma^2 / 2).
    """
    kind, values = distribution.kind, distribution.values
    if kind == "lognormal":
        return values[0] * math.exp(0.5 * _sigma(values) ** 2)
    return math.fsum(values) / len(values)


DRAWS = 4096
"""Quantiles that stand for a distribution of lengths, one in the middle of each equal share."""


def attended_length(lengths: Distribution, sequence: int) -> float:
    """Give the length of the piece of a document that a token is in, on average over tokens: E[l^2] / E[l].

    Documents are packed into sequences without room between them, and do not attend to one another; one longer than
    a sequence is cut into whole sequences and a rest. In a causal document of l tokens there are l^2 / 2 pairs, so
    attention costs what it costs in sequences of this length.

    Args:
        lengths: tokens of a document.
        sequence: tokens of a packed sequence.

    Source: length-biased mean; Krell et al. 2021 (arXiv:2107.02027) for packing without cross-contamination.
    Valid for: documents that fill their sequences (none is cut at the end of a sequence that it does not fill).

    >>> from sim.spec.distribution import fixed
    >>> attended_length(fixed(512.0, "token"), 4096), attended_length(fixed(6144.0, "token"), 4096)
    (512.0, 3413.3333333333335)
    """
    draw = quantile_function(lengths)
    shares = [0.5] if lengths.is_fixed else [(at + 0.5) / DRAWS for at in range(DRAWS)]
    drawn = [max(draw(share), 1.0) for share in shares]
    squares = math.fsum((length // sequence) * float(sequence) ** 2 + (length % sequence) ** 2 for length in drawn)
    return squares / math.fsum(drawn)


def quantile_function(distribution: Distribution) -> Callable[[float], float]:
    """Give `quantile` of one distribution as a fast function of the share.

    Whole draws: uniform ones are whole numbers from least to most, each as likely; others are rounded to the nearest.

    Source: as `quantile`.
    """
    exact = _exact(distribution)
    if distribution.whole and distribution.kind not in {"uniform", "fixed", "empirical"}:
        return lambda share: float(round(exact(share)))
    return exact


def _exact(distribution: Distribution) -> Callable[[float], float]:
    kind, values = distribution.kind, distribution.values
    if kind == "fixed":
        return lambda _: values[0]
    if kind == "uniform":
        least, most = values
        if distribution.whole:
            width = most - least + 1
            return lambda share: min(least + math.floor(share * width), most)
        return lambda share: least + share * (most - least)
    if kind == "exponential":
        return lambda share: -values[0] * math.log1p(-share)
    if kind == "empirical":
        return lambda share: values[int(share * len(values))]
    median, sigma, standard = values[0], _sigma(values), NormalDist().inv_cdf
    if sigma == 0:
        return lambda _: median
    # A share of exactly 0 has no finite quantile; the smallest that 53 bits draw stands for it.
    return lambda share: median * math.exp(sigma * standard(max(share, 2.0**-54)))


def _sigma(values: tuple[float, ...]) -> float:
    return math.log(values[1] / values[0]) / Z95


BETA_CELLS = 2048
"""Cells of the table that inverts a beta distribution; the error of a quantile stays below 1e-5."""
_TERMS = 400


def beta_quantile(mean_value: float, sd: float) -> Callable[[float], float]:
    """Give the quantile function of the beta distribution of this mean and standard deviation.

    Args:
        mean_value: between 0 and 1, both excluded.
        sd: more than 0 and less than sqrt(mean x (1 - mean)).

    Source: moments of the beta distribution; the incomplete beta function by its continued fraction, Press et al.,
    Numerical Recipes, section 6.4, inverted in a table of `BETA_CELLS` cells.

    >>> round(beta_quantile(0.5, 12 ** -0.5)(0.3), 6)
    0.3
    """
    both = mean_value * (1 - mean_value) / sd**2 - 1
    a, b = mean_value * both, (1 - mean_value) * both
    least, most = max(0.0, mean_value - 12 * sd), min(1.0, mean_value + 12 * sd)
    # Cosine spacing: fine at both ends, where the density of a beta may be infinite.
    points = [
        least + (most - least) * 0.5 * (1 - math.cos(math.pi * cell / BETA_CELLS)) for cell in range(BETA_CELLS + 1)
    ]
    shares = [beta_share(a, b, point) for point in points]
    shares[0], shares[-1] = 0.0, 1.0

    def at(share: float) -> float:
        cell = min(max(bisect_right(shares, share), 1), BETA_CELLS)
        low, high = shares[cell - 1], shares[cell]
        inside = (share - low) / (high - low) if high > low else 0.0
        return points[cell - 1] + inside * (points[cell] - points[cell - 1])

    return at


def beta_share(a: float, b: float, point: float) -> float:
    """Give the share of a beta(a, b) distribution below a point: the regularised incomplete beta function.

    Source: Press et al., Numerical Recipes, section 6.4 (continued fraction by the modified Lentz method).

    >>> round(beta_share(2, 3, 0.5), 6)
    0.6875
    """
    if point <= 0 or point >= 1:
        return 0.0 if point <= 0 else 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(point) + b * math.log1p(-point)
    if point > (a + 1) / (a + b + 2):
        return 1 - math.exp(logarithm) * _continued_fraction(b, a, 1 - point) / b
    return math.exp(logarithm) * _continued_fraction(a, b, point) / a


def _continued_fraction(a: float, b: float, point: float) -> float:
    tiny = 1e-300
    upper, lower = 1.0, 1.0 - (a + b) * point / (a + 1)
    lower = 1 / (lower if abs(lower) > tiny else tiny)
    value = lower
    for term in range(1, _TERMS):
        double = 2 * term
        factors = (
            term * (b - term) * point / ((a + double - 1) * (a + double)),
            -(a + term) * (a + b + term) * point / ((a + double) * (a + double + 1)),
        )
        change = 1.0
        for factor in factors:
            lower = 1 + factor * lower
            lower = 1 / (lower if abs(lower) > tiny else tiny)
            upper = 1 + factor / upper
            upper = upper if abs(upper) > tiny else tiny
            change = lower * upper
            value *= change
        if abs(change - 1) < 1e-15:  # noqa: PLR2004 - the last digit of a float
            break
    return value
