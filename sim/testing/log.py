"""A play as a list of what each job held when, apart from the engine's own books."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.recording import ClusterRecording
    from sim.engine.cluster.run import Run


@dataclass(frozen=True, slots=True)
class Hold:
    """A job that holds devices, from one time to another."""

    number: int
    begin_s: float
    end_s: float
    devices: Devices
    nodes: tuple[int, ...]
    counts: tuple[int, ...]


class Watcher:
    """Writes down who holds what; give `note` to the scheduler."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.holds: list[Hold] = []
        self._open: dict[int, tuple[float, Devices, tuple[int, ...], tuple[int, ...]]] = {}

    def note(self, what: str, now_s: float, run: Run) -> None:
        """Write down a start, a change of size or a stop."""
        number = run.job.number
        if what != "start":
            began_s, devices, nodes, counts = self._open.pop(number)
            self.holds.append(Hold(number, began_s, now_s, devices, nodes, counts))
        if what != "stop":
            place = run.place
            nodes, counts = (place.nodes, place.counts) if place is not None else ((), ())
            self._open[number] = (now_s, run.devices, nodes, counts)


@dataclass(frozen=True, slots=True)
class Log:
    """Everything that the invariants look at."""

    recording: ClusterRecording
    holds: tuple[Hold, ...]
    jobs: dict[int, Job]
    starts: dict[int, float]
    """First start of each job that started."""
    ends: dict[int, float]
    """End of each job that ended, or was given up by its owner."""

    @property
    def instants(self) -> list[float]:
        """Give every time at which something changed, in order."""
        times = {job.arrival_s for job in self.jobs.values()}
        times |= {hold.begin_s for hold in self.holds} | {hold.end_s for hold in self.holds}
        times |= {time_s for time_s, _, _ in self.recording.events}
        return sorted(times)

    def held_at(self, time_s: float) -> list[Hold]:
        """Give what is held just after a time."""
        return [hold for hold in self.holds if hold.begin_s <= time_s < hold.end_s]

    def waiting_at(self, time_s: float) -> list[Job]:
        """Give the jobs that wait just after a time, in the order of their numbers."""
        holding = {hold.number for hold in self.held_at(time_s)}
        return [
            job
            for number, job in sorted(self.jobs.items())
            if job.arrival_s <= time_s and number not in holding and self.ends.get(number, float("inf")) > time_s
        ]


def log_of(recording: ClusterRecording, watcher: Watcher) -> Log:
    """Put a play and what was watched together; jobs that can never run are left out."""
    found: dict[int, Job] = {}
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    for row, job in enumerate(recording.workload.jobs):
        if recording.outcome[row] == 2:  # noqa: PLR2004 - rejected
            continue
        found[job.number] = job
        if recording.start_s[row] == recording.start_s[row]:
            starts[job.number] = float(recording.start_s[row])
        if recording.finish_s[row] == recording.finish_s[row]:
            ends[job.number] = float(recording.finish_s[row])
    return Log(recording, tuple(watcher.holds), found, starts, ends)
