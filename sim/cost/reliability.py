"""How long a run takes on average when interruptions strike it, and how often it should save its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sim.errors import InfeasibleError, ScenarioError

Numbers: TypeAlias = float | NDArray[np.float64]

MAX_SLOWDOWN = 1e4
"""Beyond this ratio of wall-clock to undisturbed time, a run is said never to finish."""

SERIES_BELOW = 0.1
"""Below this exponent, e^x - 1 - x comes from its series: eleven terms reach the last digit there."""


@dataclass(frozen=True, slots=True)
class RunParameters:
    """The five numbers that decide how interruptions stretch a run; scalars, or arrays that broadcast."""

    useful_s: Numbers
    """Seconds of stepping that the run needs if nothing stops it."""
    interval_s: Numbers
    """Useful seconds between two checkpoints; ``useful_s / interval_s`` need not be whole."""
    write_s: Numbers
    """Seconds that a checkpoint stops the run."""
    hazard_per_s: Numbers
    """Interruptions per second of the whole run; the mean time between them is its inverse."""
    restart_s: Numbers
    """Seconds from an interruption until the run steps again."""

    def __post_init__(self) -> None:
        """Refuse what is no duration or no rate.

        Raises:
            ScenarioError: a value is negative or not finite, or the interval is zero.
        """
        for name in self.__slots__:
            values = np.asarray(getattr(self, name), dtype=np.float64)
            positive = name == "interval_s"
            wrong = ~np.isfinite(values) | ((values <= 0) if positive else (values < 0))
            if np.any(wrong):
                rule = "must be a finite number above 0" if positive else "must be a finite number, 0 or more"
                raise ScenarioError(f"{name} {rule}", value=str(values[wrong].flat[0]), where="reliability of the run")


@dataclass(frozen=True, slots=True)
class ExpectedRun:
    """The mean of a run over all its possible interruptions; the parts sum to ``wall_clock_s``."""

    wall_clock_s: Numbers
    useful_s: Numbers
    checkpoint_s: Numbers
    """Seconds in writes that finished."""
    lost_compute_s: Numbers
    """Seconds of stepping that an interruption undid."""
    lost_write_s: Numbers
    """Seconds in writes that an interruption cut."""
    restart_s: Numbers
    """Seconds in detection and restart, finished or cut."""
    interruptions: Numbers
    checkpoints: Numbers

    @property
    def lost_s(self) -> Numbers:
        """Give all lost seconds: stepping that was undone and writes that were cut."""
        return self.lost_compute_s + self.lost_write_s


def expected_run(parameters: RunParameters) -> ExpectedRun:
    """Give the exact mean of an interrupted run and of each of its parts, in seconds.

    With M = 1/hazard, n = useful/interval and Poisson interruptions that may strike stepping, a write or a restart:
    ``E = n M e^(restart/M) (e^((interval + write)/M) - 1)``. Every interruption costs one restart, finished or not:
    ``restart = E (1 - e^(-restart/M))``; ``lost write = n (M (e^(write/M) - 1) - write)``;
    ``lost compute = n (M e^(write/M) (e^(interval/M) - 1) - interval)``; ``interruptions = E/M``.
    The terms are written so that a tiny hazard loses no digits and hazard 0 gives useful + writes exactly;
    a run that interruptions stretch beyond 1e308 s gives inf.

    Source: J. T. Daly, A higher order estimate of the optimum checkpoint interval for restart dumps,
        Future Generation Computer Systems 22 (2006) 303-312 (its complete wall-clock time); the split into parts
        follows from the same renewal argument (attempts per interval: e^((interval + write)/M)).
    Valid for: interruptions at a constant rate that do not wait for a repair; exact when useful/interval is whole
        and a write closes the last interval, else the last, short interval changes E by about a write.

    >>> calm = RunParameters(useful_s=3600.0, interval_s=600.0, write_s=30.0, hazard_per_s=0.0, restart_s=300.0)
    >>> run = expected_run(calm)
    >>> run.wall_clock_s, run.checkpoint_s, run.lost_s
    (3780.0, 180.0, 0.0)
    >>> run = expected_run(RunParameters(3600.0, 600.0, 30.0, 1 / 3000, 300.0))
    >>> round(run.wall_clock_s, 3), round(run.interruptions, 4)
    (4648.576, 1.5495)
    """
    useful, interval, write, hazard, restart = (
        np.asarray(value, dtype=np.float64)
        for value in (
            parameters.useful_s,
            parameters.interval_s,
            parameters.write_s,
            parameters.hazard_per_s,
            parameters.restart_s,
        )
    )
    with np.errstate(over="ignore"):
        checkpoints = useful / interval
        written = checkpoints * write
        compute_excess = _excess(hazard * interval) + _times(_growth(hazard * interval), np.expm1(hazard * write))
        lost_compute = _times(useful, compute_excess)
        lost_write = _times(written, _excess(hazard * write))
        undisturbed_by_restarts = useful + written + lost_compute + lost_write
        restarting = _times(undisturbed_by_restarts, np.expm1(hazard * restart))
        wall_clock = undisturbed_by_restarts + restarting
        interruptions = _times(hazard, wall_clock)
    parts = (wall_clock, useful, written, lost_compute, lost_write, restarting, interruptions, checkpoints)
    return ExpectedRun(*(_plain(part) for part in np.broadcast_arrays(*parts)))


def young_daly_interval_s(write_s: Numbers, hazard_per_s: Numbers) -> Numbers:
    """Give the useful seconds between checkpoints that make a run shortest: writes weighed against lost work.

    With x = write / (2 M), M = 1/hazard: ``sqrt(2 write M) (1 + sqrt(x)/3 + x/9) - write`` for x < 1, else ``M``.
    Its limit for small x is Young's ``sqrt(2 write M)``. The time to restart does not move the optimum.
    Hazard 0 gives inf (never save) and write 0 gives 0 (save always): bound it by the run and by a step
    (`whole_interval_s`).

    Source: J. T. Daly, Future Generation Computer Systems 22 (2006) 303-312; J. W. Young, A first order
        approximation to the optimum checkpoint interval, Communications of the ACM 17 (1974) 530-531.
    Valid for: interruptions at a constant rate; at any write / M, a run costs less than 0.2 % more than at the exact
        optimum of `expected_run`.

    >>> round(young_daly_interval_s(write_s=60.0, hazard_per_s=1 / 10_000), 1)
    1055.8
    >>> young_daly_interval_s(write_s=60.0, hazard_per_s=0.0)
    inf
    """
    write, hazard = np.broadcast_arrays(
        np.asarray(write_s, dtype=np.float64), np.asarray(hazard_per_s, dtype=np.float64)
    )
    if np.any(~(write >= 0)) or np.any(~(hazard >= 0)):
        rule = "the seconds of a checkpoint and the hazard must be 0 or more"
        raise ScenarioError(rule, value=f"write_s {write_s}, hazard_per_s {hazard_per_s}", where="checkpoint interval")
    safe_hazard = np.where(hazard > 0, hazard, 1.0)
    ratio = write * safe_hazard / 2
    first_order = np.sqrt(2 * write / safe_hazard)
    higher_order = first_order * (1 + np.sqrt(ratio) / 3 + ratio / 9) - write
    interval = np.where(ratio < 1, higher_order, 1 / safe_hazard)
    return _plain(np.where(hazard > 0, interval, np.inf))


def young_interval_s(write_s: Numbers, hazard_per_s: Numbers) -> Numbers:
    """Give the first-order best interval in useful seconds, ``sqrt(2 write / hazard)``.

    Source: J. W. Young, Communications of the ACM 17 (1974) 530-531.
    Valid for: write much shorter than the mean time between interruptions; above a tenth of it use
        `young_daly_interval_s`.

    >>> round(young_interval_s(write_s=60.0, hazard_per_s=1 / 10_000), 1)
    1095.4
    """
    hazard = np.asarray(hazard_per_s, dtype=np.float64)
    interval = np.sqrt(2 * np.asarray(write_s, dtype=np.float64) / np.where(hazard > 0, hazard, 1.0))
    return _plain(np.where(hazard > 0, interval, np.inf))


def whole_interval_s(useful_s: float, interval_s: float) -> float:
    """Give the longest interval, in useful seconds, that is at most ``interval_s`` and divides the run evenly.

    ``useful / ceil(useful / interval)``: with it the closed form and the simulation describe the same run, whose last
    interval is as long as the others; an interval longer than the run becomes the run.

    Source: rounding of the number of intervals, no model.
    Valid for: any run; the optimum of `young_daly_interval_s` is flat, so the rounding costs little.

    >>> whole_interval_s(useful_s=1000.0, interval_s=300.0)
    250.0
    >>> whole_interval_s(useful_s=1000.0, interval_s=float("inf"))
    1000.0
    """
    if not interval_s > 0:
        rule = "the interval between checkpoints must be above 0"
        raise ScenarioError(rule, value=str(interval_s), where="checkpoint interval", mend="at least one step")
    return useful_s / max(1.0, float(np.ceil(useful_s / interval_s * (1 - 1e-12))))


def refuse_endless(parameters: RunParameters, expected: ExpectedRun) -> None:
    """Refuse a (scalar) run that interruptions keep from ever finishing.

    Raises:
        InfeasibleError: the mean wall-clock is not finite, or above `MAX_SLOWDOWN` times the undisturbed run.
    """
    undisturbed_s = expected.useful_s + expected.checkpoint_s
    if expected.wall_clock_s <= MAX_SLOWDOWN * undisturbed_s:
        return
    between_s = 1 / np.float64(parameters.hazard_per_s)
    raise InfeasibleError(
        f"the run never finishes: an interruption every {between_s:.4g} s on average leaves no time to reach the next "
        f"checkpoint (over {MAX_SLOWDOWN:g} times the undisturbed time)",
        value=f"{parameters.interval_s:.4g} s between checkpoints, {parameters.write_s:.4g} s to write one, "
        f"{parameters.restart_s:.4g} s to restart",
        where="reliability of the run",
        mend="fewer devices, a lower failure rate, a shorter checkpoint interval or a faster restart",
    )


def _growth(exponent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give (e^x - 1) / x, which is 1 at 0."""
    safe = np.where(exponent > 0, exponent, 1.0)
    return np.where(exponent > 0, np.expm1(exponent) / safe, 1.0)


def _excess(exponent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give (e^x - 1 - x) / x, by its series where the subtraction would lose digits."""
    small = np.minimum(exponent, SERIES_BELOW)
    series = np.zeros_like(small)
    for order in range(11, 1, -1):
        series = small / order * (1 + series)
    safe = np.where(exponent > SERIES_BELOW, exponent, 1.0)
    return np.where(exponent > SERIES_BELOW, (np.expm1(exponent) - exponent) / safe, series)


def _times(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply so that nothing of something endless is nothing, where IEEE has 0 x inf = NaN."""
    nothing = (left == 0) | (right == 0)
    return np.where(nothing, 0.0, np.where(nothing, 1.0, left) * np.where(nothing, 1.0, right))


def _plain(values: NDArray[np.float64]) -> Numbers:
    """Give a float for a scalar, so that results print and serialise as numbers."""
    return float(values) if values.ndim == 0 else values
