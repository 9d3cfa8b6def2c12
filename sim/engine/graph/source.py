"""Where tasks come from: arrivals of a process, users who wait for their answers, or all at the beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.engine.arrivals import arrival_times, durations
from sim.engine.graph.state import Workload
from sim.engine.random import fold, word
from sim.plan.graph import varies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.engine.graph.player import Player
    from sim.engine.graph.state import Task
    from sim.engine.world import World
    from sim.plan.graph import GraphPlan
    from sim.spec.tasks import TasksSpec


class TaskSource:
    """One workload of tasks while it is played."""

    def __init__(self, world: World, player: Player, spec: TasksSpec, index: int, graph: GraphPlan) -> None:
        """Take the world, who plays tasks, what the scenario says, and the place of the workload in it."""
        self.world = world
        self.player = player
        self.spec = spec
        self.coming = True
        """Whether tasks may still come."""
        self.outstanding = self.begun = 0
        self.on_over: Callable[[], None] = _nobody_cares
        """Called when the last task is done with."""
        asked = varies(spec.input)
        key = fold(fold(world.streams.seed), word(spec.label))
        workload = self.workload = Workload(spec.label, index, graph, key, asked.fixed, asked.at)
        workload.tenant = spec.tenant or ""
        workload.priority = spec.priority
        workload.time_out_s = spec.time_out
        workload.concurrency = spec.concurrency
        workload.done = self._done
        if spec.prefix is not None:
            workload.prefix_tokens, workload.prefix_groups = spec.prefix.tokens, spec.prefix.groups
        self._most = spec.count

    def start(self) -> None:
        """Let tasks come from the time that the scenario says."""
        spec, arrivals = self.spec, self.spec.arrivals
        delay_s = spec.at - self.world.now_s
        if arrivals is not None and arrivals.closed is not None:
            users = arrivals.closed.users
            self._think = durations(self.world.streams, f"{spec.label}/think", arrivals.closed.think)
            self.world.after(delay_s, lambda: self._begin_users(users))
            if spec.window_s is not None:
                self.world.after(delay_s + spec.window_s, self._stop)
            return
        self._times = self._arrivals()
        self._next_s = next(self._times, None)
        if self._next_s is None:
            self.world.after(0.0, self._stop)
        else:
            self.world.after(self._next_s - self.world.now_s, self._arrive)

    def _arrivals(self) -> Iterator[float]:
        """Give the times at which tasks come."""
        spec, arrivals = self.spec, self.spec.arrivals
        if arrivals is None:
            assert self._most is not None
            for _ in range(self._most):
                yield spec.at
            return
        end_s = spec.window_s
        left = self._most
        for chunk in arrival_times(self.world.streams, spec.label, arrivals):
            for time_s in chunk.tolist():
                if left == 0 or (end_s is not None and time_s >= end_s):
                    return
                left = None if left is None else left - 1
                yield spec.at + time_s

    def _arrive(self) -> None:
        """Begin the tasks of this instant, and wake up for the next."""
        now_s = self.world.now_s
        while self._next_s is not None:
            if self._next_s > now_s:
                self.world.after(self._next_s - now_s, self._arrive)
                return
            following_s = next(self._times, None)
            self.coming = following_s is not None
            self._next_s = following_s
            self._begin()

    def _begin(self) -> None:
        number = self.begun
        self.begun += 1
        self.outstanding += 1
        self.player.arrive(self.workload, number)

    def _begin_users(self, users: int) -> None:
        for _ in range(users):
            self.world.after(next(self._think), self._ask)

    def _ask(self) -> None:
        if self.coming:
            self.coming = self.begun + 1 != self._most
            self._begin()

    def _stop(self) -> None:
        self.coming = False
        if not self.outstanding:
            self.on_over()

    def _done(self, task: Task) -> None:  # noqa: ARG002 - its row is written already
        self.outstanding -= 1
        if self.coming:
            if self.spec.arrivals is not None and self.spec.arrivals.closed is not None:
                self.world.after(next(self._think), self._ask)
        elif not self.outstanding:
            self.on_over()


def _nobody_cares() -> None:
    pass
