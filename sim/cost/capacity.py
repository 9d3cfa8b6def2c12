"""Experts that take a limited number of tokens: what they compute, and which share of the visits is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Capacity:
    """A limit on the tokens of an expert."""

    factor: float
    """Tokens that an expert takes at most, over the mean."""
    pads: bool
    """Whether every expert computes exactly so many, with empty rows where fewer come."""
    imbalance: float
    """Tokens that come to the fullest expert, over the mean."""
    experts: int
    """Experts of a layer."""

    @property
    def dropped(self) -> float:
        """Share of the visits that are dropped."""
        return dropped_share(self.factor, self.imbalance, self.experts)


def dropped_share(factor: float, imbalance: float, experts: int) -> float:
    """Give the share of visits that experts of limited capacity drop: E[max(L - c, 0)] of a load L of mean 1.

    Loads are taken as lognormal, exp(s z - s^2 / 2); s is such that the fullest of E experts, at the quantile
    1 - 1 / (E + 1), has the imbalance. Then the mean of what is beyond c is N(d) - c N(d - s) with
    d = (s^2 / 2 - ln c) / s.

    Args:
        factor: capacity c over the mean.
        imbalance: load of the fullest expert over the mean.
        experts: experts of a layer E.

    Source: Fedus et al. 2021 (arXiv:2101.03961), section 2.2, for capacity; the form of the loads is our assumption
    (the partial mean of a lognormal, as in Black and Scholes 1973).
    Valid for: imbalances up to exp(z^2 / 2) (44 for 128 experts), the most that such loads can have; above it as there.

    >>> dropped_share(1.0, 1.0, 64), round(dropped_share(1.25, 2.0, 64), 4), dropped_share(2.0, 2.0, 64) < 0.01
    (0.0, 0.0612, True)
    """
    if imbalance <= factor and imbalance <= 1.0:
        return 0.0
    place = _NORMAL.inv_cdf(1.0 - 1.0 / (experts + 1.0))
    spread = place - sqrt(max(place**2 - 2.0 * log(imbalance), 0.0))
    if spread <= 0.0:
        return max(1.0 - factor, 0.0)
    distance = (spread**2 / 2 - log(factor)) / spread
    return max(_NORMAL.cdf(distance) - factor * _NORMAL.cdf(distance - spread), 0.0)


def fullest_load(capacity: Capacity | None, imbalance: float) -> float:
    """Give the rows that the fullest device computes, over the mean of what is routed.

    Without a limit what comes; with one at most the limit, or exactly it where experts are padded.

    Source: Fedus et al. 2021 (arXiv:2101.03961), section 2.2; Megatron-Core's moe-pad-expert-input-to-capacity.

    >>> limit, padded = Capacity(1.25, False, 2.0, 8), Capacity(1.25, True, 1.0, 8)
    >>> fullest_load(None, 1.5), fullest_load(limit, 1.5), fullest_load(padded, 1.0)
    (1.5, 1.25, 1.25)
    """
    if capacity is None:
        return imbalance
    return capacity.factor if capacity.pads else min(imbalance, capacity.factor)


def computed_share(capacity: Capacity | None) -> float:
    """Give the rows that all experts compute, over what is routed: padding counts, what is dropped does not.

    Source: as ``fullest_load``.
    """
    if capacity is None:
        return 1.0
    return capacity.factor if capacity.pads else 1.0 - capacity.dropped
