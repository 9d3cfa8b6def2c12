"""What a policy may claim of itself, one check for each key of `CLAIMS`.

A check holds a claim only where it means something: no estimate helps in a case with failures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.engine.cluster.job import Devices, Job, Workload
    from sim.engine.cluster.policy import Policy
    from sim.testing.case import Case
    from sim.testing.log import Log

_ROUNDING_S = 1e-9


class _Player(Protocol):
    def __call__(self, case: Case, workload: Workload | None = None) -> Log:
        """Play another case with the policy on trial."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A case that was played, and the means to play others."""

    case: Case
    log: Log
    policy: Callable[[], Policy]
    play: _Player

    def queue_at(self, time_s: float) -> list[Job]:
        """Give the jobs that wait just after a time, by the rank of the policy."""
        rank = self.policy().rank
        return sorted(self.log.waiting_at(time_s), key=rank)

    def free_at(self, time_s: float) -> Devices:
        """Give the devices that nobody holds just after a time."""
        return self.case.devices - sum(hold.devices for hold in self.log.held_at(time_s))

    @property
    def gaps(self) -> list[tuple[float, float]]:
        """Give the stretches of time during which nothing happens."""
        times = self.log.instants
        return [(begin, end) for begin, end in pairwise(times) if end > begin]


def _rank_order(trial: Trial) -> Iterator[str]:
    if not trial.case.is_calm:
        return
    rank = trial.policy().rank
    for number, start_s in trial.log.starts.items():
        job = trial.log.jobs[number]
        for other_number, other in trial.log.jobs.items():
            waits = other.arrival_s <= start_s < trial.log.starts[other_number]
            if waits and rank(other) < rank(job):
                yield f"job {number} starts at {start_s:g} s, before job {other_number}, which waits and ranks lower"
                return


def _work_conserving(trial: Trial) -> Iterator[str]:
    if not trial.case.is_calm:
        return
    for begin_s, end_s in trial.gaps:
        queue, free = trial.queue_at(begin_s), trial.free_at(begin_s)
        if queue and queue[0].devices <= free:
            yield (
                f"job {queue[0].number} is first and asks for {queue[0].devices} devices, and {free} are idle from "
                f"{begin_s:g} s to {end_s:g} s"
            )
            return


def _greedy(trial: Trial) -> Iterator[str]:
    if not trial.case.is_calm:
        return
    for begin_s, end_s in trial.gaps:
        free = trial.free_at(begin_s)
        for job in trial.queue_at(begin_s):
            if job.devices <= free:
                yield (
                    f"job {job.number} waits for {job.devices} devices, and {free} are idle from {begin_s:g} s to "
                    f"{end_s:g} s"
                )
                return


def _no_starvation(trial: Trial) -> Iterator[str]:
    if not (trial.case.is_calm and trial.case.is_rigid and trial.case.has_length):
        return
    for number, job in trial.log.jobs.items():
        ahead_s = sum(
            other.estimate_s
            for other_number, other in trial.log.jobs.items()
            if other_number < number and trial.log.ends[other_number] > job.arrival_s
        )
        wait_s = trial.log.starts[number] - job.arrival_s
        if wait_s > ahead_s + _ROUNDING_S:
            yield f"job {number} waits {wait_s:g} s, and what was there before it takes {ahead_s:g} s one by one"
            return


def _easy_promise(trial: Trial) -> Iterator[str]:
    """Hold each job that becomes the first to wait to the time at which the running ones must be over.

    Where jobs take no time, several are first at one instant, and who overtook before its turn had the right to.
    """
    if not (trial.case.is_calm and trial.case.is_rigid and trial.case.has_length):
        return
    promised: set[int] = set()
    for time_s in trial.log.instants:
        waiting = trial.log.waiting_at(time_s)
        if not waiting or waiting[0].number in promised:
            continue
        head = waiting[0]
        promised.add(head.number)
        # Who started at this instant from behind the head had no right to delay it.
        before = [hold for hold in trial.log.held_at(time_s) if hold.begin_s < time_s or hold.number < head.number]
        shadow_s = _shadow_s(trial, head, [(hold.number, hold.devices) for hold in before], time_s)
        if trial.log.starts[head.number] > shadow_s + _ROUNDING_S:
            yield (
                f"job {head.number} is first from {time_s:g} s on and could start by {shadow_s:g} s; it starts at "
                f"{trial.log.starts[head.number]:g} s"
            )
            return


def _shadow_s(trial: Trial, head: Job, running: list[tuple[int, Devices]], time_s: float) -> float:
    free = trial.case.devices - sum(devices for _, devices in running)
    ends = sorted(
        (max(trial.log.starts[number] + trial.log.jobs[number].estimate_s, time_s), devices)
        for number, devices in running
    )
    if free >= head.devices:
        return time_s
    for end_s, devices in ends:
        free += devices
        if free >= head.devices:
            return end_s
    return math.inf


def _conservative_promise(trial: Trial) -> Iterator[str]:
    """Play the first jobs alone: with right estimates, those that came later may not have delayed the last of them."""
    case = trial.case.exact()
    if not (case.is_calm and case.is_rigid and case.has_length):
        return
    whole = trial.play(case)
    for count in range(1, len(case.jobs)):
        alone_s = trial.play(case.first(count)).starts.get(count)
        if alone_s is not None and whole.starts[count] > alone_s + _ROUNDING_S:
            yield f"job {count} starts at {whole.starts[count]:g} s; without those that came after it, at {alone_s:g} s"
            return


def _priorities(trial: Trial) -> Iterator[str]:
    case = trial.case
    if case.grace_s or not (case.is_calm and case.is_rigid):
        return
    for begin_s, end_s in trial.gaps:
        free, seen = trial.free_at(begin_s), set()
        for job in trial.log.waiting_at(begin_s):
            if job.priority in seen:
                continue
            seen.add(job.priority)
            more_urgent_waits = any(other.priority > job.priority for other in trial.log.waiting_at(begin_s))
            if more_urgent_waits and not job.preemptible:
                continue  # It could not be stopped when the other fits.
            # One that started at this very instant cannot be stopped at it.
            lower = sum(
                hold.devices
                for hold in trial.log.held_at(begin_s)
                if hold.begin_s < begin_s
                and trial.log.jobs[hold.number].priority < job.priority
                and trial.log.jobs[hold.number].preemptible
            )
            if lower and job.devices <= free + lower:
                yield (
                    f"job {job.number} of priority {job.priority} waits for {job.devices} devices from {begin_s:g} s "
                    f"to {end_s:g} s; {free} are idle and less urgent jobs hold {lower}"
                )
                return


def _relabelling(trial: Trial) -> Iterator[str]:
    """Other names, and other numbers in the same order, must start the same jobs at the same times."""
    log = trial.play(trial.case, trial.case.workload(lambda place: 10 * place + 7, name="other-"))
    for place in range(len(trial.case.jobs)):
        before, after = trial.log.starts.get(place + 1), log.starts.get(10 * place + 7)
        if before != after:
            yield f"job {place + 1} starts at {before} s; under another name and number at {after} s"
            return


def _list_bound(trial: Trial) -> Iterator[str]:
    """Hold the time after the last arrival to twice the larger of total work over devices and the longest job."""
    if not (trial.case.is_calm and trial.case.is_rigid and trial.log.ends):
        return
    recording = trial.log.recording
    last_s = max(job.arrival_s for job in trial.log.jobs.values())
    run_s = dict(zip((job.number for job in recording.workload.jobs), recording.workload.run_s, strict=True))
    area = sum(run_s[number] * job.devices for number, job in trial.log.jobs.items())
    longest_s = max((run_s[number] for number in trial.log.jobs), default=0.0)
    bound_s = last_s + 2 * max(area / trial.case.devices, longest_s)
    end_s = max(trial.log.ends.values())
    if end_s > bound_s + _ROUNDING_S:
        yield f"everything ends at {end_s:g} s; list scheduling ends by {bound_s:g} s"


def _no_preemption(trial: Trial) -> Iterator[str]:
    if trial.case.failures_per_device_s:
        return
    for number in trial.log.jobs:
        times = sum(hold.number == number for hold in trial.log.holds)
        if times > 1:
            yield f"job {number} holds devices {times} times"
            return


PROMISES: dict[str, Callable[[Trial], Iterator[str]]] = {
    "rank order": _rank_order,
    "work conserving": _work_conserving,
    "greedy": _greedy,
    "no starvation": _no_starvation,
    "easy promise": _easy_promise,
    "conservative promise": _conservative_promise,
    "priorities": _priorities,
    "relabelling": _relabelling,
    "list bound": _list_bound,
    "no preemption": _no_preemption,
}
"""The check of each claim."""
