"""Shares of a device: by hand, and by property for every policy."""

from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.cluster.books import RUNNING
from sim.engine.cluster.job import Job, Scaling, Workload
from sim.engine.cluster.places import Places
from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo, FirstFit
from sim.engine.cluster.policy import Policy
from sim.engine.cluster.recording import ClusterRecording
from sim.engine.cluster.registry import NAMES, find
from sim.engine.cluster.rules import Faults, Pool, Rules
from sim.engine.cluster.run import Run
from sim.engine.cluster.scheduler import Scheduler
from sim.engine.world import World
from sim.plan.placement import ClusterMap
from sim.plan.placement import Pool as PlacedPool

QUARTER, HALF = Fraction(1, 4), Fraction(1, 2)
SHARES = tuple(Fraction(milli, 1000) for milli in (100, 250, 300, 460, 500, 700, 999))
CONSERVED = 1e-9


class Watched:
    """Plays jobs and asks at every change that no device gives more than itself, apart from the engine's own books."""

    def __init__(self, devices: int, node: int, policy: Policy, rules: Rules | None = None) -> None:
        self.devices, self.node = devices, node
        self.world = World(devices, 0, max_events=5000)
        self.places = Places(ClusterMap([PlacedPool("gpu", devices, node, node)]), "best")
        self.policy, self.rules = policy, rules
        self.live: dict[int, Run] = {}
        self.most_on_a_device = Fraction(0)

    def play(self, jobs: list[Job]) -> ClusterRecording:
        workload = Workload(jobs, [job.estimate_s for job in jobs])
        pools = (Pool("gpu", self.devices, self.node, power_w=100.0),)
        scheduler = Scheduler(self.world, pools, workload, self.policy, self.rules, self.places)
        scheduler.watch(self.note)
        scheduler.begin()
        self.world.run_until(scheduler.has_finished)
        assert not self.live
        return scheduler.record()

    def note(self, what: str, now_s: float, run: Run) -> None:
        del now_s
        if what == "stop":
            del self.live[run.job.number]
        else:
            self.live[run.job.number] = run
        on_device: dict[int, Fraction] = defaultdict(Fraction)
        on_node: dict[int, set[int]] = defaultdict(set)
        whole: dict[int, int] = defaultdict(int)
        for each in self.live.values():
            assert each.place is not None
            assert each.devices == each.job.devices
            if isinstance(each.devices, Fraction):
                assert each.place.milli == each.devices * 1000
                on_device[each.place.slot] += each.devices
                on_node[each.place.nodes[0]].add(each.place.slot)
            else:
                assert each.place.devices == each.devices
                for node, count in zip(each.place.nodes, each.place.counts, strict=True):
                    whole[node] += count
        self.most_on_a_device = max([self.most_on_a_device, *on_device.values()])
        assert all(used <= 1 for used in on_device.values())
        for node in set(whole) | set(on_node):
            size = min(self.node, self.devices - node * self.node)
            assert whole[node] + len(on_node[node]) <= size


def job(number: int, devices: int | Fraction, run_s: float, at_s: float = 0.0, **more: object) -> Job:
    return Job(number, at_s, devices, run_s, **more)  # type: ignore[arg-type]


def test_four_quarters_on_one_device_by_hand() -> None:
    """Four quarters fill the device from 0 to 110 s; a fifth waits for the first that ends; a whole one for all."""
    quarters = [job(number, QUARTER, 100.0 + 10 * number) for number in range(1, 5)]
    recording = Watched(1, 1, Fifo()).play([*quarters, job(5, QUARTER, 5.0), job(6, 1, 10.0)])
    assert recording.start_s.tolist() == [0.0, 0.0, 0.0, 0.0, 110.0, 140.0]
    assert recording.finish_s.tolist() == [110.0, 120.0, 130.0, 140.0, 115.0, 150.0]
    held_s = (110 + 120 + 130 + 140 + 5) / 4 + 10
    assert recording.accounts.device_seconds == pytest.approx({"useful compute": held_s, "free": 150 - held_s})
    joules = recording.accounts.amounts["joules"]
    assert joules == pytest.approx({"useful compute": 100 * held_s, "free": 100 * (150 - held_s)})
    assert recording.stretches.devices.tolist() == [0.25, 0.25, 0.25, 0.25, 0.25, 1.0]


def test_shares_fill_the_fullest_device_and_leave_the_other_whole() -> None:
    watched = Watched(2, 2, Fifo())
    recording = watched.play([job(1, HALF, 100.0), job(2, HALF, 100.0), job(3, 1, 100.0)])
    assert recording.start_s.tolist() == [0.0, 0.0, 0.0]
    assert watched.most_on_a_device == 1


def test_what_is_left_of_two_devices_holds_no_whole_job() -> None:
    """Two of 0.6 need a device each: 0.8 devices are free, and a third of 0.6, or a whole one, waits all the same."""
    shares = [job(number, Fraction(3, 5), 100.0) for number in (1, 2, 3)]
    recording = Watched(2, 2, FirstFit()).play([*shares, job(4, 1, 10.0), job(5, Fraction(2, 5), 10.0)])
    assert recording.start_s.tolist() == [0.0, 0.0, 100.0, 100.0, 0.0]


def test_thousandths_add_up_to_a_whole_device() -> None:
    """Ten tenths are one device: sums of floats would fall short of it, and the whole job would wait for ever."""
    tenths = [job(number, Fraction(1, 10), float(number)) for number in range(1, 11)]
    recording = Watched(1, 1, Easy()).play([*tenths, job(11, 1, 1.0)])
    assert recording.start_s.tolist() == [0.0] * 10 + [10.0]


def test_a_node_that_fails_takes_its_shares_along() -> None:
    rules = Rules(faults=Faults(rate_per_s=0.002, repair_s=50.0, node_loss_share=1.0))
    jobs = [job(number, QUARTER, 200.0, checkpoint_s=0.0) for number in range(1, 13)]
    recording = Watched(4, 2, Fifo(), rules).play(jobs)
    assert recording.failures.sum() > 1
    assert recording.outcome.tolist() == [1] * 12


def test_a_quota_counts_shares() -> None:
    jobs = [job(number, HALF, 10.0, tenant="a") for number in (1, 2, 3)]
    assert Watched(4, 4, Fifo(), Rules(quotas={"a": 1})).play(jobs).start_s.tolist() == [0.0, 0.0, 10.0]


def test_a_share_is_as_fast_as_its_kind() -> None:
    """Expectation: the run time is that on the share it asks for, so half the speed takes twice as long."""
    slow = job(1, QUARTER, 10.0, kinds=("gpu",), speed=Scaling(QUARTER, 0.0, {"gpu": 0.5}))
    assert Watched(1, 1, Fifo()).play([slow]).finish_s.tolist() == [20.0]


@st.composite
def workloads(draw: st.DrawFn) -> list[Job]:
    rows = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 8)), min_size=1, max_size=12))
    width = st.one_of(st.sampled_from(SHARES), st.integers(1, 4))
    return [
        job(
            number,
            draw(width),
            float(run_s),
            float(at_s),
            priority=draw(st.integers(0, 1)),
            tenant=draw(st.sampled_from(("a", "b"))),
            checkpoint_s=0.0,
        )
        for number, (at_s, run_s) in enumerate(sorted(rows), 1)
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gavel"])
@settings(max_examples=20, deadline=None)
@given(drawn=workloads(), failures=st.booleans())
def test_no_policy_gives_a_device_twice(name: str, drawn: list[Job], failures: bool) -> None:
    rules = Rules(faults=Faults(0.01, 5.0, 0.5)) if failures else None
    sound(drawn, Watched(4, 2, find(name)(), rules))


@settings(max_examples=5, deadline=None)
@given(drawn=workloads())
def test_gavel_gives_no_device_twice(drawn: list[Job]) -> None:
    sound(drawn, Watched(4, 2, find("gavel")(round_s=5.0)))  # type: ignore[call-arg]


def sound(drawn: list[Job], watched: Watched) -> None:
    """Play, and hold the accounts by share against what was held."""
    recording = watched.play(drawn)
    assert recording.outcome.tolist() == [1] * len(drawn)
    stretches, accounts = recording.stretches, recording.accounts.device_seconds
    held_s = float((stretches.devices * (stretches.end_s - stretches.start_s)).sum())
    whole_s = watched.devices * recording.wall_clock_s
    idle_s = accounts.get("free", 0.0) + accounts.get("down", 0.0)
    assert whole_s - idle_s == pytest.approx(held_s, rel=CONSERVED, abs=CONSERVED)
    assert RUNNING not in accounts
    kept = stretches.work_s - stretches.lost_s
    for position, each in enumerate(drawn):
        assert kept[stretches.position == position].sum() == pytest.approx(each.estimate_s)
    state = watched.places.state
    assert state.free[~state.is_down].tolist() == state.map.capacity[~state.is_down].tolist()
