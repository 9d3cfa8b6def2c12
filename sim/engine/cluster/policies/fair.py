"""Fair shares of tenants: whoever holds least of what it is due is served next."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policy import Decision, Policy, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class FairShare(Policy):
    """Serve the tenant with the smallest dominant share over its weight; its jobs in the order of arrival.

    Devices are the one resource here, of several kinds perhaps: the dominant share is the largest over the kinds. As in
    the paper, everybody waits when the next job of that tenant does not fit.
    """

    name: ClassVar[str] = "drf"
    summary: ClassVar[str] = "dominant resource fairness: the tenant with the smallest share is next"
    source: ClassVar[str] = "Ghodsi et al. 2011, NSDI: dominant resource fairness, algorithm 1"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling", "no preemption"})

    def __init__(self) -> None:
        """Begin without tenants."""
        self._queues: dict[str, deque[Job]] = {}

    def submitted(self, job: Job, view: View) -> None:
        """Queue behind the tenant's other jobs; one that lost its devices comes first."""
        queue = self._queues.setdefault(job.tenant, deque())
        if queue and queue[0].number > job.number:
            queue.appendleft(job)
        else:
            queue.append(job)

    def withdrawn(self, job: Job, view: View) -> None:
        """Forget a job that waited."""
        self._queues[job.tenant].remove(job)

    def decide(self, view: View) -> Iterator[Decision]:
        """Fill step by step."""
        while True:
            tenants = [tenant for tenant, queue in self._queues.items() if queue]
            if not tenants:
                return
            poorest = min(tenants, key=lambda tenant: (self._share(tenant, view), self._queues[tenant][0].number))
            if not view.fits(self._queues[poorest][0]):
                return
            yield Start(self._queues[poorest].popleft())

    @staticmethod
    def _share(tenant: str, view: View) -> float:
        shares = (view.used_by(tenant, kind) / view.capacity_of(kind) for kind in view.kinds)
        return max(shares) / view.weight_of(tenant)
