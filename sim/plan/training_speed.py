"""A training run as a job: how fast it goes on the devices that it gets, and where they sit, by the cost of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.errors import InfeasibleError, UsageError
from sim.plan.placement_step import PlacedTraining
from sim.plan.training import prepare

if TYPE_CHECKING:
    from sim.plan.placement import Allocation, ClusterMap
    from sim.plan.resolve import ResolvedCluster
    from sim.plan.training import Prepared
    from sim.spec.workload import TrainingSpec


@dataclass(frozen=True, slots=True)
class StepOn:
    """A step of a run on some devices."""

    steps_per_s: float
    """Checkpoints included."""
    step_s: float
    parts: tuple[tuple[str, float], ...]
    """Account and share of the time of all its devices; they sum to 1."""


class TrainingSteps:
    """The steps of one training run on any devices of a cluster; each number of them is planned once."""

    def __init__(self, cluster: ResolvedCluster, training: TrainingSpec, places: ClusterMap | None) -> None:
        """Keep what is planned when it is asked for; without places all devices are as near as they can be."""
        self._cluster, self._training, self._places = cluster, training, places
        self._prepared: dict[int, Prepared | None] = {}
        self._placed: dict[int, PlacedTraining] = {}
        self._known: dict[tuple[int, float], StepOn] = {}

    def prepared(self, devices: int) -> Prepared | None:
        """Give the run as it is planned for so many devices; None where the model does not fit them."""
        if devices not in self._prepared:
            self._prepared[devices] = self._plan(devices)
        return self._prepared[devices]

    def on(self, devices: int, place: Allocation | None = None) -> StepOn | None:
        """Give the step on so many devices, where they sit; None where the model does not fit them."""
        prepared = self.prepared(devices)
        if prepared is None:
            return None
        step_s, parts = prepared.run.step_s, prepared.run.step_parts
        if place is not None and self._places is not None:
            placed = self.placed(devices).at(place)
            step_s, parts = placed.step_s, placed.parts
        key = (devices, step_s)
        if key not in self._known:
            self._known[key] = _step_on(prepared, devices, step_s, parts)
        return self._known[key]

    def placed(self, devices: int) -> PlacedTraining:
        """Give the run with the layout for so many devices, to be timed on any places."""
        if devices not in self._placed:
            prepared = self.prepared(devices)
            assert prepared is not None
            assert self._places is not None
            self._placed[devices] = PlacedTraining(prepared, self._places)
        return self._placed[devices]

    def _plan(self, devices: int) -> Prepared | None:
        spec = self._cluster.spec.model_copy(update={"count": devices, "spares": 0})
        try:
            return prepare(spec, self._training)
        except InfeasibleError:
            return None
        except UsageError as error:
            # A layout of the user's own may need more devices than these; everything else is wrong on any number.
            if devices == self._cluster.spec.count or "layout" not in error.rule:
                raise
            return None


def _step_on(prepared: Prepared, devices: int, step_s: float, parts: tuple[tuple[str, float], ...]) -> StepOn:
    """Put checkpoints and idle devices beside the step.

    The faults of the cluster come event by event, so the run itself has none; what it writes stays.
    """
    run = prepared.run
    every_s = run.interval_s + run.write_s
    writing = run.write_s / every_s if every_s < float("inf") else 0.0
    stepping = 1.0 - writing
    active = run.active_devices / devices
    shares = [(name, active * stepping * seconds / step_s) for name, seconds in parts]
    shares += [("checkpoint", active * writing), ("allocated idle", 1.0 - active)]
    return StepOn(stepping / step_s, step_s, tuple((name, share) for name, share in shares if share > 0))
