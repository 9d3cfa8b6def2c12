"""The engine of the cluster by hand: stops, checkpoints, elastic jobs, tenants, kinds, failures, and the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from sim.engine.cluster.contract import RULES, PolicyError
from sim.engine.cluster.job import Job, Scaling, Workload
from sim.engine.cluster.policies.fifo import Fifo
from sim.engine.cluster.policies.goodput import Goodput
from sim.engine.cluster.policies.heterogeneous import Heterogeneous
from sim.engine.cluster.policies.priority import Priority
from sim.engine.cluster.policy import Policy, Preempt, Resize, Start, Wake
from sim.engine.cluster.rules import Faults, Pool, Reservation, Rules
from sim.engine.cluster.view import View
from sim.plan.placement import ClusterMap
from sim.plan.placement import Pool as Nodes
from tests.helpers.cluster import jobs, play


def one(arrival_s: float, devices: int, run_s: float, number: int = 1, **more: Any) -> tuple[Job, float]:
    return Job(number, arrival_s, devices, run_s, **more), run_s


def workload(*rows: tuple[Job, float], flop: tuple[float, ...] = ()) -> Workload:
    return Workload([job for job, _ in rows], [run_s for _, run_s in rows], flop)


def test_an_urgent_job_stops_another_which_goes_on_from_its_checkpoint() -> None:
    low = one(0.0, 4, 100.0, 1, checkpoint_s=30.0, restart_s=5.0)
    high = one(50.0, 4, 10.0, 2, priority=1)
    recording = play(workload(low, high, flop=(1000.0, 10.0)), Priority())
    # Stopped at 50 s with 30 s saved; on again at 60 s, steps from 65 s on, 70 s left.
    assert recording.finish_s.tolist() == [135.0, 60.0]
    assert recording.preemptions.tolist() == [1, 0]
    accounts = recording.accounts.device_seconds
    assert accounts == {"useful compute": 4 * 110.0, "lost work": 4 * 20.0, "restart": 4 * 5.0}
    assert recording.accounts.amounts["flop"] == {
        "model": pytest.approx(1010.0),
        "recompute and padding": 0.0,
        "lost and redone": pytest.approx(200.0),
    }


def test_with_grace_nothing_is_lost() -> None:
    low = one(0.0, 4, 100.0, 1, checkpoint_s=30.0)
    high = one(50.0, 4, 10.0, 2, priority=1)
    recording = play(workload(low, high), Priority(), rules=Rules(grace_s=7.0))
    assert recording.start_s.tolist() == [0.0, 57.0]
    assert recording.finish_s.tolist() == [117.0, 67.0]
    assert recording.accounts.device_seconds == {"useful compute": 440.0, "checkpoint": 28.0}


def test_without_checkpoints_it_begins_again() -> None:
    recording = play(workload(one(0.0, 4, 100.0, 1), one(50.0, 4, 10.0, 2, priority=1)), Priority())
    assert recording.finish_s.tolist() == [160.0, 60.0]


def test_ends_come_before_arrivals_at_one_instant() -> None:
    recording = play(jobs((0.0, 4, 10.0), (10.0, 4, 5.0)), Fifo())
    assert recording.start_s.tolist() == [0.0, 10.0]


def test_jobs_that_take_no_time_pass() -> None:
    recording = play(jobs((0.0, 4, 0.0), (0.0, 4, 0.0), (0.0, 4, 1.0)), Fifo())
    assert recording.finish_s.tolist() == [0.0, 0.0, 1.0]


def test_what_can_never_run_is_turned_away() -> None:
    recording = play(jobs((0.0, 5, 1.0), (0.0, 4, 1.0)), Fifo())
    assert recording.outcome.tolist() == [2, 1]
    assert "never has" in recording.events[0][2]


def test_a_quota_holds_whatever_the_policy() -> None:
    rows = [one(0.0, 2, 10.0, number, tenant="a") for number in (1, 2)] + [one(0.0, 2, 10.0, 3, tenant="b")]
    recording = play(workload(*rows), Fifo(), rules=Rules(quotas={"a": 2}))
    assert recording.start_s.tolist() == [0.0, 10.0, 0.0]


def test_reserved_devices_stay_free_for_their_tenant() -> None:
    rows = [one(0.0, 3, 10.0, 1, tenant="b"), one(5.0, 2, 1.0, 2, tenant="a")]
    kept = Rules(reservations=(Reservation("a", 2, 5.0, 8.0),))
    recording = play(workload(*rows), Fifo(), rules=kept)
    # Job 1 would still run at 5 s and leave one device of the two: it waits until the reservation is over.
    assert recording.start_s.tolist() == [8.0, 5.0] or recording.start_s.tolist() == [8.0, 18.0]


def test_elastic_jobs_share_the_cluster_and_grow() -> None:
    rows = [
        one(0.0, 2, 100.0, 1, least=1, most=4, speed=Scaling(2)),
        one(0.0, 4, 10.0, 2, least=1, most=4, speed=Scaling(4)),
    ]
    recording = play(workload(*rows), Goodput(round_s=10.0))
    # 240 device-seconds of work on 4 devices, which are never idle: linear speed loses nothing.
    assert recording.wall_clock_s == pytest.approx(60.0)


def test_several_kinds_of_device() -> None:
    pools = (Pool("new", 2), Pool("old", 2))
    speed = Scaling(2, 0.0, {"new": 1.0, "old": 0.5})
    rows = [one(0.0, 2, 100.0, number, speed=speed, checkpoint_s=0.0) for number in (1, 2)]
    recording = play(workload(*rows), Fifo(), pools=pools)
    assert recording.finish_s.tolist() == [100.0, 200.0]
    shared = play(workload(*rows), Heterogeneous(round_s=10.0), pools=pools)
    # They take turns on the fast devices, so both end together, in less than the slow ones would take.
    assert max(shared.finish_s) < 150.0


def test_failures_stop_jobs_and_take_nodes_away() -> None:
    rules = Rules(faults=Faults(rate_per_s=0.002, repair_s=50.0, node_loss_share=1.0))
    rows = [one(0.0, 2, 300.0, number, checkpoint_s=10.0) for number in (1, 2, 3)]
    recording = play(workload(*rows), Fifo(), rules=rules)
    assert recording.failures.sum() > 0
    assert recording.accounts.device_seconds["down"] > 0
    assert recording.outcome.tolist() == [1, 1, 1]


class Scripted(Policy):
    """Does at each instant what a script says."""

    name = "scripted"

    def __init__(self, script: Callable[[View], Iterable[Any]]) -> None:
        self.script = script

    def decide(self, view: View) -> Iterator[Any]:
        yield from self.script(view)


def first(view: View) -> Job:
    return next(view.waiting())


def started_twice(view: View) -> Iterator[Any]:
    job = next(view.waiting(), None)
    if job is not None:
        yield Start(job)
        yield Start(job)


def fails(view: View) -> Iterator[Any]:
    raise ZeroDivisionError("of my own")


BROKEN: list[tuple[str, Callable[[View], Iterable[Any]]]] = [
    ("decision", lambda view: ["start"]),
    ("waiting", started_twice),
    ("running", lambda view: [Preempt(first(view))]),
    ("gang", lambda view: [Start(first(view), 1)]),
    ("gang", lambda view: [Start(first(view)), Resize(first(view), 3)] if view.free == 4 else []),
    ("capacity", lambda view: [Start(job) for job in view.waiting()]),
    ("kind", lambda view: [Start(first(view), kind="quantum")]),
    ("progress", lambda view: [step for job in [first(view)] for step in (Start(job), Preempt(job))]),
    ("future", lambda view: [Wake(view.now_s)]),
    ("liveness", lambda view: []),
    ("own errors", fails),
]


@pytest.mark.parametrize(("rule", "script"), BROKEN)
def test_a_broken_rule_is_named(rule: str, script: Callable[[View], Iterable[Any]]) -> None:
    with pytest.raises(PolicyError, match=f"broke the rule '{rule}'") as error:
        play(jobs((0.0, 3, 10.0), (0.0, 3, 10.0)), Scripted(script))
    assert RULES[rule] in error.value.rule
    assert "scripted" in error.value.where


def test_what_may_not_be_preempted_is_not() -> None:
    def script(view: View) -> Iterator[Any]:
        for job in view.waiting():
            if view.fits(job):
                yield Start(job)
        if view.now_s > 0:
            yield from (Preempt(job) for job in view.running())

    with pytest.raises(PolicyError, match="preemptible"):
        play(workload(one(0.0, 3, 10.0, 1, preemptible=False), one(1.0, 3, 10.0, 2)), Scripted(script))


def test_a_view_cannot_be_written() -> None:
    def script(view: View) -> Iterator[Any]:
        view.free = 100  # type: ignore[misc]
        yield Start(first(view))

    with pytest.raises(PolicyError, match="own errors"):
        play(jobs((0.0, 3, 10.0)), Scripted(script))


def test_elastic_jobs_grow_within_the_quota_of_their_tenant() -> None:
    """Job 1 could use all four devices; its tenant may hold three, and job 2 of the same tenant has one of them."""
    rows = [
        one(0.0, 1, 8.0, 1, least=1, most=4, speed=Scaling(1), tenant="a"),
        one(0.0, 1, 8.0, 2, tenant="a"),
    ]
    recording = play(workload(*rows), Goodput(round_s=10.0), rules=Rules(quotas={"a": 3}))
    assert recording.finish_s.tolist() == [4.0, 8.0]
    assert recording.stretches.devices.max() == 2


def test_elastic_jobs_grow_only_where_there_are_places() -> None:
    """Job 1 has to stay on one node of four; beside job 2 five devices would be its own, but no node has them."""
    nodes = ClusterMap([Nodes("gpu", 8, 4, 4)])
    rows = [
        one(0.0, 1, 8.0, 1, least=1, most=8, speed=Scaling(1), within="node"),
        one(0.0, 3, 5.0, 2),
    ]
    recording = play(workload(*rows), Goodput(round_s=10.0), 8, places=nodes)
    assert recording.finish_s.tolist() == [4.0, 5.0], "five devices are halved to two"

    def grows(view: View) -> Iterator[Any]:
        for job in view.waiting():
            yield Start(job)
        for job in view.running():
            if job.is_elastic and view.now_s < 5.0:
                assert view.can_resize(job, 4)
                assert not view.can_resize(job, 5)
                yield Resize(job, 4)

    assert play(workload(*rows), Scripted(grows), 8, places=nodes).finish_s.tolist() == [2.0, 5.0]
