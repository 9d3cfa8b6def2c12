"""Which node has how many devices free: nodes by free count, so that no question looks at every node.

Two forms with one interface: buckets by free count for many small nodes, one scan for few large ones.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt


class FreeIndex(Protocol):
    """Nodes of one pool by the devices that are free on them."""

    total: int
    """Free devices of the pool."""

    def moved(self, node: int, old: int, new: int) -> None:
        """Note that a node has `new` free devices now."""

    def first(self, least: int) -> int:
        """Give the lowest node with at least that many free devices, or -1."""

    def fullest(self, least: int) -> int:
        """Give the node with the fewest free devices among those with at least `least` (the lowest), or -1."""

    def emptiest(self, least: int) -> int:
        """Give the node with the most free devices (the lowest), or -1 where even that has fewer than `least`."""

    def by_free(self) -> Iterable[tuple[int, int]]:
        """Give each free count above 0 with the number of nodes that have it."""


class Buckets:
    """A heap of nodes for each free count; what a heap says of a node holds only while the node still has that count.

    A node is at most once in each heap, so that heaps stay as short as the pool is long.
    """

    def __init__(self, first: int, free: npt.NDArray[np.int64], most: int) -> None:
        """Take nodes `first`, `first + 1`, ... with these free counts; no node ever has more than `most`."""
        self._first_node = first
        self._free = free.data
        self._heaps: list[list[int]] = [[] for _ in range(most + 1)]
        self._is_in = [bytearray(len(free)) for _ in range(most + 1)]
        self._nodes = [0] * (most + 1)
        self.total = int(free.sum())
        for place, count in enumerate(free.tolist()):
            self._heaps[count].append(place)
            self._is_in[count][place] = 1
            self._nodes[count] += 1
        for heap in self._heaps:
            heapify(heap)

    def moved(self, node: int, old: int, new: int) -> None:
        """Note that a node has `new` free devices now."""
        place = node - self._first_node
        self.total += new - old
        self._nodes[old] -= 1
        self._nodes[new] += 1
        if not self._is_in[new][place]:
            self._is_in[new][place] = 1
            heappush(self._heaps[new], place)

    def _top(self, count: int) -> int:
        """Give the lowest place with exactly that many free devices, which must exist."""
        heap, free, is_in = self._heaps[count], self._free, self._is_in[count]
        while free[heap[0]] != count:
            is_in[heappop(heap)] = 0
        return heap[0]

    def first(self, least: int) -> int:
        """Give the lowest node with room, or -1."""
        counts = self._nodes
        tops = [self._top(count) for count in range(least, len(counts)) if counts[count]]
        return min(tops) + self._first_node if tops else -1

    def fullest(self, least: int) -> int:
        """Give the node with the fewest free devices that has room, or -1."""
        counts = self._nodes
        for count in range(least, len(counts)):
            if counts[count]:
                return self._top(count) + self._first_node
        return -1

    def emptiest(self, least: int) -> int:
        """Give the node with the most free devices, or -1."""
        counts = self._nodes
        for count in range(len(counts) - 1, least - 1, -1):
            if counts[count]:
                return self._top(count) + self._first_node
        return -1

    def by_free(self) -> Iterable[tuple[int, int]]:
        """Give each free count above 0 with its number of nodes."""
        return [(count, nodes) for count, nodes in enumerate(self._nodes) if count and nodes]


class Scan:
    """Few nodes with many devices: looking at each is faster than a bucket for each count."""

    def __init__(self, first: int, free: npt.NDArray[np.int64]) -> None:
        """Take nodes `first`, `first + 1`, ... with these free counts."""
        self._first_node = first
        self._free = free.tolist()
        self.total = int(free.sum())

    def moved(self, node: int, old: int, new: int) -> None:
        """Note that a node has `new` free devices now."""
        self.total += new - old
        self._free[node - self._first_node] = new

    def first(self, least: int) -> int:
        """Give the lowest node with room, or -1."""
        for place, count in enumerate(self._free):
            if count >= least:
                return place + self._first_node
        return -1

    def fullest(self, least: int) -> int:
        """Give the node with the fewest free devices that has room, or -1."""
        found = min(((count, place) for place, count in enumerate(self._free) if count >= least), default=(0, -1))
        return found[1] + self._first_node if found[1] >= 0 else -1

    def emptiest(self, least: int) -> int:
        """Give the node with the most free devices, or -1."""
        count, place = max((count, -place) for place, count in enumerate(self._free))
        return self._first_node - place if count >= least else -1

    def by_free(self) -> Iterable[tuple[int, int]]:
        """Give each free count above 0 with its number of nodes."""
        return [(count, 1) for count in self._free if count]


def index_of(first: int, free: npt.NDArray[np.int64], most: int) -> FreeIndex:
    """Choose the form that looks at fewer things: free counts, or nodes."""
    return Buckets(first, free, most) if most <= max(len(free), 16) else Scan(first, free)
