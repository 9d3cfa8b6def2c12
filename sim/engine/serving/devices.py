"""Where the replicas of a service get their devices: from what is free, or from a queue that others wait in too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sim.engine.ledger import FREE

if TYPE_CHECKING:
    from sim.engine.world import World
    from sim.plan.serving import ReplicaPlan


class Holder(Protocol):
    """Replicas that are alike, as whoever gives them devices sees them."""

    @property
    def name(self) -> str:
        """Name of the service, and of its part where it has several."""

    @property
    def account(self) -> str:
        """Account of the ledger that its devices are in."""

    @property
    def plan(self) -> ReplicaPlan:
        """One replica."""

    def got(self, place: int) -> None:
        """Have the devices of a replica."""

    def lose(self, place: int) -> None:
        """Have them no more; the replica waits for devices again, unless it was leaving."""


class Devices(Protocol):
    """Gives replicas their devices and takes them back."""

    def ask(self, holder: Holder, place: int) -> None:
        """Ask for the devices of a replica; the holder is told when it has them, perhaps before this returns."""

    def give_back(self, holder: Holder, place: int) -> None:
        """Give the devices of a replica back, or want them no more."""

    def end(self) -> None:
        """Ask no more; everything was given back."""


class FreeDevices:
    """Devices that are free whenever they are asked for: those of a cluster that services have to themselves."""

    def __init__(self, world: World) -> None:
        """Take them from the ledger of a world."""
        self._world = world

    def ask(self, holder: Holder, place: int) -> None:
        """Give them at once."""
        self._world.ledger.move(self._world.now_s, FREE, holder.account, holder.plan.devices)
        holder.got(place)

    def give_back(self, holder: Holder, place: int) -> None:  # noqa: ARG002 - one replica is like another
        """Take them back at once."""
        self._world.ledger.move(self._world.now_s, holder.account, FREE, holder.plan.devices)

    def end(self) -> None:
        """Nothing waits."""
