"""From the jobs that should run to the decisions that get there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.engine.cluster.policy import Preempt, Resize, Start

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.policy import Decision
    from sim.engine.cluster.view import View


@dataclass(frozen=True, slots=True)
class Share:
    """What a job should hold."""

    job: Job
    devices: Devices
    kind: str | None = None


def fill(order: Iterable[Job], view: View) -> dict[int, Share]:
    """Choose jobs in an order, each that fits what those before it leave; what cannot be stopped now comes first."""
    room = Room(view)
    for job in view.running():
        if view.is_fixed(job):
            room.keep(job)
    for job in order:
        if job.number not in room.chosen:
            room.take(job)
    return room.chosen


class Room:
    """What is left of each kind of device while jobs are chosen, and who was chosen for it."""

    def __init__(self, view: View) -> None:
        """Begin with all that is not out of order."""
        self.chosen: dict[int, Share] = {}
        self._view = view
        self._left: dict[str, Devices] = {kind: view.capacity_of(kind) - view.down_of(kind) for kind in view.kinds}
        self._free = {kind: view.free_of(kind) for kind in view.kinds}
        """Part of what is left that nobody holds and nobody was chosen for."""

    def keep(self, job: Job) -> None:
        """Leave a running job what it holds."""
        kind, devices = self._view.kind_of(job), self._view.devices_of(job)
        self.chosen[job.number] = Share(job, devices, kind)
        self._left[kind] -= devices

    def take(self, job: Job, but_for: Container[str] = ()) -> bool:
        """Choose a job if it fits: where it runs, or on a kind that has it free, or else where others must go.

        Kinds in ``but_for`` are left alone.
        """
        held = self._view.kind_of(job)
        kind = held or self._kind_for(job, but_for)
        if kind is None or job.devices > self._left[kind]:
            return False
        if not held:
            self._free[kind] -= job.devices
        self.chosen[job.number] = Share(job, job.devices, kind)
        self._left[kind] -= job.devices
        return True

    def may_use(self, job: Job) -> list[str]:
        """List the kinds on which a job can run, in the order of the cluster."""
        return [kind for kind in self._left if job.devices <= self._view.capacity_of(kind) and self._runs_on(job, kind)]

    def _kind_for(self, job: Job, but_for: Container[str]) -> str | None:
        """Find a kind on which the job could start; None where there is none."""
        second = None
        for kind, room in self._left.items():
            if job.devices > room or kind in but_for or not self._runs_on(job, kind):
                continue
            if job.devices <= self._free[kind]:
                return kind
            second = second or kind
        return second

    def _runs_on(self, job: Job, kind: str) -> bool:
        return (not job.kinds or kind in job.kinds) and self._view.rate(job, job.devices, kind) > 0


def toward(chosen: Mapping[int, Share], view: View) -> Iterator[Decision]:
    """Stop what should not run, shrink, grow, and start what fits; devices that take time to come free come later."""
    for job in view.running():
        share = chosen.get(job.number)
        if (share is None or (share.kind and share.kind != view.kind_of(job))) and not view.is_fixed(job):
            yield Preempt(job)
    resized = [
        share
        for share in chosen.values()
        if view.is_running(share.job)
        and not view.is_stopping(share.job)
        and view.devices_of(share.job) != share.devices
    ]
    for share in sorted(resized, key=lambda share: share.devices - view.devices_of(share.job)):
        if view.can_resize(share.job, int(share.devices)):
            yield Resize(share.job, int(share.devices))
    for share in chosen.values():
        if view.is_waiting(share.job):
            devices = _most_that_fits(share, view)
            if devices:
                yield Start(share.job, devices, share.kind)


def _most_that_fits(share: Share, view: View) -> Devices:
    """Give the devices on which a job can start: as chosen, or halved until there are places; 0: on none."""
    job, devices = share.job, share.devices
    while not view.fits(job, devices, share.kind):
        if not job.is_elastic or devices <= job.least:
            return 0
        devices = max(int(devices) // 2, job.least)
    return devices
