"""How full each part of a cluster is over time: exact at the moments that are looked at, however many pass."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.plan import placement_held as module
from sim.plan.placement import ClusterMap, ClusterState, Pool
from sim.plan.placement_held import HeldOverTime, level_of
from sim.spec.load import load_document, read_scenario
from sim.study.scenarios import run_scenario

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ClusterMap([Pool("h100-sxm", 32, 8)])


@given(st.lists(st.tuples(st.floats(0.01, 400.0), st.integers(0, 3), st.integers(1, 8)), min_size=1, max_size=40))
def test_it_sees_what_was_so_at_each_moment(changes: list[tuple[float, int, int]]) -> None:
    state, now = ClusterState(CLUSTER), [0.0]
    held = HeldOverTime(state, lambda: now[0])
    history = [(0.0, state.free.copy())]
    for gap_s, node, count in changes:
        now[0] += gap_s
        if state.free_on(node) >= count:
            state.allocate([node], [count])
        history.append((now[0], state.free.copy()))
    held.settle()
    samples = held.samples
    assert samples is not None
    assert samples.parts == ("node 0", "node 1", "node 2", "node 3")
    assert len(samples.time_s) <= module.MOST_SAMPLES
    assert samples.time_s[-1] < now[0] <= samples.time_s[-1] + samples.time_s[1:2].sum() + 1.0
    for time_s, share in zip(samples.time_s, samples.share, strict=True):
        free = next(free for since_s, free in reversed(history) if since_s <= time_s)
        assert share == pytest.approx(1 - free / 8)


def test_the_nearest_level_that_can_be_told_apart_is_taken() -> None:
    assert level_of(ClusterMap([Pool("a", 64 * 8, 8)])) == "node"
    assert level_of(ClusterMap([Pool("a", 65 * 8, 8, levels=(("leaf", 16), ("pod", 256)))])) == "leaf"
    assert level_of(ClusterMap([Pool("a", 24_576, 8, levels=(("leaf", 256), ("pod", 4096)))])) == "pod"


def test_a_played_cluster_tells_how_full_its_nodes_were() -> None:
    document = load_document(ROOT / "scenarios" / "clusters" / "tenants.yaml")
    tables = run_scenario(read_scenario(document), document=document).tables
    heat, held = tables["heat"], tables["allocations"]
    moments = np.unique(heat["time_s"])
    assert len(moments) > 100
    devices = np.array([float(heat["value"][heat["time_s"] == at].sum()) * 8 for at in moments])
    allocated = [held["devices"][(held["start_s"] <= at) & (held["end_s"] > at)].sum() for at in moments]
    assert devices == pytest.approx(np.array(allocated, dtype=np.float64))
