"""Shares of devices, and how badly free devices are scattered: by hand, and by property."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import UsageError
from sim.plan.placement import ClusterMap, ClusterState, Pool
from sim.plan.placement_measure import FragmentationOverTime, fragmentation
from sim.plan.placement_rules import place
from sim.plan.placement_shares import SharedDevices


def small() -> ClusterState:
    return ClusterState(ClusterMap([Pool("t4", 8, 4), Pool("a10", 4, 2)]))


def test_shares_fill_a_device_before_another_is_opened() -> None:
    state = small()
    shared = SharedDevices(state)
    first, second, third = (shared.place(460) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.slot == second.slot != third.slot
    assert state.free_devices() == 10
    assert first.devices == 0
    shared.release(first)
    assert state.free_devices() == 10
    shared.release(second)
    assert state.free_devices() == 11
    with pytest.raises(UsageError, match="given back once"):
        shared.release(second)


def test_the_tightest_device_takes_a_share() -> None:
    state = small()
    shared = SharedDevices(state)
    for milli in (700, 400):
        shared.place(milli)
    assert shared.left_milli(0) == [300, 600]
    shared.place(300)
    assert shared.left_milli(0) == [0, 600]


def test_shared_devices_of_a_node_that_is_down_take_nothing() -> None:
    state = small()
    shared = SharedDevices(state)
    first = shared.place(100)
    assert first is not None
    state.fail(first.nodes[0])
    second = shared.place(100)
    assert second is not None
    assert second.nodes != first.nodes
    assert shared.left_milli(0) == [900]


@pytest.mark.parametrize("milli", [0, 1000, -1])
def test_a_share_is_less_than_a_device(milli: int) -> None:
    with pytest.raises(UsageError, match="less than a device"):
        SharedDevices(small()).place(milli)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 999), st.integers(0, 99)), max_size=60))
def test_no_device_gives_more_than_itself(orders) -> None:
    state = small()
    shared = SharedDevices(state)
    live = []
    for milli, choice in orders:
        pool = ("t4", "a10", None)[choice % 3]
        share = shared.place(milli, pool=pool)
        if share is not None:
            live.append(share)
        elif pool is not None:
            assert state.free_devices(pool) == 0
        if live and choice > 60:
            shared.release(live.pop(choice % len(live)))
        used: dict[int, int] = {}
        for each in live:
            used[each.slot] = used.get(each.slot, 0) + each.milli
        assert all(milli <= 1000 for milli in used.values())
        assert state.held.sum() == len(used)
        assert sorted(1000 - milli for milli in used.values()) == sorted(
            left for pool in (0, 1) for left in shared.left_milli(pool)
        )
    for share in live:
        shared.release(share)
    assert (state.free == state.map.capacity).all()


def test_fragmentation_by_hand() -> None:
    """Nodes of 4 with 4, 3, 1 free: a job of 1 can use all 8; of 2: not the 1; of 4, or of 16: not 3 + 1."""
    state = ClusterState(ClusterMap([Pool("x", 12, 4)]))
    state.take(1, 1)
    state.take(2, 3)
    assert fragmentation(state, [(1, 1.0)]).share == 0.0
    assert fragmentation(state, [(2, 1.0)]).share == pytest.approx(1 / 8)
    assert fragmentation(state, [(4, 1.0)]).share == fragmentation(state, [(16, 1.0)]).share == pytest.approx(4 / 8)
    mixed = fragmentation(state, [(1, 3.0), (2, 1.0), (4, 4.0)])
    assert mixed.unusable_devices == pytest.approx((0 * 3 + 1 * 1 + 4 * 4) / 8)


def test_fragmentation_of_shared_devices_by_hand() -> None:
    """Left of two shared devices: 0.3 and 0.6; a node of 4 has 2 whole ones left besides."""
    state = ClusterState(ClusterMap([Pool("x", 4, 4)]))
    shared = SharedDevices(state)
    shared.place(700)
    shared.place(400)
    found = fragmentation(state, [(0.5, 1.0)], shared=shared)
    assert found.free_devices == pytest.approx(2.9)
    assert found.unusable_devices == pytest.approx(0.3)
    assert fragmentation(state, [(2, 1.0)], shared=shared).unusable_devices == pytest.approx(0.9)
    assert fragmentation(state, [(3, 1.0)], shared=shared).share == pytest.approx(1.0)


def test_nothing_free_is_not_fragmented() -> None:
    state = ClusterState(ClusterMap([Pool("x", 4, 4)]))
    place(state, 4)
    assert fragmentation(state, [(1, 1.0)]).share == 0.0
    for mix in ([], [(0, 1.0)], [(1, -1.0)]):
        with pytest.raises(UsageError, match="mix"):
            fragmentation(state, mix)


@settings(deadline=None)
@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.integers(1, 8))
def test_packing_leaves_no_more_fragments_for_whole_nodes_than_any_state(free, devices) -> None:
    """Fragmentation lies between 0 and 1, and a job that takes a whole node leaves the others as they are."""
    state = ClusterState(ClusterMap([Pool("x", 8 * len(free), 8)]))
    for node, count in enumerate(free):
        if count < 8:
            state.take(node, 8 - count)
    before = fragmentation(state, [(devices, 1.0)])
    assert 0.0 <= before.share <= 1.0
    if 8 in free:
        allocation = place(state, 8)
        assert allocation is not None
        assert fragmentation(state, [(devices, 1.0)]).unusable_devices == before.unusable_devices


def test_fragmentation_over_time_by_hand() -> None:
    """Nodes of 4, jobs of 4: nothing free is lost for 10 s, then for 5 s the 3 left on a node, of 7 free."""
    clock = [0.0]
    state = ClusterState(ClusterMap([Pool("x", 8, 4)]))
    meter = FragmentationOverTime(state, [(4, 2.0), (16, 1.0)], lambda: clock[0])
    clock[0] = 10.0
    place(state, 1)
    clock[0] = 15.0
    meter.settle()
    assert meter.share == pytest.approx(3 * 5 / (8 * 10 + 7 * 5))
    state.fail(1)
    clock[0] = 16.0
    meter.settle()
    assert meter.share == pytest.approx((3 * 5 + 3 * 1) / (8 * 10 + 7 * 5 + 3 * 1))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 8), st.floats(0.1, 5.0)), min_size=1, max_size=20), st.integers(1, 9))
def test_fragmentation_over_time_is_the_mean_of_that_at_each_time(steps, wanted) -> None:
    clock = [0.0]
    state = ClusterState(ClusterMap([Pool("x", 48, 8), Pool("y", 9, 2)]))
    meter = FragmentationOverTime(state, [(wanted, 1.0)], lambda: clock[0])
    free = unusable = 0.0
    for devices, elapsed_s in steps:
        now = fragmentation(state, [(wanted, 1.0)])
        free, unusable = free + elapsed_s * now.free_devices, unusable + elapsed_s * now.unusable_devices
        clock[0] += elapsed_s
        place(state, devices)
    meter.settle()
    assert meter.share == pytest.approx(unusable / free if free else 0.0)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([100, 250, 400, 700, 1000, 2000]), st.floats(0.1, 5.0)), min_size=1, max_size=25
    ),
    st.sampled_from([0.3, 0.5, 1.0, 2.0]),
)
def test_fragmentation_over_time_counts_shares_as_at_each_time(steps, wanted) -> None:
    clock = [0.0]
    state = small()
    shared = SharedDevices(state)
    meter = FragmentationOverTime(state, [(wanted, 1.0), (1.0, 2.0)], lambda: clock[0], shared)
    live, free, unusable = [], 0.0, 0.0
    for number, (milli, elapsed_s) in enumerate(steps):
        now = fragmentation(state, [(wanted, 1.0), (1.0, 2.0)], shared=shared)
        free, unusable = free + elapsed_s * now.free_devices, unusable + elapsed_s * now.unusable_devices
        clock[0] += elapsed_s
        fits = milli >= 1000 or any(shared.fits(milli, pool) for pool in ("t4", "a10"))
        share = shared.place(milli) if milli < 1000 else None
        assert milli >= 1000 or fits == (share is not None)
        if share is not None:
            live.append(share)
        elif milli >= 1000:
            place(state, milli // 1000)
        if live and number % 3 == 2:
            shared.release(live.pop(number % len(live)))
    meter.settle()
    assert meter.share == pytest.approx(unusable / free if free else 0.0)
