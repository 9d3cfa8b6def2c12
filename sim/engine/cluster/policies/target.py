"""From the jobs that should run to the decisions that get there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.engine.cluster.policy import Preempt, Resize, Start

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.policy import Decision
    from sim.engine.cluster.view import View


@dataclass(frozen=True, slots=True)
class Share:
    """What a job should hold."""

    job: Job
    devices: int
    kind: str | None = None


def fill(order: Iterable[Job], view: View) -> dict[int, Share]:
    """Choose jobs in an order, each that fits what those before it leave; what cannot be stopped now comes first."""
    left = {kind: view.capacity_of(kind) - view.down_of(kind) for kind in view.kinds}
    chosen: dict[int, Share] = {}
    for job in view.running():
        if view.is_fixed(job):
            chosen[job.number] = Share(job, view.devices_of(job), view.kind_of(job))
            left[view.kind_of(job)] -= view.devices_of(job)
    for job in order:
        if job.number in chosen:
            continue
        held = view.kind_of(job)
        kinds = (held,) if held else tuple(kind for kind in view.kinds if not job.kinds or kind in job.kinds)
        for kind in kinds:
            if job.devices <= left[kind] and view.rate(job, job.devices, kind) > 0:
                chosen[job.number] = Share(job, job.devices, kind)
                left[kind] -= job.devices
                break
    return chosen


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
        if share.devices - view.devices_of(share.job) <= view.free_of(view.kind_of(share.job)):
            yield Resize(share.job, share.devices)
    for share in chosen.values():
        if view.is_waiting(share.job) and view.fits(share.job, share.devices, share.kind):
            yield Start(share.job, share.devices, share.kind)
