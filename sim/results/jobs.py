"""What a played cluster means for its jobs: waits, slowdowns, fairness, use of the devices; by tenant and over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.engine.cluster.recording import FINISHED, RELEASED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sim.engine.cluster.recording import ClusterRecording

    Floats = NDArray[np.float64]

SLOWDOWN_BOUND_S = 10.0
"""Shorter jobs count as this long in their slowdown (Feitelson & Rudolph 1998: the bounded slowdown)."""
BINS = 48
"""Stretches of time in the curves over time."""

ROUNDING_JOBS = 1e-9
"""A difference of sums: below it nobody waits."""


@dataclass(frozen=True, slots=True)
class JobFigures:
    """One number for each job that ended, in the order of arrival."""

    rows: NDArray[np.int64]
    """Row of each in the workload."""
    tenants: tuple[str, ...]
    arrival_s: Floats
    wait_s: Floats
    """From arrival to the first start."""
    turnaround_s: Floats
    """From arrival to the end (JCT)."""
    run_s: Floats
    """How long it takes alone on the devices that it asks for."""
    slowdown: Floats
    """Turnaround over run time, both at least `SLOWDOWN_BOUND_S`, and at least 1."""
    finish_time: Floats
    """Turnaround over that in a cluster of its own, its share of this one (Mahajan et al. 2020: rho)."""
    preemptions: NDArray[np.int64]
    failures: NDArray[np.int64]
    lost_device_s: Floats
    """Device-seconds of work that was lost."""


def figures(recording: ClusterRecording) -> JobFigures:
    """Take the figures of the jobs that ended from the columns of a play."""
    workload = recording.workload
    rows = np.flatnonzero(recording.outcome == FINISHED)
    jobs = [workload.jobs[row] for row in rows.tolist()]
    arrival_s = np.array([job.arrival_s for job in jobs], dtype=np.float64)
    run_s = np.array([workload.run_s[row] for row in rows.tolist()], dtype=np.float64)
    finish_s, start_s = recording.finish_s[rows], recording.start_s[rows]
    turnaround_s = finish_s - arrival_s
    bounded_s = np.maximum(run_s, SLOWDOWN_BOUND_S)
    devices = np.array([job.devices for job in jobs], dtype=np.float64)
    contention = mean_contention(arrival_s, finish_s)
    fair_s = run_s * np.maximum(1.0, devices * contention / recording.capacity)
    stretches = recording.stretches
    # What was lost is counted in seconds of work; on average over a stretch a second of work held this many devices.
    per_work_s = np.divide(
        stretches.devices * (stretches.end_s - stretches.start_s),
        stretches.work_s,
        out=np.zeros(len(stretches.work_s)),
        where=stretches.work_s > 0,
    )
    lost = np.bincount(stretches.position, weights=stretches.lost_s * per_work_s, minlength=len(workload.jobs)).astype(
        np.float64
    )
    return JobFigures(
        rows=rows,
        tenants=tuple(job.tenant for job in jobs),
        arrival_s=arrival_s,
        wait_s=start_s - arrival_s,
        turnaround_s=turnaround_s,
        run_s=run_s,
        slowdown=np.maximum(turnaround_s / bounded_s, 1.0),
        finish_time=np.divide(turnaround_s, fair_s, out=np.ones(len(rows)), where=fair_s > 0),
        preemptions=recording.preemptions[rows],
        failures=recording.failures[rows],
        lost_device_s=lost[rows],
    )


def mean_contention(arrival_s: Floats, finish_s: Floats) -> Floats:
    """Give, for each job, how many jobs were there on average from its arrival to its end, itself included.

    >>> mean_contention(np.array([0.0, 5.0]), np.array([10.0, 10.0])).tolist()
    [1.5, 2.0]
    """
    if not len(arrival_s):
        return np.zeros(0)
    times = np.concatenate([arrival_s, finish_s])
    steps = np.concatenate([np.ones(len(arrival_s)), -np.ones(len(finish_s))])
    order = np.argsort(times, kind="stable")
    times, there = times[order], np.cumsum(steps[order])
    area = np.concatenate([[0.0], np.cumsum(there[:-1] * np.diff(times))])
    life_s = finish_s - arrival_s
    total = np.interp(finish_s, times, area) - np.interp(arrival_s, times, area)
    return np.asarray(np.divide(total, life_s, out=np.ones(len(life_s)), where=life_s > 0))


def jain(values: Floats) -> float:
    """Give Jain's index of fairness: 1 where all are equal, 1/n where one has everything.

    >>> jain(np.array([1.0, 1.0])), jain(np.array([1.0, 0.0]))
    (1.0, 0.5)
    """
    square = float(np.sum(values**2))
    return float(np.sum(values)) ** 2 / (len(values) * square) if square else 1.0


def over_time(recording: ClusterRecording, bins: int = BINS) -> dict[str, Floats]:
    """Give mean queue, allocation and running jobs over equal stretches of time."""
    end_s = recording.wall_clock_s
    edges = np.linspace(0.0, end_s, bins + 1) if end_s else np.array([0.0, 0.0])
    stretches, ended = recording.stretches, np.isin(recording.outcome, (FINISHED, RELEASED))
    arrival_s = np.array([job.arrival_s for job in recording.workload.jobs], dtype=np.float64)[ended]
    asked = np.array([job.devices for job in recording.workload.jobs], dtype=np.float64)[ended]
    there = _mean_of(edges, arrival_s, recording.finish_s[ended])
    ones = np.ones(len(stretches.start_s))
    running = _mean_of(edges, stretches.start_s, stretches.end_s, ones)
    held = _mean_of(edges, stretches.start_s, stretches.end_s, stretches.devices.astype(np.float64))
    return {
        "start_s": edges[:-1],
        "end_s": edges[1:],
        "waiting_jobs": np.where(there - running > ROUNDING_JOBS, there - running, 0.0),
        "running_jobs": running,
        "allocated_devices": held,
        "asked_devices": _mean_of(edges, arrival_s, recording.finish_s[ended], asked),
    }


def _mean_of(edges: Floats, begin_s: Floats, end_s: Floats, weight: Floats | None = None) -> Floats:
    """Average the number of intervals that cover each bin."""
    weight = np.ones(len(begin_s)) if weight is None else weight
    widths = np.diff(edges)
    if not len(begin_s):
        return np.zeros(len(widths))

    def area_until(moments: Floats) -> Floats:
        """Give, at each edge, the sum of weight x time that has passed since each moment."""
        order = np.argsort(moments, kind="stable")
        sorted_s, sums = moments[order], np.concatenate([[0.0], np.cumsum(weight[order])])
        products = np.concatenate([[0.0], np.cumsum(weight[order] * moments[order])])
        before = np.searchsorted(sorted_s, edges, side="right")
        return np.asarray(sums[before] * edges - products[before])

    total = np.diff(area_until(begin_s) - area_until(end_s))
    return np.maximum(np.divide(total, widths, out=np.zeros(len(widths)), where=widths > 0), 0.0)
