"""Priorities with preemption: an urgent job takes the devices of less urgent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import Share, toward
from sim.engine.cluster.policy import Decision, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class Priority(Policy):
    """Serve jobs by priority, then by arrival; a job never waits for devices that less urgent jobs hold.

    Among equals nobody is stopped, and nobody overtakes. Less urgent jobs use what a blocked urgent one leaves, since
    they give it back when it fits; one that cannot be stopped does not.
    """

    name: ClassVar[str] = "priority"
    summary: ClassVar[str] = "most urgent first; stops less urgent jobs, the youngest of them first"
    source: ClassVar[str] = "Verma et al. 2015, EuroSys: Borg, section 2.5"
    claims: ClassVar[frozenset[str]] = frozenset({"priorities", "relabelling"})

    def decide(self, view: View) -> Iterator[Decision]:
        """Choose anew among all jobs, the most urgent first."""
        left = view.capacity - sum(view.down_of(kind) for kind in view.kinds)
        chosen: dict[int, Share] = {}
        running = list(view.running())
        for job in running:
            if view.is_fixed(job):
                left = self._take(chosen, job, view.devices_of(job), left)
        order = [(-job.priority, 0, job.number, job) for job in running if job.number not in chosen]
        order += [(-job.priority, 1, job.number, job) for job in view.waiting()]
        blocked: int | None = None
        for _, is_waiting, _, job in sorted(order, key=lambda entry: entry[:3]):
            if blocked is not None and is_waiting and (job.priority == blocked or not job.preemptible):
                continue
            if job.devices <= left:
                left = self._take(chosen, job, view.devices_of(job) or job.devices, left)
            elif is_waiting:
                blocked = job.priority
        yield from toward(chosen, view)

    @staticmethod
    def _take(chosen: dict[int, Share], job: Job, devices: int, left: int) -> int:
        chosen[job.number] = Share(job, devices)
        return left - devices
