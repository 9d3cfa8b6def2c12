"""What the collectives of a placed job put on the links of a network; worked out once for each placement.

Ranks are numbered along the nodes of the allocation, the innermost group of a layout being neighbours. The collectives
of one kind, over all groups of the layout, are one class of flows: they keep step, so one rate describes them, the
bytes per second that a device sends into the network. The weight of a link is how many devices' streams cross it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from sim.cost.memory import Floats
    from sim.plan.placement import Allocation
    from sim.plan.topology import Topology

Pattern: TypeAlias = Literal["ring", "all_to_all", "point_to_point"]

Places: TypeAlias = "npt.NDArray[np.int64]"

Flows: TypeAlias = "tuple[Places, Places, Floats]"
"""Source, target and streams of flows between places."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """One kind of collective of a job: who talks to whom, and what it costs where no other job is on the links."""

    name: str
    pattern: Pattern
    """ring: all-reduce, all-gather, reduce-scatter; point_to_point: neighbours in a chain, both ways in turn."""
    ranks: int
    """Ranks of one group."""
    stride: int
    """Ranks from one member of a group to the next."""
    exposed_s: float
    """Seconds of a step in which the job waits for it, alone on its links."""

    @property
    def span(self) -> int:
        """Count the consecutive ranks among which whole groups lie."""
        return self.ranks * self.stride


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of collective on the links of a network."""

    name: str
    exposed_s: float
    link: Places
    weight: Floats
    """Streams of devices that cross each link."""
    alone_bytes_per_s: float
    """What a device sends into the network where no other job is on the links."""


EXPOSED: dict[str, tuple[str, Pattern]] = {
    "exposed tensor-parallel communication": ("tp", "ring"),
    "exposed context-parallel communication": ("cp", "ring"),
    "exposed expert-parallel communication": ("ep", "all_to_all"),
    "exposed pipeline communication": ("pp", "point_to_point"),
    "exposed data-parallel communication": ("dp", "ring"),
}
"""Accounts of a step that are time on links, with the degree of the layout and the pattern behind each."""


def traffic_of(layout: Mapping[str, int | str], parts: Sequence[tuple[str, float]]) -> tuple[Traffic, ...]:
    """Take from a training step what its groups exchange.

    Ranks are ordered tensor, context, data, pipeline parallel; experts are spread over neighbours. Replicas are data
    times context parallel, as ZeRO splits over both.

    Args:
        layout: degrees by name, as `Layouts.row` gives them.
        parts: account and seconds of one step.

    """
    degree = {name: int(layout.get(name, 1)) for name in ("tp", "cp", "dp", "pp", "ep")}
    tensor, context, data = degree["tp"], degree["cp"], degree["dp"]
    groups = {
        "tp": (tensor, 1),
        "cp": (context, tensor),
        "ep": (degree["ep"], 1),
        "dp": (data * context, tensor),
        "pp": (degree["pp"], tensor * context * data),
    }
    found = []
    for account, seconds in parts:
        if account in EXPOSED and seconds > 0:
            name, pattern = EXPOSED[account]
            ranks, stride = groups[name]
            if ranks > 1:
                found.append(Traffic(account.removeprefix("exposed "), pattern, ranks, stride, seconds))
    return tuple(found)


def nested_of(traffic: Sequence[Traffic]) -> tuple[tuple[int, float], ...]:
    """Give the spans of a job's groups, each with its exposed seconds: what the placement rule ``topology`` weighs."""
    return tuple((each.span, each.exposed_s) for each in traffic)


def routes_of(topology: Topology, allocation: Allocation, traffic: Sequence[Traffic]) -> tuple[Route, ...]:
    """Put each kind of collective of a job on links; without those that never leave their places.

    Args:
        topology: the network of the pool in which the allocation sits.
        allocation: nodes in the order of ranks, with the devices taken of each.
        traffic: what the job exchanges; ranks beyond its last whole group are idle.

    """
    places = topology.place_of(np.asarray(allocation.nodes, dtype=np.int64))
    of_rank = np.repeat(places, np.asarray(allocation.counts, dtype=np.int64))
    found = (_route(topology, of_rank, each) for each in traffic)
    return tuple(route for route in found if route is not None)


def oversubscription_alone(topology: Topology, route: Route) -> float:
    """Give the line rate of a device over what this collective gets of it with no other job on the links.

    Source: the narrowest link that it crosses, shared by the job's own streams alone.
    """
    return max(topology.device_bytes_per_s / route.alone_bytes_per_s, 1.0)


def _route(topology: Topology, of_rank: Places, traffic: Traffic) -> Route | None:
    blocks = len(of_rank) // traffic.span
    if not blocks or traffic.ranks == 1:
        return None
    members = of_rank[: blocks * traffic.span].reshape(blocks, traffic.ranks, traffic.stride)
    phases = {"ring": _ring, "all_to_all": _all_to_all, "point_to_point": _chain}[traffic.pattern](members)
    streams = np.zeros(len(topology.capacity_bytes_per_s))
    for source, target, amount in phases:
        if len(source):
            crossings = topology.cross(source, target, amount)
            phase = np.bincount(crossings.link, crossings.amount, len(streams))
            # Phases take turns, so a link has to carry the heaviest of them.
            streams = np.maximum(streams, phase)
    link = np.flatnonzero(streams)
    if not len(link):
        return None
    weight = streams[link]
    alone = min(topology.device_bytes_per_s, float((topology.capacity_bytes_per_s[link] / weight).min()))
    return Route(traffic.name, traffic.exposed_s, link, weight, alone)


def _ring(members: Places) -> list[Flows]:
    """Follow rings ordered by place: what leaves a place is carried by the links of all ranks that it holds."""
    following = np.roll(members, -1, axis=1)
    leaves = members != following
    crossing = int(leaves.sum())
    if not crossing:
        return []
    source, target, count = _merged(members[leaves], following[leaves])
    return [(source, target, count * (members.size / crossing))]


def _chain(members: Places) -> list[Flows]:
    """Follow a pipeline: activations one way, then gradients the other."""
    here, following = members[:, :-1], members[:, 1:]
    leaves = here != following
    source, target, count = _merged(here[leaves], following[leaves])
    return [(source, target, count), (target, source, count)]


def _all_to_all(members: Places) -> list[Flows]:
    """Join every two places of a group; every rank sends as much to each other rank."""
    blocks, ranks, stride = members.shape
    by_group = np.moveaxis(members, 1, 2).reshape(blocks * stride, ranks)
    most = int(by_group.max()) + 1
    keys, held = np.unique(by_group + np.arange(blocks * stride)[:, None] * most, return_counts=True)
    group, place = keys // most, keys % most
    starts = np.searchsorted(group, np.arange(blocks * stride))
    sizes = np.diff(np.append(starts, len(group)))
    # Entry i meets every entry of its own group.
    left = np.repeat(np.arange(len(group)), sizes[group])
    offset = np.arange(len(left)) - np.repeat(np.cumsum(sizes[group]) - sizes[group], sizes[group])
    right = starts[group[left]] + offset
    differs = left != right
    left, right = left[differs], right[differs]
    if not len(left):
        return []
    source, target, amount = _merged(place[left], place[right], (held[left] * held[right]).astype(np.float64))
    return [(source, target, amount * (members.size / amount.sum()))]


def _merged(source: Places, target: Places, amount: Floats | None = None) -> Flows:
    """Join flows between the same two places."""
    if not len(source):
        return source, target, np.zeros(0)
    most = int(max(source.max(), target.max())) + 1
    keys, inverse = np.unique(source * most + target, return_inverse=True)
    return keys // most, keys % most, np.bincount(inverse, amount, len(keys)).astype(np.float64)
