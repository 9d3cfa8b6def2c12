"""One simulated world: its clock, its random streams and its ledger."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

import simpy

from sim.engine.ledger import ConservationError, Ledger
from sim.engine.random import Streams
from sim.engine.watch import EVERY, watcher
from sim.errors import LimitError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EVENTS = 500_000_000
"""Wake-ups that a world handles before it gives up."""


INFINITE_S = math.inf
USUAL, LAST = simpy.events.NORMAL, simpy.events.EventPriority(2)
"""Of the wake-ups at one instant the last come after all others: iterations see every arrival of their instant."""


class _Clock(simpy.Environment):
    """SimPy's clock, which also holds plain wake-ups, and rings at exact times.

    A wake-up is its action itself, an alarm or an arrival: a timeout costs five times as much, and a service has some
    for each request.
    """

    def wake_at(
        self, time_s: float, priority: simpy.events.EventPriority, wake_up: Alarm | Arrival | Callable[[], None]
    ) -> int:
        """Handle a wake-up at exactly this time, as now + (time - now) may be another float; give its number."""
        if not self._now <= time_s < INFINITE_S:
            raise ConservationError(f"a wake-up for {time_s!r} s is set at {self._now!r} s")
        number = next(self._eid)
        heappush(self._queue, (time_s, priority, number, wake_up))  # type: ignore[misc] # see World.step
        return number


class World:
    """A clock that jumps from wake-up to wake-up; the only thing in the simulator that has one.

    Wake-ups at one instant come in the order in which they were set.
    """

    def __init__(self, capacity: int, seed: int, max_events: int = MAX_EVENTS) -> None:
        """Begin at time 0 with ``capacity`` free devices."""
        self.clock = _Clock(0.0)
        self.streams = Streams(seed)
        self.ledger = Ledger(capacity)
        self.max_events = max_events
        self.queue: list[Any] = self.clock._queue  # noqa: SLF001 - as now_s
        """What is set to happen, the next first; replicas look at it themselves, where `skip_to` costs a call."""
        self.finished: Callable[[], bool] = _never
        """What the run under way waits for."""
        self.events = 0
        """Wake-ups handled so far, obsolete ones included."""
        self.horizon_s: float | None = None
        """When the world will about end, for those who watch; nothing depends on it."""
        self._watcher = watcher()
        self._next_look = 0

    @property
    def now_s(self) -> float:
        """Give the seconds since the world began."""
        return self.clock._now  # noqa: SLF001 - asked for several times a request; SimPy's property costs twice

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call the action once, ``delay_s`` from now; it cannot be called off (an `Alarm` can)."""
        clock = self.clock
        clock.wake_at(clock._now + delay_s, USUAL, action)  # noqa: SLF001 - as above

    def skip_to(self, time_s: float) -> bool:
        """Let the time pass until then, unless something is set to happen by then; tell whether it passed."""
        if self.queue and self.queue[0][0] <= time_s:
            return False
        self.clock._now = time_s  # noqa: SLF001 - as now_s
        return True

    def run_until(self, finished: Callable[[], bool]) -> None:
        """Handle wake-ups until the condition holds.

        Raises:
            LimitError: more than ``max_events`` wake-ups.
            ConservationError: nothing is left to wake up and the condition does not hold.
        """
        self.finished = finished
        step = self.step
        while not finished():
            step()
        self._next_look = 0
        self.show()

    def step(self) -> None:
        """Handle the next wake-up, ours or SimPy's; `run_until` says what it raises."""
        if self.events >= self._next_look:
            self._look()
        queue: list[Any] = self.queue
        if not queue:
            raise ConservationError(f"nothing left to happen at {self.now_s!r} s, and the run has not ended")
        wake_up = queue[0][3]
        kind = type(wake_up)
        if kind is Alarm:
            self.clock._now, _, number, _ = heappop(queue)  # noqa: SLF001 - as now_s
            if wake_up.number == number:
                wake_up.action()
        elif isinstance(wake_up, simpy.Event):
            self.clock.step()
        else:
            self.clock._now = heappop(queue)[0]  # noqa: SLF001 - as now_s
            if kind is Arrival:
                wake_up.action()
            else:
                wake_up()
        self.events += 1

    def _look(self) -> None:
        self.show()
        if self.events >= self.max_events:
            raise LimitError(
                "the simulation reached its limit of events",
                value=f"{self.events} events after {self.now_s:.6g} simulated seconds",
                mend="a shorter run or fewer interruptions; World(max_events=...) raises the limit",
            )

    def show(self) -> None:
        """Let those who watch look, where a while has passed since they last did."""
        if self.events >= self._next_look:
            self._next_look = min(self.events + EVERY, self.max_events)
            if self._watcher is not None:
                self._watcher.look(self.now_s, self.events, self.horizon_s)


def _never() -> bool:
    return False


class Alarm:
    """One pending wake-up that can be moved.

    SimPy cannot cancel a timeout, so an alarm knows the number of its last setting, and earlier ones do nothing.
    """

    __slots__ = ("_clock", "action", "number")

    def __init__(self, world: World, action: Callable[[], None]) -> None:
        """Keep what to do when it rings."""
        self._clock = world.clock
        self.action = action
        self.number = -1

    def set(self, delay_s: float) -> None:
        """Ring once, ``delay_s`` from now, instead of whenever it would have rung."""
        self.number = self._clock.wake_at(self._clock._now + delay_s, USUAL, self)  # noqa: SLF001 - as World.now_s

    def set_at(self, time_s: float) -> None:
        """Ring once at exactly this time, after all else that happens at that instant, instead of whenever else."""
        self.number = self._clock.wake_at(time_s, LAST, self)

    def clear(self) -> None:
        """Do not ring."""
        self.number = -1


class Arrival:
    """A wake-up for somebody who comes: it hands something over and changes nothing else at that instant.

    So whoever lets the time pass (see `World.skip_to`) may handle it on the way with `World.step`. It may be set for
    several times at once, and rings at each.
    """

    __slots__ = ("_clock", "action")

    def __init__(self, world: World, action: Callable[[], None]) -> None:
        """Keep what to do when it rings."""
        self._clock = world.clock
        self.action = action

    def set(self, delay_s: float) -> None:
        """Ring ``delay_s`` from now."""
        clock = self._clock
        clock.wake_at(clock._now + delay_s, USUAL, self)  # noqa: SLF001 - as World.now_s
