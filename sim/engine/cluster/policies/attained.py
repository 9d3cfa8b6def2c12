"""Least attained service: whoever has had least goes first, so short jobs pass without telling how long they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sim.engine.cluster.policies.target import fill, toward
from sim.engine.cluster.policy import Decision, Policy, Wake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sim.engine.cluster.job import Job
    from sim.engine.cluster.view import View


class LeastAttained(Policy):
    """Discretised two-dimensional least attained service: service is devices x time, in a few queues.

    A job begins in the first queue and falls into the next when its service passes a threshold; inside a queue the
    first to arrive is first. One that has waited ``promote`` times as long as it ran goes back to the first queue.
    """

    name: ClassVar[str] = "las"
    summary: ClassVar[str] = "least attained service in a few queues (Tiresias); needs no estimates"
    source: ClassVar[str] = "Gu et al. 2019, NSDI: Tiresias, section 3.2 (discretised 2D-LAS)"
    claims: ClassVar[frozenset[str]] = frozenset({"relabelling"})

    def __init__(
        self, threshold_device_s: float = 3600.0, factor: float = 10.0, queues: float = 3, promote: float = 0
    ) -> None:
        """Set the first threshold, by how much each next one is larger, how many queues there are, and promotion."""
        self._thresholds = [threshold_device_s * factor**index for index in range(max(int(queues) - 1, 0))]
        self._promote = promote
        self._forgiven: dict[int, float] = {}
        self._waits_since_s: dict[int, float] = {}

    def submitted(self, job: Job, view: View) -> None:
        """Note since when a job waits."""
        self._waits_since_s[job.number] = view.now_s

    def finished(self, job: Job, view: View) -> None:
        """Forget a job."""
        self._forgiven.pop(job.number, None)
        self._waits_since_s.pop(job.number, None)

    def withdrawn(self, job: Job, view: View) -> None:
        """Forget a job that waited."""
        self.finished(job, view)

    def decide(self, view: View) -> Iterator[Decision]:
        """Choose anew among all jobs, and wake when one falls into the next queue."""
        everybody = [*view.running(), *view.waiting()]
        if self._promote:
            self._promote_patient(view)
        order = sorted(everybody, key=lambda job: (self._queue(job, view), job.number))
        yield from toward(fill(order, view), view)
        falls = [at_s for job in view.running() if (at_s := self._falls_s(job, view)) > view.now_s]
        if falls and next(view.waiting(), None) is not None:
            yield Wake(min(falls))

    def _service(self, job: Job, view: View) -> float:
        return view.attained_device_s(job) - self._forgiven.get(job.number, 0.0)

    def _queue(self, job: Job, view: View) -> int:
        service = self._service(job, view)
        return sum(service >= threshold * (1 - 1e-12) for threshold in self._thresholds)

    def _falls_s(self, job: Job, view: View) -> float:
        queue = self._queue(job, view)
        if queue >= len(self._thresholds) or view.is_stopping(job):
            return 0.0
        return view.now_s + (self._thresholds[queue] - self._service(job, view)) / view.devices_of(job)

    def _promote_patient(self, view: View) -> None:
        for job in view.waiting():
            ran_s = self._service(job, view) / job.devices
            if ran_s and view.now_s - self._waits_since_s[job.number] >= self._promote * ran_s:
                self._forgiven[job.number] = view.attained_device_s(job)
