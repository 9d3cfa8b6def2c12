"""From the workloads of a scenario to the jobs that the engine plays: listed, recorded, or drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.arrivals import arrival_times, sample
from sim.engine.cluster.job import RIGID, Job, Scaling, Workload
from sim.errors import ScenarioError
from sim.plan.placement import WHOLE_MILLI
from sim.spec.job_traces import TraceJob, read_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sim.engine.cluster.job import Devices, Speed
    from sim.engine.random import Streams
    from sim.spec.jobs import JobSpec, JobsSpec
    from sim.spec.tenants import TenantSpec
    from sim.study.cluster_pools import Machine


@dataclass(slots=True)
class Asked:
    """A job before it has its number."""

    arrival_s: float
    devices: Devices
    run_s: float
    estimate_s: float
    workload: str
    priority: int
    tenant: str
    name: str = ""
    least: int = 0
    most: int = 0
    checkpoint_s: float | None = None
    restart_s: float = 0.0
    kinds: tuple[str, ...] = ()
    speed: Speed = RIGID
    preemptible: bool = True
    serial: float = 0.0
    chunk: int = 0
    flop: float = 0.0
    until_s: float | None = None
    """When its owner gives it up, where nobody knows how long it takes."""


@dataclass(slots=True)
class Gathered:
    """All jobs of a scenario, and what there is to say about where they come from."""

    asked: list[Asked] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""

    def add(self, more: Gathered) -> None:
        """Take in the jobs of another workload."""
        self.asked += more.asked
        self.notes += more.notes

    def workload(self) -> Workload:
        """Number the jobs in the order of arrival."""
        ordered = sorted(self.asked, key=lambda job: job.arrival_s)
        jobs = [_job(number, each) for number, each in enumerate(ordered, 1)]
        flop = [each.flop for each in ordered] if any(each.flop for each in ordered) else ()
        until_s = {row: each.until_s for row, each in enumerate(ordered) if each.until_s is not None}
        return Workload(jobs, [each.run_s for each in ordered], flop, until_s)


def gather(spec: JobsSpec, tenants: Mapping[str, TenantSpec], streams: Streams, machine: Machine) -> Gathered:
    """Give the jobs of one workload.

    Raises:
        ScenarioError: a trace cannot be read, or lacks what nothing else says; kinds of device that there are not.
    """
    where = f"jobs {spec.name}"
    machine.refuse_unknown([*spec.kinds, *(kind for job in spec.list for kind in job.kinds)], where)
    if spec.list:
        asked = [_listed(spec, each, tenants) for each in spec.list]
        found = Gathered(asked)
    elif spec.trace is not None:
        found = _recorded(spec, tenants, streams, machine)
    else:
        found = Gathered(_drawn(spec, tenants, streams))
    for job in found.asked:
        if spec.kinds and not job.kinds:
            job.kinds = tuple(spec.kinds)
            job.speed = Scaling(job.devices, job.serial, spec.kinds)
        if machine.needs_speeds and not job.kinds:
            raise ScenarioError(
                "jobs say on which kinds of device they run, and how fast, where there are several",
                job.name,
                where,
                f"kinds: {{{', '.join(f'{kind}: {1 / (at + 1):.2g}' for at, kind in enumerate(machine.kinds))}}}",
            )
        if job.devices < 1 and machine.cluster_map is None:
            raise ScenarioError(
                "a share of a device has a place on one device",
                f"devices: {float(job.devices):g}, place: anywhere",
                where,
                "policy: {place: best}, or packed",
            )
        if spec.mfu is not None and job.until_s is None:
            job.flop = job.run_s * float(job.devices) * machine.peak_flop_per_s(job.kinds) * spec.mfu
        if spec.estimates == "exact":
            job.estimate_s = job.run_s
    return found


def _job(number: int, asked: Asked) -> Job:
    return Job(
        number=number,
        arrival_s=asked.arrival_s,
        devices=asked.devices,
        estimate_s=asked.estimate_s,
        priority=asked.priority,
        tenant=asked.tenant,
        name=asked.name,
        least=asked.least,
        most=asked.most,
        checkpoint_s=asked.checkpoint_s,
        restart_s=asked.restart_s,
        kinds=asked.kinds,
        speed=asked.speed,
        preemptible=asked.preemptible,
        chunk=asked.chunk,
    )


def priority_of(tenant: str, own: int | None, usual: int | None, tenants: Mapping[str, TenantSpec]) -> int:
    """Give the priority of a job: its own, that of its workload, or that of its tenant."""
    if own is not None:
        return own
    if usual is not None:
        return usual
    return tenants[tenant].priority if tenant in tenants else 0


def _listed(spec: JobsSpec, job: JobSpec, tenants: Mapping[str, TenantSpec]) -> Asked:
    tenant = job.tenant or spec.tenant or ""
    elastic = job.elastic
    speed: Speed = RIGID
    if elastic is not None or job.kinds:
        speed = Scaling(_devices(job.devices), 0.0 if elastic is None else elastic.serial, job.kinds)
    run_s = math.inf if job.runtime is None else job.runtime
    return Asked(
        arrival_s=spec.at + job.at,
        devices=_devices(job.devices),
        run_s=run_s,
        estimate_s=run_s if job.estimate is None else job.estimate,
        until_s=None if job.until is None else spec.at + job.until,
        workload=spec.name,
        priority=priority_of(tenant, job.priority, spec.priority, tenants),
        tenant=tenant,
        name=job.name,
        least=0 if elastic is None else elastic.min,
        most=0 if elastic is None else elastic.max,
        serial=0.0 if elastic is None else elastic.serial,
        checkpoint_s=spec.checkpoint if job.checkpoint is None else job.checkpoint,
        restart_s=job.restart or spec.restart,
        kinds=tuple(job.kinds),
        speed=speed,
        preemptible=job.preemptible,
    )


def _recorded(spec: JobsSpec, tenants: Mapping[str, TenantSpec], streams: Streams, machine: Machine) -> Gathered:
    assert spec.trace is not None
    known = {kind.lower(): kind for kind in machine.kinds}
    trace = read_jobs(spec.trace.file, spec.trace.format, throughputs=spec.trace.throughputs, limit=spec.count)
    jobs = trace.jobs
    count = len(jobs)
    arrivals = _column(spec, jobs, streams, "arrivals", lambda job: job.arrival_s) / spec.trace.speed
    devices = _column(spec, jobs, streams, "devices", lambda job: job.devices)
    runs = _column(spec, jobs, streams, "runtime", lambda job: None if math.isnan(job.run_s) else job.run_s)
    over = _overestimates(spec, streams, count)
    asked = []
    for index, job in enumerate(jobs):
        tenant = spec.tenant or job.tenant
        width = Fraction(job.milli, WHOLE_MILLI) if job.milli else _devices(float(devices[index]))
        run_s = float(runs[index])
        # A scenario writes names of kinds in small letters.
        speeds = {known.get(kind.lower(), kind): speed for kind, speed in job.speeds.items()}
        asked.append(
            Asked(
                arrival_s=spec.at + float(arrivals[index]),
                devices=width,
                run_s=run_s,
                estimate_s=run_s * over[index] if job.estimate_s is None else job.estimate_s,
                workload=spec.name,
                priority=priority_of(tenant, spec.priority, job.priority, tenants),
                tenant=tenant,
                name=job.name,
                checkpoint_s=spec.checkpoint,
                restart_s=spec.restart,
                kinds=tuple(speeds),
                speed=Scaling(width, 0.0, speeds) if speeds else RIGID,
            )
        )
    left_out = [f"{trace.left_out} lines of the trace: jobs that never ran, or asked for no device"]
    return Gathered(asked, left_out if trace.left_out else [])


def _column(
    spec: JobsSpec, jobs: Iterable[TraceJob], streams: Streams, name: str, get: object
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Give what a trace says, or else what the scenario says in its place."""
    assert callable(get)
    recorded = [get(job) for job in jobs]
    if all(each is not None for each in recorded):
        return np.array(recorded, dtype=np.float64)
    if getattr(spec, name) is None:
        example = {"arrivals": "arrivals: 6/h", "devices": "devices: 1", "runtime": "runtime: {exponential: 2 h}"}[name]
        raise ScenarioError(
            f"this trace does not say the {name} of its jobs",
            value=spec.trace.file if spec.trace is not None else "",
            where=f"jobs {spec.name}",
            mend=f"say it beside the trace: {example}",
        )
    return _drawn_column(spec, streams, name, len(recorded))


def _drawn_column(
    spec: JobsSpec, streams: Streams, name: str, count: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if name == "arrivals":
        assert spec.arrivals is not None
        chunks = arrival_times(streams, f"jobs/{spec.name}", spec.arrivals)
        times = (time_s for chunk in chunks for time_s in chunk.tolist())
        found = np.array(list(islice(times, count)))
        if len(found) < count:
            raise ScenarioError(
                "there are fewer arrivals than jobs",
                f"{len(found)} of {count}",
                f"jobs {spec.name}",
                "more at_once",
            )
        return found
    distribution = getattr(spec, name)
    drawn = sample(distribution, streams.generator(f"jobs/{spec.name}/{name}"), count)
    return np.maximum(drawn, 1.0) if name == "devices" and distribution.kind not in ("fixed", "empirical") else drawn


def _devices(amount: float) -> Devices:
    """Give whole devices, or the exact share of one."""
    return int(amount) if amount >= 1 else Fraction(round(amount * WHOLE_MILLI), WHOLE_MILLI)


def _drawn(spec: JobsSpec, tenants: Mapping[str, TenantSpec], streams: Streams) -> list[Asked]:
    assert spec.count is not None
    arrivals, devices, runs = (
        _drawn_column(spec, streams, name, spec.count) for name in ("arrivals", "devices", "runtime")
    )
    over = _overestimates(spec, streams, spec.count)
    tenant = spec.tenant or ""
    priority = priority_of(tenant, None, spec.priority, tenants)
    return [
        Asked(
            arrival_s=spec.at + arrival_s,
            devices=_devices(width),
            run_s=run_s,
            estimate_s=run_s * share,
            workload=spec.name,
            priority=priority,
            tenant=tenant,
            checkpoint_s=spec.checkpoint,
            restart_s=spec.restart,
        )
        for arrival_s, width, run_s, share in zip(
            arrivals.tolist(), devices.tolist(), runs.tolist(), over.tolist(), strict=True
        )
    ]


def _overestimates(spec: JobsSpec, streams: Streams, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if spec.overestimate is None:
        return np.ones(count)
    return sample(spec.overestimate, streams.generator(f"jobs/{spec.name}/overestimate"), count)
