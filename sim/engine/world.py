"""One simulated world: its clock, its random streams and its ledger."""

from __future__ import annotations

import math
from heapq import heappush
from typing import TYPE_CHECKING

import simpy

from sim.engine.ledger import ConservationError, Ledger
from sim.engine.random import Streams
from sim.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EVENTS = 500_000_000
"""Wake-ups that a world handles before it gives up."""


LAST = simpy.events.EventPriority(2)
"""Of the wake-ups at one instant, those that come after all others: iterations see every arrival of their instant."""


class _Clock(simpy.Environment):
    """SimPy's clock, which can also be told an exact time to ring at, and pass over time in which nothing happens."""

    def ring_at(self, time_s: float, priority: simpy.events.EventPriority, wake_up: simpy.Event) -> None:
        """Process a wake-up at exactly this time; now + (time - now) may be another float."""
        heappush(self._queue, (time_s, priority, next(self._eid), wake_up))

    def skip_to(self, time_s: float) -> None:
        """Let the time pass until just before the next wake-up at most."""
        assert self._now <= time_s <= self.peek(), f"{time_s!r} s is not between now and the next wake-up"
        self._now = time_s


class _WakeUp(simpy.Event):
    """One entry of the clock: what a timeout is, without a delay of its own."""

    def __init__(self, clock: _Clock, action: Callable[[simpy.Event], None], version: int) -> None:
        self.env = clock
        self.callbacks = [action]
        self._value = version
        self._ok = True


class World:
    """A clock that jumps from wake-up to wake-up; the only thing in the simulator that has one.

    Wake-ups at one instant come in the order in which they were set.
    """

    def __init__(self, capacity: int, seed: int, max_events: int = MAX_EVENTS) -> None:
        """Begin at time 0 with ``capacity`` free devices."""
        self.environment = _Clock()
        self.streams = Streams(seed)
        self.ledger = Ledger(capacity)
        self.max_events = max_events
        self.events = 0
        """Wake-ups handled so far, obsolete ones included."""

    @property
    def now_s(self) -> float:
        """Give the seconds since the world began."""
        return float(self.environment.now)

    @property
    def next_s(self) -> float:
        """Give the time of the next wake-up, infinity where none is set."""
        return float(self.environment.peek())

    def skip_to(self, time_s: float) -> None:
        """Let time pass in which nothing is set to happen, without a wake-up: until ``next_s`` at most."""
        self.environment.skip_to(time_s)

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
        self._clock = world.environment
        self._action = action
        self._version = 0

    def set(self, delay_s: float) -> None:
        """Ring once, ``delay_s`` from now, instead of whenever it would have rung."""
        self._version += 1
        self._clock.timeout(delay_s, self._version).callbacks.append(self._ring)

    def set_at(self, time_s: float) -> None:
        """Ring once at exactly this time, after all else that happens at that instant, instead of whenever else.

        Raises:
            ConservationError: the time is over, or no time.
        """
        if not self._clock.now <= time_s < math.inf:
            raise ConservationError(f"an alarm for {time_s!r} s is set at {self._clock.now!r} s")
        self._version = version = self._version + 1
        self._clock.ring_at(time_s, LAST, _WakeUp(self._clock, self._ring, version))

    def clear(self) -> None:
        """Do not ring."""
        self._version += 1

    def _ring(self, wake_up: simpy.Event) -> None:
        if wake_up.value == self._version:
            self._action()
