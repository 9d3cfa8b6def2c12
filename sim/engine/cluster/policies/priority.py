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
        for _, is_waiting, _, job in sorted(order, key=lambda entry: entry[:3]):
            closed = [kind for kind, by in blocked.items() if by == job.priority or not job.preemptible]
            if not room.take(job, closed if is_waiting else ()) and is_waiting:
                blocked |= {kind: job.priority for kind in room.may_use(job) if kind not in closed}
        yield from toward(room.chosen, view)
