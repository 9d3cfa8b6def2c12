"""What holds on a cluster whatever its policy: who may hold how much, what is kept for whom, and how jobs stop."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sim.engine.cluster.job import Devices, Job


@dataclass(frozen=True, slots=True)
class Faults:
    """How devices fail."""

    rate_per_s: float = 0.0
    """Interruptions per device and second."""
    repair_s: float = 0.0
    node_loss_share: float = 0.0
    """Share of the interruptions that take a node away until it is repaired."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Devices of one kind."""

    kind: str
    devices: int
    node_devices: int = 1
    """Devices that a failing node takes along."""
    power_w: float = 0.0
    """Of one device, at the meter."""
    faults: Faults | None = None
    """How these devices fail; as those of all pools where none is given."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Devices that are kept for a tenant during a time."""

    tenant: str
    devices: int
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds whatever the policy decides."""

    grace_s: float = 0.0
    """Time that a preempted job keeps its devices to write a checkpoint; with 0 it loses what is unsaved."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Most devices that the jobs of a tenant may hold together."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Share that a tenant is due; 1 where none is given."""
    reservations: tuple[Reservation, ...] = ()
    faults: Faults = Faults()
    place: str = ""
    """Rule by which devices are placed on nodes; empty: devices are counts without a place."""

    def weight_of(self, tenant: str) -> float:
        """Give the share that a tenant is due, as a weight."""
        return self.weights.get(tenant, 1.0)


class Gate:
    """Where the jobs of a tenant with a quota wait until all of its jobs beyond the gate fit the quota together.

    A policy sees only jobs that have passed, so that no decision of any policy exceeds a quota.
    """

    def __init__(self, quota: int) -> None:
        """Begin with nobody beyond the gate."""
        self.quota = quota
        self._beyond: Devices = 0
        self._queue: list[tuple[int, int, Job]] = []

    def arrive(self, job: Job) -> Iterator[Job]:
        """Let a job queue, and give those that pass now: most urgent first, then first come."""
        heapq.heappush(self._queue, (-job.priority, job.number, job))
        return self._pass()

    def leave(self, job: Job) -> Iterator[Job]:
        """Note that a job beyond the gate has ended, and give those that pass now."""
        self._beyond -= job.devices
        return self._pass()

    def withdraw(self, job: Job) -> Iterator[Job]:
        """Forget a job on whichever side of the gate it is, and give those that pass now."""
        here = [entry for entry in self._queue if entry[2] is job]
        if not here:
            return self.leave(job)
        self._queue.remove(here[0])
        heapq.heapify(self._queue)
        return self._pass()

    def _pass(self) -> Iterator[Job]:
        while self._queue and self._beyond + self._queue[0][2].devices <= self.quota:
            job = heapq.heappop(self._queue)[2]
            self._beyond += job.devices
            yield job
