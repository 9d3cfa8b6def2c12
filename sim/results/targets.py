"""Targets of a scenario: limits on the figures of a run, which decide between the exit codes 0 and 3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from sim import units
from sim.errors import ScenarioError, UnitError
from sim.results.answer import unit

if TYPE_CHECKING:
    from collections.abc import Mapping


class Figure(Protocol):
    """What a target needs of a figure of a run."""

    @property
    def value(self) -> float:
        """Give it in SI."""

    @property
    def dimension(self) -> str:
        """Name its dimension."""

    @property
    def better(self) -> str:
        """Say which way is better: "lower", "higher", or neither."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """One limit and the figure that it limits, in SI."""

    name: str
    limit: float
    value: float | None
    """None where the run had nothing to measure it by; such a target is missed."""
    dimension: str
    met: bool

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "name": self.name,
            "limit": self.limit,
            "value": self.value,
            "unit": unit(self.dimension),
            "met": self.met,
        }


def judge(targets: Mapping[str, str | float], values: Mapping[str, Figure]) -> tuple[TargetResult, ...]:
    """Hold each target against its figure; one that is not a number meets none.

    Raises:
        ScenarioError: there is no such figure, none that can be a target, or the limit is of another dimension.

    """
    return tuple(_judge(name, limit, values) for name, limit in targets.items())


def _judge(name: str, limit: str | float, values: Mapping[str, Figure]) -> TargetResult:
    where = f"targets.{name}"
    found = values.get(name)
    if found is None or not found.better:
        settable = [each for each, value in values.items() if value.better]
        near = dict.fromkeys([*get_close_matches(name, settable, n=3, cutoff=0.4), *settable[:4]])
        rule = "no figure of this run has this name" if found is None else "this figure has no better direction"
        raise ScenarioError(rule, value=name, where=where, mend=f"one of {', '.join(near)}" if near else "")
    if found.dimension in units.DIMENSIONS:
        try:
            amount = units.parse(limit, found.dimension)
        except UnitError as error:
            raise ScenarioError(error.rule, value=error.value, where=where, mend=error.mend) from None
    else:
        try:
            amount = float(limit)
        except ValueError:
            raise ScenarioError("a target of this figure is a plain number", value=str(limit), where=where) from None
    met = found.value <= amount if found.better == "lower" else found.value >= amount
    value = found.value if math.isfinite(found.value) else None
    return TargetResult(name, amount, value, found.dimension, met)
