"""Where the devices of jobs sit: the free counts of nodes, and the rule that chooses among them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from sim.engine.cluster.fabric import Exchanging
from sim.engine.ledger import ConservationError
from sim.plan.placement import WHOLE_MILLI, ClusterState
from sim.plan.placement_rules import place, release
from sim.plan.placement_shares import SharedDevices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.run import Run
    from sim.plan.placement import Allocation, ClusterMap


class Places:
    """The nodes of a cluster, and who sits on them."""

    def __init__(self, cluster: ClusterMap, rule: str) -> None:
        """Begin with every node free."""
        self.state = ClusterState(cluster)
        self.shared = SharedDevices(self.state)
        """Devices that are given in shares."""
        self._rule = rule

    def fits(self, job: Job, devices: Devices, kind: str) -> bool:
        """Tell whether there are places for so many devices of the job."""
        if isinstance(devices, Fraction):
            return self.shared.fits(_milli(devices), kind)
        if not self.state.fits(devices, chunk=job.chunk or None, pool=kind):
            return False
        if not job.within:
            return True
        found = self._place(job, devices, kind)
        if found is not None:
            release(self.state, found)
        return found is not None

    def take(self, job: Job, devices: Devices, kind: str) -> Allocation:
        """Give the job its places, all at once; a share of a device on the fullest shared one that has room."""
        if isinstance(devices, Fraction):
            share = self.shared.place(_milli(devices), self._rule, pool=kind)
            if share is None:
                raise ConservationError(f"a share of {devices} of a device got none by the rule {self._rule!r}")
            return share
        found = self._place(job, devices, kind)
        if found is None or found.devices != devices:
            given = "none" if found is None else str(found.devices)
            raise ConservationError(f"a gang of {devices} devices got {given} by the rule {self._rule!r}")
        return found

    def _place(self, job: Job, devices: int, kind: str) -> Allocation | None:
        speed, within = job.speed, job.within or None
        nested = speed.nested(devices, kind) if self._rule == "topology" and isinstance(speed, Exchanging) else ()
        return place(self.state, devices, self._rule, chunk=job.chunk or None, pool=kind, within=within, nested=nested)

    def give_back(self, allocation: Allocation) -> None:
        """Free the places of a job."""
        if allocation.milli:
            self.shared.release(allocation)
        else:
            release(self.state, allocation)

    def could_move(self, job: Job, held: Allocation, devices: int, kind: str) -> bool:
        """Tell whether there are places for another number of devices, those that the job has among them."""
        release(self.state, held)
        found = self.fits(job, devices, kind)
        self.state.hold_again(held)
        return found

    def move(self, job: Job, held: Allocation, devices: int, kind: str) -> Allocation:
        """Give a job other places for another number of devices, as `could_move` says it can."""
        release(self.state, held)
        return self.take(job, devices, kind)

    def node_of_device(self, device: int) -> int:
        """Give the node of a device, by its number in the whole cluster."""
        return int(self.state.map.capacity.cumsum().searchsorted(device, side="right"))

    def on_node(self, runs: Iterator[Run], node: int) -> list[Run]:
        """List the runs that have devices on a node."""
        return [run for run in runs if run.place is not None and node in run.place.nodes]


def _milli(share: Fraction) -> int:
    """Give the thousandths of a share of a device."""
    return int(share * WHOLE_MILLI)
