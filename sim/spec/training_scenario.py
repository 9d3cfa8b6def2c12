"""A scenario of one training run and nothing else: what most files are, and all that questions ask.

It has the fields of a whole `Scenario` that such a file can have, and stands for one wherever it is read, so that the
parts of the language that it does not use are not even imported: they would double the time of `sim check`.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from sim.spec.cluster import ClusterSpec, read_cluster
from sim.spec.hardware import Slug
from sim.spec.model_reference import beside_their_files
from sim.spec.quantity import FrozenModel, refuse_truth
from sim.spec.workload import TrainingSpec

KEYS = frozenset({"schema_version", "name", "cluster", "workloads", "targets", "seed"})
"""What a document may say for this reading."""
BESIDE_OTHERS = frozenset({"devices", "kinds", "at", "tenant", "priority"})
"""What a training run may say of other jobs; then it is one of several."""


class TrainingWorkload(FrozenModel):
    """The one entry of ``workloads``."""

    training: TrainingSpec
    """A training run."""


class TrainingScenario(FrozenModel):
    """The whole of what such a file says."""

    schema_version: Literal[1]
    """Version of this schema."""
    name: Annotated[str, Field(min_length=1, max_length=200)]
    """Title of the scenario."""
    cluster: Annotated[Slug | ClusterSpec, BeforeValidator(read_cluster)]
    """A cluster of the catalogue, COUNTxACCELERATOR, or a mapping."""
    workloads: tuple[TrainingWorkload]
    """What runs."""
    targets: dict[str, str | float] = Field(default_factory=dict, exclude_if=lambda targets: not targets)
    """Limits that decide between the exit codes 0 and 3: {training.wall_clock_s: 90 d}."""
    seed: Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(refuse_truth)] = 0
    """Draws the luck of a simulated run."""

    @model_validator(mode="before")
    @classmethod
    def _paths_begin_at_the_file(cls, value: object, info: ValidationInfo) -> object:
        return beside_their_files(value, info.context)

    @property
    def is_one_training(self) -> bool:
        """Tell that one training run has the cluster to itself."""
        return True

    @property
    def one_cluster(self) -> str | ClusterSpec:
        """Give the cluster."""
        return self.cluster

    @property
    def training(self) -> TrainingSpec:
        """Give the training run."""
        return self.workloads[0].training


def is_one_training(data: object) -> bool:
    """Tell whether a document, still unchecked, says nothing that only a whole scenario can say.

    >>> is_one_training({"name": "a", "workloads": [{"training": {}}]}), is_one_training({"services": {}})
    (True, False)
    """
    if not isinstance(data, Mapping) or not set(data) <= KEYS:
        return False
    workloads = data.get("workloads")
    if not isinstance(workloads, list) or len(workloads) != 1 or not isinstance(workloads[0], Mapping):
        return False
    training = workloads[0].get("training")
    return set(workloads[0]) == {"training"} and isinstance(training, Mapping) and not set(training) & BESIDE_OTHERS
