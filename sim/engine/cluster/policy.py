"""The interface of a scheduling policy: what it is told, what it may decide, and what it may claim of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sim.engine.cluster.job import Devices, Job
    from sim.engine.cluster.view import View


@dataclass(frozen=True, slots=True)
class Start:
    """Give a waiting job its devices, all at once."""

    job: Job
    devices: Devices | None = None
    """As many as it asks for where none is given; another number for elastic jobs only."""
    kind: str | None = None
    """Kind of device; the first kind on which it runs and fits where none is given."""


@dataclass(frozen=True, slots=True)
class Preempt:
    """Take the devices of a running job; it waits again, and goes on from its last checkpoint."""

    job: Job


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a running elastic job another number of devices."""

    job: Job
    devices: int


@dataclass(frozen=True, slots=True)
class Wake:
    """Ask to decide again at this time, even if nothing happens until then."""

    at_s: float


Decision: TypeAlias = Start | Preempt | Resize | Wake

CLAIMS: dict[str, str] = {
    "rank order": "of the jobs that wait, none starts before one of a lower rank",
    "work conserving": "the job of lowest rank never waits while the devices that it asks for are free",
    "greedy": "no job waits while the devices that it asks for are free",
    "no starvation": "a job waits at most for the jobs that came before it and have not ended, one after the other",
    "easy promise": "the first job that waits starts no later than the estimates of the running jobs say",
    "conservative promise": "no job starts later because others came after it, where estimates are right",
    "priorities": "the first job of its priority never waits for devices that less urgent jobs hold",
    "relabelling": "names, and numbers that keep the order of jobs, change nothing",
    "list bound": "the makespan stays within the bound of list scheduling",
    "no preemption": "a job that started runs to its end",
}
"""What a policy may say of itself, and `sim.testing` then holds it to."""


class Policy:
    """Base of every scheduling policy: override `decide`, and keep what it needs up to date in the other methods.

    All methods get a `View`: what is known at this instant, read-only. `decide` is called once after everything that
    happens at one instant (ends first, then failures and repairs, then arrivals). It gives decisions one by one; each
    is carried out at once, so that a generator sees its effect in the view before it goes on.
    """

    name: ClassVar[str] = ""
    """What a scenario calls it."""
    summary: ClassVar[str] = ""
    """One line for `sim list policies`."""
    source: ClassVar[str] = ""
    """Where it is defined."""
    claims: ClassVar[frozenset[str]] = frozenset()
    """Keys of `CLAIMS` that hold for it."""
    needs_one_kind: ClassVar[bool] = False
    """Whether it counts all devices as alike; where there are several kinds, each gets an instance of its own."""

    @classmethod
    def rank(cls, job: Job) -> tuple[float, ...]:
        """Give the order of its queue, lowest first: that of arrival, unless it says otherwise."""
        return (job.number,)

    def begin(self, view: View) -> None:
        """Time starts; the view knows the cluster, and no jobs yet."""

    def submitted(self, job: Job, view: View) -> None:
        """Note that a job waits: it has arrived, or it lost its devices."""

    def finished(self, job: Job, view: View) -> None:
        """Note that a running job has ended; its devices are free already."""

    def stopped(self, job: Job, view: View) -> None:
        """Note that a job has lost its devices, by preemption or failure; `submitted` follows."""

    def withdrawn(self, job: Job, view: View) -> None:
        """Note that a job waits here no more: its owner wants no devices, or it started on another kind of device."""

    def decide(self, view: View) -> Iterable[Decision]:
        """Decide what happens at this instant."""
        raise NotImplementedError
