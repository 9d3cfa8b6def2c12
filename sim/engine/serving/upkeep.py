"""What changes the replicas of a group during a run: load that comes and goes, and failures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.engine.world import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.engine.serving.group import Group
    from sim.engine.serving.options import Failures, Scaling
    from sim.engine.world import World


class Autoscaler:
    """Looks at the load from time to time: more replicas at once, fewer once fewer have sufficed for a while."""

    def __init__(
        self, world: World, group: Group, scaling: Scaling, begin_s: float, outstanding: Callable[[], int]
    ) -> None:
        """Begin to look, after so many seconds and one time more between two looks."""
        self._world = world
        self._group = group
        self._scaling = scaling
        self._outstanding = outstanding
        self._fewer_since_s = math.inf
        self._alarm = Alarm(world, self._look)
        self._alarm.set(begin_s + scaling.every_s)

    def stop(self) -> None:
        """Look no more."""
        self._alarm.clear()

    def _look(self) -> None:
        scaling, group, now_s = self._scaling, self._group, self._world.now_s
        wanted = math.ceil(self._outstanding() / scaling.target)
        wanted = min(max(wanted, scaling.least), scaling.most)
        here = group.count("up", "starting", "down", "waiting")
        if wanted < here:
            self._fewer_since_s = min(self._fewer_since_s, now_s)
            if now_s - self._fewer_since_s >= scaling.keep_s:
                group.leave(min(here - wanted, group.count("up", "waiting") - 1))
                self._fewer_since_s = math.inf
        else:
            self._fewer_since_s = math.inf
            group.start(min(wanted - here, scaling.most - here - group.count("leaving")))
        self._alarm.set(scaling.every_s)


class Breaker:
    """Lets replicas fail at random times, each by a stream of its own."""

    def __init__(
        self,
        world: World,
        group: Group,
        failures: Failures,
        most_replicas: int,
    ) -> None:
        """Begin; replicas that start later fail as well, ``most_replicas`` in all."""
        self._world = world
        self._group = group
        self._failures = failures
        self._rate_per_s = failures.rate_per_s * group.plan.devices
        self._gaps: list[Iterator[float]] = []
        self._stopped = False
        self.failures = 0
        if self._rate_per_s:
            for place in range(most_replicas):
                self._watch(place)

    def stop(self) -> None:
        """Let nothing fail any more."""
        self._stopped = True

    def _watch(self, place: int) -> None:
        self._gaps.append(self._world.streams.exponential(f"failures of {self._group.name} {place}"))
        self._next(place)

    def _next(self, place: int) -> None:
        self._world.after(next(self._gaps[place]) / self._rate_per_s, lambda: self._fail(place))

    def _fail(self, place: int) -> None:
        """A replica that is not there cannot fail: its hazard goes on all the same."""
        if self._stopped:
            return
        if not self._group.is_up(place):
            self._next(place)
            return
        self.failures += 1
        running = self._group.fail(place)
        self._world.after(self._failures.repair_s, lambda: self._repair(place))
        self._group.send_again(self._group, running)

    def _repair(self, place: int) -> None:
        if not self._stopped:
            self._group.repair(place)
            self._next(place)
