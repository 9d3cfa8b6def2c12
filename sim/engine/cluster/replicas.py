"""Replicas of a service in the queue of a cluster: each is a gang that runs until the service gives it back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.engine.cluster.job import Job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.engine.cluster.owner import Queue
    from sim.engine.serving.devices import Holder


@dataclass(frozen=True, slots=True)
class Together:
    """How the devices of a replica lie together."""

    chunk: int
    """Devices that share a node."""
    within: str = ""
    """Level of which one group holds the replica; empty: none must."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a service stands among the others in the queue."""

    name: str
    tenant: str = ""
    priority: int = 0
    preemptible: bool = False
    kinds: tuple[str, ...] = ()


class QueuedDevices:
    """Devices for the replicas of one service, from the queue that jobs wait in too."""

    def __init__(self, queue: Queue, standing: Standing, together: Mapping[str, Together]) -> None:
        """Join the queue.

        Args:
            queue: of the cluster.
            standing: of the service.
            together: how replicas lie, by the name of their holder.
        """
        self._queue, self._standing, self._together = queue, standing, together
        self._held: dict[tuple[str, int], tuple[Job, _Replica]] = {}
        queue.join()

    def ask(self, holder: Holder, place: int) -> None:
        """Submit a gang for a replica."""
        standing, together = self._standing, self._together[holder.name]
        asked = Job(
            number=0,
            arrival_s=0.0,
            devices=holder.plan.devices,
            estimate_s=math.inf,
            priority=standing.priority,
            tenant=standing.tenant,
            name=f"{holder.name} {place + 1}",
            kinds=standing.kinds,
            preemptible=standing.preemptible,
            chunk=together.chunk,
            within=together.within,
        )
        owner = _Replica(standing.name, holder, place)
        job = self._queue.submit(asked, owner)
        self._held[holder.name, place] = (job, owner)

    def give_back(self, holder: Holder, place: int) -> None:
        """Release the gang of a replica."""
        job, owner = self._held.pop((holder.name, place))
        owner.wants = False
        self._queue.release(job)

    def end(self) -> None:
        """Part from the queue."""
        self._queue.part()


@dataclass(slots=True)
class _Replica:
    """The owner of one gang."""

    name: str
    holder: Holder
    place: int
    wants: bool = True
    """Whether it has not been given back."""

    @property
    def account(self) -> str:
        return self.holder.account

    def got(self) -> None:
        if self.wants:
            self.holder.got(self.place)

    def lost(self) -> None:
        if self.wants:
            self.holder.lose(self.place)
