"""What `sim validate` answers: a verdict for each row, and errors summed over groups of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sim.validate.score import Score, Verdict, reasons, score, score_by

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DIMENSIONS: Mapping[str, Callable[[Verdict], str]] = {
    "plan": lambda verdict: verdict.plan,
    "kind": lambda verdict: verdict.kind,
    "precision": lambda verdict: verdict.precision,
    "gpu": lambda verdict: verdict.gpu,
    "profile": lambda verdict: verdict.profile,
    "group": lambda verdict: verdict.group,
}
"""By what rows are summed apart."""


@dataclass(frozen=True, slots=True)
class Report:
    """Predictions beside measurements."""

    what: str
    metric: str
    """The metric that the summary is about."""
    verdicts: tuple[Verdict, ...]
    """In the order of the table; a row that carries two metrics has two."""
    called_too_big: tuple[int, int] | None = None
    """Rows that ran with a given layout and need more memory than the chip has, by the model; of how many."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Give the metrics of the verdicts, the main one first."""
        return tuple(dict.fromkeys((self.metric, *(verdict.metric for verdict in self.verdicts))))

    def of(self, metric: str | None = None) -> tuple[Verdict, ...]:
        """Give the verdicts on one metric; the main one by default."""
        wanted = metric or self.metric
        return tuple(verdict for verdict in self.verdicts if verdict.metric == wanted)

    def score(self, metric: str | None = None) -> Score:
        """Give the error over all rows with one metric."""
        return score(self.of(metric))

    def by(self, dimension: str, metric: str | None = None) -> dict[str, Score]:
        """Give errors by one of ``DIMENSIONS``."""
        return score_by(self.of(metric), DIMENSIONS[dimension])

    @property
    def reasons(self) -> dict[str, int]:
        """Count the rows without a prediction of the main metric, by reason."""
        return reasons(self.of())

    def worst(self, count: int) -> tuple[Verdict, ...]:
        """Give the rows with the largest errors of the main metric."""
        rows = [(abs(verdict.ratio - 1.0), verdict) for verdict in self.of() if verdict.ratio is not None]
        return tuple(verdict for _, verdict in sorted(rows, key=lambda entry: (-entry[0], entry[1].id))[:count])

    def to_dict(self) -> dict[str, Any]:
        """Give the answer as `sim validate --json` prints it."""
        summary: dict[str, Any] = self._summary(self.metric)
        summary["metric"] = self.metric
        summary["reasons"] = self.reasons
        summary["other_metrics"] = {metric: self._summary(metric) for metric in self.metrics[1:]}
        if self.called_too_big is not None:
            too_big, of = self.called_too_big
            summary["called_too_big"] = {"n": too_big, "of": of}
        rows = [verdict.to_dict() for verdict in self.verdicts]
        return {"question": {"what": self.what}, "rows": rows, "summary": summary}

    def _summary(self, metric: str) -> dict[str, Any]:
        apart = {
            f"by_{dimension}": {name: part.to_dict() for name, part in self.by(dimension, metric).items()}
            for dimension in DIMENSIONS
        }
        return self.score(metric).to_dict() | apart
