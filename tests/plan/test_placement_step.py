"""A training step on the nodes that it got: as planned where they are as the plan thought, longer elsewhere."""

import pytest

from sim.errors import InfeasibleError
from sim.plan.placement import Allocation, ClusterMap, Pool
from sim.plan.placement_step import PlacedTraining, oversubscription_of
from sim.plan.training import Prepared, prepare
from sim.spec.cluster import ClusterSpec
from sim.spec.workload import TrainingSpec

TRAINING = {"model": "llama-3.1-8b", "budget": "1e21 FLOP", "plan": {"tp": 8, "pp": 2, "dp": 4}}


def prepared(fabric: object = "infiniband-ndr400", **more: object) -> Prepared:
    cluster = ClusterSpec(accelerator="h100-sxm", count=64, fabric=fabric)
    return prepare(cluster, TrainingSpec.model_validate(TRAINING | more))


def blocking(ratio: float) -> dict[str, object]:
    levels = [{"name": "pod", "devices": 32, "oversubscription": ratio}, {"name": "spine"}]
    return {"name": "narrow", "link_bandwidth_bytes_per_s": "400 Gbit/s", "levels": levels}


def cluster() -> ClusterMap:
    return ClusterMap([Pool("h100-sxm", 128, 8, 8, (("pod", 32),))])


def on(*nodes: int) -> Allocation:
    return Allocation(nodes, (8,) * len(nodes), 1)


def test_where_nothing_blocks_the_place_is_irrelevant() -> None:
    run = prepared()
    placed = PlacedTraining(run, cluster())
    near, far = placed.at(on(*range(8))), placed.at(on(*range(0, 16, 2)))
    assert near.step_s == far.step_s == pytest.approx(run.run.step_s, rel=1e-12)
    assert sum(seconds for _, seconds in near.parts) == pytest.approx(near.step_s, rel=1e-12)
    assert {each.name for each in near.traffic} >= {"pipeline communication"}


def test_full_pods_are_what_the_plan_thought() -> None:
    """64 devices fill two pods of 32: each device has its seventh of the line rate, as the cost functions assume."""
    run = prepared(blocking(7.0))
    placed = PlacedTraining(run, cluster())
    assert oversubscription_of(run, cluster()) == {"pod": 7.0}
    assert placed.at(on(*range(8))).step_s == pytest.approx(run.run.step_s, rel=1e-12)


def test_the_thinner_a_job_is_spread_the_more_uplinks_it_has() -> None:
    """Over four half-filled pods each device has twice the rate out of its pod; a wider spine is the same as that."""
    run = prepared(blocking(14.0))
    half = PlacedTraining(run, cluster()).at(on(0, 1, 4, 5, 8, 9, 12, 13))
    full = PlacedTraining(run, cluster()).at(on(*range(8)))
    exposed = {name: seconds for name, seconds in full.parts if name == "exposed pipeline communication"}
    assert exposed["exposed pipeline communication"] > dict(half.parts)["exposed pipeline communication"] > 0


def test_a_given_step_says_nothing_of_its_traffic() -> None:
    run = prepared(mfu=0.4)
    step = PlacedTraining(run, cluster()).at(on(*range(8)))
    assert step.traffic == ()
    assert step.step_s == run.run.step_s


def test_a_layout_needs_its_devices() -> None:
    with pytest.raises(InfeasibleError, match="more devices than it got"):
        PlacedTraining(prepared(), cluster()).at(on(0, 1))
