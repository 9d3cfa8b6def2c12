"""How sure an answer is: the luck of a run, and the error of the model that timed its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

QUANTILES_OF_ERROR = 99
"""The error of the model enters at fixed quantiles; it is not drawn."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A quantity with its mean and an 80 % interval."""

    expected: float
    p10: float
    p50: float
    p90: float

    def to_dict(self) -> dict[str, float]:
        """Give the four numbers by name."""
        return {"expected": self.expected, "p10": self.p10, "p50": self.p50, "p90": self.p90}

    def scaled(self, factor: float) -> Spread:
        """Give the same spread of a proportional quantity."""
        return Spread(self.expected * factor, self.p10 * factor, self.p50 * factor, self.p90 * factor)


@dataclass(frozen=True, slots=True)
class Interval:
    """A spread, and how much of its width has which cause."""

    spread: Spread
    luck_share: float
    """Share of the variance of the logarithm that comes from the luck of the run."""
    model_share: float


def interval(expected: float, luck: Sequence[float], sigma: float, *, inverse: bool = False) -> Interval:
    """Combine the luck of a run with the error of the step model: expected x luck x error.

    Args:
        expected: the deterministic mean, in any unit.
        luck: wall-clock of simulated seeds over their mean; empty means no luck.
        sigma: standard deviation of the logarithm of the model's error; 0 where the step was given.
        inverse: True where more time means less of the quantity (FLOP in a fixed time).

    Returns:
        p10, p50 and p90 over all pairs of a seed and a fixed quantile of the error, and what causes the width.

    """
    normal = NormalDist()
    levels = [(index + 0.5) / QUANTILES_OF_ERROR for index in range(QUANTILES_OF_ERROR)]
    errors = np.exp(np.array([sigma * normal.inv_cdf(level) for level in levels]))
    lucks = np.array(luck or [1.0])
    factors = np.outer(lucks, errors).ravel()
    factors = 1 / factors if inverse else factors
    p10, p50, p90 = (float(value) for value in np.quantile(factors, [0.1, 0.5, 0.9]))
    luck_variance = float(np.var(np.log(lucks)))
    total = luck_variance + sigma**2
    luck_share = luck_variance / total if total > 0 else 0.0
    model_share = sigma**2 / total if total > 0 else 0.0
    assert math.isfinite(p90)
    return Interval(Spread(expected, expected * p10, expected * p50, expected * p90), luck_share, model_share)
