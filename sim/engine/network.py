"""Jobs on one network: each collective goes at its max-min fair share of the links, until the set of jobs changes.

The collectives of one job take turns, so each of them loads its links for its part of the job's time on the network.
Those of different jobs are taken to coincide whenever both run: a job slows down by as much as it can at worst. A job
that is alone on its links goes at the pace that the cost layer gave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from sim.cost.max_min import Loads, max_min_rates
from sim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from sim.cost.memory import Floats
    from sim.plan.routes import Route

Job = TypeVar("Job")
"""Whatever names a job: a number, a word."""

ROUNDING = 1e-9
"""Links count as overloaded beyond this, relative to their capacity: running sums drift by as little."""


@dataclass(slots=True)
class _Running:
    """The routes of one job, joined, and its shares."""

    names: tuple[str, ...]
    exposed_s: Floats
    step_s: float
    alone_bytes_per_s: Floats
    flow_class: npt.NDArray[np.int64]
    link: npt.NDArray[np.int64]
    weight: Floats
    """Streams on each link, times the part of the job's time on the network that the class takes."""
    shares: Floats
    slowdown: float = 1.0

    @property
    def wanted(self) -> Floats:
        """What the job puts on its links while it is alone."""
        return np.asarray(self.weight * self.alone_bytes_per_s[self.flow_class])


class Network(Generic[Job]):
    """Links, the jobs on them, and how far each is slowed down."""

    def __init__(self, capacity_bytes_per_s: Floats) -> None:
        """Begin with no jobs on links of these capacities."""
        self.capacity_bytes_per_s = np.asarray(capacity_bytes_per_s, dtype=np.float64)
        self._wanted = np.zeros(len(self.capacity_bytes_per_s))
        self._jobs: dict[Job, _Running] = {}

    def __contains__(self, job: Job) -> bool:
        """Tell whether a job is on the links."""
        return job in self._jobs

    def add(self, job: Job, routes: Sequence[Route], step_s: float) -> dict[Job, float]:
        """Put a job on its links; give the slowdown of every job for which it changed.

        Args:
            job: any name of its own.
            routes: its collectives on the links; those with no exposed time are left out.
            step_s: time of its step while it is alone.

        Raises:
            UsageError: it is on the links already, or waits for its collectives longer than its step takes.

        """
        if job in self._jobs:
            raise UsageError("a job is on the network once", value=str(job))
        waits = [route for route in routes if route.exposed_s > 0]
        if not waits:
            return {}
        if sum(route.exposed_s for route in waits) > step_s * (1 + ROUNDING):
            raise UsageError("the exposed communication is part of the step", value=f"{step_s:.6g} s")
        running = _joined(waits, step_s)
        self._jobs[job] = running
        np.add.at(self._wanted, running.link, running.wanted)
        return self._changed() if self._overloads(running) else {}

    def remove(self, job: Job) -> dict[Job, float]:
        """Take a job off its links, if it is on any; give the slowdown of every other job for which it changed."""
        running = self._jobs.pop(job, None)
        if running is None:
            return {}
        # Asked before it goes: a link that it overloads slows others, one that it does not never mattered.
        mattered = self._overloads(running)
        np.subtract.at(self._wanted, running.link, running.wanted)
        return self._changed() if mattered else {}

    def slowdown(self, job: Job) -> float:
        """Give the time of a job's step over its time alone; 1 for a job that is not on the links."""
        running = self._jobs.get(job)
        return running.slowdown if running is not None else 1.0

    def shares(self, job: Job) -> Mapping[str, float]:
        """Give for each collective of a job the part of its rate alone that it gets."""
        running = self._jobs.get(job)
        return dict(zip(running.names, running.shares.tolist(), strict=True)) if running is not None else {}

    def load_bytes_per_s(self) -> Floats:
        """Give what the links carry while all jobs communicate."""
        load = np.zeros(len(self.capacity_bytes_per_s))
        for running in self._jobs.values():
            rates = running.alone_bytes_per_s * running.shares
            np.add.at(load, running.link, running.weight * rates[running.flow_class])
        return load

    def _overloads(self, running: _Running) -> bool:
        """Tell whether a job is on a link that cannot carry all its jobs at their pace alone."""
        link = running.link
        return bool((self._wanted[link] > self.capacity_bytes_per_s[link] * (1 + ROUNDING)).any())

    def _changed(self) -> dict[Job, float]:
        """Share the links out anew."""
        jobs = list(self._jobs.values())
        if not jobs:
            return {}
        first = np.cumsum([0, *(len(running.exposed_s) for running in jobs)])
        entries = np.array([len(running.link) for running in jobs])
        loads = Loads(
            np.concatenate([running.flow_class for running in jobs]) + np.repeat(first[:-1], entries),
            np.concatenate([running.link for running in jobs]),
            np.concatenate([running.weight for running in jobs]),
        )
        alone = np.concatenate([running.alone_bytes_per_s for running in jobs])
        shares = max_min_rates(self.capacity_bytes_per_s, loads, alone) / alone
        changed: dict[Job, float] = {}
        for (job, running), start, end in zip(self._jobs.items(), first[:-1], first[1:], strict=True):
            running.shares = shares[start:end]
            slowdown = stretched_s(running.step_s, running.exposed_s, running.shares) / running.step_s
            if slowdown != running.slowdown:
                running.slowdown = slowdown
                changed[job] = slowdown
        return changed


def stretched_s(step_s: float, exposed_s: Iterable[float] | Floats, shares: Iterable[float] | Floats) -> float:
    """Give the time of a step whose exposed collectives get only a share of the bandwidth that they have alone, in s.

    step + sum of exposed x (1 / share - 1). What hides behind compute is taken to stay hidden, and start-up times are
    stretched as the transfers are.

    >>> stretched_s(10.0, [2.0, 1.0], [0.5, 1.0])
    12.0
    """
    waits = np.asarray(exposed_s, dtype=np.float64)
    return float(step_s + np.sum(waits * (1.0 / np.asarray(shares, dtype=np.float64) - 1.0)))


def _joined(routes: Sequence[Route], step_s: float) -> _Running:
    exposed_s = np.array([route.exposed_s for route in routes])
    part = exposed_s / exposed_s.sum()
    return _Running(
        tuple(route.name for route in routes),
        exposed_s,
        step_s,
        np.array([route.alone_bytes_per_s for route in routes]),
        np.repeat(np.arange(len(routes)), [len(route.link) for route in routes]),
        np.concatenate([route.link for route in routes]),
        np.concatenate([share * route.weight for share, route in zip(part.tolist(), routes, strict=True)]),
        np.ones(len(routes)),
    )
