"""The step of a training run on the nodes that it got, and what it exchanges there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from sim.cost.layout import single
from sim.cost.training import step_times
from sim.errors import InfeasibleError
from sim.plan import machine as machines
from sim.plan.routes import Traffic, traffic_of

if TYPE_CHECKING:
    from sim.cost.machine import Machine
    from sim.plan.placement import Allocation, ClusterMap
    from sim.plan.training import Prepared


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """One step of a job on its places, where no other job is on its links."""

    step_s: float
    parts: tuple[tuple[str, float], ...]
    """Account and seconds; they sum to ``step_s``."""
    traffic: tuple[Traffic, ...]
    """What it exchanges; none where the step was given, since nothing is known of its layout."""


class PlacedTraining:
    """A training run whose layout is chosen, timed on any places.

    The layout stays; what changes is how many devices sit in each group of the first oversubscribed level, and thus
    how much of what leaves the group each of them has for itself.
    """

    def __init__(self, prepared: Prepared, cluster: ClusterMap) -> None:
        """Take the layout and the machine of a prepared run; ``cluster`` numbers the nodes."""
        self._prepared, self._cluster = prepared, cluster
        self._known: dict[tuple[int, float], PlacedStep] = {}
        self._machine: Machine | None = None
        self._level, self._ratio = _oversubscribed(prepared, cluster)

    def at(self, allocation: Allocation) -> PlacedStep:
        """Time the step on these nodes.

        Raises:
            InfeasibleError: the layout takes more devices than there are.

        """
        needed = self._prepared.run.active_devices
        if allocation.devices < needed:
            raise InfeasibleError(
                "the layout of a run takes more devices than it got",
                value=f"{allocation.devices} devices, {needed} in the layout",
                mend="give the run its devices, or another plan",
            )
        shape = self._shape(allocation)
        if shape not in self._known:
            self._known[shape] = self._time(allocation.devices, *shape)
        return self._known[shape]

    def _shape(self, allocation: Allocation) -> tuple[int, float]:
        """Give what the step depends on: groups of the oversubscribed level, and the fullest one's part of a group."""
        if not self._level:
            return 1, 0.0
        of_node = self._cluster.group_of[self._level]
        first = int(of_node[allocation.nodes[0]])
        inside = np.bincount(of_node[list(allocation.nodes)] - first, allocation.counts)
        bounds = self._cluster.bounds[self._level]
        held = np.flatnonzero(inside)
        sizes = [int(self._cluster.capacity[bounds[first + at] : bounds[first + at + 1]].sum()) for at in held.tolist()]
        return len(held), float((inside[held] / sizes).max())

    def _time(self, devices: int, groups: int, fullest: float) -> PlacedStep:
        prepared = self._prepared
        run = prepared.run
        if prepared.layout is None:
            return PlacedStep(run.step_s, run.step_parts, ())
        if self._machine is None:
            self._machine = machines.build(prepared.cluster, prepared.work.recipe)
        fabric = self._machine.fabric
        # A job that has a part of a group has all of its uplinks to itself: it is as if they were that much wider.
        spine = replace(fabric.spine, oversubscription=self._ratio * fullest if groups > 1 else 1.0)
        machine = replace(
            self._machine,
            fabric=replace(fabric, spine=spine),
            pod_devices=devices / groups if groups > 1 else machines.UNBOUNDED,
        )
        profile = prepared.training.spec.profile
        software = machines.software(profile, prepared.cluster.accelerator, prepared.work.recipe)
        layout = single(**cast("dict[str, Any]", prepared.layout))
        steps = step_times(prepared.work, machine, software, layout)
        parts = steps.row(0)
        return PlacedStep(float(steps.step_s[0]), parts, traffic_of(prepared.layout, parts))


def oversubscription_of(prepared: Prepared, cluster: ClusterMap) -> dict[str, float]:
    """Give the oversubscription of each level of the run's fabric that the cluster has groups of."""
    fabric = prepared.cluster.fabric
    levels = fabric.levels if fabric is not None else ()
    return {level.name: level.oversubscription for level in levels if level.name in cluster.levels}


def _oversubscribed(prepared: Prepared, cluster: ClusterMap) -> tuple[str, float]:
    """Give the first level that blocks, as the cost functions see it; none where nothing does."""
    for level, ratio in oversubscription_of(prepared, cluster).items():
        if ratio > 1:
            return level, ratio
    return "", 1.0
