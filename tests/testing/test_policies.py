"""Every policy of ours keeps what every policy owes and what it claims; the kit says how it looked."""

import pytest

from sim.engine.cluster.policy import CLAIMS, Policy
from sim.engine.cluster.registry import NAMES, find
from sim.errors import UsageError
from sim.testing import Case, JobCase, check_policy, judge
from sim.testing.invariants import ALWAYS
from sim.testing.promises import PROMISES

SLOW = {"gavel": 10}
"""Policies that solve linear programs: by how much fewer examples."""


@pytest.mark.parametrize("name", NAMES)
def test_claims_hold(name: str) -> None:
    checked = check_policy(find(name), examples=30 // SLOW.get(name, 1))
    assert set(ALWAYS) | find(name).claims <= set(checked.promises)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_claims_hold_for_long(name: str) -> None:
    check_policy(find(name), examples=2000 // SLOW.get(name, 1), random_seed=True)


@pytest.mark.parametrize("name", NAMES)
def test_every_policy_says_what_it_is(name: str) -> None:
    policy = find(name)
    assert policy.name == name
    assert policy.summary
    assert policy.source
    assert policy.claims <= set(CLAIMS)


def test_every_claim_has_its_check_and_some_policy() -> None:
    assert set(PROMISES) == set(CLAIMS)
    assert set().union(*(find(name).claims for name in NAMES)) == set(CLAIMS)


def test_what_was_written_in_time_is_a_checkpoint() -> None:
    """A job that was stopped with grace and fails later goes back to what it wrote when it was stopped."""
    given_up = [JobCase(0, 1, 0, preemptible=False, until_s=0) for _ in range(7)]
    elastic = JobCase(0, 3, 3, least=1, most=3, checkpoint_s=2, restart_s=1)
    others = [JobCase(0, 1, 2, preemptible=False), JobCase(3, 1, 1, preemptible=False)]
    jobs = (*given_up[:5], elastic, *given_up[5:], *others)
    case = Case(3, jobs, grace_s=1, failures_per_device_s=0.01, repair_s=1, seed=2)
    assert judge(case, find("srtf")) == []


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(UsageError, match="no such claim"):
        check_policy(find("fifo"), claims={"fast"})


def test_a_policy_that_does_nothing_is_found() -> None:
    class Nothing(Policy):
        name = "nothing"

        def decide(self, view: object) -> tuple[()]:
            return ()

    with pytest.raises(AssertionError, match="liveness"):
        check_policy(Nothing, examples=20)
