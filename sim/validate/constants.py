"""The constants of software profiles that are fitted to published steps: which they are, and what they may be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sim.spec import yaml
from sim.spec.hardware import Generation, Slug  # noqa: TC001 - pydantic reads annotations at run time
from sim.spec.quantity import FrozenModel
from sim.spec.validate import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.cost.machine import Software
    from sim.validate.training import Case

FILE = Path(__file__).with_name("constants.yaml")
KERNELS = "kernel_slowdown"
ADDITIVE = ("expert_imbalance",)
"""Fields that the cost model takes as 1 + the share that a profile states."""


class Constant(FrozenModel):
    """One number of some profiles, for all chips and precisions or for some."""

    name: str
    """What it is, in one line."""
    unit: Literal["ratio", "share", "us", "ms"]
    """Of its value: a ratio of times, a share of what could be, or a time."""
    profiles: tuple[Slug, ...]
    """Profiles that share it."""
    field: str
    """Which number of a profile it is."""
    generations: tuple[Generation, ...] = ()
    """Generations of chips that it holds for; none means all that no constant above it names."""
    precisions: tuple[str, ...] = ()
    """Precision recipes that it holds for; none means all that no constant above it names."""
    low: float
    """Bounds of the fit: what it can mean."""
    high: float

    def holds(self, case: Case) -> bool:
        """Tell whether a row is timed with this constant, if none before it is."""
        setting = case.setting
        generation = setting.cluster.accelerator.generation
        return (
            setting.software.name in self.profiles
            and (not self.generations or generation in self.generations)
            and (not self.precisions or setting.recipe.name in self.precisions)
        )

    def put(self, software: Software, value: float) -> Software:
        """Give the software with this constant at a value."""
        scale = {"us": 1e-6, "ms": 1e-3}.get(self.unit, 1.0)
        changes: dict[str, Any] = {self.field: value * scale + (1.0 if self.field in ADDITIVE else 0.0)}
        return replace(software, **changes)

    def value(self, software: Software) -> float:
        """Give the value that the software has."""
        scale = {"us": 1e-6, "ms": 1e-3}.get(self.unit, 1.0)
        return (float(getattr(software, self.field)) - (1.0 if self.field in ADDITIVE else 0.0)) / scale


class Fitted(FrozenModel):
    """The file of constants."""

    constants: tuple[Constant, ...]
    stand_ins: dict[Slug, Slug]
    """Profile that is taken for a source whose own profile no other source has rows of."""


@cache
def fitted() -> Fitted:
    """Read the constants that the package carries."""
    return validate(Fitted, yaml.load(FILE))


def of_case(case: Case) -> tuple[int, ...]:
    """Give the constants that a row is timed with: the first that holds for each number of its profile."""
    found: dict[str, int] = {}
    for index, constant in enumerate(fitted().constants):
        if constant.field not in found and constant.holds(case):
            found[constant.field] = index
    return tuple(found.values())


def with_values(case: Case, values: Mapping[int, float]) -> Software:
    """Give the software of a row with its fitted constants at these values."""
    software = case.setting.software
    for index in of_case(case):
        if index in values:
            software = fitted().constants[index].put(software, values[index])
    return software
