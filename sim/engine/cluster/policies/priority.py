"""Priorities with preemption: an urgent job takes the devices of less urgent ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import Room, toward
from sim.engine.cluster.policy import Decision, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.view import View


class Priority(Policy):
    """Serve jobs by priority, then by arrival; a job never waits for devices that less urgent jobs hold.

    Among equals nobody is stopped, and nobody overtakes. Less urgent jobs use what a blocked urgent one leaves, since
    they give it back when it fits; one that cannot be stopped does not. Where there are several kinds of device, a job
    waits for those on which it can run, and holds up nobody on the others.
    """

    name: ClassVar[str] = "priority"
    summary: ClassVar[str] = "most urgent first; stops less urgent jobs, the youngest of them first"
    source: ClassVar[str] = "Verma et al. 2015, EuroSys: Borg, section 2.5"
    claims: ClassVar[frozenset[str]] = frozenset({"priorities", "relabelling"})

    def decide(self, view: View) -> Iterator[Decision]:
        """Choose anew among all jobs, the most urgent first."""
        room = Room(view)
        running = list(view.running())
        for job in running:
            if view.is_fixed(job):
                room.keep(job)
        order = [(-job.priority, 0, job.number, job) for job in running if job.number not in room.chosen]
        order += [(-job.priority, 1, job.number, job) for job in view.waiting()]
        blocked: dict[str, int] = {}
        """Kinds for which a job waits, with its priority."""
        shut: int | None = None
        """The priority, where a job of that priority waits for every kind."""
        for _, is_waiting, _, job in sorted(order, key=lambda entry: entry[:3]):
            if not is_waiting:
                room.take(job)
                continue
            if shut is not None and (job.priority == shut or not job.preemptible):
                continue
            closed = [kind for kind, by in blocked.items() if by == job.priority or not job.preemptible]
            if not room.take(job, closed):
                blocked |= {kind: job.priority for kind in room.may_use(job) if kind not in closed}
                shut = job.priority if list(blocked.values()) == [job.priority] * len(view.kinds) else None
        yield from toward(room.chosen, view)
