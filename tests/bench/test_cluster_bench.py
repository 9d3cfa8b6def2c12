"""Speed of the cluster engine: 20,000 jobs/s under FIFO and EASY, a cost per job that does not grow with the queue,
and a million jobs on 100,000 devices within 120 s of CPU and 4 GB."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from sim.engine.cluster.job import Workload
from sim.engine.cluster.policies.easy import Easy
from sim.engine.cluster.policies.fifo import Fifo
from sim.engine.cluster.policy import Policy
from tests.helpers.cluster import jobs, lublin, play

POLICIES = [Fifo, Easy]
BUDGET_S_PER_JOB = 1 / 20_000


def cpu_s(workload: Workload, policy: type[Policy], devices: int) -> float:
    before_s = time.process_time()
    play(workload, policy(), devices)
    return time.process_time() - before_s


def drawn(count: int, devices: int, load: float) -> Workload:
    """Draw jobs of many widths that ask for so much of the cluster."""
    generator = np.random.default_rng(1)
    widths = 2 ** generator.integers(0, 13, count)
    odd = generator.random(count) < 0.3
    widths[odd] = generator.integers(1, 5000, int(odd.sum()))
    runs = np.round(np.exp(generator.normal(7, 1.5, count))) + 1
    rate = load * devices / float((widths * runs).mean())
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    return jobs(*zip(arrivals.tolist(), widths.tolist(), runs.tolist(), strict=True))


@pytest.mark.bench
@pytest.mark.parametrize("policy", POLICIES)
def test_jobs_per_second(policy: type[Policy]) -> None:
    """Marginal: from 10,000 to 50,000 jobs of the Lublin trace, which begins again where it ends."""
    short, long = lublin(10_000), lublin(50_000)
    each_s = min((cpu_s(long, policy, 256) - cpu_s(short, policy, 256)) / 40_000 for _ in range(3))
    assert each_s <= BUDGET_S_PER_JOB, f"{1 / each_s:.0f} jobs/s"


@pytest.mark.bench
@pytest.mark.parametrize("policy", POLICIES)
def test_the_length_of_the_queue_costs_nothing(policy: type[Policy]) -> None:
    """A queue of 30,000 against one of 3,000, all submitted at once to a cluster that takes them slowly."""
    each = {}
    for count in (3_000, 30_000):
        workload = drawn(count, 100_000, 1000.0)
        each[count] = min(cpu_s(workload, policy, 100_000) / count for _ in range(3))
    assert each[30_000] <= 2 * each[3_000], each


@pytest.mark.bench
@pytest.mark.parametrize("policy", POLICIES)
def test_a_million_jobs_on_100_000_devices(policy: type[Policy]) -> None:
    workload = drawn(1_000_000, 100_000, 0.9)
    assert cpu_s(workload, policy, 100_000) <= 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= 4 * 2**20
