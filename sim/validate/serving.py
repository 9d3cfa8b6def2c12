"""Serving: predicted latency and throughput beside tables of load tests, each metric by the rules of its kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sim.errors import InfeasibleError, ScenarioError, SimError
from sim.spec import catalog
from sim.validate.score import Score, Verdict, reasons, score
from sim.validate.serving_rows import COLUMNS, REQUIRED, ServingRow, row_of
from sim.validate.serving_times import Outcome, metric_of, outcome_of
from sim.validate.steps import of_group
from sim.validate.table import read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sim.validate.table import Line


@dataclass(frozen=True, slots=True)
class ServingVerdict:
    """One metric of one load test, and what it is summed by."""

    verdict: Verdict
    trust: str = ""
    model: str = ""
    experts: str = ""
    """dense, or experts."""
    shape: str = ""
    """Prompt x answer."""
    degree: str = ""
    """Devices of one replica by kind, such as tp8."""

    def to_dict(self) -> dict[str, object]:
        """Give the verdict as `sim validate --json` prints it."""
        apart = {
            "trust": self.trust,
            "model": self.model,
            "experts": self.experts,
            "shape": self.shape,
            "degree": self.degree,
        }
        return self.verdict.to_dict() | apart


DIMENSIONS: Mapping[str, Callable[[ServingVerdict], str]] = {
    "kind": lambda each: each.verdict.kind,
    "metric": lambda each: each.verdict.metric,
    "trust": lambda each: each.trust,
    "experts": lambda each: each.experts,
    "plan": lambda each: each.verdict.plan,
    "precision": lambda each: each.verdict.precision,
    "gpu": lambda each: each.verdict.gpu,
    "degree": lambda each: each.degree,
    "shape": lambda each: each.shape,
    "model": lambda each: each.model,
    "profile": lambda each: each.verdict.profile,
    "group": lambda each: each.verdict.group,
}
"""By what rows are summed apart."""


@dataclass(frozen=True, slots=True)
class ServingReport:
    """Predictions beside measurements, every metric alike: errors are relative."""

    verdicts: tuple[ServingVerdict, ...]

    @property
    def score(self) -> Score:
        """Give the error over all rows."""
        return score(each.verdict for each in self.verdicts)

    @property
    def reasons(self) -> dict[str, int]:
        """Count the rows without a prediction, by reason."""
        return reasons(each.verdict for each in self.verdicts)

    def by(self, *dimensions: str) -> dict[str, Score]:
        """Give errors by one of ``DIMENSIONS``, or by several joined with a comma; rows without one are left out."""
        groups: dict[str, list[Verdict]] = {}
        for each in self.verdicts:
            names = [DIMENSIONS[dimension](each) for dimension in dimensions]
            if all(names):
                groups.setdefault(", ".join(names), []).append(each.verdict)
        return {name: score(groups[name]) for name in sorted(groups)}

    def worst(self, count: int) -> tuple[Verdict, ...]:
        """Give the rows with the largest errors."""
        rows = [
            (abs(each.verdict.ratio - 1.0), each.verdict) for each in self.verdicts if each.verdict.ratio is not None
        ]
        return tuple(verdict for _, verdict in sorted(rows, key=lambda entry: (-entry[0], entry[1].id))[:count])

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as `sim validate --json` prints it."""
        summary: dict[str, Any] = self.score.to_dict()
        for dimension in DIMENSIONS:
            summary[f"by_{dimension}"] = {name: part.to_dict() for name, part in self.by(dimension).items()}
        summary["by_group_and_experts"] = {
            name: part.to_dict() for name, part in self.by("group", "experts", "metric").items()
        }
        summary["reasons"] = self.reasons
        return {
            "question": {"what": "serving"},
            "rows": [each.to_dict() for each in self.verdicts],
            "summary": summary,
        }


def serving(table: Path, group: str | None = None) -> ServingReport:
    """Predict every row of a table of load tests and put it beside what was measured.

    Args:
        table: CSV in the format of docs/validation-serving.md.
        group: only rows of this name in the `family` column.

    Raises:
        SimError: the table cannot be read, or has no such rows.

    """
    lines = of_group(read(table, COLUMNS, REQUIRED), "family", group)
    return ServingReport(tuple(_verdict(line) for line in lines))


def _verdict(line: Line) -> ServingVerdict:
    measured = line.number_of("value") or None
    blank = Verdict(
        line.text("id") or f"line-{line.number}",
        line.text("family") or line.text("source"),
        line.text("metric"),
        "skipped",
        gpu=line.text("gpu"),
        precision=line.text("precision_weights"),
    )
    try:
        row = row_of(line)
        outcome = outcome_of(row.test)
        predicted = metric_of(row, outcome)
    except ScenarioError:
        raise  # the table, or a file of the catalogue, is wrong
    except InfeasibleError as error:
        return ServingVerdict(replace(blank, status="infeasible", reason=_plain(error)), line.text("trust"))
    except SimError as error:
        return ServingVerdict(replace(blank, status="skipped", reason=_plain(error)), line.text("trust"))
    if measured is None:
        return ServingVerdict(replace(blank, status="skipped", reason="value is blank or zero"), row.trust)
    return _predicted(row, outcome, blank, measured, predicted)


def _predicted(row: ServingRow, outcome: Outcome, blank: Verdict, measured: float, predicted: float) -> ServingVerdict:
    test, layout = row.test, outcome.layout
    degrees = (
        ("tp", layout.tensor_parallel),
        ("pp", layout.pipeline_parallel),
        ("dp", layout.attention_data_parallel),
        ("ep", layout.expert_parallel),
    )
    verdict = replace(
        blank,
        status="ok",
        reason="",
        plan="given" if outcome.layout_given else "searched",
        measured=measured,
        predicted=predicted,
        precision=test.weights,
        kind=outcome.kind,
        profile=test.profile,
    )
    return ServingVerdict(
        verdict,
        trust=row.trust,
        model=test.model,
        experts="experts" if catalog.load("models", test.model).experts is not None else "dense",
        shape=f"{test.input}x{test.output}",
        degree=" ".join(f"{name}{count}" for name, count in degrees if count > 1) or "one device",
    )


def _plain(error: SimError) -> str:
    """Give the rule of an error without the names of a row, so that equal reasons are counted together."""
    return "the model leaves no room for a cache" if isinstance(error, InfeasibleError) else error.rule
