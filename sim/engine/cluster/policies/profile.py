"""How many devices will be free when, by the estimates of what runs and by the reservations of what waits."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices


class Profile:
    """A step function of time: devices that are free from each moment on."""

    def __init__(self, devices: Devices) -> None:
        """Begin with everything free for ever."""
        self._times = [-math.inf]
        self._free = [devices]

    def forget_before(self, now_s: float) -> None:
        """Drop what is over."""
        first = bisect_right(self._times, now_s) - 1
        if first > 0:
            del self._times[:first], self._free[:first]
            self._times[0] = -math.inf

    def add(self, begin_s: float, end_s: float, devices: Devices) -> None:
        """Free so many devices more between two moments; fewer where the number is negative."""
        if end_s <= begin_s or not devices:
            return
        first, last = self._cut(begin_s), self._cut(end_s)
        for index in range(first, last):
            self._free[index] += devices
        self._join(last)
        self._join(first)

    def earliest(self, now_s: float, devices: Devices, duration_s: float) -> float:
        """Give the first moment from now on at which so many devices are free for so long."""
        times, free = self._times, self._free
        index = bisect_right(times, now_s) - 1
        begin_s = now_s
        count = len(times)
        while True:
            while free[index] < devices:
                index += 1
                if index == count:
                    return math.inf
                begin_s = times[index]
            end_s = begin_s + duration_s
            ahead = index + 1
            while ahead < count and times[ahead] < end_s and free[ahead] >= devices:
                ahead += 1
            if ahead == count or times[ahead] >= end_s:
                return begin_s
            index = ahead

    def _cut(self, time_s: float) -> int:
        """Give the index of the step that begins at this time; make one where there is none."""
        index = bisect_left(self._times, time_s)
        if index == len(self._times) or self._times[index] != time_s:
            self._times.insert(index, time_s)
            self._free.insert(index, self._free[index - 1])
        return index

    def _join(self, index: int) -> None:
        if 0 < index < len(self._times) and self._free[index] == self._free[index - 1]:
            del self._times[index], self._free[index]
