"""EASY backfill: jobs may overtake as long as the first in the queue does not start later than promised."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.job import RIGID
from sim.engine.cluster.policies.ends import Ends
from sim.engine.cluster.policies.wait_index import ENDLESS_S, WaitIndex
from sim.engine.cluster.policy import Decision, Policy, Start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.view import View

_MOST_PASSED = 64
"""Jobs that fit by number and find no places, before the search is given up for this time."""


class Easy(Policy):
    """Give the head of the queue a reservation at its shadow time, and let others fill the gap before or beside it.

    A job may overtake if it ends by the shadow time, or takes only devices that the head leaves over then. A head that
    waits for devices of work of unknown length has no shadow time: whatever has an end may pass it until some come
    free, and work of unknown length takes only what the head would leave over.
    """

    name: ClassVar[str] = "easy"
    summary: ClassVar[str] = "first come, first served; others overtake if the head of the queue is not delayed"
    source: ClassVar[str] = "Lifka 1995, The ANL/IBM SP scheduling system; Mu'alem & Feitelson 2001, IEEE TPDS 12(6)"
    needs_one_kind: ClassVar[bool] = True
    claims: ClassVar[frozenset[str]] = frozenset({"work conserving", "easy promise", "relabelling", "no preemption"})

    def begin(self, view: View) -> None:
        """Make the index of the queue."""
        self._queue = WaitIndex()
        self._ends = Ends()
        self._stopped: set[int] = set()
        self._shadow_s = math.inf
        self._extra: Devices = 0
        self._promised_to: Job | None = None
        self._is_new = True
        """Whether the reservation must be made again."""
        self._has_freed = False
        """Whether devices came free since everybody was looked at."""
        self._arrived: list[Job] = []
        """Who came since everybody was looked at."""

    def submitted(self, job: Job, view: View) -> None:
        """Queue in the order of arrival."""
        self._queue.add(job)
        self._arrived.append(job)

    def finished(self, job: Job, view: View) -> None:
        """Note the devices that came free, and whether that was earlier than thought."""
        if self._ends.remove(job.number) != view.now_s:
            self._is_new = True
        self._has_freed = True

    def stopped(self, job: Job, view: View) -> None:
        """Note a job that failed."""
        self.finished(job, view)
        self._stopped.add(job.number)

    def withdrawn(self, job: Job, view: View) -> None:
        """Take out a job that waits here no more."""
        self._queue.remove(job)
        self._arrived = [late for late in self._arrived if late is not job]

    def decide(self, view: View) -> Iterator[Decision]:
        """Start heads that fit, then whoever may overtake the next one."""
        queue = self._queue
        head = queue.head
        while head is not None and head.devices <= view.free and view.fits(head):
            yield Start(head)
            self._began(head, view)
            head = queue.head
        if head is None:
            self._arrived.clear()
            return
        if self._is_new or head is not self._promised_to or self._shadow_s < view.now_s:
            self._promise(head, view)
        elif not self._has_freed:
            # Nothing came free and the promise stands, so whoever was looked at before still may not overtake.
            for late in self._arrived:
                if late.devices <= view.free and late is not head and self._may_overtake(late, view):
                    yield Start(late)
                    self._overtook(late, view)
            self._arrived.clear()
            return
        yield from self._fill(view)
        self._arrived.clear()

    def _fill(self, view: View) -> Iterator[Decision]:
        """Look at everybody behind the head, in order; those who find no places are passed over."""
        queue, passed = self._queue, []
        gap_s = min(self._shadow_s - view.now_s, ENDLESS_S)
        while (free := view.free) and (job := queue.first(free, gap_s, min(self._extra, free))) is not None:
            if view.fits(job):
                yield Start(job)
                self._overtook(job, view)
                continue
            queue.hide(job)
            passed.append(job)
            if len(passed) == _MOST_PASSED:
                break
        for job in passed:
            queue.show(job)
        # Reservations end and places come free without a word to us.
        self._has_freed = bool(passed)

    def _promise(self, head: Job, view: View) -> None:
        """Find when the head can start, and how many devices it leaves over then."""
        shadow_s, freed = self._ends.when(head.devices - view.free)
        self._shadow_s, self._extra = max(shadow_s, view.now_s), view.free + freed - head.devices
        self._promised_to, self._is_new = head, False

    def _may_overtake(self, job: Job, view: View) -> bool:
        ends = job.estimate_s <= min(self._shadow_s - view.now_s, ENDLESS_S)
        return (ends or job.devices <= self._extra) and view.fits(job)

    def _overtook(self, job: Job, view: View) -> None:
        if job.estimate_s > min(self._shadow_s - view.now_s, ENDLESS_S):
            self._extra -= job.devices
        self._began(job, view)

    def _began(self, job: Job, view: View) -> None:
        self._queue.remove(job)
        is_plain = job.speed is RIGID and job.number not in self._stopped
        end_s = view.now_s + job.estimate_s if is_plain else view.estimated_end_s(job)
        self._ends.add(job.number, end_s, job.devices)
