"""Published layouts of large models among all legal ones: what the search finds, and what it could not know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.plan.survey import plan
from sim.spec import yaml
from sim.spec.cluster import ClusterSpec, read_cluster
from sim.spec.layout import LayoutSpec
from sim.spec.quantity import Fraction, FrozenModel, PositiveCount
from sim.spec.validate import validate
from sim.spec.workload import TrainingSpec

if TYPE_CHECKING:
    from sim.plan.survey import Planned

FILE = Path(__file__).with_name("layouts.yaml")
CLOSE = 0.05
"""A published layout that loses no more than this needs no explanation."""


class Means(LayoutSpec):
    """What the makers' software could do: degrees and choices that the search is held to."""

    fill: Fraction = 1.0
    """Share of the memory that they filled at most."""


class PublishedLayout(FrozenModel):
    """A layout that was published with its model, devices and batch."""

    name: str
    model: str
    cluster: str
    """A cluster of the catalogue, or COUNTxACCELERATOR."""
    sequence: PositiveCount
    sequences: PositiveCount
    """Of one optimizer step."""
    precision: str = "bf16"
    profile: str = "megatron-core"
    published: LayoutSpec
    means: Means | None = None
    source: str
    why: str = ""
    """What the search does that they could not or would not."""


class _File(FrozenModel):
    layouts: tuple[PublishedLayout, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A published layout beside the best found."""

    case: PublishedLayout
    planned: Planned
    """Of all legal layouts."""
    within: Planned | None
    """Of those that their means allowed, where these are stated."""

    @property
    def published_s(self) -> float:
        """Step of the published layout."""
        assert self.planned.beside is not None
        return self.planned.beside.step_s

    @property
    def loss(self) -> float:
        """Step of the published layout over the best's, less one."""
        return self.published_s / float(self.planned.survey.best.steps.step_s[0]) - 1

    @property
    def loss_within(self) -> float | None:
        """The same against the best within their means; below zero where theirs lies outside the search's bounds."""
        return None if self.within is None else self.published_s / float(self.within.survey.best.steps.step_s[0]) - 1

    def to_dict(self) -> dict[str, Any]:
        """Give the row as `sim validate layouts --json` prints it."""
        survey, beside = self.planned.survey, self.planned.beside
        assert beside is not None
        return {
            "name": self.case.name,
            "published": beside.timed.layouts.row(0),
            "fits": beside.fits,
            "published_s": self.published_s,
            "rank": survey.faster + 1,
            "fitting": survey.fitting,
            "best": survey.best.layouts.row(0),
            "best_s": float(survey.best.steps.step_s[0]),
            "loss": self.loss,
            "loss_within_means": self.loss_within,
            "why": self.case.why,
            "source": self.case.source,
        }


def ranked() -> tuple[Ranked, ...]:
    """Rank every published layout of the file."""
    return tuple(_ranked(case) for case in published())


@cache
def published() -> tuple[PublishedLayout, ...]:
    """Read the layouts that the package carries."""
    return validate(_File, yaml.load(FILE)).layouts


def _ranked(case: PublishedLayout) -> Ranked:
    training = TrainingSpec(
        model=case.model,
        sequence=case.sequence,
        batch=float(case.sequence * case.sequences),
        precision=case.precision,
        profile=case.profile,
        plan=LayoutSpec(schedule="any") if case.published.schedule else "auto",
    )
    cluster = read_cluster(case.cluster)
    on = ClusterSpec.model_validate(cluster) if isinstance(cluster, dict) else case.cluster
    found = plan(on, training, keep=1, beside=case.published)
    if case.means is None:
        return Ranked(case, found, None)
    wish = LayoutSpec(**case.means.model_dump(exclude={"fill"}))
    held = plan(on, training.model_copy(update={"plan": wish}), keep=1, fill=case.means.fill)
    return Ranked(case, found, held)
