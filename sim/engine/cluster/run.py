"""One stretch of a job on its devices: how far it got, what it saved, and what it would lose now."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices, Job, Pace
    from sim.engine.cluster.owner import Owner
    from sim.plan.placement import Allocation

_ROUNDING = 1e-12
"""Relative rounding within which a checkpoint counts as written."""


@dataclass(slots=True)
class Piece:
    """A part of a stretch during which devices and pace did not change."""

    start_s: float
    end_s: float
    devices: Devices
    pace: Pace
    idle_s: float
    """Restarting: no progress."""
    busy_s: float
    work_s: float
    """Progress, in seconds at pace 1."""
    slowdown: float = 1.0
    """What the network added to the time of its work."""


@dataclass(slots=True)
class Run:
    """A job that holds devices. Progress is fluid: pace x time between two changes."""

    job: Job
    position: int
    """Row of the job in the columns of the workload."""
    devices: Devices
    kind: str
    place: Allocation | None
    pace: Pace
    slowdown: float
    """What the network adds to the time of its work; 1 where it has its links to itself."""
    start_s: float
    ready_s: float
    """When it goes on, after its restart."""
    since_s: float
    """When devices or pace changed last."""
    saved_s: float
    """Work that was safe when the stretch began, in seconds at pace 1."""
    done_s: float
    """Work that was done when devices or pace changed last."""
    total_s: float
    """Work of the whole job."""
    version: int = 0
    """Of its end; an entry of an older version in the heap of ends means nothing."""
    pieces: list[Piece] | None = None
    """Parts of the stretch before the last change; none for most jobs."""
    is_stopping: bool = False
    """It was told to stop and writes its checkpoint."""
    owner: Owner | None = None
    """Who says what its devices do while it holds them; none for jobs, whose progress the scheduler knows."""

    @property
    def rate(self) -> float:
        """Give the progress per second, in seconds at pace 1."""
        return self.pace.rate / self.slowdown

    def end_s(self) -> float:
        """Give when it ends unless something changes."""
        rate = self.pace.rate / self.slowdown
        return max(self.ready_s, self.since_s) + (self.total_s - self.done_s) / rate if rate else math.inf

    def estimated_end_s(self, now_s: float) -> float:
        """Give when it ends if its estimate is right."""
        rate = self.pace.rate / self.slowdown
        if self.done_s == 0.0 and self.ready_s == self.since_s and rate == 1.0:
            return self.ready_s + self.job.estimate_s
        if not rate:
            return math.inf
        return max(self.ready_s, now_s) + max(self.job.estimate_s - self.done_at(now_s), 0.0) / rate

    def done_at(self, now_s: float) -> float:
        """Give the work done by now."""
        begun_s = max(self.ready_s, self.since_s)
        return self.done_s + (now_s - begun_s) * self.pace.rate / self.slowdown if now_s > begun_s else self.done_s

    def close_piece(self, now_s: float, done_s: float) -> None:
        """End the present piece; what comes next begins now."""
        elapsed_s = now_s - self.since_s
        busy_s = max(now_s - max(self.ready_s, self.since_s), 0.0)
        work_s = done_s - self.done_s
        piece = Piece(self.since_s, now_s, self.devices, self.pace, elapsed_s - busy_s, busy_s, work_s, self.slowdown)
        if self.pieces is None:
            self.pieces = []
        self.pieces.append(piece)
        self.done_s, self.since_s = done_s, now_s

    def safe_s(self, done_s: float) -> float:
        """Give the work that a stop now would leave: that of the last checkpoint."""
        every_s = self.job.checkpoint_s
        if every_s is None:
            return 0.0
        if every_s == 0:
            return done_s
        return max(min(math.floor(done_s / every_s * (1 + _ROUNDING)) * every_s, done_s), self.saved_s)
