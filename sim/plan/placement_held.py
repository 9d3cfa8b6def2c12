"""How full each part of a cluster is over time: the devices of each pod, leaf, domain or node that are not free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.plan.placement import NODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sim.plan.placement import ClusterMap, ClusterState

MOST_PARTS = 64
"""Parts that a picture tells apart; the level is the nearest that has no more of them."""
MOST_SAMPLES = 512


@dataclass(frozen=True, slots=True)
class HeldSamples:
    """How full each part was at equal distances in time."""

    parts: tuple[str, ...]
    """Names: "leaf 3"."""
    time_s: NDArray[np.float64]
    share: NDArray[np.float64]
    """Devices that are held or down over devices, by moment and part."""


class HeldOverTime:
    """Looks at a state at equal distances in time, which double when there are too many of them.

    It watches the state, so that what it sees at a moment is exact, however long nothing changes; a look costs as much
    as the nodes are many, but there are few looks.
    """

    def __init__(self, state: ClusterState, clock: Callable[[], float], every_s: float = 1.0) -> None:
        """Watch a state from now on, beside whoever watches it already.

        Args:
            state: the cluster; its ``before_change`` is taken.
            clock: gives the present time in s.
            every_s: first distance between two looks.

        """
        self._state, self._clock, self._every_s = state, clock, every_s
        self._level = level_of(state.map)
        self._starts = state.map.bounds[self._level][:-1]
        self._capacity = np.add.reduceat(state.map.capacity, self._starts)
        self._seen: list[NDArray[np.float64]] = []
        other = state.before_change

        def watch() -> None:
            if other is not None:
                other()
            self.settle()

        state.before_change = watch

    def settle(self) -> None:
        """Look at the moments that have passed since the last change."""
        now_s = self._clock()
        if len(self._seen) * self._every_s >= now_s:
            return
        share = 1.0 - np.add.reduceat(self._state.free, self._starts) / self._capacity
        while len(self._seen) * self._every_s < now_s:
            if len(self._seen) == MOST_SAMPLES:
                self._seen = self._seen[::2]
                self._every_s *= 2
            else:
                self._seen.append(share)

    @property
    def samples(self) -> HeldSamples | None:
        """Give what was seen; None where there is one part alone, or nothing was seen."""
        if len(self._starts) == 1 or not self._seen:
            return None
        return HeldSamples(
            tuple(f"{self._level} {place}" for place in range(len(self._starts))),
            np.arange(len(self._seen), dtype=np.float64) * self._every_s,
            np.array(self._seen, dtype=np.float64),
        )


def level_of(cluster: ClusterMap) -> str:
    """Give the nearest level with few enough groups to be told apart; the widest where each has too many."""
    levels = (NODE, *cluster.levels)
    return next((level for level in levels if len(cluster.bounds[level]) - 1 <= MOST_PARTS), levels[-1])
