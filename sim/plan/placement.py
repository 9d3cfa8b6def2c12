"""Where the devices of a job sit: a cluster as free counts per node, and rules that choose among them.

A cluster is numbered by place: nodes in order, a scale-up domain is a run of nodes, and so are the groups of every
fabric level above it. Its state is one free count per node, never one object a device.

A job asks for devices in *chunks*: the devices of one chunk sit on one node. By default a chunk is as large as the
node or the job allows, so that 12 devices take one node of 8 and 4 of another; with ``chunk=1`` they go anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from sim.errors import UsageError
from sim.plan.placement_index import FreeIndex, index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from sim.plan.resolve import ResolvedCluster

NODE = "node"
DOMAIN = "domain"
WHOLE_MILLI = 1000
"""Thousandths of a whole device."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Like devices on like nodes: one accelerator of a cluster."""

    name: str
    devices: int
    node_devices: int = 1
    domain_devices: int = 1
    """Devices of one scale-up domain; smaller than a node means that the node counts as one."""
    levels: tuple[tuple[str, int], ...] = ()
    """Name and devices of one group of each fabric level, the nearest first: (("leaf", 256), ("pod", 4096))."""

    @property
    def nodes(self) -> int:
        """Count the nodes; the last may be partly filled."""
        return -(-self.devices // self.node_devices)


class ClusterMap:
    """What never changes: the nodes of every pool, and the group of each level that each node belongs to."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        """Number nodes and groups by place, pool after pool.

        Raises:
            UsageError: a pool has no devices, two have one name, or a group does not hold whole nodes.

        """
        self.pools = tuple(pools)
        self.pool_index = {pool.name: index for index, pool in enumerate(self.pools)}
        _check(self.pools, self.pool_index)
        counts = [pool.nodes for pool in self.pools]
        self.first_node = [0, *np.cumsum(counts).tolist()]
        """First node of each pool, and one past the last."""
        self.nodes = self.first_node[-1]
        self.capacity = np.concatenate([_capacity(pool) for pool in self.pools])
        """Devices of each node."""
        self.pool_of = np.repeat(np.arange(len(self.pools)), counts)
        """Pool of each node."""
        self.levels = _joint_levels(self.pools)
        """Names of the levels above the node, the nearest first."""
        self.group_of: dict[str, npt.NDArray[np.int64]] = {}
        """Group of each node by level; groups of different pools differ."""
        self.bounds: dict[str, npt.NDArray[np.int64]] = {}
        """First node of each group by level, and one past the last."""
        for level in self.levels:
            starts = [start for index, pool in enumerate(self.pools) for start in self._starts(index, pool, level)]
            self.bounds[level] = np.array([*starts, self.nodes], dtype=np.int64)
            self.group_of[level] = np.searchsorted(self.bounds[level], np.arange(self.nodes), side="right") - 1
        self.bounds[NODE] = np.arange(self.nodes + 1)
        self.group_of[NODE] = np.arange(self.nodes)
        self._group_ranges = {
            level: [
                (int(group[first]), int(group[last - 1]) + 1)
                for first, last in zip(self.first_node[:-1], self.first_node[1:], strict=True)
            ]
            for level, group in self.group_of.items()
        }

    @classmethod
    def flat(cls, devices: int, name: str = "devices") -> ClusterMap:
        """Give a cluster in which any device is as good as another: one node that holds them all."""
        return cls([Pool(name, devices, devices, devices)])

    @property
    def devices(self) -> int:
        """Count the devices of all pools."""
        return sum(pool.devices for pool in self.pools)

    def level(self, name: str) -> str:
        """Find a level by its name; "leaf" and "rail" also mean the nearest of the fabric, "pod" the widest.

        Where no domain is larger than a node, the domain is the node.

        Raises:
            UsageError: the cluster has no such level.

        """
        if name == NODE or name in self.levels:
            return name
        if name == DOMAIN:
            return NODE
        fabric = [level for level in self.levels if level != DOMAIN]
        if fabric and name in ("leaf", "rail"):
            return fabric[0]
        if fabric and name == "pod":
            return fabric[-1]
        raise UsageError(
            "the cluster has no such level",
            value=name,
            where="policy.place",
            mend=f"one of {', '.join((NODE, *self.levels))}",
        )

    def groups(self, level: str, pool: int) -> tuple[int, int]:
        """Give the first group of a pool at a level, and one past its last."""
        return self._group_ranges[level][pool]

    def _starts(self, index: int, pool: Pool, level: str) -> list[int]:
        """Give the first nodes of a pool's groups; a level that it lacks is as the one below, or as the whole pool."""
        sizes = dict(_group_sizes(pool))
        place = self.levels.index(level)
        nodes = pool.nodes
        if level in sizes or any(wider in sizes for wider in self.levels[place:]):
            below = [sizes[each] for each in self.levels[: place + 1] if each in sizes]
            nodes = below[-1] // pool.node_devices if below else 1
        return list(range(self.first_node[index], self.first_node[index + 1], nodes))


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """Devices that a job holds: nodes in the order of its ranks, and how many of each."""

    nodes: tuple[int, ...]
    counts: tuple[int, ...]
    number: int
    """Which allocation of the state this is; given back once."""
    slot: int = -1
    """Shared device, for a share of one; -1 for whole devices."""
    milli: int = 0
    """Thousandths of a device, for a share of one."""

    @property
    def devices(self) -> int:
        """Count the whole devices."""
        return sum(self.counts)


class ClusterState:
    """What changes: how many devices of each node are free, held, or down.

    ``free`` counts what can be given now: nothing on a node that is down. ``held`` counts what jobs have.
    """

    def __init__(self, cluster: ClusterMap) -> None:
        """Begin with everything free."""
        self.map = cluster
        self.free: npt.NDArray[np.int64] = cluster.capacity.copy()
        self.held: npt.NDArray[np.int64] = np.zeros(cluster.nodes, dtype=np.int64)
        self.is_down = np.zeros(cluster.nodes, dtype=bool)
        # Elements of a memoryview are read and written at half the price of an array's.
        self._free_view, self._held_view = self.free.data, self.held.data
        self._pool_view = cluster.pool_of.data
        self._index: list[FreeIndex] = []
        for pool, (first, last) in enumerate(zip(cluster.first_node[:-1], cluster.first_node[1:], strict=True)):
            self._index.append(index_of(first, self.free[first:last], cluster.pools[pool].node_devices))
        self._live: dict[int, Allocation] = {}
        self._numbers = 0
        self._tallies: dict[str, _Tally] = {}
        self.before_change: Callable[[], None] | None = None
        """Called before free counts change, for what is averaged over time."""

    @property
    def live(self) -> Iterable[Allocation]:
        """Give the allocations that are held, in the order in which they were made."""
        return self._live.values()

    def free_devices(self, pool: str | None = None) -> int:
        """Count the free devices of a pool, or of all."""
        if pool is None:
            return sum(index.total for index in self._index)
        return self._index[self.map.pool_index[pool]].total

    def index(self, pool: int) -> FreeIndex:
        """Give the nodes of a pool by free count."""
        return self._index[pool]

    def chunk_of(self, devices: int, chunk: int | None, pool: int) -> int:
        """Give the devices that must share a node: as many as the node or the job allows, unless stated."""
        return min(devices, self.map.pools[pool].node_devices) if chunk is None else min(chunk, devices)

    def fits(self, devices: int, *, chunk: int | None = None, pool: str | None = None) -> bool:
        """Tell whether so many devices, in such chunks, are free in one pool (in any, where none is named)."""
        return any(self.fits_pool(devices, chunk, index) for index in pools_of(self.map, pool))

    def fits_pool(self, devices: int, chunk: int | None, pool: int) -> bool:
        """Tell whether so many devices are free in a pool, by its number.

        Exact: with q whole chunks and a rest r, either one more chunk than q has room, or all chunks are taken and
        what they leave on some node still holds r.
        """
        index = self._index[pool]
        if devices > index.total:
            return False
        size = self.chunk_of(devices, chunk, pool)
        if size == 1:
            return True
        whole, rest = divmod(devices, size)
        room, best_rest = 0, 0
        for count, nodes in index.by_free():
            room += (count // size) * nodes
            best_rest = max(best_rest, count % size)
        return room > whole or (room == whole and best_rest >= rest)

    def free_on(self, node: int) -> int:
        """Count the free devices of a node."""
        return self._free_view[node]

    def take(self, node: int, count: int) -> None:
        """Move devices of a node from free to held."""
        free = self._free_view[node]
        assert 0 < count <= free, f"{count} devices of node {node}, which has {free} free"
        self._held_view[node] += count
        self._set_free(node, free, free - count)

    def give(self, node: int, count: int) -> None:
        """Move devices of a node from held to free; on a node that is down they wait for its repair."""
        held = self._held_view[node]
        assert 0 < count <= held, f"{count} devices of node {node}, of which {held} are held"
        self._held_view[node] = held - count
        if not self.is_down[node]:
            free = self._free_view[node]
            self._set_free(node, free, free + count)

    def allocate(self, nodes: Sequence[int], counts: Sequence[int]) -> Allocation:
        """Take these devices of these nodes; all of them must be free."""
        for node, count in zip(nodes, counts, strict=True):
            self.take(node, count)
        return self.record(tuple(nodes), tuple(counts))

    def record(self, nodes: tuple[int, ...], counts: tuple[int, ...], slot: int = -1, milli: int = 0) -> Allocation:
        """Note an allocation whose devices were taken."""
        self._numbers += 1
        allocation = Allocation(nodes, counts, self._numbers, slot, milli)
        self._live[allocation.number] = allocation
        return allocation

    def forget(self, allocation: Allocation) -> None:
        """Strike an allocation out, once.

        Raises:
            UsageError: it is not held: it was given back before, or belongs to another state.

        """
        if self._live.pop(allocation.number, None) is not allocation:
            raise UsageError("an allocation is given back once", value=f"allocation {allocation.number}")

    def hold_again(self, allocation: Allocation) -> None:
        """Take the same devices again that were given back at this instant."""
        for node, count in zip(allocation.nodes, allocation.counts, strict=True):
            self.take(node, count)
        self._live[allocation.number] = allocation

    def fail(self, node: int) -> None:
        """Take a node down: its free devices are not given any more; those held stay held until given back."""
        if not self.is_down[node]:
            self.is_down[node] = True
            self._set_free(node, self._free_view[node], 0)

    def repair(self, node: int) -> None:
        """Bring a node back with all devices that no job holds."""
        if self.is_down[node]:
            self.is_down[node] = False
            self._set_free(node, 0, int(self.map.capacity[node]) - self._held_view[node])

    def chunks(self, level: str, size: int, first: int, last: int) -> npt.NDArray[np.int64]:
        """Count the chunks of `size` devices that the groups `first` to `last` of a level have room for."""
        if level == NODE:
            return self.free[first:last] // size
        if level not in self._tallies:
            self._tallies[level] = _Tally.of(self, level)
        return self._tallies[level].chunks(size, first, last)

    def _set_free(self, node: int, old: int, new: int) -> None:
        if old == new:
            return
        if self.before_change is not None:
            self.before_change()
        self._free_view[node] = new
        self._index[self._pool_view[node]].moved(node, old, new)
        for tally in self._tallies.values():
            row = tally.row[node]
            tally.nodes[row + old] -= 1
            tally.nodes[row + new] += 1


@dataclass(frozen=True, slots=True)
class _Tally:
    """Nodes of each group of one level by free count: room for chunks of any size is one product away.

    Kept from the first question on, since most rules never ask.
    """

    table: npt.NDArray[np.float64]
    """Groups x free counts; floats, because products of floats are the fast ones."""
    nodes: memoryview[float]
    """The table, as one row after the other."""
    row: memoryview[int]
    """Where the row of a node's group begins."""
    per_node: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Chunks of one size that a node holds, by its free count."""

    @classmethod
    def of(cls, state: ClusterState, level: str) -> _Tally:
        width = int(state.map.capacity.max()) + 1
        groups = len(state.map.bounds[level]) - 1
        row = state.map.group_of[level] * width
        table = np.bincount(row + state.free, minlength=groups * width).astype(np.float64)
        # numpy types the view of any array as one of whole numbers.
        return cls(table.reshape(groups, width), cast("memoryview[float]", table.data), row.data)

    def chunks(self, size: int, first: int, last: int) -> npt.NDArray[np.int64]:
        if size not in self.per_node:
            self.per_node[size] = (np.arange(self.table.shape[1]) // size).astype(np.float64)
        return (self.table[first:last] @ self.per_node[size]).astype(np.int64)


def pool_of_cluster(cluster: ResolvedCluster) -> Pool:
    """Make a pool of a cluster: its node, its scale-up domain, and the levels of its fabric that divide it.

    A fabric level that does not hold whole domains is cut to the whole domains in it.
    """
    node = cluster.node
    node_devices = node.devices if node is not None else 1
    domain = node.scale_up_domain_devices if node is not None else 1
    size, levels = max(node_devices, domain), []
    for level in cluster.fabric.levels if cluster.fabric is not None else ():
        if level.devices is not None and size <= level.devices < cluster.spec.count:
            size = level.devices // size * size
            levels.append((level.name, size))
    return Pool(cluster.accelerator.name, cluster.spec.count, node_devices, domain, tuple(levels))


def pools_of(cluster: ClusterMap, pool: str | Sequence[str] | None) -> Sequence[int]:
    """Give the numbers of the pools that a job may use, in order of preference.

    Raises:
        UsageError: the cluster has no such pool.

    """
    if pool is None:
        return range(len(cluster.pools))
    names = (pool,) if isinstance(pool, str) else pool
    for name in names:
        if name not in cluster.pool_index:
            raise UsageError(
                "the cluster has no such pool",
                value=name,
                where="pool",
                mend=f"one of {', '.join(cluster.pool_index)}",
            )
    return [cluster.pool_index[name] for name in names]


def _capacity(pool: Pool) -> npt.NDArray[np.int64]:
    capacity = np.full(pool.nodes, pool.node_devices, dtype=np.int64)
    capacity[-1] -= pool.nodes * pool.node_devices - pool.devices
    return capacity


def _group_sizes(pool: Pool) -> list[tuple[str, int]]:
    """Give the levels of a pool above the node; a domain within one node is the node."""
    domain = [(DOMAIN, pool.domain_devices)] if pool.domain_devices > pool.node_devices else []
    return [*domain, *pool.levels]


def _joint_levels(pools: Sequence[Pool]) -> tuple[str, ...]:
    """Merge the levels of all pools into one order, the nearest first."""
    levels: list[str] = []
    for pool in pools:
        place = 0
        for name, _ in _group_sizes(pool):
            if name not in levels:
                levels.insert(place, name)
            elif levels.index(name) < place:
                raise UsageError(
                    "levels come in one order in all pools",
                    value=f"{pool.name}: {', '.join(name for name, _ in pool.levels)}",
                    where="levels",
                    mend="rename the level of one pool",
                )
            place = levels.index(name) + 1
    return tuple(levels)


def _check(pools: Sequence[Pool], names: dict[str, int]) -> None:
    if not pools or len(names) < len(pools):
        raise UsageError("a cluster has at least one pool, each with its own name", mend="rename one of the pools")
    for pool in pools:
        if pool.devices < 1 or pool.node_devices < 1:
            raise UsageError("a pool has at least one device", value=f"{pool.name}: {pool.devices}")
        size = pool.node_devices
        for name, devices in _group_sizes(pool):
            if devices % size:
                raise UsageError(
                    "every group holds whole groups of the level below",
                    value=f"{pool.name}: {name} of {devices} devices over groups of {size}",
                    where="levels",
                    mend=f"a multiple of {size}",
                )
            size = devices
