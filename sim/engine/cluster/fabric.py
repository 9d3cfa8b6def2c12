"""Jobs of a cluster on the links of its fabric: what each exchanges on the nodes that it got slows down the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from sim.engine.network import Network
from sim.plan.placement import Allocation
from sim.plan.routes import Route, routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.engine.cluster.job import Devices
    from sim.engine.cluster.run import Run
    from sim.plan.routes import Traffic
    from sim.plan.topology import Topology


@runtime_checkable
class Exchanging(Protocol):
    """A speed that knows what its job sends; jobs with any other speed are not on the links."""

    def exchange(self, devices: Devices, kind: str, place: Allocation) -> tuple[Sequence[Traffic], float]:
        """Give what a step exchanges where the job sits, and the seconds from step to step while it is alone."""

    def nested(self, devices: Devices, kind: str) -> Sequence[tuple[int, float]]:
        """Give the spans of its groups of collectives, with their weights, as the placement rule ``topology`` asks."""


class SharedFabric:
    """The networks of all kinds of device of a cluster, as one set of links.

    A job is on its links as long as it holds its devices, the time of a restart included.
    """

    def __init__(self, topologies: Mapping[str, Topology]) -> None:
        """Join the links of the kinds; no job uses those of two."""
        self._topologies = dict(topologies)
        links = [topology.capacity_bytes_per_s for topology in self._topologies.values()]
        first = np.cumsum([0, *(len(each) for each in links)]).tolist()
        self._first = dict(zip(self._topologies, first[:-1], strict=True))
        self.network: Network[int] = Network(np.concatenate(links) if links else np.zeros(0))

    def started(self, run: Run) -> Mapping[int, float]:
        """Put a job on its links; give the slowdown (1 or more) of each job for which it changed, by number."""
        speed, topology = run.job.speed, self._topologies.get(run.kind)
        place = run.place
        if topology is None or not isinstance(place, Allocation) or not isinstance(speed, Exchanging):
            return {}
        traffic, step_s = speed.exchange(run.devices, run.kind, place)
        first = self._first[run.kind]
        routes = [
            Route(route.name, route.exposed_s, route.link + first, route.weight, route.alone_bytes_per_s)
            for route in routes_of(topology, place, traffic)
        ]
        return self.network.add(run.job.number, routes, step_s)

    def stopped(self, number: int) -> Mapping[int, float]:
        """Take a job off its links; give the slowdown of each job for which it changed, by number."""
        return self.network.remove(number)
