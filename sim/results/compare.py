"""Compare two results: what changed in what was said, and what changed in what came out, the largest effect first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.results.dimensions import dimension_of_unit
from sim.results.explain import dimension_at, say
from sim.results.quantities import assumed, quantities

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.results.record import Record

SAME = 1e-12
"""Relative difference below which two figures are the same."""
NEVER_COMPARED = ("levers.", "thresholds.", "answer.device_hours")
ALSO_SCALES = (".bits16", ".device_time16")
"""Figures that follow from others and would only repeat them."""
HEADLINES = ("answer.", "utilization.", "energy_j", "cost_usd", "co2_kg", "expected_loss.value", "wall_clock_s")
SAID = (
    ".ttft_s.p99", ".tpot_s.p50", ".output_tokens_per_s", ".slo_met", ".usd_per_output_token", ".solved",
    ".wall_clock_s.p50", ".flop_per_task", ".usd_per_task", "jobs.wait_s.mean", "jobs.jct_s.mean", "makespan_s",
    "allocated",
)  # fmt: skip
"""Figures of a played run that its sentence says, by how their names end: they come before the many others."""
SAID_DOTS = 3
"""Dots in the name of a figure of one tenant, or of one workload among several."""


@dataclass(frozen=True, slots=True)
class InputChange:
    """One value that was said otherwise."""

    path: str
    before: str
    after: str
    where: str
    """Line that set the new value; empty for what follows from the catalogue or a default."""

    def to_dict(self) -> dict[str, str]:
        """Give it as JSON."""
        return {"path": self.path, "from": self.before, "to": self.after, "where": self.where}


@dataclass(frozen=True, slots=True)
class OutputChange:
    """One figure that came out otherwise."""

    path: str
    before: float
    after: float
    dimension: str
    is_only: str = ""
    """"new" or "gone" where one of the two results has no such figure; it counts as 0 there."""

    @property
    def effect(self) -> float:
        """Give the size of the change: the logarithm of the ratio, or of one plus the change where there is none."""
        if self.before > 0 and self.after > 0:
            return abs(math.log(self.after / self.before))
        return math.inf if self.before != self.after else 0.0

    @property
    def shown(self) -> str:
        """Say the change."""
        if self.before > 0 and self.after > 0:
            ratio = self.after / self.before
            return f"{ratio - 1:+.1%}" if ratio < 3 else f"x {ratio:.3g}"  # noqa: PLR2004 - beyond, a factor reads better
        if self.before > 0 and self.after == 0:
            return self.is_only or "-100.0%"
        return self.is_only or f"{self.after - self.before:+.4g}"

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {"path": self.path, "from": self.before, "to": self.after}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from one result to another."""

    names: tuple[str, str]
    inputs: tuple[InputChange, ...]
    outputs: tuple[OutputChange, ...]
    """What people ask for, the largest effect first; then what it is made of, in the same order."""
    parts: tuple[OutputChange, ...]
    """Accounts of time, the largest difference in seconds first; their differences sum to that of the whole."""
    sentences: tuple[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {
            "names": list(self.names),
            "sentences": list(self.sentences),
            "inputs": [each.to_dict() for each in self.inputs],
            "outputs": [each.to_dict() for each in self.outputs],
            "parts": [each.to_dict() for each in self.parts],
        }


def compare(first: Record, second: Record) -> Comparison:
    """Compare two results of any kind; what only one of them has counts as 0 in the other."""
    one, two = quantities(first), quantities(second)
    changes = []
    for path in dict.fromkeys([*one, *two]):
        before, after = one.get(path, 0.0), two.get(path, 0.0)
        if (
            path.startswith(NEVER_COMPARED)
            or path.endswith(ALSO_SCALES)
            or abs(after - before) <= SAME * max(abs(before), abs(after))
        ):
            continue
        owner = first if path in one else second
        only = "" if path in one and path in two else "gone" if path in one else "new"
        changes.append(OutputChange(path, before, after, dimension_at(owner, path), only))
    values = {**(first.result.get("values") or {}), **(second.result.get("values") or {})}
    parts = [each for each in changes if each.path.startswith("parts.")]
    rest = [each for each in changes if not each.path.startswith(("parts.", "plan.step_parts.", "simulated."))]
    targets = {str(row["name"]) for record in (first, second) for row in record.result.get("targets") or ()}

    def rank(change: OutputChange) -> tuple[int, float]:
        path = change.path
        is_said = path in targets or (path in values and path.endswith(SAID) and path.count(".") < SAID_DOTS)
        place = 0 if is_said else 1 if path in values or path.startswith(HEADLINES) else 2
        return (place, -change.effect)

    outputs = sorted(rest, key=rank)
    return Comparison(
        names=(first.name, second.name),
        inputs=tuple(_inputs(first, second)),
        outputs=tuple(outputs),
        parts=tuple(sorted(parts, key=lambda each: -abs(each.after - each.before))),
        sentences=(str(first.result["sentence"]), str(second.result["sentence"])),
    )


def _inputs(first: Record, second: Record) -> Iterator[InputChange]:
    """Give what the scenarios say otherwise, then what the catalogue and defaults hold otherwise."""
    one, two = (
        {
            str(row["path"]): row
            for row in record.result.get("origins") or ()
            if row["path"] not in ("name", "schema_version")
        }
        for record in (first, second)
    )
    said: set[str] = set()
    for path in dict.fromkeys([*one, *two]):
        before, after = (rows[path]["text"] if path in rows else "" for rows in (one, two))
        if before != after:
            row = two.get(path)
            where = str(row["where"]) if row is not None and row["given_by"] == "user" else ""
            said.add(".".join(step for step in path.split(".") if step != "workloads" and not step.isdigit()))
            yield InputChange(path, before, after, where)
    old, new = assumed(first), assumed(second)
    for path in dict.fromkeys([*old, *new]):
        if path in said or path == "training.plan":
            continue
        values = [rows[path]["value"] if path in rows else None for rows in (old, new)]
        if values[0] != values[1]:
            before, after = ("" if value is None else _text(value, old.get(path) or new[path]) for value in values)
            yield InputChange(path, before, after, "")


def _text(value: object, row: dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    return say(float(str(value)), dimension_of_unit(row["unit"]))
