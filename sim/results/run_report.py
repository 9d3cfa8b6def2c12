"""What a played scenario says that is not one training run: services, graphs, jobs, or all of them together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim.results.answer import SCHEMA_VERSION, unit
from sim.results.views import Views
from sim.units import DIMENSIONS, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.cost.precision import WeightedFlop
    from sim.results.assumptions import Assumption
    from sim.results.targets import TargetResult
    from sim.spec.origins import Origin

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True)
class Value:
    """One figure of a run, in SI, under a dotted name such as ``chat.ttft_s.p99``."""

    value: float
    dimension: str
    """A dimension of sim.units, or "ratio" for a plain number."""
    better: Better = ""
    """Which way is better; a target holds in that direction, and none can be set where it is empty."""

    @property
    def shown(self) -> str:
        """Write the value with its unit, as people read it."""
        return show(self.value, self.dimension) if self.dimension in DIMENSIONS else f"{self.value:.4g}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a section; ``dimension`` says how its cells are shown ("name" for text, "bar" for a drawn one)."""

    name: str
    dimension: str = "name"


@dataclass(frozen=True, slots=True)
class Section:
    """A small table that people read: the terminal, JSON and the page show the same one."""

    name: str
    """Slug, unique in a report: "services", "tasks", "jobs", "tenants"."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[float | str | None, ...], ...]
    """SI numbers or text; None where there is nothing to say."""
    note: str = ""
    """How the figures are defined, in a sentence or two."""

    def to_dict(self) -> dict[str, Any]:
        """Give the section as JSON: rows as objects, with the unit of each column beside them."""
        return {
            "title": self.title,
            "units": {column.name: unit(column.dimension) for column in self.columns},
            "rows": [dict(zip((column.name for column in self.columns), row, strict=True)) for row in self.rows],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class RunReport(Views):
    """Everything that is said about one played scenario; SI units. Scenario and seed decide every byte of it."""

    name: str
    sentence: str
    seed: int
    devices: int
    wall_clock_s: float
    parts: tuple[tuple[str, float], ...]
    """Account and seconds, averaged over all devices of the cluster; they sum to ``wall_clock_s``."""
    flop: dict[str, WeightedFlop]
    """By purpose: "prefill", "decode", "wasted", "model", "recompute and padding", "lost and redone"."""
    tokens: dict[str, float]
    energy_j: float | None
    cost_usd: float | None
    co2_kg: float | None
    values: dict[str, Value]
    """Finite ones."""
    sections: tuple[Section, ...]
    tables: dict[str, dict[str, Any]]
    """Columns (arrays of one length) by table: "requests", "tasks", "calls", "jobs", "events", "accounts"."""
    assumptions: tuple[Assumption, ...] = ()
    missing: tuple[str, ...] = ()
    """Why energy or cost are not given, where they are not."""
    targets: tuple[TargetResult, ...] = ()
    next: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    scenario_text: str = ""
    origins: tuple[Origin, ...] = ()
    """Who set each value of the scenario."""
    over_seeds: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Each value of ``values``, once for each seed that was played; empty where there was one seed."""
    unmeasured: Mapping[str, Value] = field(default_factory=dict)
    """Figures that this run had nothing to measure by, such as latencies where nothing was answered: no numbers."""

    @property
    def kind(self) -> str:
        """Name the kind of report in its record."""
        return "run"

    @property
    def shown(self) -> dict[str, Any]:
        """Give what JSON loses, its keys being sorted: the order of sections and columns, the dimension of each."""
        return {
            "sections": [
                {"name": section.name, "columns": [[column.name, column.dimension] for column in section.columns]}
                for section in self.sections
            ],
            "values": [[name, value.dimension] for name, value in self.values.items()],
        }

    @property
    def utilization(self) -> dict[str, float]:
        """Give the share of capacity x time that was held, by account."""
        return {name: seconds / self.wall_clock_s for name, seconds in self.parts} if self.wall_clock_s else {}

    @property
    def accounts(self) -> dict[str, Any]:
        """Give the table of accounts: device-seconds of the whole cluster."""
        return {
            "account": tuple(name for name, _ in self.parts),
            "device_seconds": tuple(seconds * self.devices for _, seconds in self.parts),
        }

    @property
    def missed(self) -> bool:
        """Whether a target of the scenario was missed."""
        return any(not target.met for target in self.targets)

    def to_dict(self) -> dict[str, Any]:
        """Give the report as plain data that JSON can hold; tables of single requests or jobs are left out."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "sentence": self.sentence,
            "devices": self.devices,
            "wall_clock_s": self.wall_clock_s,
            "parts": [{"name": name, "seconds": seconds} for name, seconds in self.parts],
            "utilization": self.utilization,
            "flop": {name: weighted.to_dict() for name, weighted in self.flop.items()},
            "tokens": self.tokens,
            "energy_j": self.energy_j,
            "cost_usd": self.cost_usd,
            "co2_kg": self.co2_kg,
            "missing": list(self.missing),
            "values": {name: {"value": each.value, "unit": unit(each.dimension)} for name, each in self.values.items()},
            "seeds": {name: quantiles(values) for name, values in self.over_seeds.items()},
            "sections": {section.name: section.to_dict() for section in self.sections},
            "targets": [target.to_dict() for target in self.targets],
            "assumptions": [row.to_dict(unit(row.dimension)) for row in self.assumptions],
            "next": list(self.next),
            "provenance": self.provenance,
        }


def measured(figures: Mapping[str, Value]) -> dict[str, Value]:
    """Leave out the figures that there was nothing to measure by."""
    return {name: figure for name, figure in figures.items() if math.isfinite(figure.value)}


def unmeasured(figures: Mapping[str, Value]) -> dict[str, Value]:
    """Give the figures that there was nothing to measure by."""
    return {name: figure for name, figure in figures.items() if not math.isfinite(figure.value)}


def gather(reports: Sequence[RunReport]) -> RunReport:
    """Give the report of the first seed, with each value of the others beside its own."""
    first = reports[0]
    if len(reports) == 1:
        return first
    names = [name for name in first.values if all(name in report.values for report in reports)]
    over_seeds = {name: tuple(report.values[name].value for report in reports) for name in names}
    return replace(first, over_seeds=over_seeds)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Give mean and quantiles of one value over the seeds."""
    p10, p50, p90 = (float(each) for each in np.quantile(np.asarray(values, dtype=np.float64), [0.1, 0.5, 0.9]))
    return {"mean": float(np.mean(values)), "p10": p10, "p50": p50, "p90": p90, "n": float(len(values))}
