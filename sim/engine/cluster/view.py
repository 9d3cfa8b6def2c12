"""What a policy sees of the cluster: everything that is known at this instant, and nothing that it could change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.state import State


class View:
    """The present state of the cluster, read-only; it always shows now, never a copy of before."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        """Look at this state."""
        self._state = state

    @property
    def now_s(self) -> float:
        """Seconds since time started."""
        return self._state.now_s

    @property
    def free(self) -> Devices:
        """Devices that nobody holds, of all kinds; what is left of devices that are given in shares counts too."""
        return self._state.free

    @property
    def capacity(self) -> int:
        """Devices of the cluster, those that are down included."""
        return self._state.capacity

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of device, the first is the one that paces refer to."""
        return self._state.kinds

    def free_of(self, kind: str) -> Devices:
        """Devices of one kind that nobody holds."""
        return self._state.free_by_kind[kind]

    def capacity_of(self, kind: str) -> int:
        """Devices of one kind, those that are down included."""
        return self._state.capacity_by_kind[kind]

    def down_of(self, kind: str) -> Devices:
        """Devices of one kind that are out of order."""
        return self._state.down_by_kind[kind]

    def fits(self, job: Job, devices: Devices | None = None, kind: str | None = None) -> bool:
        """Whether the job could start now: free devices of a kind that it runs on, and no reservation in its way."""
        return self._state.kind_that_fits(job, devices or job.devices, kind) is not None

    def can_resize(self, job: Job, devices: int) -> bool:
        """Whether a running job could have so many devices now: free ones and its own, and places for all of them."""
        run = self._state.runs.get(job.number)
        return run is not None and self._state.can_resize(run, devices)

    def waiting(self) -> Iterator[Job]:
        """Jobs that wait, in the order in which they began to."""
        return iter(tuple(self._state.jobs_waiting.values()))

    def running(self) -> Iterator[Job]:
        """Jobs that hold devices, in the order in which they got them."""
        return (run.job for run in tuple(self._state.runs.values()))

    def is_waiting(self, job: Job) -> bool:
        """Whether the job waits."""
        return job.number in self._state.jobs_waiting

    def is_running(self, job: Job) -> bool:
        """Whether the job holds devices."""
        return job.number in self._state.runs

    def devices_of(self, job: Job) -> Devices:
        """Devices that the job holds; 0 where it waits."""
        run = self._state.runs.get(job.number)
        return 0 if run is None else run.devices

    def kind_of(self, job: Job) -> str:
        """Kind of device that a running job holds; empty where it waits."""
        run = self._state.runs.get(job.number)
        return "" if run is None else run.kind

    def started_s(self, job: Job) -> float:
        """When a running job got its devices this time."""
        return self._state.runs[job.number].start_s

    def estimated_end_s(self, job: Job) -> float:
        """When a running job ends if its estimate is right, never before now; infinite where its length is unknown."""
        now_s = self._state.now_s
        end_s = self._state.runs[job.number].estimated_end_s(now_s)
        return max(end_s, now_s)

    def estimated_left_s(self, job: Job) -> float:
        """How long the job would still take on the devices that it asks for, if its estimate is right."""
        return max(job.estimate_s - self._state.done_s(job), 0.0)

    def attained_device_s(self, job: Job) -> float:
        """Device-seconds that the job has held until now."""
        return self._state.attained_device_s(job)

    def rate(self, job: Job, devices: Devices, kind: str | None = None) -> float:
        """Pace of the job on so many devices of a kind; 1 is that on what it asks for, on the first kind."""
        return job.speed.at(devices, kind or self.kinds[0]).rate

    def is_stopping(self, job: Job) -> bool:
        """Whether the job was told to stop, and writes its checkpoint."""
        run = self._state.runs.get(job.number)
        return run is not None and run.is_stopping

    def is_fixed(self, job: Job) -> bool:
        """Whether a running job cannot be stopped now: it may not be, is stopping already, or has just started."""
        run = self._state.runs[job.number]
        return not job.preemptible or run.is_stopping or run.start_s == self._state.now_s

    def used_by(self, tenant: str, kind: str | None = None) -> Devices:
        """Devices that a tenant holds, of one kind or of all."""
        return self._state.used_by(tenant, kind)

    def quota_of(self, tenant: str) -> float:
        """Most devices that the jobs of a tenant may hold together; infinite where there is no limit."""
        return self._state.rules.quotas.get(tenant, math.inf)

    def weight_of(self, tenant: str) -> float:
        """Share that a tenant is due, as a weight."""
        return self._state.rules.weight_of(tenant)
