"""A small scenario that a policy is tried on: it plays, and it writes itself as a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sim.engine.cluster.job import RIGID, Job, Scaling, Workload
from sim.engine.cluster.places import Places
from sim.engine.cluster.rules import Faults, Pool, Reservation, Rules
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.world import World
from sim.plan.placement import ClusterMap
from sim.plan.placement import Pool as PlacedPool
from sim.spec.emit import dumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.cluster.policy import Policy
    from sim.engine.cluster.recording import ClusterRecording
    from sim.engine.cluster.run import Run

KIND = "h100-sxm"
MAX_EVENTS = 2_000
"""Wake-ups of one small scenario; a policy that needs more is running in circles."""


@dataclass(frozen=True, slots=True)
class JobCase:
    """A job of a small scenario; whole seconds, so that many things happen at equal times."""

    at_s: int
    devices: int
    run_s: int
    over_s: int = 0
    """By how much its user overestimates the run time."""
    priority: int = 0
    tenant: str = "a"
    least: int = 0
    most: int = 0
    checkpoint_s: int | None = None
    restart_s: int = 0
    preemptible: bool = True
    until_s: int | None = None
    """When its owner gives it up, whether it has run or not; nobody knows how long it takes, and ``run_s`` is nothing.
    """


@dataclass(frozen=True, slots=True)
class Case:
    """A small scenario: a cluster, jobs, and what holds there."""

    devices: int
    jobs: tuple[JobCase, ...]
    node_devices: int = 1
    place: str = ""
    """Rule of placement on nodes; empty: devices are counts without a place."""
    grace_s: int = 0
    quotas: tuple[tuple[str, int], ...] = ()
    reservation: tuple[str, int, int, int] | None = None
    """Tenant, devices, begin and end."""
    failures_per_device_s: float = 0.0
    repair_s: int = 0
    node_loss_share: float = 0.0
    seed: int = 0

    @property
    def is_calm(self) -> bool:
        """Tell whether nothing but the policy decides when jobs start.

        No failures, quotas, reservations or places, and nobody gives devices back when he likes.
        """
        is_open = any(job.until_s is not None for job in self.jobs)
        return not (self.failures_per_device_s or self.quotas or self.reservation or self.place or is_open)

    @property
    def is_rigid(self) -> bool:
        """Tell whether every job takes what it asks for, and restarts at once."""
        return not any(job.most or job.restart_s or job.until_s is not None for job in self.jobs)

    @property
    def has_length(self) -> bool:
        """Tell whether every job takes time: what takes none has no stretch of time to reserve."""
        return all(job.run_s > 0 for job in self.jobs)

    def exact(self) -> Case:
        """Give the same case with estimates that are right."""
        return replace(self, jobs=tuple(replace(job, over_s=0) for job in self.jobs))

    def first(self, count: int) -> Case:
        """Give the case with the first jobs to arrive alone."""
        return replace(self, jobs=self.ordered()[:count])

    def ordered(self) -> tuple[JobCase, ...]:
        """Give the jobs in the order of their numbers."""
        return tuple(sorted(self.jobs, key=lambda job: job.at_s))

    def workload(self, number: Callable[[int], int] = lambda place: place + 1, name: str = "") -> Workload:
        """Give the jobs as the engine takes them; ``number`` gives the number of each place in the order."""
        ordered = self.ordered()
        jobs = [_job(number(place), job, name) for place, job in enumerate(ordered)]
        run_s = [math.inf if job.until_s is not None else float(job.run_s) for job in ordered]
        flop = [0.0 if job.until_s is not None else 7.0 * job.run_s for job in ordered]
        until_s = {place: float(job.until_s) for place, job in enumerate(ordered) if job.until_s is not None}
        return Workload(jobs, run_s, flop, until_s)

    def play(
        self,
        policy: Policy,
        scheduler: type[Scheduler] = Scheduler,
        workload: Workload | None = None,
        watch: Callable[[str, float, Run], None] | None = None,
        nodes: type[Places] = Places,
    ) -> ClusterRecording:
        """Play the case to the end of the last job; ``nodes`` says which of its nodes a job gets."""
        world = World(self.devices, self.seed, max_events=MAX_EVENTS)
        places = None
        if self.place:
            placed = PlacedPool(KIND, self.devices, self.node_devices, self.node_devices)
            places = nodes(ClusterMap([placed]), self.place)
        pools = (Pool(KIND, self.devices, self.node_devices, power_w=1.0),)
        engine = scheduler(world, pools, workload or self.workload(), policy, self.rules(), places)
        if watch is not None:
            engine.watch(watch)
        engine.begin()
        world.run_until(engine.has_finished)
        return engine.record()

    def rules(self) -> Rules:
        """Give what holds whatever the policy decides."""
        kept = () if self.reservation is None else (_reservation(*self.reservation),)
        return Rules(
            grace_s=float(self.grace_s),
            quotas=dict(self.quotas),
            reservations=kept,
            faults=Faults(self.failures_per_device_s, float(self.repair_s), self.node_loss_share),
            place=self.place,
        )

    def to_yaml(self, policy: str, comment: str) -> str:
        """Write the case as a scenario; ``policy`` is module:Class."""
        cluster: dict[str, Any] = {"accelerator": KIND, "count": self.devices, "failure_rate": "0 /s", "restart": "0 s"}
        if self.failures_per_device_s:
            cluster["failure_rate"] = f"{self.failures_per_device_s!r}/s"
            cluster["repair"] = f"{self.repair_s} s"
            cluster["node_loss_share"] = self.node_loss_share
        scheduling: dict[str, Any] = {"python": policy, "place": self.place or "anywhere"}
        if self.grace_s:
            scheduling["preempt"] = {"grace": f"{self.grace_s} s"}
        scenario: dict[str, Any] = {
            "schema_version": 1,
            "name": "a small scenario that breaks a promise",
            "cluster": cluster,
            "policy": scheduling,
        }
        tenants: dict[str, Any] = {name: {"quota": quota} for name, quota in self.quotas}
        if self.reservation is not None:
            tenant, devices, begin_s, end_s = self.reservation
            kept = {"devices": devices, "at": f"{begin_s} s", "duration": f"{end_s - begin_s} s"}
            tenants.setdefault(tenant, {})["reservations"] = [kept]
        if tenants:
            scenario["tenants"] = {name: tenants.get(name, {}) for name in sorted({"a", "b", *tenants})}
        scenario["workloads"] = [{"jobs": {"list": [_written(job) for job in self.ordered()]}}]
        scenario["seed"] = self.seed
        return dumps(scenario, comment)


def _reservation(tenant: str, devices: int, begin_s: int, end_s: int) -> Reservation:
    return Reservation(tenant, devices, float(begin_s), float(end_s))


def _job(number: int, job: JobCase, name: str) -> Job:
    return Job(
        number=number,
        arrival_s=float(job.at_s),
        devices=job.devices,
        estimate_s=float(job.run_s + job.over_s) if job.until_s is None else math.inf,
        priority=job.priority,
        tenant=job.tenant,
        name=name and f"{name}{number}",
        least=job.least,
        most=job.most,
        checkpoint_s=None if job.checkpoint_s is None else float(job.checkpoint_s),
        restart_s=float(job.restart_s),
        speed=Scaling(job.devices) if job.most else RIGID,
        preemptible=job.preemptible,
    )


def _written(job: JobCase) -> dict[str, Any]:
    """Write a job with what it says beyond the defaults."""
    found: dict[str, Any] = {"at": f"{job.at_s} s", "devices": job.devices}
    found |= {"runtime": f"{job.run_s} s"} if job.until_s is None else {"until": f"{job.until_s} s"}
    if job.over_s and job.until_s is None:
        found["estimate"] = f"{job.run_s + job.over_s} s"
    if job.priority:
        found["priority"] = job.priority
    found["tenant"] = job.tenant
    if job.most:
        found["elastic"] = {"min": job.least, "max": job.most}
    if job.checkpoint_s is not None:
        found["checkpoint"] = f"{job.checkpoint_s} s"
    if job.restart_s:
        found["restart"] = f"{job.restart_s} s"
    if not job.preemptible:
        found["preemptible"] = False
    return found
