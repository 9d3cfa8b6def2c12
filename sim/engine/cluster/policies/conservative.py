"""Conservative backfill: every job gets a reservation when it arrives, and nobody is ever delayed past his."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.profile import Profile
from sim.engine.cluster.policy import Decision, Policy, Start, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class Conservative(Policy):
    """Reserve for each job, on arrival, the first gap that holds it; when a job ends early, all move up in order.

    A job that is estimated to take no time has none to reserve, and may be delayed. Work of unknown length reserves its
    devices for ever; a job that needs them has no reservation until some come free, and then gets the first gap.
    """

    name: ClassVar[str] = "conservative"
    summary: ClassVar[str] = "every job gets a reservation on arrival; others overtake if nobody's is delayed"
    source: ClassVar[str] = "Mu'alem & Feitelson 2001, IEEE TPDS 12(6), section 2.2"
    claims: ClassVar[frozenset[str]] = frozenset(
        {"work conserving", "no starvation", "conservative promise", "relabelling", "no preemption"}
    )
    needs_one_kind: ClassVar[bool] = True

    def begin(self, view: View) -> None:
        """Begin with an empty profile."""
        self._profile = Profile(view.capacity)
        self._reserved: dict[int, tuple[float, Job]] = {}
        self._until: dict[int, float] = {}

    def submitted(self, job: Job, view: View) -> None:
        """Reserve the first gap."""
        self._reserve(job, view.now_s)

    def finished(self, job: Job, view: View) -> None:
        """Let the others move up where a job ended early."""
        until_s = self._until.pop(job.number)
        if until_s > view.now_s:
            self._profile.add(view.now_s, until_s, job.devices)
            self._move_up(view.now_s)

    def stopped(self, job: Job, view: View) -> None:
        """Note a job that failed."""
        self.finished(job, view)

    def withdrawn(self, job: Job, view: View) -> None:
        """Give up the reservation of a job that waits here no more, and let the others move up."""
        begin_s, _ = self._reserved.pop(job.number)
        self._profile.add(begin_s, begin_s + job.estimate_s, job.devices)
        self._move_up(view.now_s)

    def decide(self, view: View) -> Iterator[Decision]:
        """Start those whose time has come."""
        now_s = view.now_s
        self._profile.forget_before(now_s)
        due = sorted((begin_s, number) for number, (begin_s, _) in self._reserved.items() if begin_s <= now_s)
        while due:
            begin_s, number = due[0]
            job = self._reserved[number][1]
            if not view.fits(job):
                break
            del due[0], self._reserved[number]
            # What begins late by somebody's wrong estimate ends late.
            self._shift(job, begin_s, now_s)
            self._until[number] = now_s + job.estimate_s
            yield Start(job)
        for begin_s, number in due:
            job = self._reserved[number][1]
            self._shift(job, begin_s, now_s)
            self._reserved[number] = (now_s, job)
        following_s = min((begin_s for begin_s, _ in self._reserved.values() if begin_s > now_s), default=math.inf)
        if following_s < math.inf:
            yield Wake(following_s)

    def _shift(self, job: Job, begin_s: float, now_s: float) -> None:
        self._profile.add(begin_s, begin_s + job.estimate_s, job.devices)
        self._profile.add(now_s, now_s + job.estimate_s, -job.devices)

    def _reserve(self, job: Job, now_s: float) -> None:
        begin_s = self._profile.earliest(now_s, job.devices, job.estimate_s)
        self._profile.add(begin_s, begin_s + job.estimate_s, -job.devices)
        self._reserved[job.number] = (begin_s, job)

    def _move_up(self, now_s: float) -> None:
        for begin_s, number in sorted((begin_s, number) for number, (begin_s, _) in self._reserved.items()):
            job = self._reserved[number][1]
            self._profile.add(begin_s, begin_s + job.estimate_s, job.devices)
            self._reserve(job, now_s)
