"""The shape of a network: links with a capacity, and which of them a flow between two places takes.

Places are the scale-up domains of a cluster (the nodes, where a domain is no larger): traffic inside one never enters
the network. Link capacities are per direction and what large messages reach of them.

Three shapes. A *tree* has one group of links up and one down for every group of every level: parallel links of a group
count as one, since routing spreads flows over them; a rail-optimised network is a tree whose nearest level is the
scalable unit, because a flow that keeps to its rail and one that changes it inside the node (PXN) load the same
number of uplinks. A *dragonfly* joins groups in pairs. A *torus* joins neighbours, by dimension order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sim.errors import UsageError
from sim.plan.placement import DOMAIN, NODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from sim.cost.memory import Floats
    from sim.plan.placement import ClusterMap

    Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crossings:
    """What flows put on links: entry i loads link[i] with amount[i]; a link may come more than once."""

    link: Places
    amount: Floats


@dataclass(frozen=True, slots=True)
class Tier:
    """Like links: those of one level and direction, or of one dimension."""

    name: str
    first: int
    count: int


class Topology(Protocol):
    """Links of one network and the way through it."""

    @property
    def capacity_bytes_per_s(self) -> Floats:
        """Give what each link carries, per direction."""

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Name the ranges of links."""

    @property
    def device_bytes_per_s(self) -> float:
        """Give what one device can send into the network."""

    def place_of(self, nodes: Places) -> Places:
        """Give the place of each node of the cluster."""

    def cross(self, source: Places, target: Places, amount: Floats) -> Crossings:
        """Put flows between places on links."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Levels of groups: what leaves a group goes up one of its links and down one of another's."""

    device_bytes_per_s: float
    capacity_bytes_per_s: Floats
    tiers: tuple[Tier, ...]
    places: Places
    """Place of each node."""
    groups: tuple[Places, ...]
    """Group of each place, by level; the first level is the place itself."""

    def place_of(self, nodes: Places) -> Places:
        """Give the place of each node of the cluster."""
        return self.places[nodes]

    def cross(self, source: Places, target: Places, amount: Floats) -> Crossings:
        """Go up to the lowest level that joins both ends, and down again."""
        links: list[Places] = []
        amounts: list[Floats] = []
        for number, group in enumerate(self.groups):
            left, entered = group[source], group[target]
            leaves = left != entered
            if not leaves.any():
                break
            up, down = self.tiers[2 * number], self.tiers[2 * number + 1]
            for tier, ends in ((up, left), (down, entered)):
                sums = _sums(ends[leaves], amount[leaves], tier.count)
                loaded = np.flatnonzero(sums)
                links.append(tier.first + loaded)
                amounts.append(sums[loaded])
        return _joined(links, amounts)


@dataclass(frozen=True, slots=True)
class Dragonfly:
    """Groups that block nothing inside, each joined to every other by its share of the group's global links."""

    device_bytes_per_s: float
    capacity_bytes_per_s: Floats
    tiers: tuple[Tier, ...]
    places: Places
    group: Places
    """Group of each place."""
    groups: int
    spreads: bool
    """Half of what leaves a group goes by a third one (Valiant), spread over all; else all takes the direct links."""

    def place_of(self, nodes: Places) -> Places:
        """Give the place of each node of the cluster."""
        return self.places[nodes]

    def cross(self, source: Places, target: Places, amount: Floats) -> Crossings:
        """Go by the link between the two groups, or half by it and half by detours over every third group."""
        left, entered = self.group[source], self.group[target]
        up, down, between = self.tiers
        sent = _sums(source, amount, up.count)
        received = _sums(target, amount, down.count)
        leaves = left != entered
        pairs = _sums(left[leaves] * self.groups + entered[leaves], amount[leaves], between.count)
        if self.spreads and self.groups > 2:  # noqa: PLR2004  # a detour takes a third group
            pairs = _with_detours(pairs.reshape(self.groups, self.groups)).ravel()
        found = [np.flatnonzero(sums) for sums in (sent, received, pairs)]
        links = [tier.first + loaded for tier, loaded in zip(self.tiers, found, strict=True)]
        return _joined(links, [sums[loaded] for sums, loaded in zip((sent, received, pairs), found, strict=True)])


@dataclass(frozen=True, slots=True)
class Torus:
    """Places on a grid, each joined to its neighbours; a dimension that wraps is a ring."""

    device_bytes_per_s: float
    capacity_bytes_per_s: Floats
    tiers: tuple[Tier, ...]
    places: Places
    sizes: tuple[int, ...]
    wraps: tuple[bool, ...]

    def place_of(self, nodes: Places) -> Places:
        """Give the place of each node of the cluster."""
        return self.places[nodes]

    def cross(self, source: Places, target: Places, amount: Floats) -> Crossings:
        """Go along the dimensions in order, each the shorter way round; of two equal ways half by each."""
        here = np.stack(np.unravel_index(source, self.sizes))
        there = np.stack(np.unravel_index(target, self.sizes))
        links: list[Places] = []
        amounts: list[Floats] = []
        for axis, (size, wraps) in enumerate(zip(self.sizes, self.wraps, strict=True)):
            ahead = (there[axis] - here[axis]) % size
            goes_up = np.where(ahead * 2 < size, 1.0, np.where(ahead * 2 == size, 0.5, 0.0))
            if not wraps:
                goes_up = np.where(there[axis] > here[axis], 1.0, 0.0)
            for direction, share in ((1, goes_up), (-1, 1.0 - goes_up)):
                steps = ahead if direction == 1 else (size - ahead) % size
                walking = (steps > 0) & (share > 0)
                at = here[:, walking].copy()
                left, sent = steps[walking].copy(), (amount * share)[walking]
                while len(left):
                    tier = self.tiers[2 * axis + (direction < 0)]
                    links.append(tier.first + np.ravel_multi_index(tuple(at), self.sizes))
                    amounts.append(sent)
                    at[axis] = (at[axis] + direction) % size
                    left -= 1
                    going = left > 0
                    at, left, sent = at[:, going], left[going], sent[going]
            here[axis] = there[axis]
        return _summed(_joined(links, amounts), len(self.capacity_bytes_per_s))


def tree(
    cluster: ClusterMap,
    pool: str,
    device_bytes_per_s: float,
    oversubscription: Mapping[str, float] | None = None,
    efficiency: float = 1.0,
) -> Tree:
    """Build the tree of a pool from the groups of its levels.

    Args:
        cluster: groups of nodes by level.
        pool: name of the pool; its nodes are the ends of this network.
        device_bytes_per_s: line rate of one device, per direction.
        oversubscription: by level, bandwidth inside a group over what leaves it: 7 means a seventh of the line rate.
        efficiency: share of a link that large messages reach.

    Source: the cut of a folded Clos network whose routing spreads flows evenly over the links of a group (Leiserson
    1985, fat trees; Clos 1953).
    """
    ratios = oversubscription or {}
    number = cluster.pool_index[pool]
    first_node, end_node = cluster.first_node[number], cluster.first_node[number + 1]
    ladder = [DOMAIN if DOMAIN in cluster.levels else NODE, *(each for each in cluster.levels if each != DOMAIN)]
    for name in ratios:
        if name not in ladder:
            raise UsageError("an oversubscribed level is one of the cluster's", value=name, mend=", ".join(ladder))
    devices = cluster.capacity[first_node:end_node]
    places = _numbered(cluster.group_of[ladder[0]][first_node:end_node])
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    groups, tiers, capacity = [], [], []
    links = 0
    for level in ladder:
        of_node = _numbered(cluster.group_of[level][first_node:end_node])
        count = int(of_node[-1]) + 1
        if count == 1:
            break  # nothing leaves the one group
        up = np.bincount(of_node, devices, count) * device_bytes_per_s * efficiency / ratios.get(level, 1.0)
        groups.append(of_node[starts])
        tiers += [Tier(f"{level} up", links, count), Tier(f"{level} down", links + count, count)]
        capacity += [up, up]
        links += 2 * count
    reached = np.concatenate(capacity) if capacity else np.zeros(0)
    return Tree(
        device_bytes_per_s * efficiency, reached, tuple(tiers), _over(cluster, places, first_node), tuple(groups)
    )


def dragonfly(
    cluster: ClusterMap,
    pool: str,
    device_bytes_per_s: float,
    level: str,
    taper: float = 1.0,
    *,
    spreads: bool = True,
    efficiency: float = 1.0,
) -> Dragonfly:
    """Build a dragonfly from the groups of one level, every pair joined by an equal share of what leaves a group.

    Args:
        cluster: groups of nodes by level.
        pool: name of the pool.
        device_bytes_per_s: line rate of one device, per direction.
        level: the level whose groups are those of the dragonfly.
        taper: bandwidth of the devices of a group over that of its global links.
        spreads: whether routing sends half of the traffic over detours.
        efficiency: share of a link that large messages reach.

    Source: Kim, Dally, Scott and Abts 2008 (ISCA), one router a group at full load; detours: Valiant 1982.
    """
    number = cluster.pool_index[pool]
    first_node, end_node = cluster.first_node[number], cluster.first_node[number + 1]
    near = DOMAIN if DOMAIN in cluster.levels else NODE
    places = _numbered(cluster.group_of[near][first_node:end_node])
    devices = cluster.capacity[first_node:end_node]
    of_node = _numbered(cluster.group_of[cluster.level(level)][first_node:end_node])
    groups, ends = int(of_node[-1]) + 1, int(places[-1]) + 1
    at_place = np.bincount(places, devices, ends) * device_bytes_per_s * efficiency
    leaving = np.bincount(of_node, devices, groups) * device_bytes_per_s * efficiency / taper
    each = leaving / max(groups - 1, 1)
    pairs = np.minimum(each[:, None], each[None, :]).ravel()
    tiers = (Tier("place up", 0, ends), Tier("place down", ends, ends), Tier("global", 2 * ends, groups * groups))
    of_place = of_node[np.flatnonzero(np.diff(places, prepend=-1))]
    capacity = np.concatenate([at_place, at_place, pairs])
    over = _over(cluster, places, first_node)
    return Dragonfly(device_bytes_per_s * efficiency, capacity, tiers, over, of_place, groups, spreads)


def torus(
    cluster: ClusterMap,
    pool: str,
    link_bytes_per_s: float,
    sizes: Sequence[int],
    wraps: Sequence[bool] | None = None,
    efficiency: float = 1.0,
) -> Torus:
    """Build a torus of the nodes of a pool, in row-major order: the last dimension varies fastest.

    Args:
        cluster: its nodes are the places.
        pool: name of the pool.
        link_bytes_per_s: of the link to one neighbour, per direction.
        sizes: places along each dimension; their product is the number of nodes.
        wraps: whether each dimension closes to a ring; by default all do.
        efficiency: share of a link that large messages reach.

    Source: dimension-order routing on a k-ary n-cube (Dally and Seitz 1987).
    """
    number = cluster.pool_index[pool]
    first_node, end_node = cluster.first_node[number], cluster.first_node[number + 1]
    nodes = end_node - first_node
    if int(np.prod(sizes)) != nodes:
        raise UsageError(
            "a torus has as many places as the pool has nodes",
            value=f"{' x '.join(map(str, sizes))} for {nodes} nodes",
            where="fabric",
            mend=f"sizes whose product is {nodes}",
        )
    tiers: list[Tier] = []
    for axis in range(len(sizes)):
        for direction in ("up", "down"):
            tiers.append(Tier(f"dimension {axis} {direction}", nodes * len(tiers), nodes))
    capacity = np.full(nodes * len(tiers), link_bytes_per_s * efficiency)
    over = _over(cluster, np.arange(nodes), first_node)
    closed = tuple(wraps) if wraps is not None else (True,) * len(sizes)
    outlets = 2 * len(sizes)
    return Torus(outlets * link_bytes_per_s * efficiency, capacity, tuple(tiers), over, tuple(sizes), closed)


def _with_detours(pairs: Floats) -> Floats:
    """Send half of what goes from group to group over all third groups alike, an equal part by each."""
    groups = len(pairs)
    away, arriving = pairs.sum(axis=1), pairs.sum(axis=0)
    # From a to c to b: c is neither; a detour of the pair (a, b) loads (a, c) and (c, b).
    first = away[:, None] - pairs
    second = arriving[None, :] - pairs
    detours = (first + second) / (2.0 * (groups - 2))
    np.fill_diagonal(detours, 0.0)
    return np.asarray(pairs / 2.0 + detours)


def _joined(links: list[Places], amounts: list[Floats]) -> Crossings:
    if not links:
        return Crossings(np.zeros(0, dtype=np.int64), np.zeros(0))
    return Crossings(np.concatenate(links), np.concatenate(amounts))


def _summed(crossings: Crossings, links: int) -> Crossings:
    sums = _sums(crossings.link, crossings.amount, links)
    loaded = np.flatnonzero(sums)
    return Crossings(loaded, sums[loaded])


def _sums(at: Places, amount: Floats, count: int) -> Floats:
    return np.asarray(np.bincount(at, amount, count), dtype=np.float64)


def _numbered(groups: Places) -> Places:
    """Number the groups of a pool from 0; a pool's groups are consecutive."""
    numbered: Places = groups - groups[0]
    return numbered


def _over(cluster: ClusterMap, places: Places, first_node: int) -> Places:
    """Give the places as an array over all nodes of the cluster; -1 for those of other pools."""
    over = np.full(cluster.nodes, -1, dtype=np.int64)
    over[first_node : first_node + len(places)] = places
    return over
