"""Shares of one device for small services: thousandths of it, several tenants on one device.

A shared device is a whole device that is held; what is left of it is a number in a sorted list, so that the device
with the least room that still holds a share is one look-up. It goes back to its node when its last share goes.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import UsageError
from sim.plan.placement import WHOLE_MILLI, Allocation, ClusterState, pools_of
from sim.plan.placement_rules import place, release

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class SharedDevices:
    """The devices of a cluster that are given in shares; all other devices stay with the state that it draws on."""

    def __init__(self, state: ClusterState) -> None:
        """Begin without shared devices."""
        self.state = state
        self._room: list[list[tuple[int, int, int]]] = [[] for _ in state.map.pools]
        """Of each pool: thousandths left, node, number of the device; sorted."""
        self.by_left: npt.NDArray[np.float64] = np.zeros(WHOLE_MILLI + 1)
        """Shared devices by the thousandths left of them; floats, because products of floats are the fast ones."""
        self.is_used = False
        """Whether any device was ever shared."""
        self._left: dict[int, int] = {}
        self._device: dict[int, Allocation] = {}

    def fits(self, milli: int, pool: str) -> bool:
        """Tell whether a share has room in a pool, on a shared device or on a free one."""
        number = self.state.map.pool_index[pool]
        if self.state.index(number).total:
            return True
        return any(left >= milli and not self.state.is_down[node] for left, node, _ in reversed(self._room[number]))

    def place(self, milli: int, rule: str = "best", *, pool: str | Sequence[str] | None = None) -> Allocation | None:
        """Give a share of the fullest shared device that has room for it, or of a new one; None where neither is left.

        Args:
            milli: thousandths of a device, 1 to 999; a whole device is placed as one.
            rule: rule by which a whole device is taken for sharing.
            pool: the pool, or several in order of preference.

        Raises:
            UsageError: no such share, rule or pool.

        """
        if not 0 < milli < WHOLE_MILLI:
            raise UsageError(
                "a share is more than nothing and less than a device",
                value=f"{milli} thousandths",
                mend="1 to 999, or a whole device",
            )
        for number in pools_of(self.state.map, pool):
            room = self._room[number]
            for at in range(bisect_left(room, (milli, -1, -1)), len(room)):
                left, node, slot = room[at]
                if not self.state.is_down[node]:
                    self._changes()
                    self.by_left[left] -= 1
                    del room[at]
                    return self._give(number, slot, node, left, milli)
            device = place(self.state, 1, rule, pool=self.state.map.pools[number].name)
            if device is not None:
                self._device[device.number] = device
                return self._give(number, device.number, device.nodes[0], WHOLE_MILLI, milli)
        return None

    def release(self, share: Allocation) -> None:
        """Give a share back; the last one of a device gives the device back to its node.

        Raises:
            UsageError: it is not held.

        """
        self.state.forget(share)
        self._changes()
        slot, (node,) = share.slot, share.nodes
        room = self._room[int(self.state.map.pool_of[node])]
        left = self._left[slot]
        del room[bisect_left(room, (left, node, slot))]
        self.by_left[left] -= 1
        if left + share.milli == WHOLE_MILLI:
            del self._left[slot]
            release(self.state, self._device.pop(slot))
            return
        self._left[slot] = left + share.milli
        self.by_left[left + share.milli] += 1
        insort(room, (left + share.milli, node, slot))

    def left_milli(self, pool: int) -> list[int]:
        """Give what is left of each shared device of a pool whose node is not down, the fullest device first."""
        return [left for left, node, _ in self._room[pool] if not self.state.is_down[node]]

    def _changes(self) -> None:
        """Tell who watches the state that what is left of a shared device changes."""
        if self.state.before_change is not None:
            self.state.before_change()

    def _give(self, pool: int, slot: int, node: int, left: int, milli: int) -> Allocation:
        self.is_used = True
        self._left[slot] = left - milli
        self.by_left[left - milli] += 1
        insort(self._room[pool], (left - milli, node, slot))
        return self.state.record((node,), (0,), slot, milli)
