"""Finish-time fairness: nobody should end much later than in a cluster of his own that is his share of this one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import fill, toward
from sim.engine.cluster.policy import Decision, Policy, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class FinishTime(Policy):
    """Lease devices for a time; when leases end, those worst off by finish-time fairness come first.

    rho = (time since arrival + time still needed) / (time alone in 1/N of the cluster), N jobs being there. The worst
    off 1 - ``knob`` of all jobs choose first; the rest is filled in the order of arrival. In the paper those offered
    devices bid for them in an auction; gangs that ask for one number of devices have nothing to bid with, and are
    served by rho.
    """

    name: ClassVar[str] = "themis"
    summary: ClassVar[str] = "finish-time fairness with leases: whoever falls behind most goes first"
    source: ClassVar[str] = "Mahajan et al. 2020, NSDI: Themis, sections 3 and 4"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling"})

    def __init__(self, lease_s: float = 1200.0, knob: float = 0.8) -> None:
        """Set how long a lease is, and the share of jobs that are not offered devices first."""
        self._lease_s, self._knob = lease_s, knob
        self._lease_ends_s = 0.0

    def decide(self, view: View) -> Iterator[Decision]:
        """Offer all devices when leases end; in between, only those that are free."""
        everybody = [*view.running(), *view.waiting()]
        if not everybody:
            return
        if view.now_s >= self._lease_ends_s:
            self._lease_ends_s = view.now_s + self._lease_s
            worst = sorted(everybody, key=lambda job: (-self._rho(job, len(everybody), view), job.number))
            offered = worst[: max(math.ceil(len(worst) * (1 - self._knob)), 1)]
            rest = sorted(worst[len(offered) :], key=lambda job: (not view.is_running(job), job.number))
            yield from toward(fill([*offered, *rest], view), view)
        else:
            order = sorted(view.waiting(), key=lambda job: (-self._rho(job, len(everybody), view), job.number))
            yield from toward(fill([*view.running(), *order], view), view)
        if next(view.waiting(), None) is not None:
            yield Wake(self._lease_ends_s)

    @staticmethod
    def _rho(job: Job, jobs: int, view: View) -> float:
        crowding = max(1.0, job.devices * jobs / view.capacity)
        if job.is_open:
            return 1.0 / crowding  # of ever longer work, what it waited for matters ever less
        shared_s = view.now_s - job.arrival_s + view.estimated_left_s(job)
        alone_s = job.estimate_s * crowding
        return shared_s / alone_s if alone_s else math.inf
