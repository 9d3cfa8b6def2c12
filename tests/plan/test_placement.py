"""Placement: what every rule owes, by property; what each rule means, by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UsageError
from sim.plan.placement import NODE, ClusterMap, ClusterState, Pool, pool_of_cluster
from sim.plan.placement_rules import levels_crossed, place, release
from sim.plan.resolve import resolve_cluster
from sim.spec.cluster import ClusterSpec

EVERY_RULE = (
    "first",
    "best",
    "packed",
    "packed-domain",
    "packed-leaf",
    "packed-pod",
    "spread",
    "spread-pod",
    "topology",
)


def two_pods() -> ClusterMap:
    """Two pods of two leaves of two nodes of 4."""
    return ClusterMap([Pool("h100", 32, 4, 4, (("leaf", 8), ("pod", 16)))])


def with_free(cluster: ClusterMap, free: list[int]) -> ClusterState:
    state = ClusterState(cluster)
    for node, count in enumerate(free):
        if count < cluster.capacity[node]:
            state.take(node, int(cluster.capacity[node]) - count)
    return state


@st.composite
def clusters(draw: st.DrawFn) -> ClusterMap:
    pools = []
    for number in range(draw(st.integers(1, 2))):
        node = draw(st.sampled_from([1, 2, 4, 8]))
        domain = node * draw(st.sampled_from([1, 2]))
        leaf = domain * draw(st.integers(1, 3))
        levels = draw(st.sampled_from([(("leaf", leaf),), (("leaf", leaf), ("pod", 2 * leaf))]))
        pools.append(Pool(f"pool{number}", draw(st.integers(1, 70)), node, domain, levels))
    return ClusterMap(pools)


def holds(free: list[int], devices: int, chunk: int) -> bool:
    """Tell by search whether whole chunks and a rest fit into these nodes."""
    whole, rest = divmod(devices, chunk)
    if sum(count // chunk for count in free) < whole:
        return False
    if not rest:
        return True
    return any(
        sum((count - rest * (place == node)) // chunk for place, count in enumerate(free)) >= whole
        for node in range(len(free))
        if free[node] >= rest
    )


@settings(deadline=None)
@given(
    clusters(),
    st.lists(st.tuples(st.integers(1, 40), st.sampled_from(EVERY_RULE), st.integers(0, 9)), max_size=25),
    st.randoms(use_true_random=False),
)
def test_all_or_nothing_and_nothing_twice(cluster, orders, random) -> None:
    state = ClusterState(cluster)
    live = []
    for devices, rule, choice in orders:
        chunk = None if choice < 6 else 1 if choice < 8 else 3
        before = state.free.copy()
        pools = range(len(cluster.pools))
        expected = any(
            holds(
                before[cluster.first_node[pool] : cluster.first_node[pool + 1]].tolist(),
                devices,
                state.chunk_of(devices, chunk, pool),
            )
            for pool in pools
            if chunk is None or chunk <= cluster.pools[pool].node_devices
        )
        if chunk == 3 and any(chunk > pool.node_devices for pool in cluster.pools):
            continue
        assert state.fits(devices, chunk=chunk) == expected
        allocation = place(state, devices, rule, chunk=chunk)
        assert (allocation is not None) == expected
        taken = np.zeros(cluster.nodes, dtype=np.int64)
        if allocation is not None:
            assert allocation.devices == devices
            taken[list(allocation.nodes)] = allocation.counts
            assert len(set(cluster.pool_of[list(allocation.nodes)].tolist())) == 1
            live.append(allocation)
        assert (before - state.free == taken).all()
        if live and random.random() < 0.4:
            release(state, live.pop(random.randrange(len(live))))
        assert (state.free >= 0).all()
        assert (state.free + state.held == cluster.capacity).all()
        assert state.free_devices() == state.free.sum()
        assert state.held.sum() == sum(each.devices for each in live) == sum(each.devices for each in state.live)
        for level, size in product(cluster.levels, (1, 3)):
            by_node = np.add.reduceat(state.free // size, cluster.bounds[level][:-1])
            assert (state.chunks(level, size, 0, len(by_node)) == by_node).all()
    for allocation in live:
        release(state, allocation)
    assert (state.free == cluster.capacity).all()


@pytest.mark.parametrize(
    ("rule", "nodes"),
    [("first", (0,)), ("best", (2,)), ("packed", (2,)), ("spread", (4,)), ("packed-leaf", (2,)), ("packed-pod", (2,))],
)
def test_two_devices_by_hand(rule: str, nodes: tuple[int, ...]) -> None:
    state = with_free(two_pods(), [3, 3, 2, 0, 4, 4, 4, 4])
    allocation = place(state, 2, rule)
    assert allocation is not None
    assert allocation.nodes == nodes


def test_chunks_keep_together() -> None:
    state = with_free(two_pods(), [3, 3, 3, 3, 1, 1, 1, 1])
    assert place(state, 4) is None
    loose = place(state, 4, "first", chunk=1)
    assert loose is not None
    assert (loose.nodes, loose.counts) == ((0, 1), (3, 1))
    pairs = place(state, 4, "first", chunk=2)
    assert pairs is not None
    assert (pairs.nodes, pairs.counts) == ((1, 2), (2, 2))


def test_a_group_that_holds_the_whole_job_wins_over_a_tighter_split() -> None:
    state = with_free(two_pods(), [4, 0, 4, 4, 4, 0, 0, 0])
    leaf = place(state, 8, "packed-leaf")
    assert leaf is not None
    assert leaf.nodes == (2, 3)
    assert place(state, 8, within="leaf") is None
    across = place(state, 8, "packed-leaf")
    assert across is not None
    assert across.nodes == (0, 4)


def test_spread_takes_pods_in_turn() -> None:
    state = ClusterState(two_pods())
    allocation = place(state, 16, "spread-pod")
    assert allocation is not None
    assert allocation.nodes == (0, 1, 4, 5)


def test_topology_finds_the_least_traffic_over_levels() -> None:
    """Against every choice of nodes."""
    cluster = two_pods()
    free = [4, 0, 4, 4, 4, 4, 0, 4]
    nested = ((4, 8.0), (8, 2.0), (16, 1.0))
    state = with_free(cluster, free)
    allocation = place(state, 16, "topology", nested=nested)
    assert allocation is not None
    every = [
        tuple(node for node, taken in enumerate(choice) if taken)
        for choice in product((0, 1), repeat=8)
        if sum(choice) == 4 and all(free[node] == 4 or not taken for node, taken in enumerate(choice))
    ]
    least = min(levels_crossed(state, nodes, (4,) * 4, nested) for nodes in every)
    assert levels_crossed(state, allocation.nodes, allocation.counts, nested) == least


def test_a_node_that_is_down_gives_nothing_until_it_is_back() -> None:
    state = ClusterState(two_pods())
    held = place(state, 2, "first")
    assert held is not None
    state.fail(0)
    assert state.free_devices() == 28
    other = place(state, 4, "first")
    assert other is not None
    assert other.nodes == (1,)
    release(state, held)
    assert state.free[0] == 0
    state.repair(0)
    assert state.free[0] == 4


def test_pools_in_order_of_preference() -> None:
    cluster = ClusterMap([Pool("a100", 8, 8), Pool("h100", 16, 8)])
    state = ClusterState(cluster)
    first = place(state, 16, "packed")
    assert first is not None
    assert first.nodes == (1, 2)
    assert place(state, 8, pool="h100") is None
    second = place(state, 8, pool=("h100", "a100"))
    assert second is not None
    assert second.nodes == (0,)
    assert state.free_devices("a100") == 0


def test_any_device_is_as_good_as_another_in_a_flat_cluster() -> None:
    state = ClusterState(ClusterMap.flat(256))
    allocation = place(state, 200)
    assert allocation is not None
    assert allocation.counts == (200,)
    assert not state.fits(57)
    assert state.fits(56)


def test_an_allocation_is_given_back_once() -> None:
    state = ClusterState(two_pods())
    allocation = place(state, 2)
    assert allocation is not None
    release(state, allocation)
    with pytest.raises(UsageError, match="given back once"):
        release(state, allocation)


@pytest.mark.parametrize("rule", ["fist", "first-pod", "packed-shelf", ""])
def test_unknown_rules_and_levels_are_refused(rule: str) -> None:
    with pytest.raises(UsageError, match="no such"):
        place(ClusterState(two_pods()), 1, rule)


def test_groups_hold_whole_groups() -> None:
    with pytest.raises(UsageError, match="whole groups"):
        ClusterMap([Pool("h100", 32, 8, 8, (("leaf", 12),))])
    assert two_pods().level("rail") == "leaf"
    assert two_pods().level("domain") == NODE


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [
        (ClusterSpec(accelerator="h100-sxm", count=24576, fabric="meta-24k-roce"), (8, 8, (("pod", 3072),))),
        (ClusterSpec(accelerator="gb200", count=5760, fabric="meta-24k-roce"), (4, 72, (("pod", 3024),))),
        (ClusterSpec(accelerator="h100-sxm", count=64), (8, 8, ())),
    ],
)
def test_a_cluster_of_the_catalogue(cluster: ClusterSpec, expected: tuple[object, ...]) -> None:
    pool = pool_of_cluster(resolve_cluster(cluster))
    assert (pool.node_devices, pool.domain_devices, pool.levels) == expected
    assert ClusterMap([pool]).devices == cluster.count


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=8, max_size=8), st.integers(1, 20), st.sampled_from([1, 2, 4]))
def test_packed_takes_as_few_nodes_and_groups_as_any_placement(free, devices, chunk) -> None:
    """Against every subset of nodes, and of leaves."""
    chunk = min(chunk, devices)
    if devices % chunk:
        return
    need = devices // chunk
    leaves = [free[at] // chunk + free[at + 1] // chunk for at in range(0, 8, 2)]
    for rule, room in (("packed", [count // chunk for count in free]), ("packed-leaf", leaves)):
        state = with_free(two_pods(), free)
        allocation = place(state, devices, rule, chunk=chunk)
        if sum(room) < need:
            assert allocation is None
            continue
        assert allocation is not None
        fewest = next(count for count in range(1, 9) if sum(sorted(room, reverse=True)[:count]) >= need)
        used = {node if rule == "packed" else node // 2 for node in allocation.nodes}
        assert len(used) == fewest


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=8, max_size=8), st.integers(1, 4))
def test_best_leaves_the_fewest_devices_on_its_node(free, devices) -> None:
    state = with_free(two_pods(), free)
    allocation = place(state, devices, "best")
    left = [count - devices for count in free if count >= devices]
    if allocation is None:
        assert not left
    else:
        assert int(state.free[allocation.nodes[0]]) == min(left)
