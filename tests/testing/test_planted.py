"""Bugs that simulators and schedulers have had, planted on purpose: the kit finds each of them, on a small scenario."""

import heapq
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from sim.engine.cluster.job import Job
from sim.engine.cluster.places import Places
from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo, FirstFit
from sim.engine.cluster.policies.priority import Priority
from sim.engine.cluster.policy import Policy, Start
from sim.engine.cluster.run import Run
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.cluster.view import View
from sim.plan.placement import Allocation
from sim.plan.placement_rules import place, release
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.cluster import play, prepare_cluster
from sim.testing import PolicyFailure, check_policy


class BackfillWithoutReservation(FirstFit):
    """Called EASY, and nobody keeps anything for the head of the queue."""

    claims: ClassVar[frozenset[str]] = Easy.claims


class StarvesWideJobs(FirstFit):
    """Promises that nobody starves, and lets narrow jobs pass for ever."""

    claims: ClassVar[frozenset[str]] = frozenset({"no starvation"})


class OneSecondLate(Easy):
    """Off by one at equal times: who ends a second after the head could start may still overtake."""

    def _promise(self, head: Job, view: View) -> None:
        super()._promise(head, view)
        self._shadow_s += 1.0


class LeaksOnPreemption(Scheduler):
    """Loses sight of one device whenever a job is stopped."""

    def _stop(self, run: Run, done_s: float, safe_s: float) -> None:
        super()._stop(run, done_s, safe_s)
        if self.free:
            self.free -= 1
            self.free_by_kind[run.kind] -= 1


class ForgetsOnPreemption(Policy):
    """Counts free devices by itself, and forgets one that a stopped job gave back."""

    name = "forgets"
    claims: ClassVar[frozenset[str]] = frozenset({"work conserving"})

    def begin(self, view: View) -> None:
        self.free = view.capacity
        self.queue: list[Job] = []

    def submitted(self, job: Job, view: View) -> None:
        self.queue.append(job)
        self.queue.sort(key=lambda each: each.number)

    def finished(self, job: Job, view: View) -> None:
        self.free += job.devices

    def withdrawn(self, job: Job, view: View) -> None:
        self.queue.remove(job)

    def stopped(self, job: Job, view: View) -> None:
        self.free += job.devices - 1

    def decide(self, view: View) -> Iterator[Start]:
        while self.queue and self.queue[0].devices <= self.free and view.fits(self.queue[0]):
            job = self.queue.pop(0)
            self.free -= job.devices
            yield Start(job)


class SplitsGangs(Places):
    """Places one device of a gang nowhere."""

    def take(self, job: Job, devices: int, kind: str) -> Allocation:
        found = super().take(job, devices, kind)
        if devices < 2:
            return found
        release(self.state, found)
        part = place(self.state, devices - 1, "packed", chunk=1)
        assert part is not None
        return part


class WithSplitGangs(Scheduler):
    """The engine with that placement."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        if self.places is not None:
            self.places.__class__ = SplitsGangs


class DecidesBeforeEnds(Scheduler):
    """Asks the policy at an instant before the jobs that end at it have ended, and not again after."""

    def _live(self, now_s: float) -> float:
        self._take_arrivals(now_s)
        while self._timed and self._timed[0][0] <= now_s:
            heapq.heappop(self._timed)[2]()
        for decision in self.policy.decide(self._view):
            self._carry_out(decision)
        self._take_ends(now_s)
        next_s = self._next_s()
        return max(now_s, next_s)


class LooksAtOneNode(Places):
    """Thinks that a job fits when the first node with anything free has room for it."""

    def fits(self, job: Job, devices: int, kind: str) -> bool:
        first = next((count for count in self.state.free.tolist() if count), 0)
        return super().fits(job, devices, kind) and first >= min(devices, int(self.state.map.capacity[0]))


class WithOneNode(Scheduler):
    """The engine with that opinion."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        if self.places is not None:
            mixed = type("Mixed", (LooksAtOneNode, type(self.places)), {})
            self.places.__class__ = mixed


class KeepsWhatWasWithdrawn(Fifo):
    """Does not hear that the owner of a waiting job wants no devices any more."""

    def withdrawn(self, job: Job, view: View) -> None:
        pass


def stopping_fifo() -> Policy:
    return ForgetsOnPreemption()


PLANTED = [
    (BackfillWithoutReservation, Scheduler, {"easy promise"}),
    (StarvesWideJobs, Scheduler, {"no starvation"}),
    (OneSecondLate, Scheduler, {"easy promise"}),
    (Priority, LeaksOnPreemption, {"priorities", "contract: liveness", "conservation", "contract: progress"}),
    pytest.param(stopping_fifo, Scheduler, {"liveness", "contract: liveness"}, marks=pytest.mark.long),
    (Fifo, WithSplitGangs, {"gang or nothing"}),
    (FirstFit, WithOneNode, {"relabelling of devices"}),
    (KeepsWhatWasWithdrawn, Scheduler, {"contract: waiting"}),
    (Fifo, DecidesBeforeEnds, {"work conserving", "liveness", "contract: liveness"}),
]


@pytest.mark.parametrize(("policy", "scheduler", "expected"), PLANTED)
def test_found(policy: Callable[[], Policy], scheduler: type[Scheduler], expected: set[str]) -> None:
    with pytest.raises(PolicyFailure) as failure:
        check_policy(policy, scheduler=scheduler, examples=1500)
    names = {violation.name for violation in failure.value.violations}
    assert names & expected, str(failure.value)
    assert len(failure.value.case.jobs) <= 7, "it was shrunk, from ten"


def test_a_failure_is_a_scenario_that_plays_the_same() -> None:
    with pytest.raises(PolicyFailure) as failure:
        check_policy(FirstFit, claims={"no starvation"})
    text, case = failure.value.text, failure.value.case
    assert "no starvation" in text.splitlines()[0]
    scenario = read_scenario(loads(text, "found.yaml"))
    played = play(prepare_cluster(scenario, allow_code=True), scenario.seed)
    assert played.start_s.tolist() == case.play(FirstFit()).start_s.tolist()
