"""How badly free devices are scattered: what the jobs that come could not use of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import UsageError
from sim.plan.placement import WHOLE_MILLI, ClusterState, pools_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sim.plan.placement_shares import SharedDevices


@dataclass(frozen=True, slots=True)
class Fragmentation:
    """Free devices, and how many of them the mean job of a mix could not use."""

    free_devices: float
    """Whole ones, and what is left of shared ones."""
    unusable_devices: float

    @property
    def share(self) -> float:
        """Give the part of the free devices that the mean job cannot use; 0 where nothing is free."""
        return self.unusable_devices / self.free_devices if self.free_devices else 0.0


def fragmentation(
    state: ClusterState,
    mix: Sequence[tuple[float, float]],
    *,
    pool: str | None = None,
    shared: SharedDevices | None = None,
) -> Fragmentation:
    """Measure the free devices that jobs of a mix cannot use, each job weighted by how often it comes.

    For a job of k whole devices on a node: all that is free on nodes with fewer than k whole free devices, and what
    is left of shared devices everywhere. For a share of a device: what is left of shared devices that is less than
    the share. A job larger than a node is taken as whole nodes. Sums are over nodes that are not down.

    Args:
        state: the cluster.
        mix: devices of a job (below 1: a share of one) and its weight.
        pool: one pool, or all of them.
        shared: devices that are given in shares, where there are any.

    Raises:
        UsageError: a mix without jobs, or a job of no devices.

    Source: Weng, Yang, Yu, Wang, Tang, Yang, Zhang 2023 (USENIX ATC '23), "Beware of Fragmentation", section 3: the
    statistical fragmentation F_n(M) of a node for a workload M, summed over nodes; here for devices alone, since
    processors and memory of hosts are not modelled.
    """
    weights = sum(weight for _, weight in mix)
    if not weights or any(devices <= 0 or weight < 0 for devices, weight in mix):
        raise UsageError("a mix has jobs of more than 0 devices, with weights", value=str(list(mix)))
    free = unusable = 0.0
    for number in pools_of(state.map, pool):
        by_free = list(state.index(number).by_free())
        left = [milli / WHOLE_MILLI for milli in shared.left_milli(number)] if shared is not None else []
        whole = sum(count * nodes for count, nodes in by_free)
        free += whole + sum(left)
        for devices, weight in mix:
            if devices < 1:
                lost = sum(each for each in left if each < devices)
            else:
                least = min(devices, state.map.pools[number].node_devices)
                lost = sum(count * nodes for count, nodes in by_free if count < least) + sum(left)
            unusable += weight / weights * lost
    return Fragmentation(free, unusable)


class FragmentationOverTime:
    """Fragmentation averaged over time: unusable device-seconds over free device-seconds.

    It watches the state, so that every change of free counts, by whomever, closes the time before it.
    """

    def __init__(
        self,
        state: ClusterState,
        mix: Sequence[tuple[float, float]],
        clock: Callable[[], float],
        shared: SharedDevices | None = None,
    ) -> None:
        """Watch a state from now on.

        Args:
            state: the cluster; its ``before_change`` is taken.
            mix: devices that a job needs on one node (one that needs more takes whole nodes, one that needs less than
                1 a share), and its weight.
            clock: gives the present time in s.
            shared: devices that are given in shares, where there are any.

        """
        self._state, self._clock, self._since_s = state, clock, clock()
        self._free_device_s = self._unusable_device_s = 0.0
        total = sum(weight for _, weight in mix)
        self._lost = [
            [
                sum(weight for least, weight in mix if min(least, pool.node_devices) > count) / total * count
                for count in range(pool.node_devices + 1)
            ]
            for pool in state.map.pools
        ]
        self._shared = shared
        left = np.arange(WHOLE_MILLI + 1) / WHOLE_MILLI
        self._left_lost = left * sum(weight / total * (left < min(least, 1.0)) for least, weight in mix)
        """What the mean job cannot use of a shared device, by the thousandths left of it."""
        state.before_change = self.settle

    def settle(self) -> None:
        """Close the time until now, in which nothing changed."""
        now_s = self._clock()
        elapsed_s = now_s - self._since_s
        if not elapsed_s:
            return
        self._since_s = now_s
        for number, lost in enumerate(self._lost):
            index = self._state.index(number)
            self._free_device_s += elapsed_s * index.total
            self._unusable_device_s += elapsed_s * sum(lost[count] * nodes for count, nodes in index.by_free())
        if self._shared is not None and self._shared.is_used:
            left = self._shared.by_left
            self._free_device_s += elapsed_s * float(left @ np.arange(WHOLE_MILLI + 1)) / WHOLE_MILLI
            self._unusable_device_s += elapsed_s * float(left @ self._left_lost)

    @property
    def share(self) -> float:
        """Give the average so far; 0 where nothing was ever free."""
        return self._unusable_device_s / self._free_device_s if self._free_device_s else 0.0
