"""Inverse questions: the smallest number and the largest amount whose time meets a target."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim import units
from sim.errors import InfeasibleError, SimError, UsageError
from sim.spec.workload import MOST_FLOP

if TYPE_CHECKING:
    from collections.abc import Callable

CONVERGED = 1e-12
BRACKET, JUMP = 1e-11, 1e-6
"""Relative width of the bracket below which it is not halved again: anywhere, and around a jump of the time."""
ROUNDS = 80
LEAST_FLOP = 1.0
PATIENCE = 4
"""Doublings without any gain after which more devices are not expected to help."""


def fewest(
    seconds: Callable[[int], float], target_s: float, least: int, most: int, *, begin: int | None = None
) -> int | None:
    """Find the smallest whole number whose time meets a target, for a time that does not rise with it.

    The search doubles its steps away from ``begin`` (from ``least`` where none is given), then halves the bracket.

    >>> fewest(lambda nodes: 100 / nodes, 10.0, 1, 1000)
    10
    >>> fewest(lambda nodes: 100 / nodes, 10.0, 1, 1000, begin=12)
    10
    """
    high = least if begin is None else begin
    best_s, idle, step = math.inf, 0, 1
    while (high_s := seconds(high)) > target_s:
        idle = 0 if high_s < best_s or math.isinf(high_s) else idle + 1
        best_s = min(best_s, high_s)
        if high >= most or idle >= PATIENCE:
            return None
        low, high = high, min(high + step, most) if begin is not None else min(2 * high, most)
        step *= 2
    if high == least:
        return least
    if step == 1:
        low = max(high - step, least - 1)
        while low >= least and seconds(low) <= target_s:
            step *= 2
            low, high = max(low - step, least - 1), low
    while high - low > 1:
        middle = (low + high) // 2
        if seconds(middle) <= target_s:
            high = middle
        else:
            low = middle
    return high


def largest(seconds: Callable[[float], float], target_s: float, most: float) -> float:
    """Find the largest amount whose time is not longer than a target; what does not fit takes for ever.

    Time is nearly proportional to the amount, so the amount is scaled to the target again and again; where the model
    changes its shape in between and no amount hits the target, the bracket is halved.

    Raises:
        InfeasibleError: no amount above 0 is done in time, or ``most`` is and more would be.
        SimError: why the smallest amounts cannot be planned.

    >>> largest(lambda amount: 2 * amount, 10.0, 1e6)
    5.0
    """
    low, low_s, high, amount = 0.0, 0.0, most, most / 3
    why: SimError | None = None
    for _ in range(ROUNDS):
        try:
            found_s = seconds(amount)
        except InfeasibleError as error:
            found_s, why = math.inf, error
        except SimError as error:  # too little for any model: what kept larger amounts from fitting says more
            raise why or error from None
        if found_s <= target_s:
            low, low_s = amount, found_s
        else:
            high = min(high, amount)
        if abs(found_s / target_s - 1) <= CONVERGED:
            return amount if found_s <= target_s * (1 + CONVERGED) else low
        at_jump = low_s < target_s * (1 - 10 * JUMP) and high - low <= JUMP * high
        if at_jump or high - low <= BRACKET * high or high < LEAST_FLOP:
            break
        scaled = amount * target_s / found_s
        amount = scaled if low < scaled < high else _between(low, high)
    if low == 0:
        raise why or InfeasibleError(
            "nothing fits into this time: writing one checkpoint alone takes longer",
            value=units.show(target_s, "second"),
            where="the time of the question",
            mend="a longer time, or a smaller model",
        )
    if high == most == MOST_FLOP:
        raise UsageError(
            f"a budget is at most {MOST_FLOP:g} FLOP, and more than that fits",
            value=units.show(target_s, "second"),
            where="the time of the question",
            mend="a shorter time or a smaller cluster",
        )
    return low


def _between(low: float, high: float) -> float:
    """Halve a bracket; from zero up in large steps, since a budget that fits may be far below one that does not."""
    return (low + high) / 2 if low else high / 16
