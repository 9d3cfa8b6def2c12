"""Work of unknown length by hand: it runs until its owner gives it up, and no policy counts on its end."""

from __future__ import annotations

import math

import pytest

from sim.engine.cluster.job import Job, Workload
from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo
from sim.engine.cluster.policy import Policy
from sim.engine.cluster.recording import RELEASED
from sim.engine.cluster.registry import NAMES, find
from sim.engine.cluster.rules import Pool, Reservation, Rules
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.world import World
from sim.errors import InfeasibleError, ScenarioError
from sim.spec.load import read_scenario
from sim.spec.yaml import loads
from sim.study.scenarios import run_scenario
from tests.helpers.cluster import play


def mixed(*rows: tuple[float, int, float | None, float | None], **common: object) -> Workload:
    """Give jobs of (arrival, devices, run time, when it is given up), one of the last two."""
    jobs, runs, until_s = [], [], {}
    for at, (arrival_s, devices, run_s, ends_s) in enumerate(rows):
        length_s = math.inf if run_s is None else run_s
        jobs.append(Job(at + 1, arrival_s, devices, length_s, **common))  # type: ignore[arg-type]
        runs.append(length_s)
        if ends_s is not None:
            until_s[at] = ends_s
    return Workload(jobs, runs, (), until_s)


@pytest.mark.parametrize("name", NAMES)
def test_one_that_is_given_up_while_it_waits_holds_up_nobody(name: str) -> None:
    rows = mixed((0.0, 4, 10.0, None), (1.0, 4, None, 5.0), (2.0, 4, 3.0, None), preemptible=False)
    recording = play(rows, find(name)())
    assert recording.outcome.tolist() == [1, RELEASED, 1]
    assert recording.finish_s[1] == 5.0
    assert math.isnan(recording.start_s[1])
    assert recording.finish_s.tolist()[::2] == [10.0, 13.0]


@pytest.mark.parametrize("name", NAMES)
def test_one_that_runs_gives_its_devices_back_when_its_owner_says_so(name: str) -> None:
    recording = play(mixed((0.0, 3, None, 7.0), (1.0, 4, 3.0, None), preemptible=False), find(name)())
    assert recording.start_s.tolist() == [0.0, 7.0]
    assert recording.finish_s.tolist() == [7.0, 10.0]
    assert recording.accounts.device_seconds["useful compute"] == 3 * 7.0 + 4 * 3.0


def test_backfill_does_not_count_on_its_end() -> None:
    # The head asks for all four devices, two of which are held for nobody knows how long: no time is promised to it.
    rows = mixed((0.0, 2, None, 50.0), (1.0, 4, 10.0, None), (2.0, 2, 1000.0, None))
    easy = play(rows, Easy())
    assert easy.start_s.tolist() == [0.0, 1002.0, 2.0]
    # Work of unknown length itself takes only what the head would leave over, whatever ends.
    rows = mixed((0.0, 2, None, 50.0), (1.0, 4, 10.0, None), (2.0, 2, None, 500.0))
    assert play(rows, Easy()).start_s.tolist() == [0.0, 50.0, 60.0]


def test_it_may_not_run_into_a_reservation() -> None:
    kept = Rules(reservations=(Reservation("a", 2, 100.0, 200.0),))
    recording = play(mixed((0.0, 3, None, 300.0), (0.0, 2, None, 10.0), tenant="b"), find("first-fit")(), rules=kept)
    assert recording.start_s.tolist() == [200.0, 0.0]


class Owner:
    """Keeps a diary."""

    name = account = "service"

    def __init__(self, world: World) -> None:
        self.world, self.diary = world, list[tuple[float, str]]()

    def got(self) -> None:
        self.diary.append((self.world.now_s, "got"))

    def lost(self) -> None:
        self.diary.append((self.world.now_s, "lost"))


def queue(policy: Policy, workload: Workload, rules: Rules | None = None) -> tuple[World, Scheduler]:
    world = World(4, seed=0)
    return world, Scheduler(world, (Pool("gpu", 4),), workload, policy, rules)


ASKED = Job(0, 0.0, 2, math.inf, tenant="a")


def test_owners_join_the_queue_and_are_told() -> None:
    world, scheduler = queue(Fifo(), mixed((0.0, 3, 10.0, None), (2.0, 4, 1.0, None)))
    owner = Owner(world)
    scheduler.join()
    scheduler.begin()

    def ask() -> None:
        job = scheduler.submit(ASKED, owner)
        assert job.number == 2  # in the order of submission, between the two jobs
        world.after(19.0, lambda: (scheduler.release(job), scheduler.part()))

    world.after(1.0, ask)
    world.run_until(scheduler.has_finished)
    world.ledger.settle(world.now_s, "service", {"serving": 2 * 10.0})
    recording = scheduler.record()
    assert owner.diary == [(10.0, "got")]
    assert recording.replicas == ("service",)
    assert recording.start_s.tolist() == [0.0, 20.0, 10.0]
    assert recording.finish_s.tolist() == [10.0, 21.0, 20.0]
    assert recording.accounts.device_seconds["serving"] == 20.0


def test_a_quota_counts_what_owners_ask_for() -> None:
    world, scheduler = queue(Fifo(), mixed((0.0, 1, 5.0, None)), Rules(quotas={"a": 3}))
    first, second = Owner(world), Owner(world)
    scheduler.join()
    scheduler.begin()
    one, _ = scheduler.submit(ASKED, first), scheduler.submit(ASKED, second)
    with pytest.raises(InfeasibleError, match="the quota of a is 3"):
        scheduler.submit(Job(0, 0.0, 4, math.inf, tenant="a", name="wide"), first)
    world.after(3.0, lambda: scheduler.release(one))
    world.run_until(lambda: world.now_s >= 5.0)
    # The second waits at the gate until the first has given its devices back.
    assert (first.diary, second.diary) == ([(0.0, "got")], [(3.0, "got")])


def test_a_notebook_in_a_scenario() -> None:
    text = """
schema_version: 1
name: a notebook
cluster: {accelerator: h100-sxm, count: 8, failure_rate: 0/h}
policy: easy
workloads:
  - jobs: {mfu: 0.4, list: [{devices: 2, until: 1 h}, {devices: 8, runtime: 10 min}]}
"""
    report = run_scenario(read_scenario(loads(text, "notebook.yaml")))
    assert report.tables["jobs"]["outcome"].tolist() == ["released", "finished"]
    assert report.tables["jobs"]["start_s"].tolist() == [0.0, 3600.0]
    with pytest.raises(ScenarioError, match="one of both"):
        read_scenario(loads(text.replace("until: 1 h", "until: 1 h, runtime: 1 h"), "notebook.yaml"))
