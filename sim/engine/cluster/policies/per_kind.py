"""Several kinds of device under a policy that knows one: an instance for each kind, side by side.

A job that may run on several kinds waits in the queue of each. The first that starts it has it, and the others let it
go. So a kind never idles for a job that must wait for another, and what a policy promises holds kind by kind.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from sim.engine.cluster.policy import Policy, Preempt, Resize, Start
from sim.engine.cluster.view import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.policy import Decision
    from sim.engine.cluster.state import State


class KindView(View):
    """A cluster of one kind of device, and the jobs that may run on it; their estimates are times on that kind."""

    __slots__ = ("_jobs", "_kind")

    def __init__(self, state: State, kind: str, jobs: dict[int, Job]) -> None:
        """Look at one kind; ``jobs`` are those that wait for it or run on it, by number, as they are on it."""
        super().__init__(state)
        self._kind, self._jobs = kind, jobs

    @property
    def free(self) -> Devices:
        """Devices of this kind that nobody holds."""
        return self._state.free_by_kind[self._kind]

    @property
    def capacity(self) -> int:
        """Devices of this kind, those that are down included."""
        return self._state.capacity_by_kind[self._kind]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The one kind."""
        return (self._kind,)

    def fits(self, job: Job, devices: Devices | None = None, kind: str | None = None) -> bool:
        """Whether the job could start on this kind now."""
        return super().fits(job, devices, kind or self._kind)

    def waiting(self) -> Iterator[Job]:
        """Jobs that wait and may run on this kind, in the order in which they began to."""
        numbers = tuple(number for number in self._state.jobs_waiting if number in self._jobs)
        return (self._jobs[number] for number in numbers)

    def running(self) -> Iterator[Job]:
        """Jobs that hold devices of this kind, in the order in which they got them."""
        here = tuple(number for number, run in self._state.runs.items() if run.kind == self._kind)
        return (self._jobs[number] for number in here)

    def is_waiting(self, job: Job) -> bool:
        """Whether the job waits."""
        return job.number in self._jobs and super().is_waiting(job)

    def is_running(self, job: Job) -> bool:
        """Whether the job holds devices of this kind."""
        return self.kind_of(job) == self._kind

    def devices_of(self, job: Job) -> Devices:
        """Devices of this kind that the job holds."""
        return super().devices_of(job) if self.is_running(job) else 0

    def estimated_left_s(self, job: Job) -> float:
        """How long the job would still take on the devices of this kind that it asks for."""
        rate = job.speed.at(job.devices, self._kind).rate
        return max(job.estimate_s - self._state.done_s(job) / rate, 0.0) if rate else job.estimate_s

    def rate(self, job: Job, devices: Devices, kind: str | None = None) -> float:
        """Pace of the job on so many devices of this kind."""
        return super().rate(job, devices, kind or self._kind)

    def used_by(self, tenant: str, kind: str | None = None) -> Devices:
        """Devices of this kind that a tenant holds."""
        return super().used_by(tenant, kind or self._kind)


class _Part:
    """One kind of device with its policy."""

    __slots__ = ("jobs", "kind", "policy", "view")

    def __init__(self, policy: Policy, state: State, kind: str) -> None:
        self.policy, self.kind = policy, kind
        self.jobs: dict[int, Job] = {}
        self.view = KindView(state, kind, self.jobs)


class PerKind(Policy):
    """Asks the policy of each kind in turn, in the order of the scenario."""

    def __init__(self, policy: Policy, state: State) -> None:
        """Copy a policy that has not begun, once for each kind."""
        self._state = state
        self._parts = [_Part(copy.deepcopy(policy), state, kind) for kind in state.kinds]
        self._whole: dict[int, Job] = {}
        """Jobs as the engine knows them."""

    def begin(self, view: View) -> None:
        """Let each begin with its own kind."""
        for part in self._parts:
            part.policy.begin(part.view)

    def submitted(self, job: Job, view: View) -> None:
        """Let a job wait for every kind on which it can ever run."""
        self._whole[job.number] = job
        for part in self._parts:
            if self._state.could_run(job, part.kind):
                rate = job.speed.at(job.devices, part.kind).rate
                own = job if rate == 1.0 else replace(job, estimate_s=job.estimate_s / rate)
                part.jobs[job.number] = own
                part.policy.submitted(own, part.view)

    def finished(self, job: Job, view: View) -> None:
        """Tell the kind on which it ran."""
        part = self._part_of(job)
        part.policy.finished(part.jobs.pop(job.number), part.view)
        del self._whole[job.number]

    def stopped(self, job: Job, view: View) -> None:
        """Tell the kind on which it ran; it waits for all of its kinds again."""
        part = self._part_of(job)
        part.policy.stopped(part.jobs.pop(job.number), part.view)

    def withdrawn(self, job: Job, view: View) -> None:
        """Tell every kind for which it waited."""
        for part in self._parts:
            if job.number in part.jobs:
                part.policy.withdrawn(part.jobs.pop(job.number), part.view)
        del self._whole[job.number]

    def decide(self, view: View) -> Iterator[Decision]:
        """Ask each in turn, and those again who lost a job to another meanwhile: who stood behind it may go."""
        due = list(self._parts)
        while due:
            part = due.pop(0)
            for decision in part.policy.decide(part.view):
                yield self._told(decision, part)
                if type(decision) is not Start:
                    continue
                number = decision.job.number
                for other in self._parts:
                    if other is not part and number in other.jobs:
                        other.policy.withdrawn(other.jobs.pop(number), other.view)
                        if other not in due:
                            due.append(other)

    def _part_of(self, job: Job) -> _Part:
        return next(part for part in self._parts if job.number in part.jobs)

    def _told(self, decision: Decision, part: _Part) -> Decision:
        """Give a decision in the words of the engine: its own job, and the kind."""
        if not isinstance(decision, (Start, Preempt, Resize)):
            return decision  # The engine knows what to do with it, or refuses it.
        job = self._whole.get(getattr(decision.job, "number", -1))
        if job is None:
            return decision
        if isinstance(decision, Start):
            return Start(job, decision.devices, part.kind)
        return Resize(job, decision.devices) if isinstance(decision, Resize) else Preempt(job)
