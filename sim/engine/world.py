"""One simulated world: its clock, its random streams and its ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from sim.engine.ledger import ConservationError, Ledger
from sim.engine.random import Streams
from sim.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

    from simpy.events import Event

MAX_EVENTS = 500_000_000
"""Wake-ups that a world handles before it gives up."""


class World:
    """A clock that jumps from wake-up to wake-up; the only thing in the simulator that has one.

    Wake-ups at one instant come in the order in which they were set.
    """

    def __init__(self, capacity: int, seed: int, max_events: int = MAX_EVENTS) -> None:
        """Begin at time 0 with ``capacity`` free devices."""
        self.environment = simpy.Environment()
        self.streams = Streams(seed)
        self.ledger = Ledger(capacity)
        self.max_events = max_events
        self.events = 0
        """Wake-ups handled so far, obsolete ones included."""

    @property
    def now_s(self) -> float:
        """Give the seconds since the world began."""
        return float(self.environment.now)

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call the action once, ``delay_s`` from now; it cannot be called off (an `Alarm` can)."""
        self.environment.timeout(delay_s).callbacks.append(lambda _: action())

    def run_until(self, finished: Callable[[], bool]) -> None:
        """Handle wake-ups until the condition holds.

        Raises:
            LimitError: more than ``max_events`` wake-ups.
            ConservationError: nothing is left to wake up and the condition does not hold.
        """
        step = self.environment.step
        while not finished():
            if self.events >= self.max_events:
                raise LimitError(
                    "the simulation reached its limit of events",
                    value=f"{self.events} events after {self.now_s:.6g} simulated seconds",
                    mend="a shorter run or fewer interruptions; World(max_events=...) raises the limit",
                )
            try:
                step()
            except simpy.core.EmptySchedule:
                raise ConservationError(
                    f"nothing left to happen at {self.now_s!r} s, and the run has not ended"
                ) from None
            self.events += 1


class Alarm:
    """One pending wake-up that can be moved.

    SimPy cannot cancel a timeout, so each setting has a version, and a wake-up of an older version does nothing.
    """

    def __init__(self, world: World, action: Callable[[], None]) -> None:
        """Keep what to do when it rings."""
        self._environment = world.environment
        self._action = action
        self._version = 0

    def set(self, delay_s: float) -> None:
        """Ring once, ``delay_s`` from now, instead of whenever it would have rung."""
        self._version += 1
        self._environment.timeout(delay_s, self._version).callbacks.append(self._ring)

    def clear(self) -> None:
        """Do not ring."""
        self._version += 1

    def _ring(self, wake_up: Event) -> None:
        if wake_up.value == self._version:
            self._action()
