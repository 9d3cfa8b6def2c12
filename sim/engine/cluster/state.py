"""What is known of a cluster at one instant: who holds what, who waits, what is free, down or reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.places import Places
    from sim.engine.cluster.rules import Pool, Rules
    from sim.engine.cluster.run import Run


class State:
    """Devices and jobs as they are now; the scheduler changes them, views read them."""

    def __init__(self, pools: Sequence[Pool], rules: Rules, places: Places | None) -> None:
        """Begin with all devices free and no jobs."""
        self.pools, self.rules = tuple(pools), rules
        self.kinds = tuple(pool.kind for pool in pools)
        self.capacity_by_kind = {pool.kind: pool.devices for pool in pools}
        self.free_by_kind: dict[str, Devices] = dict(self.capacity_by_kind)
        self.down_by_kind: dict[str, Devices] = dict.fromkeys(self.kinds, 0)
        self.capacity = sum(pool.devices for pool in pools)
        self.free: Devices = self.capacity
        self.places = places
        """Where devices sit; none where they are counts without a place."""
        self.is_plain = len(pools) == 1 and not rules.reservations and places is None
        """Whether devices are one number, so that whatever is free fits."""
        self.now_s = 0.0
        self.jobs_waiting: dict[int, Job] = {}
        self.runs: dict[int, Run] = {}
        self.used_by_tenant: dict[str, dict[str, Devices]] = {}
        self.kept: dict[int, tuple[float, float]] = {}
        """Work that is safe and device-seconds held, of jobs that were stopped."""

    def kind_that_fits(self, job: Job, devices: Devices, kind: str | None = None) -> str | None:
        """Give the kind of device on which the job could start now; none where it cannot."""
        if devices > self.free:
            return None
        if self.is_plain and kind is None and not job.kinds:
            return self.kinds[0]
        if self.is_reserved(job, devices):
            return None
        for each in self.kinds if kind is None else (kind,):
            if (
                devices <= self.free_by_kind.get(each, -1)
                and self.runs_on(job, devices, each)
                and (self.places is None or self.places.fits(job, devices, each))
            ):
                return each
        return None

    def can_resize(self, run: Run, devices: int) -> bool:
        """Tell whether a run could have another number of devices now: as far as they are free, or its own."""
        more = devices - run.devices
        room = more <= self.free_by_kind[run.kind] and not self.is_reserved(run.job, more)
        return room and self.can_move(run, devices)

    def can_move(self, run: Run, devices: int) -> bool:
        """Tell whether so many devices of a run have places, where devices have any."""
        if self.places is None or run.place is None:
            return True
        return self.places.could_move(run.job, run.place, devices, run.kind)

    def could_run(self, job: Job, kind: str) -> bool:
        """Tell whether the job could run on a kind of device if nobody else were there."""
        return job.devices <= self.capacity_by_kind[kind] and self.runs_on(job, job.devices, kind)

    def done_s(self, job: Job) -> float:
        """Give the work of a job that is done, in seconds at pace 1."""
        run = self.runs.get(job.number)
        return run.done_at(self.now_s) if run is not None else self.kept.get(job.number, (0.0, 0.0))[0]

    def attained_device_s(self, job: Job) -> float:
        """Give the device-seconds that a job has held."""
        held = self.kept.get(job.number, (0.0, 0.0))[1]
        run = self.runs.get(job.number)
        if run is None:
            return held
        for piece in run.pieces or ():
            held += piece.devices * (piece.end_s - piece.start_s)
        return held + run.devices * (self.now_s - run.since_s)

    def used_by(self, tenant: str, kind: str | None = None) -> Devices:
        """Count the devices that a tenant holds, of one kind or of all."""
        used = self.used_by_tenant.get(tenant)
        return 0 if used is None else sum(used.values()) if kind is None else used.get(kind, 0)

    def runs_on(self, job: Job, devices: Devices, kind: str) -> bool:
        """Tell whether a job runs on so many devices of a kind."""
        return (not job.kinds or kind in job.kinds) and job.speed.at(devices, kind).rate > 0

    def is_reserved(self, job: Job, devices: Devices) -> bool:
        """Tell whether more devices for a job would take what is reserved, now or while it is estimated to run."""
        for kept in self.rules.reservations:
            if kept.tenant == job.tenant or kept.until_s <= self.now_s or devices <= 0:
                continue
            if kept.from_s <= self.now_s:
                unused = max(kept.devices - self.used_by(kept.tenant), 0)
                if self.free - devices < unused:
                    return True
            elif kept.from_s < self.now_s + max(job.estimate_s - self.done_s(job), 0.0) + job.restart_s:
                others = sum(
                    run.devices
                    for run in self.runs.values()
                    if run.job.tenant != kept.tenant and run.estimated_end_s(self.now_s) > kept.from_s
                )
                if others + devices > self.capacity - kept.devices:
                    return True
        return False
