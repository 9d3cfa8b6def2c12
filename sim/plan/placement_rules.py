"""Rules of placement: which of the free nodes a job gets.

first       the lowest nodes that have room
best        the nodes that the job leaves fewest free devices on
packed      as few nodes as possible; ``packed-domain``, ``packed-leaf``, ``packed-pod``: as few groups of that level,
            the tightest group that holds the whole job
spread      the emptiest nodes, a chunk on each; ``spread-pod`` and so on: the emptiest groups of that level, in turn
topology    the placement over which the job's own collectives cross the fewest levels
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sim.errors import UsageError
from sim.plan.placement import NODE, Allocation, ClusterState, pools_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from sim.plan.placement_index import FreeIndex

Counts: TypeAlias = "dict[int, int]"
"""Devices by node, as they are chosen."""

RULES = ("first", "best", "packed", "spread", "topology")


def place(
    state: ClusterState,
    devices: int,
    rule: str = "packed",
    *,
    chunk: int | None = None,
    pool: str | Sequence[str] | None = None,
    within: str | None = None,
    nested: Sequence[tuple[int, float]] = (),
) -> Allocation | None:
    """Choose devices for a job and take them, or give None where they are not free: all of them or none.

    Args:
        state: the cluster; its free counts change.
        devices: how many.
        rule: one of ``RULES``; packed and spread take a level after a hyphen (``packed-pod``).
        chunk: devices that must share a node; by default as many as the node or the job allows.
        pool: the pool, or several in order of preference; none: any. A job never sits in two.
        within: a level of which one group must hold the whole job, such as "domain" or "pod".
        nested: for ``topology``: devices of the job's groups of collectives, from the innermost to the widest, in
            the order of ranks, and the bytes that one device sends in each.

    Raises:
        UsageError: no such rule, pool or level, or no devices asked for.

    """
    if devices < 1 or (chunk is not None and chunk < 1):
        raise UsageError("a job asks for at least one device", value=f"{devices} devices in chunks of {chunk}")
    kind, _, level = rule.partition("-")
    if kind not in RULES or (level and kind not in ("packed", "spread")):
        raise UsageError(
            "no such rule of placement", value=rule, where="policy.place", mend=f"one of {', '.join(RULES)}"
        )
    level = state.map.level(level or NODE)
    for number in pools_of(state.map, pool):
        size = state.chunk_of(devices, chunk, number)
        is_by_node = within is None and level == NODE and kind != "topology"
        if size == devices and within is None and (is_by_node or kind != "spread"):
            node = _node_for_chunk(state, number, size, kind, level)
            if node < 0:
                continue
            state.take(node, devices)
            return state.record((node,), (devices,))
        if not state.fits_pool(devices, chunk, number):
            continue
        if is_by_node:
            return _node_by_node(state, number, devices, size, kind)
        chosen = _in_groups(_Groups(state, number, size), devices, kind, level, within, nested)
        if chosen is not None:
            nodes = sorted(chosen)
            return state.allocate(nodes, [chosen[node] for node in nodes])
    return None


def release(state: ClusterState, allocation: Allocation) -> None:
    """Give the whole devices of an allocation back.

    Raises:
        UsageError: it is not held.

    """
    state.forget(allocation)
    for node, count in zip(allocation.nodes, allocation.counts, strict=True):
        state.give(node, count)


def levels_crossed(
    state: ClusterState, nodes: Sequence[int], counts: Sequence[int], nested: Sequence[tuple[int, float]]
) -> float:
    """Give bytes x levels crossed of a job's groups of collectives: what the rule ``topology`` makes small.

    A group of s ranks crosses a level when its ranks sit in more than one group of that level; bytes are those that
    one device sends in it. Nodes are in the order of ranks; ``nested`` is as in `place`.
    """
    of_rank = np.repeat(np.asarray(nodes, dtype=np.int64), np.asarray(counts, dtype=np.int64))
    total = 0.0
    for span, sent_bytes in nested:
        starts = np.arange(0, len(of_rank), span)
        last = np.minimum(starts + span, len(of_rank)) - 1
        for level in (NODE, *state.map.levels):
            group = state.map.group_of[level][of_rank]
            total += sent_bytes * float(np.mean(group[starts] != group[last]))
    return total


def _node_for_chunk(state: ClusterState, pool: int, size: int, kind: str, level: str) -> int:
    """Give the node of a job of one chunk, or -1; no level is crossed on one node, so ``topology`` packs."""
    if kind == "packed" and level != NODE:
        return _Groups(state, pool, size).tightest_node(level)
    return _next_node(state.index(pool), "packed" if kind == "topology" else kind, size, size)


def _next_node(index: FreeIndex, kind: str, least: int, left: int) -> int:
    """Give the best node by a rule that has `least` devices free, where `left` are still wanted, or -1."""
    if kind == "first":
        return index.first(least)
    if kind == "best":
        return index.fullest(least)
    node = index.fullest(left) if kind == "packed" else -1
    return node if node >= 0 else index.emptiest(least)


def _node_by_node(state: ClusterState, pool: int, devices: int, size: int, kind: str) -> Allocation:
    """Take node after node, each the next best by the rule; the devices are known to be there."""
    index, left = state.index(pool), devices
    chosen: Counts = {}
    while left:
        least = min(size, left)
        node = _next_node(index, kind, least, left)
        free = state.free_on(node)
        if kind == "spread":
            count = least
        elif kind == "packed" and free >= left:
            count = left
        else:
            count = min(free // least, left // least) * least
        state.take(node, count)
        chosen[node] = chosen.get(node, 0) + count
        left -= count
    nodes = sorted(chosen)
    return state.record(tuple(nodes), tuple(chosen[node] for node in nodes))


def _in_groups(
    groups: _Groups, devices: int, kind: str, level: str, within: str | None, nested: Sequence[tuple[int, float]]
) -> Counts | None:
    """Choose under the rules that look at groups of nodes; None where no one group holds what must be together."""
    if within is not None:
        return groups.in_one(devices, groups.state.map.level(within))
    if kind == "topology":
        return groups.near(devices, nested)
    return groups.spread(devices, level) if kind == "spread" else groups.packed(devices, level)


class _Groups:
    """The groups of one pool at every level, with room counted in chunks of one size."""

    def __init__(self, state: ClusterState, pool: int, size: int) -> None:
        self.state, self._pool, self._size = state, pool, size
        self._ladder = (NODE, *state.map.levels)
        self._whole_pool = state.map.first_node[pool], state.map.first_node[pool + 1]

    def tightest_node(self, level: str) -> int:
        """Give the node for one chunk: in the tightest group of a level, the tightest group below, and so on; or -1."""
        first, last = self.state.map.groups(level, self._pool)
        for number in range(self._ladder.index(level), 0, -1):
            level = self._ladder[number]
            group = _tightest(self._room(level, first, last), 1)
            if group < 0:
                return -1
            start, end = self._nodes(level, first + group)
            inner = self.state.map.group_of[self._ladder[number - 1]]
            first, last = int(inner[start]), int(inner[end - 1]) + 1
        node = _tightest(self.state.free[first:last], self._size)
        return first + node if node >= 0 else -1

    def in_one(self, devices: int, level: str) -> Counts | None:
        """Take the tightest group of a level that holds the whole job, as few groups below it as possible."""
        whole, rest = divmod(devices, self._size)
        first, last = self.state.map.groups(level, self._pool)
        room = self._room(level, first, last)
        group = _tightest(room, whole + (rest > 0))
        if rest and not (group >= 0 and room[group] == whole):
            # A group whose chunks the job takes all is tighter, if what they leave on some node holds the rest.
            exact = np.flatnonzero(room == whole).tolist()
            group = next((each for each in exact if self._rest_fits(level, first + each, rest)), group)
        if group < 0:
            return None
        chosen: Counts = {}
        self._fill(level, first + group, whole, chosen)
        self._add_rest(rest, *self._nodes(level, first + group), chosen)
        return chosen

    def packed(self, devices: int, level: str) -> Counts:
        """Take as few groups of a level as possible: the roomiest whole, the tightest that holds what is left."""
        whole, rest = divmod(devices, self._size)
        one = self.in_one(devices, level)
        if one is not None:
            return one
        first, last = self.state.map.groups(level, self._pool)
        chosen: Counts = {}
        for group, count in _fewest(self._room(level, first, last), whole):
            self._fill(level, first + group, count, chosen)
        used = sorted(set(self.state.map.group_of[level][list(chosen)].tolist()))
        for group in used:
            if rest and self._add_rest(rest, *self._nodes(level, group), chosen):
                return chosen
        self._add_rest(rest, *self._whole_pool, chosen)
        return chosen

    def spread(self, devices: int, level: str) -> Counts:
        """Give chunk after chunk to the group of a level with the most room, there to its emptiest node."""
        first, last = self.state.map.groups(level, self._pool)
        room = self._room(level, first, last)
        free = self.state.free.copy()
        chosen: Counts = {}
        for _ in range(devices // self._size):
            group = int(room.argmax())
            room[group] -= 1
            start, end = self._nodes(level, first + group)
            node = start + int(free[start:end].argmax())
            free[node] -= self._size
            chosen[node] = chosen.get(node, 0) + self._size
        self._add_rest(devices % self._size, *self._whole_pool, chosen)
        return chosen

    def near(self, devices: int, nested: Sequence[tuple[int, float]]) -> Counts:
        """Take the candidate over which the job's groups send the fewest bytes x levels; of equals, the tightest."""
        spans = nested or ((devices, 1.0),)
        best, least = None, np.inf
        for chosen in self._candidates(devices, [span for span, _ in spans]):
            nodes = sorted(chosen)
            crossed = levels_crossed(self.state, nodes, [chosen[node] for node in nodes], spans)
            if crossed < least:
                best, least = chosen, crossed
        assert best is not None
        return best

    def _candidates(self, devices: int, spans: Sequence[int]) -> Iterator[Counts]:
        """Offer the narrowest group that holds the job, few groups of each level, and groups of whole collectives."""
        for level in self._ladder:
            one = self.in_one(devices, level)
            if one is not None:
                yield one
                break
        for level in reversed(self._ladder):
            yield self.packed(devices, level)
        for span in spans:
            if self._size < span < devices and not span % self._size and not devices % span:
                aligned = self._aligned(devices, span)
                if aligned is not None:
                    yield aligned

    def _aligned(self, devices: int, span: int) -> Counts | None:
        """Take whole spans of devices, each inside one group of the narrowest level that holds a span at all."""
        per_span = span // self._size
        for level in self._ladder:
            first, last = self.state.map.groups(level, self._pool)
            room = self._room(level, first, last) // per_span
            if int(room.sum()) * span < devices:
                continue
            chosen: Counts = {}
            wider = self._ladder[min(self._ladder.index(level) + 1, len(self._ladder) - 1)]
            for group, spans in self._few_parents(level, wider, room, devices // span):
                self._fill(level, first + group, spans * per_span, chosen)
            return chosen
        return None

    def _few_parents(self, level: str, wider: str, room: npt.NDArray[np.int64], need: int) -> Iterator[tuple[int, int]]:
        """Share out what is needed over as few groups of the wider level as possible, and few groups in each."""
        first, last = self.state.map.groups(level, self._pool)
        parents = self.state.map.group_of[wider][self.state.map.bounds[level][first:last]]
        starts = np.flatnonzero(np.diff(parents, prepend=-1))
        ends = [*starts[1:].tolist(), len(parents)]
        for parent, count in _fewest(np.add.reduceat(room, starts), need):
            start = int(starts[parent])
            for place, taken in _fewest(room[start : ends[parent]], count):
                yield start + place, taken

    def _fill(self, level: str, group: int, chunks: int, chosen: Counts) -> None:
        """Take whole chunks in one group: as few groups of the level below as possible, down to the nodes."""
        if not chunks:
            return
        start, end = self._nodes(level, group)
        if level == NODE:
            chosen[start] = chosen.get(start, 0) + chunks * self._size
            return
        below = self._ladder[self._ladder.index(level) - 1]
        inner = self.state.map.group_of[below]
        first, last = int(inner[start]), int(inner[end - 1]) + 1
        for place, count in _fewest(self._room(below, first, last), chunks):
            if below == NODE:
                chosen[first + place] = chosen.get(first + place, 0) + count * self._size
            else:
                self._fill(below, first + place, count, chosen)

    def _room(self, level: str, first: int, last: int) -> npt.NDArray[np.int64]:
        return self.state.chunks(level, self._size, first, last)

    def _nodes(self, level: str, group: int) -> tuple[int, int]:
        bounds = self.state.map.bounds[level]
        return int(bounds[group]), int(bounds[group + 1])

    def _rest_fits(self, level: str, group: int, rest: int) -> bool:
        start, end = self._nodes(level, group)
        return bool((self.state.free[start:end] % self._size >= rest).any())

    def _add_rest(self, rest: int, start: int, end: int, chosen: Counts) -> bool:
        """Take the last, smaller chunk on the node of a range that it fills most; tell whether it fits on one."""
        if not rest:
            return True
        left = self.state.free[start:end].copy()
        for node, count in chosen.items():
            if start <= node < end:
                left[node - start] -= count
        place = _tightest(left, rest)
        if place < 0:
            return False
        chosen[start + place] = chosen.get(start + place, 0) + rest
        return True


def _fewest(room: npt.NDArray[np.int64], need: int) -> list[tuple[int, int]]:
    """Take what is needed from as few places as possible: the roomiest whole, then the tightest that holds the rest.

    >>> _fewest(np.array([2, 8, 5, 3]), 11)
    [(1, 8), (3, 3)]
    """
    if not need:
        return []
    tightest = _tightest(room, need)
    if tightest >= 0:
        return [(tightest, need)]
    order = np.argsort(-room, kind="stable")
    filled = np.cumsum(room[order])
    whole = int(np.searchsorted(filled, need))
    taken = [(int(place), int(room[place])) for place in order[:whole]]
    left = room.copy()
    left[order[:whole]] = 0
    need -= int(filled[whole - 1])
    return [*taken, (_tightest(left, need), need)]


def _tightest(room: npt.NDArray[np.int64], need: int) -> int:
    """Give the place with the least room that holds what is needed (the first of equals), or -1."""
    # Too little room is negative, which read without a sign is more than anything.
    place = int((room - need).view(np.uint64).argmin())
    return place if room[place] >= need else -1
