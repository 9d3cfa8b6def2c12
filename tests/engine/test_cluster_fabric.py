"""Two training runs that share an oversubscribed spine, from the scenario to the end of each, by hand."""

from pathlib import Path

import pytest

from sim.engine.cluster.fabric import SharedFabric
from sim.engine.cluster.job import Job, Pace, Workload
from sim.engine.cluster.places import Places
from sim.engine.cluster.policies.fifo import Fifo
from sim.engine.cluster.recording import ClusterRecording
from sim.engine.cluster.rules import Pool as Devices
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.world import World
from sim.plan.placement import ClusterMap, Pool
from sim.plan.routes import Traffic
from sim.plan.topology import tree
from sim.spec.load import load_scenario
from sim.study.cluster import play, prepare_cluster

SCENARIO = "scenarios/clusters/two-trainings-one-spine.yaml"


class Talking:
    """A job whose step of 10 s waits 4 s for a ring of 8 cards a node."""

    def __init__(self, exposed_s: float) -> None:
        self._exposed_s = exposed_s

    def at(self, devices: int, kind: str, place: object = None) -> Pace:
        return Pace(1.0)

    def exchange(self, devices: int, kind: str, place: object) -> tuple[list[Traffic], float]:
        return [Traffic("data-parallel communication", "ring", devices // 8, 8, self._exposed_s)], 10.0

    def nested(self, devices: int, kind: str) -> list[tuple[int, float]]:
        return [(devices, 1.0)]


def played(jobs: list[tuple[float, float, float]], rule: str) -> ClusterRecording:
    """Play jobs of 32 devices (arrival, run time, exposed seconds in 10 s) on two pods of four nodes, 8:1."""
    cluster = ClusterMap([Pool("x", 64, 8, 8, (("pod", 32),))])
    workload = Workload(
        [Job(number, at, 32, run_s, speed=Talking(exposed)) for number, (at, run_s, exposed) in enumerate(jobs)],
        [run_s for _, run_s, _ in jobs],
    )
    world = World(64, 0)
    network = SharedFabric({"x": tree(cluster, "x", 50e9, {"pod": 8.0})})
    places = Places(cluster, rule)
    scheduler = Scheduler(world, [Devices("x", 64)], workload, Fifo(), None, places, network)
    scheduler.begin()
    world.run_until(scheduler.has_finished)
    return scheduler.record()


def test_two_jobs_on_one_spine_by_hand() -> None:
    """Expectation: from 100 s to the end of the second, both get half of the spine: 14 s for a step of 10 s.

    The first has done 100 s of its 1,000 s. The second needs 300 s x 1.4 = 420 s, and ends at 520 s. The first has done
    100 + 420 / 1.4 = 400 s then, goes on at its own pace, and ends at 520 + 600 = 1,120 s.
    """
    recording = played([(0.0, 1000.0, 4.0), (100.0, 300.0, 4.0)], "spread-pod")
    assert recording.finish_s.tolist() == pytest.approx([1120.0, 520.0], rel=1e-12)
    contended = 32 * 2 * 420 * (1 - 1 / 1.4)
    assert recording.accounts.device_seconds["contended communication"] == pytest.approx(contended, rel=1e-9)


def test_in_pods_of_their_own_they_do_not_meet() -> None:
    recording = played([(0.0, 1000.0, 4.0), (100.0, 300.0, 4.0)], "packed-pod")
    assert recording.finish_s.tolist() == [1000.0, 400.0]


def test_a_job_that_waits_for_nothing_is_not_slowed_down() -> None:
    recording = played([(0.0, 1000.0, 0.0), (100.0, 300.0, 4.0)], "spread-pod")
    assert recording.finish_s.tolist() == [1000.0, 400.0]


def test_the_scenario_by_hand(root: Path) -> None:
    """Both wait 1 / share times as long while both run; the short one takes half the steps of the long one."""
    scenario = load_scenario(root / SCENARIO)
    prepared = prepare_cluster(scenario)
    recording = play(prepared, scenario.seed)
    jobs, cluster = prepared.workload.jobs, prepared.cluster_map
    assert cluster is not None
    place = Places(cluster, "spread-pod").take(jobs[0], 32, "h100-sxm")
    assert place.nodes == (0, 1, 4, 5)
    alone_s, slowdowns = [], []
    for job, run_s in zip(jobs, prepared.workload.run_s, strict=True):
        (ring,), step_s = job.speed.exchange(32, "h100-sxm", place)
        alone_s.append(run_s / job.speed.at(32, "h100-sxm", place).rate)
        slowdowns.append(1 + ring.exposed_s / step_s)
    assert 1.05 < slowdowns[1] < 1.5
    both_s = alone_s[1] * slowdowns[1]
    expected = [both_s + alone_s[0] - both_s / slowdowns[0], both_s]
    assert recording.finish_s.tolist() == pytest.approx(expected, rel=1e-9)


def test_by_topology_a_run_stays_in_one_pod(root: Path) -> None:
    prepared = prepare_cluster(load_scenario(root / SCENARIO, ["policy.place=topology"]))
    recording = play(prepared, 0)
    assert recording.accounts.device_seconds.get("contended communication", 0.0) == 0.0
    ((span, seconds),) = prepared.workload.jobs[0].speed.nested(32, "h100-sxm")
    assert span == 32
    assert seconds > 0
