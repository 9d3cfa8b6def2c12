"""Speed of the plan: one step estimate, and legal layouts planned per second of one core."""

from time import process_time

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sim.cost.layout import single
from sim.cost.memory import per_device
from sim.cost.training import step_times
from tests.helpers.steps import real_machine, real_software, work

pytestmark = pytest.mark.bench

ESTIMATE_S_MAX = 2e-3


def test_one_step_estimate(benchmark: BenchmarkFixture) -> None:
    """One layout, memory and time: at most 2 ms."""
    step, machine = work("llama-3.1-405b", 8192, 2048), real_machine("h100-sxm", 16384)
    software, layout = real_software("h100-sxm"), single(tp=8, pp=16, virtual_stages=8, dp=128)

    def estimate() -> float:
        per_device(step.model, step.recipe, software.memory, layout, step.sequence, step.global_batch)
        return float(step_times(step, machine, software, layout).step_s[0])

    benchmark(estimate)
    begin = process_time()
    for _ in range(50):
        estimate()
    assert (process_time() - begin) / 50 <= ESTIMATE_S_MAX
