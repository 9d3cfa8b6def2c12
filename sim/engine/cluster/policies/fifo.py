"""First come, first served: the head of the queue waits for its devices, and everybody behind it waits too."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.wait_index import WaitIndex
from sim.engine.cluster.policy import Decision, Policy, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class Fifo(Policy):
    """Start jobs in the order of arrival."""

    name: ClassVar[str] = "fifo"
    summary: ClassVar[str] = "first come, first served"
    source: ClassVar[str] = "the order of arrival"
    claims: ClassVar[frozenset[str]] = frozenset(
        {"rank order", "work conserving", "no starvation", "relabelling", "no preemption"}
    )

    needs_one_kind: ClassVar[bool] = True

    def __init__(self) -> None:
        """Begin with an empty queue."""
        self._queue: deque[Job] = deque()
        self._gone: set[int] = set()
        """Jobs that started elsewhere and still stand in the queue."""

    def submitted(self, job: Job, view: View) -> None:
        """Queue; a job that lost its devices comes back to the place that its arrival gives it."""
        queue = self._queue
        if not queue or queue[-1].number < job.number:
            queue.append(job)
        else:
            place = next(index for index, other in enumerate(queue) if other.number > job.number)
            queue.insert(place, job)

    def withdrawn(self, job: Job, view: View) -> None:
        """Pass over a job that waits here no more, when its turn comes."""
        self._gone.add(job.number)

    def decide(self, view: View) -> Iterator[Decision]:
        """Start heads as long as they fit."""
        queue, gone = self._queue, self._gone
        while queue:
            if gone and queue[0].number in gone:
                gone.remove(queue.popleft().number)
            elif view.fits(queue[0]):
                yield Start(queue.popleft())
            else:
                return


class FirstFit(Policy):
    """Start whoever fits, in the order of arrival; wide jobs may wait for ever behind narrow ones."""

    name: ClassVar[str] = "first-fit"
    summary: ClassVar[str] = "list scheduling: whoever fits starts; wide jobs may starve"
    source: ClassVar[str] = "Graham 1969, SIAM J. Appl. Math. 17(2); Garey & Graham 1975, SIAM J. Comput. 4(2)"
    claims: ClassVar[frozenset[str]] = frozenset(
        {"work conserving", "greedy", "list bound", "relabelling", "no preemption"}
    )
    needs_one_kind: ClassVar[bool] = True

    def __init__(self) -> None:
        """Begin with an empty queue."""
        self._queue = WaitIndex()

    def submitted(self, job: Job, view: View) -> None:
        """Queue in the order of arrival."""
        self._queue.add(job)

    def withdrawn(self, job: Job, view: View) -> None:
        """Take out a job that waits here no more."""
        self._queue.remove(job)

    def decide(self, view: View) -> Iterator[Decision]:
        """Start the first that fits, until none does."""
        passed = []
        while (job := self._queue.first(view.free, math.inf, view.free)) is not None:
            if view.fits(job):
                self._queue.remove(job)
                yield Start(job)
            else:
                self._queue.hide(job)
                passed.append(job)
        for job in passed:
            self._queue.show(job)
