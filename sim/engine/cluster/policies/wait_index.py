"""Jobs that wait, in their order, so indexed that the first one that fits a gap is found without a look at all."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.engine.cluster.job import Devices, Job

_CLASSES_TO_AN_OCTAVE = 8
"""Classes of width above 8; up to there each width is one."""
ENDLESS_S, _UNKNOWN_S = 1.5e308, 1.6e308
"""The longest gap that can be asked for, and the length of a job that nobody knows: it fits no gap."""
_TIDY_AT = 4096
"""Places of jobs that left before the list of all moves up."""


class WaitIndex:
    """A queue that answers: which is the first job at most this wide and this long, or at most that wide.

    Jobs of like width share a lane; each lane is a tree of the shortest estimate over its places, so that the first
    short one is found from the top down. The cost of a query grows with the number of lanes that could answer it, and
    with the logarithm of the queue.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._lanes: dict[Devices, _Lane] = {}
        self._lane_of: dict[Devices, _Lane] = {}
        self._order: list[_Lane] = []
        self._narrowest: list[Devices] = []
        """Narrowest width of each lane, in order."""
        self._shortest: list[float] = []
        """Shortest estimate of each lane, in order: looked at before the lane is."""
        self._all: list[Job | None] = []
        self._head = 0
        self._count = 0
        self._gone = 0

    def __len__(self) -> int:
        """Give how many jobs wait."""
        return len(self._all) - self._gone

    @property
    def head(self) -> Job | None:
        """The first job; none where nobody waits."""
        return self._all[self._head] if self._head < len(self._all) else None

    def add(self, job: Job) -> None:
        """Put a job at the end."""
        lane = self._lane_of.get(job.devices) or self._open(job.devices)
        self._count += 1
        lane.add(self._count, job)
        lane.listed[job.number] = len(self._all)
        self._shortest[lane.index] = lane.shortest[1]
        self._all.append(job)

    def remove(self, job: Job) -> None:
        """Take a job out."""
        lane = self._lane_of[job.devices]
        lane.remove(job)
        self._shortest[lane.index] = lane.shortest[1]
        place, jobs = lane.listed.pop(job.number), self._all
        jobs[place] = None
        self._gone += 1
        if place == self._head:
            place += 1
            count = len(jobs)
            while place < count and jobs[place] is None:
                place += 1
            self._head = place
        if self._gone > _TIDY_AT and 2 * self._gone > len(jobs):
            self._tidy()

    def hide(self, job: Job) -> None:
        """Leave a job out of queries until it is shown again."""
        lane = self._lane_of[job.devices]
        lane.hide(job)
        self._shortest[lane.index] = lane.shortest[1]

    def show(self, job: Job) -> None:
        """Let queries find a job again."""
        lane = self._lane_of[job.devices]
        lane.show(job)
        self._shortest[lane.index] = lane.shortest[1]

    def first(self, width: Devices, longest_s: float, narrow: Devices) -> Job | None:
        """Give the first job that is at most ``width`` wide, and at most ``longest_s`` long or ``narrow`` wide.

        ``longest_s`` is at most `ENDLESS_S`, which no job of unknown length keeps.
        """
        best: Job | None = None
        best_count = math.inf
        order, shortest = self._order, self._shortest
        fits = bisect_right(self._narrowest, width)
        beside = bisect_right(self._narrowest, narrow) if narrow > 0 else 0
        for index in range(fits):
            if index >= beside:
                if shortest[index] > longest_s:
                    continue
                lane = order[index]
                if lane.widest <= width:
                    # The usual case, here rather than in a call: the first that is short enough, from the top down.
                    at, size, tree = 1, lane.size, lane.shortest
                    while at < size:
                        at += at
                        if tree[at] > longest_s:
                            at += 1
                    at -= size
                    if lane.counts[at] < best_count:
                        best_count, best = lane.counts[at], lane.jobs[at]
                    continue
            else:
                lane = order[index]
            place = lane.first(width, longest_s, narrow)
            if place >= 0 and lane.counts[place] < best_count:
                best_count, best = lane.counts[place], lane.jobs[place]
        return best

    def _open(self, width: Devices) -> _Lane:
        """Find the lane of a width that was not met before."""
        key = width if width <= _CLASSES_TO_AN_OCTAVE else -int(_CLASSES_TO_AN_OCTAVE * math.log2(width))
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(width)
            self._order.append(lane)
        lane.narrowest, lane.widest = min(lane.narrowest, width), max(lane.widest, width)
        self._lane_of[width] = lane
        self._order.sort(key=lambda each: each.narrowest)
        for index, each in enumerate(self._order):
            each.index = index
        self._narrowest = [each.narrowest for each in self._order]
        self._shortest = [each.shortest[1] for each in self._order]
        return lane

    def _tidy(self) -> None:
        """Move the list of all up to the front."""
        self._all = [job for job in self._all if job is not None]
        self._head = self._gone = 0
        for place, job in enumerate(self._all):
            if job is not None:
                self._lane_of[job.devices].listed[job.number] = place


class _Lane:
    """Jobs of like width in order, under a tree of minima; the tree stands in one list, its root at 1."""

    __slots__ = ("counts", "index", "jobs", "listed", "narrowest", "place", "shortest", "size", "widest", "widths")

    def __init__(self, width: Devices) -> None:
        """Begin empty."""
        self.narrowest = self.widest = width
        self.index = 0
        self.listed: dict[int, int] = {}
        self.widths: list[Devices] = []
        self._clear(8)

    def add(self, count: int, job: Job) -> None:
        """Put a job at the end; ``count`` orders it among the jobs of all lanes."""
        place = len(self.jobs)
        if place == self.size:
            self._make_room()
            place = len(self.jobs)
        self.place[job.number] = place
        self.jobs.append(job)
        self.counts.append(count)
        self._set(place, job)

    def remove(self, job: Job) -> None:
        """Take a job out."""
        self.hide(job)
        self.jobs[self.place.pop(job.number)] = None

    def show(self, job: Job) -> None:
        """Put a hidden job back into the tree."""
        self._set(self.place[job.number], job)

    def hide(self, job: Job) -> None:
        """Take a job out of the tree."""
        place = self.place[job.number]
        at, tree = place + self.size, self.shortest
        tree[at] = math.inf
        at >>= 1
        while at:
            left, right = tree[2 * at], tree[2 * at + 1]
            least = left if left < right else right  # noqa: FURB136 - min() takes three times as long
            if tree[at] == least:
                break
            tree[at] = least
            at >>= 1
        if self.narrowest != self.widest:
            self._set_width(place, _WIDE)

    def first(self, width: Devices, longest_s: float, narrow: Devices) -> int:
        """Give the first place that fits; -1 where none does."""
        size, tree = self.size, self.shortest
        if self.widest <= narrow:
            longest_s = _LONG
        elif self.widest > width or self.narrowest <= narrow:
            return self._search(width, longest_s, narrow)
        if tree[1] > longest_s:
            return -1
        at = 1
        while at < size:
            at *= 2
            if tree[at] > longest_s:
                at += 1
        return at - size

    def _search(self, width: Devices, longest_s: float, narrow: Devices) -> int:
        """Search a lane that only some widths of which fit: a node that may hold an answer need not hold one."""
        size, tree, widths = self.size, self.shortest, self.widths
        stack = [1]
        while stack:
            at = stack.pop()
            least = widths[at]
            if least > width or (tree[at] > longest_s and least > narrow):
                continue
            if at >= size:
                return at - size
            stack.append(2 * at + 1)
            stack.append(2 * at)
        return -1

    def _set(self, place: int, job: Job) -> None:
        at, tree, estimate_s = place + self.size, self.shortest, min(job.estimate_s, _UNKNOWN_S)
        while at and tree[at] > estimate_s:
            tree[at] = estimate_s
            at >>= 1
        if self.widths:
            self._set_width(place, job.devices)
        elif self.narrowest != self.widest:
            # The lane has met its second width: from now on it keeps them.
            self.widths = [_WIDE] * (2 * self.size)
            for other, each in enumerate(self.jobs):
                if each is not None:
                    self._set_width(other, each.devices)

    def _set_width(self, place: int, width: Devices) -> None:
        at, tree = place + self.size, self.widths
        if not tree:
            return
        tree[at] = width
        at >>= 1
        while at:
            left, right = tree[2 * at], tree[2 * at + 1]
            least = left if left < right else right  # noqa: FURB136 - min() takes three times as long
            if tree[at] == least:
                break
            tree[at] = least
            at >>= 1

    def _clear(self, size: int) -> None:
        self.size = size
        self.shortest = [math.inf] * (2 * size)
        self.widths = [_WIDE] * (2 * size) if self.narrowest != self.widest else []
        self.jobs: list[Job | None] = []
        self.counts: list[int] = []
        self.place: dict[int, int] = {}

    def _make_room(self) -> None:
        """Close the gaps; twice the room where most of it is taken."""
        kept = [(count, job) for count, job in zip(self.counts, self.jobs, strict=True) if job is not None]
        self._clear(2 * self.size if 2 * len(kept) > self.size else self.size)
        for count, job in kept:
            self.add(count, job)


_WIDE = 1 << 62
_LONG = 1.7e308
"""Longer than any estimate, and shorter than the place of a job that left."""
