"""Sentences: the answer in words, with its interval, and what to ask next."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.plan.training import Prepared
    from sim.results.spread import Spread

PLAIN_FROM, PLAIN_TO = 1e-3, 1e6
"""Between these a number is written without an exponent."""
_LONG_S = (("years", 365.25 * 86400.0, 2.0), ("days", 86400.0, 2.0), ("hours", 3600.0, 2.0), ("minutes", 60.0, 2.0))


def duration(seconds: float) -> str:
    """Say a time as people do, with three digits.

    >>> duration(8.1e6), duration(5400.0), duration(3.2e16)
    ('93.8 days', '90 minutes', '1.01e9 years')
    """
    unit, size = "seconds", 1.0
    for name, length, least in _LONG_S:
        if seconds >= least * length:
            unit, size = name, length
            break
    return f"{amount(seconds / size)} {unit}"


def amount(value: float) -> str:
    """Write a number with three digits: 93.8, 1,240, 1.01e9.

    >>> amount(93.75), amount(1240.0), amount(1.014e9), amount(1e26)
    ('93.8', '1,240', '1.01e9', '1e26')
    """
    if value == 0:
        return "0"
    if PLAIN_FROM <= abs(value) < PLAIN_TO:
        digits = max(2 - math.floor(math.log10(abs(value))), 0)
        text = f"{value:,.{digits}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def how_long(prepared: Prepared, spread: Spread) -> str:
    """Say how long a run takes."""
    return f"{_work(prepared)} on {_devices(prepared)} takes about {duration(spread.expected)}{_between(spread)}."


def how_many(prepared: Prepared, spread: Spread, target_s: float) -> str:
    """Say how many devices finish in time."""
    run = prepared.run
    nodes = run.devices // run.devices_per_node
    counted = f" ({nodes:,} nodes of {run.devices_per_node})" if run.devices_per_node > 1 else ""
    return (
        f"{_work(prepared)} within {duration(target_s)} needs {_devices(prepared)}{counted}: "
        f"expected {duration(spread.expected)}{_between(spread)}."
    )


def how_much(prepared: Prepared, flop: Spread, target_s: float) -> str:
    """Say how much training fits into a time."""
    between = ""
    if flop.p90 > flop.p10:
        between = f" (80 % interval {amount(flop.p10)} to {amount(flop.p90)})"
    tokens = amount(prepared.training.tokens)
    return (
        f"{duration(target_s)} of {_devices(prepared)} trains about {amount(flop.expected)} FLOP{between}: "
        f"{amount(prepared.parameters)} parameters on {tokens} tokens."
    )


def dates(start: dt.date, spread: Spread) -> dict[str, str]:
    """Give the days on which a run that starts at one ends."""
    ends = {"expected": spread.expected, "p10": spread.p10, "p50": spread.p50, "p90": spread.p90}
    return {"start": str(start), **{name: until(start, seconds) for name, seconds in ends.items()}}


def until(start: dt.date, seconds: float) -> str:
    """Say the day that lies so many seconds after the start of a day.

    >>> import datetime
    >>> until(datetime.date(2026, 12, 1), 30.5 * 86400)
    '2026-12-31'
    """
    try:
        return str(start + dt.timedelta(seconds=seconds))
    except OverflowError:
        return f"{duration(seconds)} later"


def next_howmany(prepared: Prepared) -> str:
    """Suggest the question after howlong."""
    return f"sim howmany {amount(prepared.training.model_flop)} 90d {prepared.cluster.accelerator.name}"


def next_howlong(prepared: Prepared, budget: str | None) -> str:
    """Suggest the question after howmany and howmuch."""
    wanted = (budget or amount(prepared.training.model_flop)).removesuffix(" FLOP")
    return f"sim howlong {wanted} {prepared.run.devices}x{prepared.cluster.accelerator.name} --seeds 100"


def _work(prepared: Prepared) -> str:
    training = prepared.training
    if training.sized_by == "scaling law":
        return f"{amount(training.model_flop)} FLOP of training"
    return f"{amount(training.model_flop)} FLOP ({training.model.name}, {amount(training.tokens)} tokens)"


def _devices(prepared: Prepared) -> str:
    return f"{prepared.run.devices:,} x {prepared.cluster.accelerator.title}"


def _between(spread: Spread) -> str:
    if spread.p90 <= spread.p10:
        return ""
    low, high = duration(spread.p10), duration(spread.p90)
    same_unit = low.split(" ")[1] == high.split(" ")[1]
    return f" (80 % interval {low.split(' ')[0] if same_unit else low} to {high})"
