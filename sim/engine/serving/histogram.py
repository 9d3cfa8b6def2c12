"""A histogram of durations whose bins are half a percent wide: flat memory, and quantiles to a quarter percent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BIN_RATIO = 1.005
LEAST_S = 1e-6
"""Shorter durations, 0 among them, are in the first bin."""
MOST_S = 1e6
BINS = math.ceil(math.log(MOST_S / LEAST_S) / math.log(BIN_RATIO)) + 2
_PER_LOG = 1 / math.log(BIN_RATIO)
_LOG_LEAST = math.log(LEAST_S)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A closed histogram: weights by bin."""

    weights: Floats
    total_s: float
    """Sum of all durations times their weights: exact, not from the bins."""

    @property
    def count(self) -> float:
        """Give the sum of the weights."""
        return float(self.weights.sum())

    @property
    def mean_s(self) -> float:
        """Give the exact mean, NaN when empty."""
        count = self.count
        return self.total_s / count if count else math.nan

    def quantile_s(self, share: float) -> float:
        """Give the duration that ``share`` of the weight does not exceed, to a quarter percent; NaN when empty."""
        sums = np.cumsum(self.weights)
        if not sums[-1]:
            return math.nan
        place = int(np.searchsorted(sums, share * sums[-1], side="left"))
        return 0.0 if place == 0 else float(LEAST_S * BIN_RATIO ** (place - 0.5))


class LogHistogram:
    """Collects weighted durations, many at once."""

    def __init__(self) -> None:
        """Begin empty."""
        self._weights = np.zeros(BINS)
        self._total_s = 0.0

    def add(self, durations_s: Floats, weights: Floats) -> None:
        """Count each duration with its weight."""
        self._weights += np.bincount(_bins(durations_s), weights, minlength=BINS)
        self._total_s += float(durations_s @ weights)

    def add_progressions(self, first_s: Floats, step_s: Floats, counts: Floats, weights: Floats) -> None:
        """Count arithmetic progressions: ``counts`` durations from ``first_s`` on, ``step_s`` apart, each weighted."""
        last_s = first_s + step_s * (counts - 1)
        low, high = _bins(first_s), _bins(last_s)
        one = low == high
        self._weights += np.bincount(low[one], (counts * weights)[one], minlength=BINS)
        self._total_s += float((0.5 * (first_s + last_s) * counts) @ weights)
        if not one.all():
            many = ~one
            self._spread(first_s[many], step_s[many], counts[many], weights[many], low[many], high[many])

    def close(self) -> Distribution:
        """Give what was counted."""
        return Distribution(self._weights.copy(), self._total_s)

    def _spread(
        self,
        first_s: Floats,
        step_s: Floats,
        counts: Floats,
        weights: Floats,
        low: NDArray[np.int64],
        high: NDArray[np.int64],
    ) -> None:
        """Share progressions that cross bins: how many of their durations lie below each edge between bins."""
        spans = high - low + 1
        row = np.repeat(np.arange(len(low)), spans)
        within = np.arange(len(row)) - np.repeat(np.cumsum(spans) - spans, spans)
        edge_s = LEAST_S * BIN_RATIO ** (low[row] + within).astype(np.float64)
        below = np.clip(np.ceil((edge_s - first_s[row]) / step_s[row]), 0, counts[row])
        below[within == spans[row] - 1] = counts[row][within == spans[row] - 1]
        inside = np.diff(below, prepend=0.0)
        starts = within == 0
        inside[starts] = below[starts]
        self._weights += np.bincount(low[row] + within, inside * weights[row], minlength=BINS)


def _bins(durations_s: Floats) -> NDArray[np.int64]:
    place = np.floor((np.log(np.maximum(durations_s, LEAST_S)) - _LOG_LEAST) * _PER_LOG).astype(np.int64) + 1
    place[durations_s < LEAST_S] = 0
    return np.minimum(place, BINS - 1)
