"""Shortest job first, and shortest remaining time first: by the estimates of their users."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import fill, toward
from sim.engine.cluster.policy import Decision, Policy, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class Shortest(Policy):
    """Start the job with the shortest estimate; if it does not fit, everybody waits for it."""

    name: ClassVar[str] = "sjf"
    summary: ClassVar[str] = "shortest job first, by estimate"
    source: ClassVar[str] = "Conway, Maxwell & Miller 1967, Theory of Scheduling: shortest processing time"
    claims: ClassVar[frozenset[str]] = frozenset({"rank order", "work conserving", "relabelling", "no preemption"})

    needs_one_kind: ClassVar[bool] = True

    @classmethod
    def rank(cls, job: Job) -> tuple[float, ...]:
        """Order by estimate, then by arrival."""
        return (job.estimate_s, job.number)

    def __init__(self) -> None:
        """Begin with an empty queue."""
        self._queue: list[tuple[float, int, Job]] = []
        self._gone: set[tuple[float, int]] = set()
        """Entries of jobs that started elsewhere."""

    def submitted(self, job: Job, view: View) -> None:
        """Queue by what is left of the estimate."""
        heapq.heappush(self._queue, (view.estimated_left_s(job), job.number, job))

    def withdrawn(self, job: Job, view: View) -> None:
        """Pass over a job that waits here no more, when its turn comes."""
        self._gone.add((view.estimated_left_s(job), job.number))

    def decide(self, view: View) -> Iterator[Decision]:
        """Start the shortest as long as it fits."""
        queue, gone = self._queue, self._gone
        while queue:
            if gone and queue[0][:2] in gone:
                gone.remove(heapq.heappop(queue)[:2])
            elif view.fits(queue[0][2]):
                yield Start(heapq.heappop(queue)[2])
            else:
                return


class ShortestRemaining(Policy):
    """Run the jobs with the least left of their estimates, stopping others for them.

    Jobs that do not fit what the shorter ones leave are passed over.
    """

    name: ClassVar[str] = "srtf"
    summary: ClassVar[str] = "shortest remaining time first: stops longer jobs for shorter ones"
    source: ClassVar[str] = "Schrage 1968, Operations Research 16(3): the shortest remaining processing time"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling"})

    def decide(self, view: View) -> Iterator[Decision]:
        """Choose anew among all jobs."""
        everybody = [*view.running(), *view.waiting()]
        order = sorted(everybody, key=lambda job: (view.estimated_left_s(job), job.number))
        yield from toward(fill(order, view), view)
