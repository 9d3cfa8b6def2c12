"""Which kind of quantity a name speaks of: names end in their unit everywhere in this project."""

from __future__ import annotations

from sim.units import DIMENSIONS, show

_ENDINGS = (
    ("flop_per_s", "flop_per_s"), ("bytes_per_s", "byte_per_s"), ("tokens_per_s", "token_per_s"),
    ("usd_per_s", "usd_per_s"), ("_per_s", "per_s"), ("_bytes", "byte"), ("_flop", "flop"), ("flop", "flop"),
    ("_usd", "usd"), ("_kg", "kg"), ("_share", "fraction"), ("_tokens", "token"), ("_w", "watt"), ("_j", "joule"),
    ("joules", "joule"), ("_s", "second"), ("seconds", "second"), ("tokens", "token"),
)  # fmt: skip
_OF_UNIT = {shape.unit: name for name, shape in DIMENSIONS.items() if shape.unit}
WHOLE_BELOW = 1e12
"""Whole numbers below it are written out."""
STATISTICS = (
    "mean",
    "p1",
    "p5",
    "p10",
    "p25",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "p999",
    "max",
    "min",
    "sd",
    "expected",
)


def dimension_of(name: str) -> str:
    """Give the dimension of sim.units that a name ends in; "ratio" where it names none.

    >>> dimension_of("chat.ttft_s.p99"), dimension_of("power_w"), dimension_of("wall_clock_s_p10")
    ('second', 'watt', 'second')
    """
    stem = name
    for statistic in STATISTICS:
        stem = stem.removesuffix(f".{statistic}").removesuffix(f"_{statistic}")
    return next((dimension for ending, dimension in _ENDINGS if stem.endswith(ending)), "ratio")


def shown(value: float, dimension: str) -> str:
    """Write a value with its unit as people read it.

    >>> shown(0.25, "second"), shown(0.5, "ratio"), shown(43660, "ratio")
    ('250 ms', '0.5', '43,660')
    """
    if dimension == "fraction":
        return f"{value:.1%}"
    if dimension in DIMENSIONS:
        return show(value, dimension)
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) < WHOLE_BELOW else f"{value:,.4g}"


def dimension_of_unit(unit: str) -> str:
    """Give the dimension of sim.units that has this unit in SI; "ratio" where none has.

    >>> dimension_of_unit("s"), dimension_of_unit("")
    ('second', 'ratio')
    """
    return _OF_UNIT.get(unit, "ratio")
