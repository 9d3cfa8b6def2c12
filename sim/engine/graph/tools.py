"""Tools: calls that take time outside the accelerators, so many at once, the others in the order in which they came."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.engine.world import World
    from sim.plan.graph import ToolPlan

QUEUED, RUNNING, DONE = range(3)


class ToolCall:
    """One call of a tool."""

    __slots__ = ("begun_s", "done", "fails", "holder", "latency_s", "queued_s", "run", "state", "timed_out_s")

    def __init__(
        self,
        holder: object,
        run: int,
        latency_s: float,
        timed_out_s: float,
        done: Callable[[ToolCall], None],
        *,
        fails: bool,
    ) -> None:
        """Take whom it is for, how long it takes, when it is given up (infinity: never) and whether it fails."""
        self.holder = holder
        self.run = run
        self.latency_s = latency_s
        self.timed_out_s = timed_out_s
        self.done = done
        self.fails = fails
        self.state = QUEUED
        self.queued_s = self.begun_s = -1.0
        """When it began to wait for its turn, and to run; -1 before."""


class ToolPool:
    """All calls of one tool."""

    def __init__(self, world: World, plan: ToolPlan) -> None:
        """Begin idle."""
        self.plan = plan
        self._world = world
        self._most = plan.concurrency
        self._waiting: deque[ToolCall] = deque()
        self.running = 0
        self.calls = 0
        """Calls that came to an end, failed and timed out ones included."""
        self.failed = 0
        self.busy_s = 0.0
        """Seconds that calls took, summed over them, the queue left out."""
        self.queued_s = 0.0

    def submit(self, call: ToolCall) -> None:
        """Begin a call, or let it wait for its turn."""
        if self._most is None or self.running < self._most:
            self._begin(call, 0.0)
            return
        world = self._world
        call.queued_s = world.now_s
        self._waiting.append(call)
        if call.timed_out_s < float("inf"):
            world.after(call.timed_out_s - world.now_s, partial(self._gives_up, call))

    def cancel(self, call: ToolCall) -> None:
        """Give a call up; its place is free at once."""
        if call.state == RUNNING:
            self.busy_s += self._world.now_s - call.begun_s
            self._leave()
        call.state = DONE

    def _begin(self, call: ToolCall, queued_s: float) -> None:
        now_s = self._world.now_s
        call.state = RUNNING
        call.begun_s = now_s
        self.queued_s += queued_s
        self.running += 1
        latency_s = call.latency_s
        if now_s + latency_s > call.timed_out_s:
            latency_s = call.timed_out_s - now_s
            call.fails = True
        self._world.after(latency_s, partial(self._ends, call))

    def _ends(self, call: ToolCall) -> None:
        if call.state != RUNNING:
            return
        self.busy_s += self._world.now_s - call.begun_s
        self._finish(call)
        self._leave()

    def _finish(self, call: ToolCall) -> None:
        call.state = DONE
        self.calls += 1
        if call.fails:
            self.failed += 1
        call.done(call)

    def _gives_up(self, call: ToolCall) -> None:
        if call.state == QUEUED:
            call.fails = True
            self._finish(call)

    def _leave(self) -> None:
        self.running -= 1
        waiting = self._waiting
        while waiting and (self._most is None or self.running < self._most):
            call = waiting.popleft()
            if call.state == QUEUED:
                self._begin(call, self._world.now_s - call.queued_s)
