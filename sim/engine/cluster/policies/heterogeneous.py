"""Several kinds of device: each job on those that speed it up most, and the worst off as well off as can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sim.engine.cluster.policies.target import Share, toward
from sim.engine.cluster.policy import Decision, Policy, Wake
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.view import View


class Heterogeneous(Policy):
    """Max-min fairness of throughput over kinds of device, in rounds.

    A linear program says which share of time each job should spend on each kind, so that the least normalised
    throughput is as large as can be; each round then runs the jobs that lag most behind their shares.
    """

    name: ClassVar[str] = "gavel"
    summary: ClassVar[str] = "several kinds of device: max-min fair throughput by a linear program, in rounds"
    source: ClassVar[str] = "Narayanan et al. 2020, OSDI: Gavel, sections 4.1 and 5"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling"})

    def __init__(self, round_s: float = 360.0) -> None:
        """Set how long a round is."""
        self._round_s = round_s
        self._next_round_s = 0.0
        self._shares: dict[int, dict[str, float]] = {}
        self._had_s: dict[int, dict[str, float]] = {}
        self._on: dict[int, tuple[str, float]] = {}
        self._is_stale = True

    def submitted(self, job: Job, view: View) -> None:
        """Solve again before the next round."""
        self._is_stale = True
        self._count(job, view.now_s)

    def finished(self, job: Job, view: View) -> None:
        """Solve again before the next round."""
        self._is_stale = True
        self._had_s.pop(job.number, None)
        self._on.pop(job.number, None)

    def withdrawn(self, job: Job, view: View) -> None:
        """Solve again without it."""
        self.finished(job, view)

    def decide(self, view: View) -> Iterator[Decision]:
        """Choose the jobs of a round; in between start what fits beside the others."""
        jobs = sorted([*view.running(), *view.waiting()], key=lambda job: job.number)
        if not jobs:
            return
        if self._is_stale:
            self._shares, self._is_stale = solve(jobs, view), False
        is_round = view.now_s >= self._next_round_s
        if is_round:
            self._next_round_s = view.now_s + self._round_s
            for job in jobs:
                self._count(job, view.now_s)
        yield from toward(self._choose(jobs, view, keep=not is_round), view)
        for job in view.running():
            if job.number not in self._on:
                self._on[job.number] = (view.kind_of(job), view.now_s)
        if next(view.waiting(), None) is not None or len(view.kinds) > 1:
            yield Wake(self._next_round_s)

    def _choose(self, jobs: list[Job], view: View, *, keep: bool) -> dict[int, Share]:
        """Take jobs and kinds in the order of share over time received, as far as they fit."""
        left: dict[str, Devices] = {kind: view.capacity_of(kind) - view.down_of(kind) for kind in view.kinds}
        chosen: dict[int, Share] = {}
        for job in jobs:
            if view.is_running(job) and (keep or view.is_fixed(job)):
                kind = view.kind_of(job)
                chosen[job.number] = Share(job, view.devices_of(job), kind)
                left[kind] -= view.devices_of(job)
        ranked = sorted(
            (-share / (self._had_s.get(job.number, {}).get(kind, 0.0) + self._round_s), job.number, place, job, kind)
            for job in jobs
            if job.number not in chosen
            for place, kind in enumerate(view.kinds)
            if view.rate(job, job.devices, kind) > 0 and (not job.kinds or kind in job.kinds)
            for share in (self._shares.get(job.number, {}).get(kind, 0.0),)
        )
        for _, number, _, job, kind in ranked:
            if number not in chosen and job.devices <= left[kind]:
                chosen[number] = Share(job, job.devices, kind)
                left[kind] -= job.devices
        return chosen

    def _count(self, job: Job, now_s: float) -> None:
        """Add the time on its kind since this was last done."""
        on = self._on.pop(job.number, None)
        if on is not None:
            had = self._had_s.setdefault(job.number, {})
            had[on[0]] = had.get(on[0], 0.0) + now_s - on[1]


def solve(jobs: list[Job], view: View) -> dict[int, dict[str, float]]:
    """Give the share of time of each job on each kind that makes the least normalised throughput largest.

    Raises:
        UsageError: the library that solves linear programs is not installed.
    """
    try:
        from scipy.optimize import linprog  # noqa: PLC0415 - most runs do without it
    except ImportError:
        raise UsageError(
            "the policy gavel solves linear programs with scipy, which is not installed",
            mend="pip install 'flopclock[study]'",
        ) from None
    kinds = view.kinds
    rates = np.array(
        [
            [view.rate(job, job.devices, kind) if not job.kinds or kind in job.kinds else 0.0 for kind in kinds]
            for job in jobs
        ]
    )
    widths = np.array([job.devices for job in jobs], dtype=np.float64)
    capacity = np.array([view.capacity_of(kind) for kind in kinds], dtype=np.float64)
    equal = _equal_share(rates, widths, capacity)
    count, width = rates.shape
    # Variables: the share of each job on each kind, then the least normalised throughput.
    scaled = rates * widths[:, None] / np.maximum(equal, 1e-300)[:, None]
    upper = np.zeros((2 * count + width, count * width + 1))
    for index in range(count):
        upper[index, index * width : (index + 1) * width] = -scaled[index]
        upper[index, -1] = 1.0
        upper[count + index, index * width : (index + 1) * width] = 1.0
    for kind in range(width):
        upper[2 * count + kind, kind:-1:width] = widths
    bounds = np.concatenate([np.zeros(count), np.ones(count), capacity])
    objective = np.zeros(count * width + 1)
    objective[-1] = -1.0
    result = linprog(objective, A_ub=upper, b_ub=bounds, bounds=(0, None), method="highs")
    shares = result.x[:-1].reshape(count, width) if result.x is not None else np.zeros((count, width))
    return {
        job.number: {kind: float(shares[index, place]) for place, kind in enumerate(kinds)}
        for index, job in enumerate(jobs)
    }


def _equal_share(
    rates: NDArray[np.float64], widths: NDArray[np.float64], capacity: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the throughput of each job if all had an equal share of every kind."""
    share = np.minimum(capacity[None, :] / (len(widths) * widths[:, None]), 1.0)
    share /= np.maximum(share.sum(axis=1, keepdims=True), 1.0)
    return np.asarray((rates * share).sum(axis=1))
