"""Jobs that share links: by hand on one oversubscribed spine, and the running network against one built anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sim.engine.network import Network, stretched_s
from sim.errors import UsageError
from sim.plan.placement import Allocation, ClusterMap, Pool
from sim.plan.routes import Route, Traffic, routes_of
from sim.plan.topology import tree

RATE = 50e9


def spine_of_two_pods() -> ClusterMap:
    """Two pods of four nodes of 8."""
    return ClusterMap([Pool("h100", 64, 8, 8, (("pod", 32),))])


def on_nodes(*nodes: int) -> Allocation:
    return Allocation(nodes, (8,) * len(nodes), 1)


def ring(seconds: float, ranks: int = 4) -> list[Traffic]:
    return [Traffic("data-parallel communication", "ring", ranks, 8, seconds)]


def test_two_jobs_on_one_oversubscribed_spine_by_hand() -> None:
    """Expectation: a pod of 32 devices at 4:1 lets 8 line rates out. One job of two nodes in each pod sends 8 streams
    over it and is alone at line rate; two such jobs get half of it each. Of a step of 10 s, 3 s are exposed: 13 s.
    """
    topology = tree(spine_of_two_pods(), "h100", RATE, {"pod": 4.0})
    network = Network(topology.capacity_bytes_per_s)
    first = routes_of(topology, on_nodes(0, 1, 4, 5), ring(3.0))
    second = routes_of(topology, on_nodes(2, 3, 6, 7), ring(1.0))
    assert first[0].alone_bytes_per_s == pytest.approx(RATE)
    assert network.add("first", first, 10.0) == {}
    assert network.slowdown("first") == 1.0
    assert network.add("second", second, 4.0) == pytest.approx({"first": 1.3, "second": 1.25})
    assert network.shares("first") == pytest.approx({"data-parallel communication": 0.5})
    spine = next(tier for tier in topology.tiers if tier.name == "pod up")
    load = network.load_bytes_per_s()[spine.first : spine.first + spine.count]
    assert load == pytest.approx(topology.capacity_bytes_per_s[spine.first : spine.first + spine.count])
    assert network.remove("first") == pytest.approx({"second": 1.0})
    assert network.remove("first") == {}
    assert "second" in network
    assert "first" not in network


def test_a_job_that_needs_less_leaves_the_rest_to_the_other() -> None:
    """Streams have equal rates: 8 of one job and 4 of another (a node of each pod, half its cards) on 8 line rates."""
    topology = tree(spine_of_two_pods(), "h100", RATE, {"pod": 4.0})
    network = Network(topology.capacity_bytes_per_s)
    network.add("wide", routes_of(topology, on_nodes(0, 1, 4, 5), ring(1.0)), 1.0)
    half = Allocation((2, 6), (4, 4), 2)
    network.add("narrow", routes_of(topology, half, [Traffic("dp", "ring", 2, 4, 1.0)]), 1.0)
    for job in ("wide", "narrow"):
        assert list(network.shares(job).values()) == pytest.approx([8 / 12])


def test_jobs_of_one_pod_do_not_meet_on_the_spine() -> None:
    topology = tree(spine_of_two_pods(), "h100", RATE, {"pod": 4.0})
    network = Network(topology.capacity_bytes_per_s)
    network.add("inside", routes_of(topology, on_nodes(0, 1), ring(1.0, 2)), 1.0)
    assert network.add("across", routes_of(topology, on_nodes(2, 4), ring(1.0, 2)), 1.0) == {}
    assert network.slowdown("inside") == network.slowdown("across") == 1.0


def test_collectives_of_one_job_take_turns() -> None:
    """Alone, a job does not slow itself down, whatever its collectives share; beside another each has its part."""
    topology = tree(spine_of_two_pods(), "h100", RATE, {"pod": 4.0})
    network = Network(topology.capacity_bytes_per_s)
    both = [*ring(1.0), Traffic("pipeline communication", "point_to_point", 2, 16, 1.0)]
    network.add("first", routes_of(topology, on_nodes(0, 1, 4, 5), both), 5.0)
    assert set(network.shares("first").values()) == {1.0}
    network.add("second", routes_of(topology, on_nodes(2, 3, 6, 7), ring(1.0)), 5.0)
    # In halves of the time 8 streams (alone at line rate) and 16 (alone at half of it), beside the other job's 8: all
    # streams rise together until (4 + 8 + 8) of them fill 8 line rates.
    shares = network.shares("first")
    rates = [shares["data-parallel communication"], shares["pipeline communication"] / 2]
    assert rates == pytest.approx([8 / (4 + 8 + 8)] * 2)


def test_a_job_without_exposed_communication_is_not_on_the_links() -> None:
    topology = tree(spine_of_two_pods(), "h100", RATE, {"pod": 4.0})
    network = Network(topology.capacity_bytes_per_s)
    assert network.add("quiet", routes_of(topology, on_nodes(0, 4), ring(0.0, 2)), 1.0) == {}
    assert "quiet" not in network
    assert network.slowdown("quiet") == 1.0
    assert network.shares("quiet") == {}


def test_what_cannot_be_is_refused() -> None:
    topology = tree(spine_of_two_pods(), "h100", RATE)
    network = Network(topology.capacity_bytes_per_s)
    routes = routes_of(topology, on_nodes(0, 4), ring(1.0, 2))
    with pytest.raises(UsageError, match="part of the step"):
        network.add("job", routes, 0.5)
    network.add("job", routes, 2.0)
    with pytest.raises(UsageError, match="once"):
        network.add("job", routes, 2.0)


def test_the_exposed_part_alone_is_stretched() -> None:
    assert stretched_s(10.0, [3.0], [1.0]) == 10.0
    assert stretched_s(10.0, [3.0, 0.5], [0.25, 0.5]) == pytest.approx(10.0 + 9.0 + 0.5)


class NetworkMachine(RuleBasedStateMachine):
    """Jobs come and go; what the network says is what a network built from the present jobs says."""

    def __init__(self) -> None:
        super().__init__()
        cluster = ClusterMap([Pool("x", 128, 4, 4, (("leaf", 16), ("pod", 32)))])
        self.topology = tree(cluster, "x", RATE, {"leaf": 2.0, "pod": 8.0})
        self.network = Network(self.topology.capacity_bytes_per_s)
        self.jobs: dict[int, tuple[tuple[Route, ...], float]] = {}
        self.slowdowns: dict[int, float] = {}
        self.number = 0

    @rule(
        nodes=st.lists(st.integers(0, 31), unique=True, min_size=2, max_size=8),
        seconds=st.floats(0.0, 1.0),
        pattern=st.sampled_from(["ring", "all_to_all"]),
    )
    def arrive(self, nodes, seconds, pattern) -> None:
        self.number += 1
        allocation = Allocation(tuple(sorted(nodes)), (4,) * len(nodes), self.number)
        traffic = [Traffic("dp", pattern, len(nodes), 4, seconds), Traffic("cp", "ring", len(nodes) * 2, 2, 0.25)]
        routes = routes_of(self.topology, allocation, traffic)
        self.jobs[self.number] = (routes, 2.0)
        self.slowdowns[self.number] = 1.0
        self.slowdowns |= self.network.add(self.number, routes, 2.0)

    @rule(choice=st.integers(0, 10**6))
    def leave(self, choice) -> None:
        if self.jobs:
            number = list(self.jobs)[choice % len(self.jobs)]
            del self.jobs[number], self.slowdowns[number]
            self.slowdowns |= self.network.remove(number)

    @invariant()
    def as_if_built_anew(self) -> None:
        fresh = Network(self.topology.capacity_bytes_per_s)
        for number, (routes, step_s) in self.jobs.items():
            fresh.add(number, routes, step_s)
        for number in self.jobs:
            assert self.network.slowdown(number) == pytest.approx(fresh.slowdown(number), rel=1e-9)
            assert self.slowdowns[number] == self.network.slowdown(number)
            assert self.network.slowdown(number) >= 1.0
        assert (self.network.load_bytes_per_s() <= self.topology.capacity_bytes_per_s * (1 + 1e-9)).all()


TestNetworkMachine = NetworkMachine.TestCase
TestNetworkMachine.settings = settings(deadline=None, max_examples=30, stateful_step_count=20)


@settings(deadline=None)
@given(st.integers(1, 6), st.floats(1.0, 64.0))
def test_equal_jobs_on_one_spine_get_equal_parts(jobs: int, oversubscription: float) -> None:
    """k jobs of one node in each of two pods: each gets min(1, room / k) of its rate alone."""
    cluster = ClusterMap([Pool("h100", 2 * 8 * jobs, 8, 8, (("pod", 8 * jobs),))])
    topology = tree(cluster, "h100", RATE, {"pod": oversubscription})
    network = Network(topology.capacity_bytes_per_s)
    for job in range(jobs):
        network.add(job, routes_of(topology, on_nodes(job, jobs + job), ring(1.0, 2)), 1.0)
    room = min(1.0, jobs / oversubscription)
    expected = min(1.0, jobs / oversubscription / jobs / room)
    shares = [share for job in range(jobs) for share in network.shares(job).values()]
    assert shares == pytest.approx([expected] * jobs, rel=1e-9)
    assert np.ptp(shares) == 0.0
