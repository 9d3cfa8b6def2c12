"""What became of each row, and how far predictions are from measurements over many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Status = Literal["ok", "skipped", "infeasible"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One metric of one row."""

    id: str
    group: str
    metric: str
    status: Status
    reason: str = ""
    """Why there is no prediction; decided without the metric."""
    plan: str = ""
    """given or searched; empty where nothing was predicted."""
    measured: float | None = None
    predicted: float | None = None
    gpu: str = ""
    precision: str = ""
    kind: str = ""
    profile: str = ""

    @property
    def ratio(self) -> float | None:
        """Predicted over measured; none where nothing was predicted."""
        if self.measured is None or self.predicted is None:
            return None
        return self.predicted / self.measured

    def to_dict(self) -> dict[str, object]:
        """Give the verdict as `sim validate --json` prints it."""
        return {
            "id": self.id,
            "group": self.group,
            "metric": self.metric,
            "measured": self.measured,
            "predicted": self.predicted,
            "ratio": self.ratio,
            "status": self.status,
            "reason": self.reason,
            "plan": self.plan,
            "gpu": self.gpu,
            "precision": self.precision,
            "kind": self.kind,
            "profile": self.profile,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """Errors over some rows; None where none was predicted. ape = |ratio - 1|, bias = median ratio - 1."""

    n: int
    skipped: int
    infeasible: int
    median_ape: float | None
    mean_ape: float | None
    p90_ape: float | None
    bias: float | None

    def to_dict(self) -> dict[str, float | None]:
        """Give the score as `sim validate --json` prints it."""
        return {
            "n": self.n,
            "skipped": self.skipped,
            "infeasible": self.infeasible,
            "median_ape": self.median_ape,
            "mean_ape": self.mean_ape,
            "p90_ape": self.p90_ape,
            "bias": self.bias,
        }


def score(verdicts: Iterable[Verdict]) -> Score:
    """Sum rows up.

    >>> rows = [Verdict("a", "g", "step_time_s", "ok", measured=2.0, predicted=p) for p in (2.0, 2.2, 1.0)]
    >>> [round(value, 3) for value in (score(rows).median_ape, score(rows).bias)]
    [0.1, 0.0]
    """
    rows = list(verdicts)
    ratios = np.array([row.ratio for row in rows if row.ratio is not None], dtype=float)
    skipped = sum(row.status == "skipped" for row in rows)
    infeasible = sum(row.status == "infeasible" for row in rows)
    if not len(ratios):
        return Score(0, skipped, infeasible, None, None, None, None)
    ape = np.abs(ratios - 1.0)
    return Score(
        n=len(ratios),
        skipped=skipped,
        infeasible=infeasible,
        median_ape=float(np.median(ape)),
        mean_ape=float(np.mean(ape)),
        p90_ape=float(np.quantile(ape, 0.9)),
        bias=float(np.median(ratios) - 1.0),
    )


def score_by(verdicts: Sequence[Verdict], key: Callable[[Verdict], str]) -> dict[str, Score]:
    """Sum rows up by a key, in order of the key; rows without one are left out."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if name := key(verdict):
            groups.setdefault(name, []).append(verdict)
    return {name: score(groups[name]) for name in sorted(groups)}


def reasons(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Count the rows without a prediction by reason, the commonest first."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.status != "ok":
            counts[verdict.reason] = counts.get(verdict.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
