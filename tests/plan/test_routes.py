"""Collectives on links: by hand against ring and all-to-all closed forms, and what goes in comes out."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cost.collectives import (
    CollectiveCurve,
    DomainLevel,
    Fabric,
    NetworkLevel,
    bus_factor,
    hierarchical_s,
    place_group,
)
from sim.errors import UsageError
from sim.plan.placement import Allocation, ClusterMap, Pool
from sim.plan.routes import Traffic, nested_of, oversubscription_alone, routes_of, traffic_of
from sim.plan.topology import Topology, dragonfly, torus, tree

RATE = 50e9


def two_pods() -> ClusterMap:
    """Two pods of two leaves of two nodes of 8."""
    return ClusterMap([Pool("h100", 64, 8, 8, (("leaf", 16), ("pod", 32)))])


def whole(cluster: ClusterMap) -> Allocation:
    return Allocation(tuple(range(cluster.nodes)), tuple(cluster.capacity.tolist()), 1)


def on_tier(topology: Topology, name: str, link: np.ndarray, weight: np.ndarray) -> list[float]:
    tier = next(tier for tier in topology.tiers if tier.name == name)
    loads = np.zeros(tier.count)
    inside = (link >= tier.first) & (link < tier.first + tier.count)
    loads[link[inside] - tier.first] = weight[inside]
    return loads.tolist()


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_a_ring_leaves_each_place_once_whatever_its_stride(stride: int) -> None:
    """Eight cards carry what leaves a node: eight streams, as many as leave its leaf and its pod."""
    cluster = two_pods()
    topology = tree(cluster, "h100", RATE)
    (route,) = routes_of(topology, whole(cluster), [Traffic("dp", "ring", 64 // stride, stride, 1.0)])
    for tier, count in (("node up", 8), ("node down", 8), ("leaf up", 4), ("pod up", 2), ("pod down", 2)):
        assert on_tier(topology, tier, route.link, route.weight) == [8.0] * count
    assert route.alone_bytes_per_s == RATE


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_a_ring_all_reduce_takes_its_closed_form(ranks: int) -> None:
    """One rank a node: each sends 2 (n-1)/n of the buffer over its own card, all cards at line rate."""
    cluster = ClusterMap([Pool("h100", ranks, 1, 1)])
    topology = tree(cluster, "h100", RATE)
    (route,) = routes_of(topology, whole(cluster), [Traffic("dp", "ring", ranks, 1, 1.0)])
    assert route.weight.tolist() == [1.0] * (2 * ranks)
    buffer = 1e9
    sent = buffer * bus_factor("all_reduce", ranks)
    assert sent / route.alone_bytes_per_s == pytest.approx(2 * (ranks - 1) / ranks * buffer / RATE, rel=1e-12)


def test_an_oversubscribed_spine_is_shared_by_the_streams_of_the_job_alone() -> None:
    """A pod of 32 devices with 7:1 lets 32/7 line rates out; rings of 8 streams get 32/(7x8) of the line each."""
    cluster = two_pods()
    topology = tree(cluster, "h100", RATE, {"pod": 7.0})
    (route,) = routes_of(topology, whole(cluster), [Traffic("dp", "ring", 8, 8, 1.0)])
    assert route.alone_bytes_per_s == pytest.approx(RATE * 32 / 7 / 8, rel=1e-12)
    assert oversubscription_alone(topology, route) == pytest.approx(7 / 4, rel=1e-12)


def test_all_to_all_leaves_each_group_with_the_share_of_the_others() -> None:
    """64 ranks: of what leaves its node (56 of 64 parts), 48 leave its leaf and 32 its pod."""
    cluster = two_pods()
    topology = tree(cluster, "h100", RATE)
    (route,) = routes_of(topology, whole(cluster), [Traffic("ep", "all_to_all", 64, 1, 1.0)])
    assert on_tier(topology, "node up", route.link, route.weight) == pytest.approx([8.0] * 8)
    assert on_tier(topology, "leaf up", route.link, route.weight) == pytest.approx([16 * 48 / 56] * 4)
    assert on_tier(topology, "pod down", route.link, route.weight) == pytest.approx([32 * 32 / 56] * 2)


def test_a_pipeline_sends_both_ways_in_turn() -> None:
    """A link carries one way at a time: a node in the middle never sends more than its cards."""
    cluster = two_pods()
    topology = tree(cluster, "h100", RATE)
    (route,) = routes_of(topology, whole(cluster), [Traffic("pp", "point_to_point", 2, 32, 1.0)])
    assert on_tier(topology, "pod up", route.link, route.weight) == [32.0, 32.0]
    (route,) = routes_of(topology, whole(cluster), [Traffic("pp", "point_to_point", 8, 8, 1.0)])
    assert on_tier(topology, "node up", route.link, route.weight) == [8.0] * 8


def test_what_stays_in_its_domain_is_not_on_the_network() -> None:
    cluster = ClusterMap([Pool("gb200", 144, 4, 72)])
    topology = tree(cluster, "gb200", RATE)
    half = Allocation(tuple(range(18)), (4,) * 18, 1)
    assert routes_of(topology, half, [Traffic("dp", "ring", 72, 1, 1.0)]) == ()
    assert routes_of(topology, half, [Traffic("tp", "ring", 1, 1, 1.0)]) == ()
    (route,) = routes_of(topology, whole(cluster), [Traffic("dp", "ring", 144, 1, 1.0)])
    assert on_tier(topology, "domain up", route.link, route.weight) == [72.0, 72.0]


def test_a_dragonfly_joins_groups_in_pairs() -> None:
    """Four groups of 16 devices in a ring of 16 streams: direct, or half of it over the two other groups."""
    cluster = ClusterMap([Pool("mi250x", 64, 8, 8, (("group", 16),))])
    traffic = [Traffic("dp", "ring", 4, 16, 1.0)]
    direct = dragonfly(cluster, "mi250x", RATE, "group", spreads=False)
    (route,) = routes_of(direct, whole(cluster), traffic)
    loads = np.array(on_tier(direct, "global", route.link, route.weight)).reshape(4, 4)
    assert (loads == 16.0 * np.roll(np.eye(4), 1, axis=1)).all()
    assert route.alone_bytes_per_s == pytest.approx(RATE / 3)
    spread = dragonfly(cluster, "mi250x", RATE, "group")
    (route,) = routes_of(spread, whole(cluster), traffic)
    loads = np.array(on_tier(spread, "global", route.link, route.weight)).reshape(4, 4)
    # Direct: half of 16. Detours: what other pairs send over a link, a quarter of each of theirs.
    assert loads.sum() == pytest.approx(4 * (8 + 2 * 8))
    assert loads[0].tolist() == pytest.approx([0.0, 8.0, 8.0, 8.0])


def test_a_torus_goes_the_shorter_way_round() -> None:
    cluster = ClusterMap([Pool("tpu", 16, 1, 1)])
    topology = torus(cluster, "tpu", RATE, (4, 4))
    crossings = topology.cross(np.array([0, 0]), np.array([3, 10]), np.array([1.0, 4.0]))
    loads = np.zeros(len(topology.capacity_bytes_per_s))
    loads[crossings.link] = crossings.amount
    by_tier = {tier.name: loads[tier.first : tier.first + tier.count] for tier in topology.tiers}
    # 0 -> 3 is one step down over the wrap; 0 -> 10 is two steps in each dimension, half each way.
    assert by_tier["dimension 1 down"][0] == 1.0
    assert by_tier["dimension 0 up"][[0, 4]].tolist() == [2.0, 2.0]
    assert by_tier["dimension 0 down"][[0, 12]].tolist() == [2.0, 2.0]
    assert by_tier["dimension 1 up"][[8, 9]].tolist() == [2.0, 2.0]
    open_grid = torus(cluster, "tpu", RATE, (4, 4), wraps=(False, False))
    crossings = open_grid.cross(np.array([0]), np.array([3]), np.array([1.0]))
    assert len(crossings.link) == 3


def test_a_ring_round_a_dimension_uses_each_link_once() -> None:
    cluster = ClusterMap([Pool("tpu", 64, 1, 1)])
    topology = torus(cluster, "tpu", RATE, (4, 4, 4))
    (route,) = routes_of(topology, whole(cluster), [Traffic("dp", "ring", 4, 16, 1.0)])
    assert on_tier(topology, "dimension 0 up", route.link, route.weight) == [1.0] * 64
    assert route.alone_bytes_per_s == RATE


@st.composite
def networks(draw: st.DrawFn) -> tuple[ClusterMap, Topology]:
    kind = draw(st.sampled_from(["tree", "dragonfly", "torus"]))
    if kind == "torus":
        sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
        cluster = ClusterMap([Pool("x", 2 * int(np.prod(sizes)), 2, 2)])
        wraps = draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))
        return cluster, torus(cluster, "x", RATE, sizes, wraps)
    groups = draw(st.integers(2, 5))
    cluster = ClusterMap([Pool("x", 16 * groups, 4, draw(st.sampled_from([4, 8])), (("leaf", 16),))])
    if kind == "dragonfly":
        return cluster, dragonfly(cluster, "x", RATE, "leaf", 2.0, spreads=draw(st.booleans()))
    return cluster, tree(cluster, "x", RATE, {"leaf": draw(st.sampled_from([1.0, 4.0]))})


@settings(deadline=None)
@given(networks(), st.data())
def test_bytes_are_conserved(network, data) -> None:
    """What leaves the places is what the streams send, and arrives at the places."""
    cluster, topology = network
    nodes = data.draw(st.lists(st.integers(0, cluster.nodes - 1), unique=True, min_size=1).map(sorted))
    counts = [data.draw(st.integers(1, int(cluster.capacity[node]))) for node in nodes]
    total = sum(counts)
    ranks = data.draw(st.integers(2, max(2, total)))
    stride = data.draw(st.integers(1, max(1, total // ranks)))
    pattern = data.draw(st.sampled_from(["ring", "all_to_all", "point_to_point"]))
    routes = routes_of(
        topology, Allocation(tuple(nodes), tuple(counts), 1), [Traffic("x", pattern, ranks, stride, 1.0)]
    )
    for route in routes:
        assert (route.weight > 0).all()
        assert len(set(route.link.tolist())) == len(route.link)
        load = route.weight * route.alone_bytes_per_s
        assert (load <= topology.capacity_bytes_per_s[route.link] * (1 + 1e-9)).all()
        sums = [sum(on_tier(topology, tier.name, route.link, route.weight)) for tier in topology.tiers]
        if "up" in topology.tiers[0].name and "dimension" not in topology.tiers[0].name:
            assert sums[0] == pytest.approx(sums[1], rel=1e-9)
            if pattern != "point_to_point":
                members = (total // (ranks * stride)) * ranks * stride
                assert sums[0] == pytest.approx(members, rel=1e-9)


def test_traffic_of_a_training_step() -> None:
    layout = {"tp": 8, "pp": 4, "cp": 1, "dp": 16, "micro_batch": 1, "recompute": "none"}
    parts = (
        ("useful compute", 1.0),
        ("exposed tensor-parallel communication", 0.2),
        ("exposed context-parallel communication", 0.0),
        ("exposed pipeline communication", 0.1),
        ("exposed data-parallel communication", 0.3),
    )
    traffic = traffic_of(layout, parts)
    assert [(each.pattern, each.ranks, each.stride, each.exposed_s) for each in traffic] == [
        ("ring", 8, 1, 0.2),
        ("point_to_point", 4, 128, 0.1),
        ("ring", 16, 8, 0.3),
    ]
    assert nested_of(traffic) == ((8, 0.2), (512, 0.1), (128, 0.3))


def test_a_network_fits_its_pool() -> None:
    with pytest.raises(UsageError, match="as many places"):
        torus(two_pods(), "h100", RATE, (3, 3))
    with pytest.raises(UsageError, match="oversubscribed level"):
        tree(two_pods(), "h100", RATE, {"spine": 2.0})


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.1, 9.0)), min_size=1, max_size=8),
)
def test_ways_through_a_torus_are_shortest(sizes, wraps, flows) -> None:
    """Bytes x links used are bytes x distance in the graph that networkx builds."""
    grid = nx.grid_graph(dim=tuple(reversed(sizes)), periodic=wraps)
    nodes = int(np.prod(sizes))
    cluster = ClusterMap([Pool("tpu", nodes, 1, 1)])
    topology = torus(cluster, "tpu", RATE, sizes, (wraps,) * len(sizes))
    source, target = (np.array([flow[end] % nodes for flow in flows]) for end in (0, 1))
    amount = np.array([flow[2] for flow in flows])
    crossings = topology.cross(source, target, amount)

    def at(place: int) -> object:
        where = tuple(int(each) for each in np.unravel_index(place, sizes))
        return where if len(sizes) > 1 else where[0]

    expected = sum(
        sent * nx.shortest_path_length(grid, at(start), at(end))
        for start, end, sent in zip(source, target, amount, strict=True)
    )
    assert crossings.amount.sum() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("ratio", [1.0, 4.0, 16.0, 64.0])
@pytest.mark.parametrize(
    ("kind", "pattern", "ranks", "stride"),
    [
        ("all_gather", "ring", 64, 1),
        ("all_reduce", "ring", 8, 8),
        ("reduce_scatter", "ring", 32, 2),
        ("all_to_all", "all_to_all", 64, 1),
        ("all_to_all", "all_to_all", 16, 4),
        ("point_to_point", "point_to_point", 2, 32),
    ],
)
def test_alone_the_links_say_what_the_cost_functions_say(ratio, kind, pattern, ranks, stride) -> None:
    """Two full pods: bytes that a device sends into the network, at its rate on the links, take the time of the cost
    functions without latency and ramp.
    """
    cluster = ClusterMap([Pool("h100", 64, 8, 8, (("pod", 32),))])
    (route,) = routes_of(
        tree(cluster, "h100", RATE, {"pod": ratio}), whole(cluster), [Traffic("x", pattern, ranks, stride, 1.0)]
    )
    free = {each: CollectiveCurve(0.0, 1.0, 0.0) for each in (kind,)}
    fabric = Fabric(
        DomainLevel(1e30, 1e30, free), NetworkLevel(RATE, 0.0), NetworkLevel(RATE, 0.0, 1.0, 1.0, 0.0, ratio)
    )
    group = place_group(ranks, stride, 8, 32)
    size = 1e9
    if pattern == "ring":
        sent = size * bus_factor(kind, ranks) / group.domain_ranks
    elif pattern == "all_to_all":
        sent = size * (1 - group.domain_ranks / ranks)
    else:
        sent = size
    assert sent / route.alone_bytes_per_s == pytest.approx(hierarchical_s(kind, size, group, fabric), rel=1e-9)
