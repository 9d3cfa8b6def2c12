"""Elastic jobs: devices go where they speed somebody up most, measured against a fair share."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import Share, toward
from sim.engine.cluster.policy import Decision, Policy, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.view import View


class Goodput(Policy):
    """Choose the devices of all jobs together so that the harmonic mean of their speedups is largest.

    The speedup is the pace over that on an equal share of the cluster. Batch sizes stay as they are, so goodput is
    throughput; in the paper a job may also change its batch. Jobs that cannot be resized ask for what they ask for.
    The greedy search adds devices one step at a time where they help most.
    """

    name: ClassVar[str] = "goodput"
    summary: ClassVar[str] = "elastic: grows and shrinks jobs so that all of them gain most (Pollux-like)"
    source: ClassVar[str] = "Qiao et al. 2021, OSDI: Pollux, equation 11 with p = -1"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling"})
    needs_one_kind: ClassVar[bool] = True

    def __init__(self, round_s: float = 60.0, steps: float = 256) -> None:
        """Set how often all jobs are weighed anew, and in how many steps the cluster is shared out."""
        self._round_s, self._steps = round_s, int(steps)
        self._next_round_s = 0.0

    def decide(self, view: View) -> Iterator[Decision]:
        """Share out all devices at each round; in between start what fits beside the others."""
        running = list(view.running())
        waiting = sorted(view.waiting(), key=lambda job: job.number)
        if view.now_s >= self._next_round_s:
            self._next_round_s = view.now_s + self._round_s
            yield from toward(self._share_out(running, waiting, view), view)
        else:
            chosen = {job.number: Share(job, view.devices_of(job)) for job in running}
            free, held = view.free, _Held(view)
            for job in running:
                held.add(job, view.devices_of(job))
            for job in waiting:
                devices = job.devices if job.devices <= free else _least(job)
                if devices <= free and held.allows(job, devices):
                    held.add(job, devices)
                    chosen[job.number] = Share(job, devices)
                    free -= devices
            yield from toward(chosen, view)
        if next(view.waiting(), None) is not None or any(job.is_elastic for job in view.running()):
            yield Wake(self._next_round_s)

    def _share_out(self, running: list[Job], waiting: list[Job], view: View) -> dict[int, Share]:
        left: Devices = view.capacity - sum(view.down_of(kind) for kind in view.kinds)
        devices: dict[int, Devices] = {}
        fixed = [job for job in running if view.is_fixed(job)]
        held = _Held(view)
        for job in fixed:
            devices[job.number] = view.devices_of(job)
            held.add(job, view.devices_of(job))
            left -= view.devices_of(job)
        jobs = {job.number: job for job in [*running, *waiting]}
        for number in sorted(jobs):
            least = _least(jobs[number])
            if number not in devices and least <= left and held.allows(jobs[number], least):
                devices[number] = least
                held.add(jobs[number], least)
                left -= devices[number]
        fair = max(view.capacity // max(len(jobs), 1), 1)
        step = max(view.capacity // self._steps, 1)
        kept = {job.number for job in fixed}
        gains = [
            entry
            for number in devices
            if number not in kept and (entry := _gain(jobs[number], devices, fair, step, view))
        ]
        heapq.heapify(gains)
        while gains and left:
            _, number, more = heapq.heappop(gains)
            if more <= left and held.allows(jobs[number], more):
                devices[number] += more
                held.add(jobs[number], more)
                left -= more
                entry = _gain(jobs[number], devices, fair, step, view)
                if entry is not None:
                    heapq.heappush(gains, entry)
        return {number: Share(jobs[number], count) for number, count in devices.items()}


class _Held:
    """What each tenant would hold, against its quota: jobs grow after they have passed its gate."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._devices: dict[str, Devices] = {}

    def allows(self, job: Job, more: Devices) -> bool:
        return self._devices.get(job.tenant, 0) + more <= self._view.quota_of(job.tenant)

    def add(self, job: Job, more: Devices) -> None:
        self._devices[job.tenant] = self._devices.get(job.tenant, 0) + more


def _least(job: Job) -> Devices:
    return job.least if job.is_elastic else job.devices


def _gain(job: Job, devices: dict[int, Devices], fair: int, step: int, view: View) -> tuple[float, int, Devices] | None:
    """Give by how much one step more lowers the sum of 1 / speedup, per device; the largest gain sorts first."""
    held = devices[job.number]
    more = min(step, (job.most if job.is_elastic else job.devices) - held)
    if more <= 0:
        return None
    usual = min(max(fair, _least(job)), job.most)
    pace, before, after = (view.rate(job, each) for each in (usual, held, held + more))
    if not (before > 0 and after > before):
        return None
    return -(pace / before - pace / after) / more, job.number, more
