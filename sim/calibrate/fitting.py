"""Fit a curve robustly to a share of the measurements, and judge it on the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

FITTED_SHARE = 0.6
OUTLIER = 0.05
"""Relative error beyond which a point pulls less (soft L1 in the logarithm)."""
FEWEST_POINTS = 8
GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Judgement:
    """How a curve does on the points kept apart; errors are |predicted / measured - 1|."""

    points: int
    held_out_points: int
    held_out_median: float
    held_out_p90: float
    large_median: float | None = None
    large_p90: float | None = None
    large_bias: float | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One constant of a curve: where the search starts, and between which bounds it stays."""

    start: float
    low: float
    high: float


def split(count: int) -> Array:
    """Choose which of so many points are fitted: six of ten, spread evenly, the same ones each time.

    >>> split(10).astype(int).tolist()
    [1, 0, 1, 0, 1, 1, 0, 1, 0, 1]
    """
    chosen: Array = (np.arange(count) * GOLDEN_RATIO) % 1.0 < FITTED_SHARE
    return chosen


def fit(
    predict: Callable[[Sequence[float]], Array],
    measured_s: Array,
    parameters: Sequence[Parameter],
    large: Array | None = None,
    subset: Array | None = None,
) -> tuple[tuple[float, ...], Judgement]:
    """Fit the constants of `predict`, which gives the time of every point in s; judge them on the points kept apart.

    `large` marks the points judged apart once more; `subset` replaces the usual split. Raises UsageError with too
    few points, or without scipy.
    """
    try:
        from scipy.optimize import least_squares  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError(
            "fitting curves needs the extra 'calibrate'", mend="pip install 'flopclock[calibrate]'"
        ) from None
    if len(measured_s) < FEWEST_POINTS:
        raise UsageError(f"a fit needs at least {FEWEST_POINTS} measurements", str(len(measured_s)))
    chosen = split(len(measured_s)) if subset is None else subset
    low, high = ([getattr(each, side) for each in parameters] for side in ("low", "high"))
    scale = np.array([max(abs(each.start), 1e-12) for each in parameters])

    def residuals(values: Array) -> Array:
        relative: Array = np.log(predict((values * scale).tolist())[chosen] / measured_s[chosen])
        return relative

    found = least_squares(
        residuals,
        np.array([each.start for each in parameters]) / scale,
        bounds=(np.array(low) / scale, np.array(high) / scale),
        loss="soft_l1",
        f_scale=OUTLIER,
        x_scale="jac",
    )
    values = tuple(float(value) for value in found.x * scale)
    return values, judge(predict(values) / measured_s, chosen, large)


def judge(ratio: Array, chosen: Array, large: Array | None = None) -> Judgement:
    """Summarise predicted / measured on the points that were not chosen for the fit."""
    error = np.abs(ratio[~chosen] - 1.0)
    apart = None if large is None else ~chosen & large
    extra: tuple[float | None, ...] = (None, None, None)
    if apart is not None and apart.sum() >= FEWEST_POINTS:
        there = ratio[apart]
        off = np.abs(there - 1.0)
        extra = (float(np.median(off)), float(np.quantile(off, 0.9)), float(np.median(there)) - 1.0)
    return Judgement(
        int(chosen.sum()), int((~chosen).sum()), float(np.median(error)), float(np.quantile(error, 0.9)), *extra
    )
