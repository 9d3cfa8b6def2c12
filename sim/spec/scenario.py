"""A scenario: which cluster, what runs on it, and which seed draws its luck."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.errors import UsageError
from sim.spec.cluster import ClusterSpec, read_cluster
from sim.spec.graph import GraphSpec
from sim.spec.hardware import Slug
from sim.spec.jobs import JobsSpec
from sim.spec.model_reference import beside_their_files
from sim.spec.policy import SCHEDULES, PolicySpec, read_schedule
from sim.spec.quantity import FrozenModel, refusal, refuse_truth
from sim.spec.requests import RequestsSpec
from sim.spec.reserved import WORKLOADS
from sim.spec.service import ServiceSpec
from sim.spec.short_forms import AlsoWritten
from sim.spec.tasks import TasksSpec
from sim.spec.tenants import TenantSpec
from sim.spec.tool import ToolSpec
from sim.spec.workload import TrainingSpec


def _is_empty(value: object) -> bool:
    """Leave what a scenario does not use out of its record, so that records of older scenarios stay as they were."""
    return not value


ClusterField = Annotated[Slug | ClusterSpec, BeforeValidator(read_cluster)]


class Workload(FrozenModel):
    """One entry of ``workloads``: a single key names its kind."""

    training: TrainingSpec | None = Field(default=None, exclude_if=_is_empty)
    """A training run."""
    requests: RequestsSpec | None = Field(default=None, exclude_if=_is_empty)
    """Requests to a service."""
    tasks: TasksSpec | None = Field(default=None, exclude_if=_is_empty)
    """Tasks that run a graph."""
    jobs: JobsSpec | None = Field(default=None, exclude_if=_is_empty)
    """Plain jobs of a trace or a list."""

    @property
    def kind(self) -> str:
        """Name the one kind that is given."""
        return next(kind for kind in WORKLOADS if getattr(self, kind) is not None)


def read_workload(value: object) -> object:
    """Refuse an entry that names no kind of workload or several."""
    if not isinstance(value, dict):
        return value
    kinds = [kind for kind in WORKLOADS if kind in value]
    if len(kinds) != 1 and set(value) <= set(WORKLOADS):
        given = ", ".join(kinds) or "none"
        raise refusal("a workload has exactly one kind", given, f"one of {', '.join(WORKLOADS)}")
    for kind in kinds:
        if value[kind] is None:
            raise refusal(f"the workload '{kind}' is empty", "", "write its fields below it, or in braces")
    return value


class Scenario(FrozenModel):
    """The whole of what a scenario file says."""

    schema_version: Literal[1]
    """Version of this schema."""
    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Title of the scenario."""
    cluster: ClusterField | None = Field(default=None, exclude_if=_is_empty)
    """A cluster of the catalogue, COUNTxACCELERATOR, or a mapping."""
    clusters: dict[Slug, ClusterField] = Field(default_factory=dict, exclude_if=_is_empty)
    """Several kinds of device that jobs share, each with nodes and a fabric of its own, by the names of the kinds."""
    workloads: tuple[Annotated[Workload, BeforeValidator(read_workload)], ...]
    """What runs."""
    services: dict[Slug, ServiceSpec] = Field(default_factory=dict, exclude_if=_is_empty)
    """Models that answer requests, by name."""
    tools: dict[Slug, ToolSpec] = Field(default_factory=dict, exclude_if=_is_empty)
    """What graphs call besides models, by name."""
    graphs: dict[Slug, GraphSpec] = Field(default_factory=dict, exclude_if=_is_empty)
    """Scaffolds of model calls and tools, by name."""
    tenants: dict[Slug, TenantSpec] = Field(default_factory=dict, exclude_if=_is_empty)
    """Who shares the cluster, by name."""
    policy: Annotated[PolicySpec | None, BeforeValidator(read_schedule), AlsoWritten(SCHEDULES)] = Field(
        default=None, exclude_if=_is_empty
    )
    """How jobs share the cluster; first come, first served where none is given."""
    targets: dict[str, str | float] = Field(default_factory=dict, exclude_if=_is_empty)
    """Limits that decide between the exit codes 0 and 3: {chat.ttft_s.p99: 1 s}."""
    seed: Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(refuse_truth)] = 0
    """Draws the luck of a simulated run."""

    @model_validator(mode="before")
    @classmethod
    def _paths_begin_at_the_file(cls, value: object, info: ValidationInfo) -> object:
        return beside_their_files(value, info.context)

    @field_validator("workloads", mode="before")
    @classmethod
    def _at_least_one(cls, value: object) -> object:
        if value in ([], ()):
            raise refusal("a scenario has at least one workload", "", "workloads: [{training: {budget: 1e26 FLOP}}]")
        return value

    @model_validator(mode="after")
    def _one_machine(self) -> Self:
        if self.cluster is not None and self.clusters:
            rule = "a scenario runs on a cluster, or on several that jobs share"
            raise refusal(rule, "cluster and clusters", "leave out one of them")
        if self.cluster is None and not self.clusters:
            raise refusal("'cluster' is missing", "", "cluster: 64xh100-sxm, or clusters: {new: 64xh100-sxm, ...}")
        return self

    @property
    def one_cluster(self) -> str | ClusterSpec:
        """Give the cluster of a scenario that has one.

        Raises:
            UsageError: it has several.

        """
        if self.cluster is None:
            raise UsageError(
                "only jobs and training runs share several clusters",
                value=", ".join(self.clusters),
                where="clusters",
                mend="cluster: COUNTxACCELERATOR",
            )
        return self.cluster

    @property
    def is_one_training(self) -> bool:
        """Tell whether one training run has the cluster to itself."""
        alone = not (self.services or self.tools or self.graphs or self.tenants or self.policy or self.clusters)
        training = self.workloads[0].training
        return alone and len(self.workloads) == 1 and training is not None and not training.shares_the_cluster

    @property
    def training(self) -> TrainingSpec:
        """Give the training run of a scenario that is one.

        Raises:
            UsageError: the scenario is not one training run.

        """
        training = self.workloads[0].training
        if training is None or not self.is_one_training:
            raise UsageError(
                "this needs a scenario of one training run",
                value=", ".join([*(workload.kind for workload in self.workloads), *self.services]),
                where=self.name,
                mend="`sim run` plays scenarios of every kind",
            )
        return training
