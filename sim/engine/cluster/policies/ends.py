"""When devices come free, by the estimates of the jobs that run."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices

_Entry: TypeAlias = "tuple[float, int, Devices]"

_LARGEST = 512
"""Ends in a block before it is cut in two."""


class Ends:
    """Estimated ends in order, in blocks that know their sum of devices."""

    def __init__(self) -> None:
        """Begin with nothing running."""
        self._blocks: list[list[_Entry]] = [[]]
        self._firsts: list[_Entry] = [(0.0, 0, 0)]
        self._devices: list[Devices] = [0]
        self._entry: dict[int, _Entry] = {}

    def add(self, number: int, end_s: float, devices: Devices) -> None:
        """Note that a job is estimated to end then."""
        entry = self._entry[number] = (end_s, number, devices)
        index = self._block_of(entry)
        block = self._blocks[index]
        insort(block, entry)
        self._firsts[index] = block[0]
        self._devices[index] += devices
        if len(block) > _LARGEST:
            half = len(block) // 2
            self._blocks[index : index + 1] = [block[:half], block[half:]]
            self._firsts[index : index + 1] = [block[0], block[half]]
            moved = sum(entry[2] for entry in block[half:])
            self._devices[index : index + 1] = [self._devices[index] - moved, moved]

    def remove(self, number: int) -> float:
        """Note that a job has ended, and give when it was estimated to."""
        entry = self._entry.pop(number)
        index = self._block_of(entry)
        block = self._blocks[index]
        del block[bisect_left(block, entry)]
        self._devices[index] -= entry[2]
        if block:
            self._firsts[index] = block[0]
        elif len(self._blocks) > 1:
            del self._blocks[index], self._firsts[index], self._devices[index]
        return entry[0]

    def when(self, devices: Devices) -> tuple[float, Devices]:
        """Give the earliest time by which so many devices have come free, and how many have by then.

        All ends at that time count, whatever their order.
        """
        freed: Devices = 0
        index = 0
        while index < len(self._blocks) - 1 and freed + self._devices[index] < devices:
            freed += self._devices[index]
            index += 1
        end_s = None
        for block in self._blocks[index:]:
            for entry in block:
                if end_s is not None and entry[0] > end_s:
                    return end_s, freed
                freed += entry[2]
                if end_s is None and freed >= devices:
                    end_s = entry[0]
        return (float("inf") if end_s is None else end_s), freed

    def _block_of(self, entry: _Entry) -> int:
        if len(self._firsts) == 1:
            return 0
        index = bisect_left(self._firsts, entry)
        if index < len(self._firsts) and self._firsts[index] == entry:
            return index
        return max(index - 1, 0)
