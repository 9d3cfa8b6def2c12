"""Whoever asks for devices without saying for how long, and gives them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sim.engine.cluster.job import Job


class Owner(Protocol):
    """Is told what becomes of its work, at the instant at which it happens."""

    @property
    def name(self) -> str:
        """The service that it is of."""

    @property
    def account(self) -> str:
        """The account of the ledger that its devices are in; the owner settles it."""

    def got(self) -> None:
        """Have the devices."""

    def lost(self) -> None:
        """Have them no more, by preemption or failure; the work waits again, unless it is released."""


class Queue(Protocol):
    """The queue of a cluster, as owners of work of unknown length see it."""

    def join(self) -> None:
        """Keep the queue going, whether anything waits in it or not."""

    def part(self) -> None:
        """Need the queue no more."""

    def submit(self, job: Job, owner: Owner) -> Job:
        """Ask for devices now; gives the job with its number, in the order of submission."""

    def release(self, job: Job) -> None:
        """Give the devices back now, or want them no more."""
