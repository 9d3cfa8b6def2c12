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


USUAL, LAST = simpy.events.NORMAL, simpy.events.EventPriority(2)
"""Of the wake-ups at one instant the last come after all others: iterations see every arrival of their instant."""


class _Clock(simpy.Environment):
    """SimPy's clock, which also holds plain wake-ups, rings at exact times and passes over time without any.

    A wake-up is its action itself, or an alarm: a timeout costs five times as much, and a service has some for each
    request.
    """

    def wake_at(self, time_s: float, priority: simpy.events.EventPriority, wake_up: Alarm | Callable[[], None]) -> int:
        """Handle a wake-up at exactly this time, as now + (time - now) may be another float; give its number."""
        if not self._now <= time_s < math.inf:
            raise ConservationError(f"a wake-up for {time_s!r} s is set at {self._now!r} s")
        number = next(self._eid)
        heappush(self._queue, (time_s, priority, number, wake_up))  # type: ignore[misc] # see step
        return number

    def skip_to(self, time_s: float) -> bool:
        """Let the time pass, unless something is set to happen by then; tell whether it passed."""
        queue = self._queue
        if queue and queue[0][0] <= time_s:
            return False
        self._now = time_s
        return True

    def step(self) -> None:
        """Handle the next wake-up, ours or SimPy's."""
        queue: list[Any] = self._queue
        if not queue or isinstance(queue[0][3], simpy.Event):
            super().step()
            return
        self._now, _, number, wake_up = heappop(queue)
        if type(wake_up) is not Alarm:
            wake_up()
        elif wake_up.number == number:
            wake_up.action()


class World:
    """A clock that jumps from wake-up to wake-up; the only thing in the simulator that has one.

    Wake-ups at one instant come in the order in which they were set.
    """

    def __init__(self, capacity: int, seed: int, max_events: int = MAX_EVENTS) -> None:
        """Begin at time 0 with ``capacity`` free devices."""
        self.environment = _Clock(0.0)
        self.streams = Streams(seed)
        self.ledger = Ledger(capacity)
        self.max_events = max_events
        self.skip_to = self.environment.skip_to
        """Let time pass until then without a wake-up, unless one is set by then; tells whether it passed."""
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
        return self.environment._now  # noqa: SLF001 - asked for several times a request; a property of SimPy's costs twice

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call the action once, ``delay_s`` from now; it cannot be called off (an `Alarm` can)."""
        clock = self.environment
        clock.wake_at(clock._now + delay_s, USUAL, action)  # noqa: SLF001 - as above

    def run_until(self, finished: Callable[[], bool]) -> None:
        """Handle wake-ups until the condition holds.

        Raises:
            LimitError: more than ``max_events`` wake-ups.
            ConservationError: nothing is left to wake up and the condition does not hold.
        """
        step = self.environment.step
        self.finished = finished
        while not finished():
            if self.events >= self._next_look:
                self.show()
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
        self._next_look = 0
        self.show()

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
        self._clock = world.environment
        self.action = action
        self.number = -1

    def set(self, delay_s: float) -> None:
        """Ring once, ``delay_s`` from now, instead of whenever it would have rung."""
        self.number = self._clock.wake_at(self._clock.now + delay_s, USUAL, self)

    def set_at(self, time_s: float) -> None:
        """Ring once at exactly this time, after all else that happens at that instant, instead of whenever else."""
        self.number = self._clock.wake_at(time_s, LAST, self)

    def clear(self) -> None:
        """Do not ring."""
        self.number = -1
