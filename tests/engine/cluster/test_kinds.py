"""Several kinds of device under one policy: by hand, and by property for every policy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.cluster.job import Job, Scaling, Workload
from sim.engine.cluster.policies.conservative import Conservative
from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo, FirstFit
from sim.engine.cluster.policies.priority import Priority
from sim.engine.cluster.policies.shortest import Shortest
from sim.engine.cluster.recording import ClusterRecording
from sim.engine.cluster.registry import NAMES, find
from sim.engine.cluster.rules import Faults, Pool, Rules
from sim.plan.placement import ClusterMap
from sim.plan.placement import Pool as PlacedPool
from tests.helpers.cluster import play

POOLS = (Pool("new", 2), Pool("old", 4))
EITHER, NEW, OLD = {"new": 1.0, "old": 0.5}, {"new": 1.0}, {"old": 0.5}
CONSERVED = 1e-9


def job(number: int, devices: int, run_s: float, kinds: dict[str, float], at_s: float = 0.0, **more: object) -> Job:
    return Job(number, at_s, devices, run_s, kinds=tuple(kinds), speed=Scaling(devices, 0.0, kinds), **more)  # type: ignore[arg-type]


def played(*jobs: Job, policy: object = Fifo, **more: object) -> ClusterRecording:
    """Play jobs whose estimates are right."""
    workload = Workload(jobs, [each.estimate_s for each in jobs])
    return play(workload, policy(), pools=POOLS, **more)  # type: ignore[operator, arg-type]


@pytest.mark.parametrize("policy", [Fifo, FirstFit, Easy, Conservative, Shortest])
def test_two_jobs_on_two_kinds_by_hand(policy: object) -> None:
    """The first takes the new devices for 100 s; the second the old ones, at half the speed, for 200 s."""
    recording = played(job(1, 2, 100.0, EITHER), job(2, 2, 100.0, EITHER), policy=policy)
    assert recording.finish_s.tolist() == [100.0, 200.0]
    new, old = recording.by_kind
    assert new.device_seconds == {"useful compute": 200.0, "free": 200.0}
    assert old.device_seconds == {"useful compute": 400.0, "free": 400.0}
    assert recording.accounts.device_seconds == {"useful compute": 600.0, "free": 600.0}


@pytest.mark.parametrize("policy", [Fifo, Easy, Conservative, Shortest])
def test_who_waits_for_one_kind_holds_up_nobody_on_another(policy: object) -> None:
    recording = played(job(1, 2, 50.0, NEW), job(2, 2, 60.0, NEW), job(3, 4, 70.0, OLD), policy=policy)
    assert recording.start_s.tolist() == [0.0, 50.0, 0.0]


def test_the_head_of_two_queues_takes_what_comes_first() -> None:
    """Job 3 may use either and heads both queues; the old devices come free at 20 s, the new ones at 50 s.

    Job 4, behind it in the queue for the new ones, then needs to wait for nobody but job 1.
    """
    jobs = [job(1, 2, 50.0, NEW), job(2, 3, 10.0, OLD), job(3, 2, 30.0, EITHER), job(4, 2, 5.0, NEW)]
    recording = played(*jobs)
    assert recording.start_s.tolist() == [0.0, 0.0, 20.0, 50.0]
    assert recording.finish_s.tolist() == [50.0, 20.0, 80.0, 55.0]


def test_who_stood_behind_a_job_that_went_elsewhere_goes_at_the_same_instant() -> None:
    """Job 2 heads both queues and wants 2; one new device is free, which job 3 may have as soon as job 2 is on old."""
    jobs = [job(1, 1, 50.0, NEW), job(2, 2, 10.0, EITHER), job(3, 1, 5.0, NEW)]
    assert played(*jobs).start_s.tolist() == [0.0, 0.0, 0.0]


def test_backfill_counts_in_the_time_of_its_own_kind() -> None:
    """On old devices job 1 takes 20 s and job 2 waits for all four until 20 s.

    Jobs of 10 s take 20 s there and fill the gap exactly; one of 11 s takes 22 s and would delay job 2, though 11 s are
    less than the 20 s of the gap.
    """
    head = [job(1, 2, 10.0, OLD), job(2, 4, 10.0, OLD)]
    assert played(*head, job(3, 1, 10.0, OLD), policy=Easy).start_s.tolist() == [0.0, 20.0, 0.0]
    assert played(*head, job(3, 1, 11.0, OLD), policy=Easy).start_s.tolist() == [0.0, 20.0, 40.0]


def test_too_wide_for_a_kind_is_not_in_its_queue() -> None:
    recording = played(job(1, 4, 10.0, EITHER), job(2, 2, 10.0, NEW), job(3, 3, 10.0, NEW))
    assert recording.start_s[:2].tolist() == [0.0, 0.0]
    assert recording.outcome.tolist() == [1, 1, 2]


def test_an_urgent_job_takes_free_devices_before_those_of_others() -> None:
    """The less urgent job on new devices stays, since old ones are free; the second urgent one stops it."""
    low = job(1, 2, 100.0, EITHER, checkpoint_s=0.0)
    urgent = [job(number, 4 if number == 2 else 2, 10.0, EITHER, at_s=5.0, priority=1) for number in (2, 3)]
    recording = played(low, *urgent, policy=Priority)
    assert recording.start_s.tolist() == [0.0, 5.0, 5.0]
    assert recording.preemptions.tolist() == [1, 0, 0]
    assert recording.finish_s.tolist() == [110.0, 25.0, 15.0]


def test_a_kind_fails_at_its_own_rate() -> None:
    pools = (Pool("new", 2), Pool("old", 4, faults=Faults(0.004, 20.0, 1.0)))
    jobs = [job(number, 2, 200.0, EITHER, checkpoint_s=0.0) for number in range(1, 9)]
    recording = play(Workload(jobs, [200.0] * 8), Fifo(), pools=pools, rules=Rules())
    lost = [detail for _, kind, detail in recording.events if kind == "node lost"]
    assert lost
    assert all("of old" in detail for detail in lost)
    assert "down" not in recording.by_kind[0].device_seconds
    assert recording.by_kind[1].device_seconds["down"] > 0


@st.composite
def workloads(draw: st.DrawFn) -> list[Job]:
    speeds = [EITHER, NEW, OLD, {"old": 1.0, "new": 0.25}]
    rows = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 8)), min_size=1, max_size=9))
    return [
        job(
            number,
            devices,
            float(run_s),
            draw(st.sampled_from(speeds)),
            float(at_s),
            priority=draw(st.integers(0, 1)),
            checkpoint_s=0.0,
            tenant=draw(st.sampled_from(("a", "b"))),
        )
        for number, (at_s, devices, run_s) in enumerate(sorted(rows), 1)
    ]


def held(recording: ClusterRecording) -> list[tuple[Job, str, float, float, int]]:
    stretches = recording.stretches
    return [
        (recording.workload.jobs[position], recording.kinds[kind], start_s, end_s, int(devices))
        for position, kind, start_s, end_s, devices in zip(
            stretches.position, stretches.kind, stretches.start_s, stretches.end_s, stretches.devices, strict=True
        )
    ]


def sound(recording: ClusterRecording) -> None:
    """Hold a play against what no policy may break, kind by kind."""
    rows = held(recording)
    for pool in POOLS:
        own = [row for row in rows if row[1] == pool.kind]
        for moment in {start_s for _, _, start_s, _, _ in own}:
            used = sum(devices for _, _, start_s, end_s, devices in own if start_s <= moment < end_s)
            assert used <= pool.devices
    assert all(kind in job.kinds and devices == job.devices for job, kind, _, _, devices in rows)
    for number, each in enumerate(recording.workload.jobs):
        fits = any(each.devices <= pool.devices and pool.kind in each.kinds for pool in POOLS)
        assert recording.outcome[number] == (1 if fits else 2)
    for pool, kept in zip(POOLS, recording.by_kind, strict=True):
        whole = pool.devices * recording.wall_clock_s
        assert sum(kept.device_seconds.values()) == pytest.approx(whole, rel=CONSERVED)
        seen = sum(devices * (end_s - start_s) for _, kind, start_s, end_s, devices in rows if kind == pool.kind)
        assert whole - kept.device_seconds.get("free", 0.0) == pytest.approx(seen, rel=CONSERVED, abs=CONSERVED)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gavel"])
@settings(max_examples=25, deadline=None)
@given(drawn=workloads())
def test_no_policy_mixes_kinds(name: str, drawn: list[Job]) -> None:
    sound(played(*drawn, policy=find(name)))


@settings(max_examples=5, deadline=None)
@given(drawn=workloads())
def test_gavel_mixes_no_kinds(drawn: list[Job]) -> None:
    sound(played(*drawn, policy=lambda: find("gavel")(round_s=5.0)))  # type: ignore[call-arg]


@settings(max_examples=60, deadline=None)
@given(drawn=workloads())
def test_first_come_first_served_on_each_kind(drawn: list[Job]) -> None:
    """Nobody starts on a kind while somebody who came before waits for it; nor is it idle while its first would fit."""
    recording = played(*drawn)
    rows = held(recording)
    begun = {each.number: start_s for each, start_s in zip(drawn, recording.start_s.tolist(), strict=True)}
    for each, kind, start_s, _, _ in rows:
        for other in drawn:
            waits = other.number < each.number and not begun[other.number] <= start_s  # never: it can never run
            able = kind in other.kinds and other.devices <= dict(zip(recording.kinds, (2, 4), strict=True))[kind]
            assert not (waits and able), (each.number, other.number)
    moments = sorted({row[2] for row in rows} | {row[3] for row in rows})
    for pool in POOLS:
        for moment in moments:
            waiting = [
                other
                for other in drawn
                if other.arrival_s <= moment < begun[other.number]
                and pool.kind in other.kinds
                and other.devices <= pool.devices
            ]
            used = sum(row[4] for row in rows if row[1] == pool.kind and row[2] <= moment < row[3])
            assert not waiting or used + waiting[0].devices > pool.devices


@settings(max_examples=80, deadline=None)
@given(drawn=workloads())
def test_easy_keeps_its_promise_on_each_kind(drawn: list[Job]) -> None:
    """The first that waits for a kind starts no later than what runs there lets it, whoever comes behind."""
    recording = played(*drawn, policy=Easy)
    rows = held(recording)
    begun = {each.number: start_s for each, start_s in zip(drawn, recording.start_s.tolist(), strict=True)}
    for pool in POOLS:
        promised: set[int] = set()
        for moment in sorted({each.arrival_s for each in drawn} | {row[3] for row in rows}):
            waiting = [
                other
                for other in drawn
                if other.arrival_s <= moment < begun[other.number]
                and pool.kind in other.kinds
                and other.devices <= pool.devices
            ]
            if not waiting or waiting[0].number in promised:
                continue
            head = waiting[0]
            promised.add(head.number)
            there = [
                row
                for row in rows
                if row[1] == pool.kind
                and row[2] <= moment < row[3]
                and (row[2] < moment or row[0].number < head.number)
            ]
            free, shadow_s = pool.devices - sum(row[4] for row in there), moment
            for row in sorted(there, key=lambda row: row[3]):
                if free >= head.devices:
                    break
                free, shadow_s = free + row[4], row[3]
            assert begun[head.number] <= shadow_s + 1e-9


@settings(max_examples=30, deadline=None)
@given(drawn=workloads(), name=st.sampled_from(["fifo", "easy", "conservative", "first-fit", "sjf", "priority", "las"]))
def test_nodes_of_each_kind_give_no_more_than_they_have(drawn: list[Job], name: str) -> None:
    places = ClusterMap([PlacedPool("new", 2, 1), PlacedPool("old", 4, 2)])
    recording = played(*drawn, policy=find(name), places=places)
    sound(recording)
    assert np.isfinite(recording.finish_s[recording.outcome == 1]).all()
